//! What slow handlers do to the others: the same load with and without them, and how long the rest takes.
//!
//!   cargo bench --bench slow_handlers [-- SECONDS [LOAD]]
//!
//! The server is a process of its own. First a closed loop finds the most calls per second that it answers; then
//! calls come at LOAD of that (0.4) by the clock, however long others take, and each call's time counts from when
//! it was due. One in a hundred is for a handler that sleeps for 5 ms: none in the first kind of round, all on the
//! runtime's pool in the second, on threads of their own in the third. Rounds of each kind take turns; printed
//! are the medians, as one JSON line.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use krpc::base::lock::Mutex;
use krpc::base::{Encoding, Message};
use krpc::op::operation::{self, Finished};
use krpc::rpc::Address;
use krpc::rpc::call::{CallOptions, Client, ClientOptions, Method, Reply, Start};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service, WorkerOptions};

/// One call in so many is slow.
const ONE_IN: u64 = 100;

const SLOW: Duration = Duration::from_millis(5);

const ROUNDS: usize = 5;

/// Callers of the closed loop.
const CALLERS: usize = 64;

fn main() {
    if std::env::args().any(|word| word == "--serve") {
        return serve();
    }
    let mut numbers = std::env::args().filter_map(|word| word.parse::<f64>().ok());
    let seconds = Duration::from_secs_f64(numbers.next().unwrap_or(2.0));
    let load = numbers.next().unwrap_or(0.4);
    let (_server, address) = start_server();
    let client = connect(&address);
    let most = closed_loop(&client, seconds);
    let rate = most * load;
    let mut seen = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (kind, slow) in [None, Some("Pool/Slow"), Some("Own/Slow")].into_iter().enumerate() {
            seen[kind].push(open_loop(&client, rate, slow, seconds));
        }
    }
    let [plain, pool, own] = seen.map(median);
    println!(
        "{{\"calls_per_s_at_most\":{most:.0},\"load\":{load},\"p50_us\":{:.0},\"p99_us\":{:.0},\
         \"p50_us_slow_on_pool\":{:.0},\"p99_us_slow_on_pool\":{:.0},\"p99_us_slow_on_own_threads\":{:.0},\
         \"p99_ratio_pool\":{:.2},\"p99_ratio_own\":{:.2}}}",
        plain.0,
        plain.1,
        pool.0,
        pool.1,
        own.1,
        pool.1 / plain.1,
        own.1 / plain.1
    );
}

// ---- the server ---------------------------------------------------------------------------------------

fn serve() {
    let answer = |mut request: Request| {
        let message = request.message().clone();
        let _ = request.reply(message);
    };
    let slow = move |request: Request| {
        std::thread::sleep(SLOW);
        answer(request);
    };
    let mut pool = Service::new("Pool").unwrap();
    pool.add_method("Fast", MethodOptions::default(), Arc::new(answer)).unwrap();
    pool.add_method("Slow", MethodOptions::default(), Arc::new(slow)).unwrap();
    let mut own = Service::new("Own").unwrap();
    own.add_method("Slow", MethodOptions::default(), Arc::new(slow)).unwrap();
    own.set_workers("", WorkerOptions::new(16)).unwrap();
    let options = ServerOptions {
        addresses: vec![Address::parse("127.0.0.1:0").unwrap()],
        services: vec![pool, own],
        ..ServerOptions::default()
    };
    let server = Server::start(options).unwrap();
    println!("{}", server.addresses()[0]);
    // Until the other process has gone.
    let _ = std::io::stdin().read(&mut [0]);
}

struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_server() -> (Serving, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (Serving(child), address.trim().to_owned())
}

// ---- load ---------------------------------------------------------------------------------------------

fn connect(address: &str) -> Arc<Client> {
    let mut options = ClientOptions::new("bench");
    options.addresses.push(Address::parse(address).unwrap());
    options.timeout = Some(Duration::from_secs(10));
    options.pool.max_idle = 4096;
    let client = Client::new(options).unwrap();
    client.warm_up(CALLERS, Duration::from_secs(10)).unwrap();
    client.prepare().unwrap();
    client
}

fn body() -> Message {
    let text = [b'x'; 100];
    Message::new(Encoding::THRIFT_BINARY, [&[11, 0, 1, 0, 0, 0, 100][..], &text, &[0]].concat().into())
}

/// Starts a call whose end is heard on the I/O thread.
fn start(
    client: &Arc<Client>,
    method: &Method,
    message: &Message,
    ended: impl FnOnce(Reply) + Send + 'static,
) {
    let hear = move |finished: Finished<Reply>| ended(finished.take().unwrap());
    let (operation, completer) = operation::new(Some(Box::new(hear)));
    operation.forget_handle();
    client.start([Start { method, message, options: CallOptions::default(), completer }]);
}

/// Calls per second of callers that call again as soon as they are answered.
fn closed_loop(client: &Arc<Client>, time: Duration) -> f64 {
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    (0..CALLERS).for_each(|_| again(Arc::clone(client), Arc::clone(&over), Arc::clone(&answered)));
    // The first part warms up.
    std::thread::sleep(time / 4);
    let (from, begun) = (answered.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(time);
    let rate = (answered.load(Ordering::Relaxed) - from) as f64 / begun.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(100));
    rate
}

fn again(client: Arc<Client>, over: Arc<AtomicBool>, answered: Arc<AtomicU64>) {
    if over.load(Ordering::Relaxed) {
        return;
    }
    let (method, next) = (Method::parse("Pool/Fast").unwrap(), Arc::clone(&client));
    start(&client, &method, &body(), move |reply| {
        assert_eq!(reply.error(), None);
        answered.fetch_add(1, Ordering::Relaxed);
        again(next, over, answered);
    });
}

/// The median and the 99th percentile of what fast calls take, in microseconds.
fn open_loop(client: &Arc<Client>, rate: f64, slow: Option<&str>, time: Duration) -> (f64, f64) {
    let fast = Method::parse("Pool/Fast").unwrap();
    let slow = slow.map(|name| Method::parse(name).unwrap());
    let message = body();
    let times = Arc::new(Mutex::new(Vec::new()));
    let open = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let count = (rate * time.as_secs_f64()) as u64;
    for nth in 0..count {
        let due = begun + Duration::from_secs_f64(nth as f64 / rate);
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::sleep(left);
        }
        let times = Arc::clone(&times);
        let slow = slow.as_ref().filter(|_| nth % ONE_IN == ONE_IN / 2);
        let is_counted = slow.is_none();
        let open = Arc::clone(&open);
        open.fetch_add(1, Ordering::Relaxed);
        start(client, slow.unwrap_or(&fast), &message, move |reply| {
            assert_eq!(reply.error(), None);
            open.fetch_sub(1, Ordering::Relaxed);
            if is_counted {
                times.lock().push(due.elapsed());
            }
        });
    }
    while open.load(Ordering::Relaxed) > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut times = std::mem::take(&mut *times.lock());
    // What came while threads were started and caches were cold.
    times.drain(..times.len() / 10);
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    (at(0.5), at(0.99))
}

fn median(mut rounds: Vec<(f64, f64)>) -> (f64, f64) {
    let mut middle = |of: fn(&(f64, f64)) -> f64| {
        rounds.sort_by(|a, b| of(a).total_cmp(&of(b)));
        of(&rounds[rounds.len() / 2])
    };
    (middle(|round| round.0), middle(|round| round.1))
}
