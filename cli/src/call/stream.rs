//! `krpc call` of a method that streams: JSON values in, a line of JSON out for each reply, as they come.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use krpc::base::{Code, Error, Message};
use krpc::codec::Shape;
use krpc::codec::json::{JsonOptions, NonFinite};
use krpc::op::operation::Cause;
use krpc::rpc::stream::{Pairs, Stream, StreamMode};
use krpc::rpc::{Context, ContextOptions};

use super::values::Values;
use super::{Outcome, Status, lossy, request_text};
use crate::args::{CallArgs, Layout};
use crate::exit::{Exit, Failure, Result};
use crate::target::Target;
use crate::{input, output, signals};

/// How long the end of a stream may take to reach the peer.
const LEAVE: Duration = Duration::from_millis(300);

pub(super) fn call(args: &CallArgs, target: &Target, mode: StreamMode, layout: Layout) -> Result<Exit> {
    let requests = match mode {
        // A wrong one opens no stream.
        StreamMode::Server => Requests::One(target.request(&request_text(args, target)?)?),
        StreamMode::Client | StreamMode::Bidirectional => {
            Requests::Many(input::source(args.data.as_deref(), &args.file)?)
        }
    };
    if args.verbose {
        let kind = target.streaming().name();
        output::say(&format!("> {} to {}, stream ({kind})", target.found.path, target.endpoint_names()));
    }
    let started = Instant::now();
    let work = Context::new(None, ContextOptions::default());
    let cancelled = work.clone();
    signals::on_interrupt(move || cancelled.cancel(Cause::ByHost));
    let opened = target.open(args.recv_timeout, &work);
    let mut shown = Shown { args, target, layout, started, opened: None };
    let stream = match opened {
        Err(_) if signals::interrupted() => return Err(Failure::interrupted()),
        Err(error) => return shown.finish(Outcome::Error(error)),
        Ok(stream) => stream,
    };
    let interrupted = stream.clone();
    signals::on_interrupt(move || interrupted.cancel("interrupted by the user"));

    let wrong = Arc::new(OnceLock::new());
    let sender =
        Sender { stream: stream.clone(), path: target.found.path.clone(), wrong: Arc::clone(&wrong) };
    // Nobody waits for it: it may hang on a terminal long after the stream's end.
    thread::spawn(move || sender.run(requests));

    let received = shown.receive(&stream, mode);
    if !matches!(stream.end(), Some(Ok(()))) {
        leave(target);
    }
    if signals::interrupted() {
        return Err(Failure::interrupted());
    }
    if let Some(failure) = wrong.get() {
        let Failure { exit, code, text, laid_out } = failure;
        return Err(Failure { exit: *exit, code, text: text.clone(), laid_out: *laid_out });
    }
    let outcome = received?;
    shown.opened = Some(stream);
    shown.finish(outcome)
}

enum Requests {
    One(Message),
    Many(Box<dyn std::io::Read + Send>),
}

/// Sends what is asked for.
struct Sender {
    stream: Stream,
    path: String,
    /// Why the input is no good.
    wrong: Arc<OnceLock<Failure>>,
}

impl Sender {
    fn run(&self, requests: Requests) {
        // A stream that is over tells so to who receives.
        match requests {
            Requests::One(request) => _ = self.stream.send(request).and_then(|()| self.stream.close_send()),
            Requests::Many(from) => self.send_all(from),
        }
    }

    fn send_all(&self, from: Box<dyn std::io::Read + Send>) {
        let Some(shape) = self.stream.shape_to_send() else { return };
        let mut values = Values::new(from, |json| shape.from_json(json, &JsonOptions::strict()));
        for number in 1_u64.. {
            let sent = match values.next() {
                Ok(Some(message)) => self.stream.send(message),
                Ok(None) => {
                    let _ = self.stream.close_send();
                    return;
                }
                Err(error) => return self.give_up(number, &error),
            };
            if sent.is_err() {
                return;
            }
        }
    }

    fn give_up(&self, number: u64, error: &Error) {
        let what = format!("message {number} of {}", self.path);
        let _ = self.wrong.set(Failure::library(Exit::Usage, &what, error));
        self.stream.cancel(format!("message {number} is wrong: {}", error.text()));
    }
}

/// The peer is told of a stream's end before the program is gone.
fn leave(target: &Target) {
    let started = Instant::now();
    target.client.close(false);
    while target.client.stream_stats().open > 0 && started.elapsed() < LEAVE {
        thread::sleep(Duration::from_millis(1));
    }
}

struct Shown<'a> {
    args: &'a CallArgs,
    target: &'a Target,
    layout: Layout,
    started: Instant,
    /// Once it is over.
    opened: Option<Stream>,
}

