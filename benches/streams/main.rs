//! How many messages streams carry between our two ends, on this machine's loopback.
//!
//!   cargo bench --bench streams [-- SECONDS]
//!
//! One JSON line for each shape. CPU is that of the whole process, so of both ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use krpc::base::{Encoding, Message, Result};
use krpc::op::operation::{self, Finished};
use krpc::op::queue::Queue;
use krpc::rpc::call::{Client, ClientOptions, Method};
use krpc::rpc::event::Event;
use krpc::rpc::server::{Server, ServerOptions, Service};
use krpc::rpc::stream::{Finish, Returning, Stream, StreamMethodOptions, StreamMode, StreamOptions};
use krpc::rpc::{Address, Runtime, RuntimeOptions};

fn main() {
    let seconds = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(2.0);
    let time = Duration::from_secs_f64(seconds);
    for size in [64, 1024, 64 << 10] {
        one_way(4, 1, size, time);
    }
    for connections in [2, 0] {
        ping_pong(100, connections, 1024, time);
    }
}

fn message(size: usize) -> Message {
    let text = vec![b'x'; size.saturating_sub(8)];
    let length = u32::try_from(text.len()).unwrap_or_default().to_be_bytes();
    Message::new(Encoding::THRIFT_BINARY, [&[11, 0, 1][..], &length, &text, &[0]].concat().into())
}

fn server(count: &Arc<AtomicU64>) -> Server {
    let mut service = Service::new("Bench").unwrap();
    let inline = StreamMethodOptions { inline: true };
    service.add_stream("Echo", StreamMode::Bidirectional, inline, Arc::new(echo)).unwrap();
    let count = Arc::clone(count);
    let sink = Returning(move |stream: &Stream| {
        loop {
            let some = stream.recv_many(1024)?;
            if some.is_empty() {
                return Ok(());
            }
            count.fetch_add(some.len() as u64, Ordering::Relaxed);
        }
    });
    let pool = StreamMethodOptions::default();
    service.add_stream("Sink", StreamMode::Client, pool, Arc::new(sink)).unwrap();
    let addresses = vec![Address::parse("127.0.0.1:0").unwrap()];
    // Threads of its own, as another process would have.
    let runtime = Some(Runtime::start(&RuntimeOptions::default()).unwrap());
    let services = vec![service];
    Server::start(ServerOptions { addresses, services, runtime, ..ServerOptions::default() }).unwrap()
}

fn echo(stream: Stream) {
    let next = stream.clone();
    let received = move |finished: Finished<Result<Option<Message>>>| {
        let Some(Ok(Some(message))) = finished.take() else {
            return drop(next.finish(Finish::Ok));
        };
        let (operation, completer) = operation::new(None);
        operation.forget_handle();
        next.start_send(message, completer);
        echo(next);
    };
    let (operation, completer) = operation::new(Some(Box::new(received)));
    operation.forget_handle();
    stream.start_recv(completer);
}

fn client(server: &Server, connections: usize) -> Arc<Client> {
    let mut options = ClientOptions::new("bench");
    options.addresses = vec![server.addresses()[0].clone()];
    options.streams.multiplexed = connections;
    Client::new(options).unwrap()
}

fn open(client: &Client, method: &str) -> Stream {
    let method = Method::parse(&format!("Bench/{method}")).unwrap();
    client.open_stream(&method, &StreamOptions::default()).unwrap()
}

fn one_way(streams: usize, connections: usize, size: usize, time: Duration) {
    let (count, stop) = (Arc::default(), AtomicBool::new(false));
    let server = server(&count);
    let client = client(&server, connections);
    let begin = Sample::now();
    std::thread::scope(|scope| {
        for _ in 0..streams {
            scope.spawn(|| {
                let (stream, message) = (open(&client, "Sink"), message(size));
                while !stop.load(Ordering::Relaxed) {
                    stream.send(message.clone()).unwrap();
                }
                stream.close_send().unwrap();
                assert_eq!(stream.recv().unwrap(), None);
            });
        }
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    begin.report("one-way", streams, connections, size, count.load(Ordering::Relaxed));
}

fn ping_pong(streams: usize, connections: usize, size: usize, time: Duration) {
    let server = server(&Arc::default());
    let client = client(&server, connections);
    let queue: Arc<Queue<Event>> = Queue::new(4096, None);
    let all: Vec<_> = (0..streams).map(|_| open(&client, "Echo")).collect();
    let message = message(size);
    for (stream, tag) in all.iter().zip(0..) {
        stream.deliver(&queue, tag, 8).unwrap();
        stream.send(message.clone()).unwrap();
    }
    let (begin, mut count, mut events) = (Sample::now(), 0u64, Vec::new());
    let mut owed = vec![0usize; streams];
    while begin.at.elapsed() < time {
        queue.take(&mut events, 256, Some(Duration::from_secs(1)));
        for event in events.drain(..) {
            let Event::StreamMessage { tag, .. } = event else { continue };
            let at = usize::try_from(tag).unwrap();
            count += 1;
            owed[at] += 1;
            if owed[at] == 4 {
                all[at].deliver(&queue, tag, std::mem::take(&mut owed[at])).unwrap();
            }
            all[at].send(message.clone()).unwrap();
        }
    }
    begin.report("ping-pong", streams, connections, size, count);
}

/// A moment and the CPU time that the process had used by then.
struct Sample {
    at: Instant,
    cpu: Duration,
}

impl Sample {
    fn now() -> Sample {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        Sample { at: Instant::now(), cpu: Duration::from_millis((ticks(11) + ticks(12)) * 10) }
    }

    fn report(&self, shape: &str, streams: usize, connections: usize, size: usize, messages: u64) {
        let now = Sample::now();
        let seconds = (now.at - self.at).as_secs_f64();
        let cpu = (now.cpu - self.cpu).as_secs_f64();
        println!(
            "{{\"shape\":\"{shape}\",\"streams\":{streams},\"connections\":{connections},\"size\":{size},\
             \"messages\":{messages},\"per_second\":{:.0},\"cpu_us_per_message\":{:.3}}}",
            messages as f64 / seconds,
            cpu * 1e6 / messages as f64,
        );
    }
}