impl Shown<'_> {
    /// Prints replies until the stream ends.
    fn receive(&self, stream: &Stream, mode: StreamMode) -> Result<Outcome> {
        let mut count = 0_u64;
        let shape = stream.shape_to_recv();
        loop {
            let received = stream.recv();
            if count == 0 && received.is_ok() {
                self.tell("header", &stream.header().unwrap_or_default());
            }
            match received {
                Ok(Some(message)) => {
                    count += 1;
                    let json = match shape.as_ref().map(|shape| readable(shape, &message)) {
                        Some(Ok(json)) => json,
                        Some(Err(error)) => {
                            stream.cancel(format!("reply {count} is wrong: {}", error.text()));
                            return Ok(Outcome::Error(self.place(error, stream)));
                        }
                        None => continue,
                    };
                    let mut line = output::layout(&json, self.layout);
                    line.push(b'\n');
                    if !output::line(&line)? {
                        stream.cancel("nobody reads the replies");
                        return Ok(Outcome::Result(None));
                    }
                }
                Ok(None) if count == 0 && mode == StreamMode::Client => {
                    let text = "the server ended the stream without an answer";
                    return Ok(Outcome::Error(self.place(Error::new(Code::StreamProtocol, text), stream)));
                }
                Ok(None) => return Ok(Outcome::Result(None)),
                Err(error) => {
                    return Ok(match error.biz_status() {
                        Some(biz) => Outcome::Biz(biz.clone()),
                        None => Outcome::Error(self.place(error, stream)),
                    });
                }
            }
        }
    }

    fn place(&self, error: Error, stream: &Stream) -> Error {
        error.with_method(&self.target.found.path).with_peer(stream.peer())
    }

    /// Says how the stream ended.
    fn finish(&self, outcome: Outcome) -> Result<Exit> {
        let (sent, received) = self.opened.as_ref().map_or((0, 0), |stream| {
            let stats = stream.stats();
            (stats.messages_sent, stats.messages_received)
        });
        let trailer = self.opened.as_ref().and_then(|stream| stream.trailer().ok()).unwrap_or_default();
        if self.args.json_status {
            let header = self.opened.as_ref().and_then(|stream| stream.header().ok()).unwrap_or_default();
            let (facts, header, trailer) =
                (self.facts(&outcome), readable_pairs(&header), readable_pairs(&trailer));
            let status = Status {
                messages_sent: Some(sent),
                messages_received: Some(received),
                header,
                trailer,
                ..facts
            };
            status.say();
            return Ok(outcome.exit());
        }
        self.tell("trailer", &trailer);
        if self.args.verbose {
            let peer = self.opened.as_ref().map_or("nobody", Stream::peer);
            let millis = self.started.elapsed().as_secs_f64() * 1e3;
            let code = outcome.code();
            output::say(&format!(
                "< {code} from {peer}, {sent} messages sent, {received} received, {millis:.3} ms"
            ));
        }
        match outcome.failure(self.target) {
            Some(failure) => Err(failure),
            None => Ok(outcome.exit()),
        }
    }

    fn facts(&self, outcome: &Outcome) -> Status<'_> {
        let mut status = Status {
            method: Some(&self.target.found.path),
            endpoint: self.opened.as_ref().map(Stream::peer),
            latency_us: Some(self.started.elapsed().as_micros().try_into().unwrap_or(u64::MAX)),
            ..Status::default()
        };
        outcome.fill(self.target, &mut status);
        status
    }

    fn tell(&self, what: &str, pairs: &Pairs) {
        let pairs = readable_pairs(pairs);
        let asked = self.args.verbose || (self.args.meta_backward && !self.args.quiet);
        if !pairs.is_empty() && asked && !self.args.json_status {
            let pairs = serde_json::to_string(&pairs).unwrap_or_default();
            output::say(&output::printable(&format!("< {what} {pairs}")));
        }
    }
}

/// Output is for reading: what the peer may send and JSON can show is shown.
fn readable(shape: &Shape, message: &Message) -> krpc::base::Result<Vec<u8>> {
    let options = JsonOptions { bare_strings: false, non_finite: NonFinite::Null, ..JsonOptions::default() };
    shape.to_json(message, &options)
}

/// Without what business statuses are made of: they are told by themselves.
fn readable_pairs(pairs: &Pairs) -> BTreeMap<String, String> {
    let pairs = pairs.iter().map(|(key, value)| (lossy(key), lossy(value)));
    pairs.filter(|(key, _)| !key.starts_with("biz-")).collect()
}
