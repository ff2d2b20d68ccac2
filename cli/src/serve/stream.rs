//! What one streaming method answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use krpc::base::{Biz, Message};
use krpc::codec::CallShape;
use krpc::codec::json::{JsonOptions, NonFinite};
use krpc::idl::Schema;
use krpc::idl::schema::MethodId;
use krpc::rpc::stream::{Finish, Pairs, Stream, StreamMode};

use crate::exit::Result;
use crate::output;
use crate::serve::answers::{Answer, What};
use crate::serve::mock;

/// How often a handler that sleeps looks whether its stream is still there.
const LOOK: Duration = Duration::from_millis(20);
/// Handlers only pass messages on.
const STACK_BYTES: usize = 256 << 10;

/// The handler of a streaming method.
pub struct StreamMock {
    shape: CallShape,
    path: String,
    mode: StreamMode,
    answers: Vec<Answer>,
    next: AtomicUsize,
    repeat: u32,
    /// Whether a request can be an answer.
    echoes: bool,
    example: Message,
    verbose: u8,
}

#[derive(Default)]
struct Counts {
    received: u64,
    sent: u64,
}

impl StreamMock {
    pub fn new(
        schema: &Arc<Schema>,
        method: MethodId,
        mode: StreamMode,
        path: String,
        answers: Vec<Answer>,
        (repeat, verbose): (u32, u8),
    ) -> Result<StreamMock> {
        let declared = schema.method(method);
        Ok(StreamMock {
            shape: CallShape::new(schema, method),
            mode,
            answers,
            next: AtomicUsize::new(0),
            repeat,
            echoes: mock::echoed(schema, declared).is_some(),
            example: mock::example(schema, declared, &path)?,
            path,
            verbose,
        })
    }

    /// Serves a stream on a thread of its own: it may last. How many there are is bounded by the server's
    /// requests in flight.
    pub fn handle(self: &Arc<StreamMock>, stream: Stream) {
        let (mock, served) = (Arc::clone(self), stream.clone());
        let thread = thread::Builder::new().name("stream".to_owned()).stack_size(STACK_BYTES);
        if let Err(reason) = thread.spawn(move || mock.serve(&served)) {
            // It may have ended by itself.
            let _ = stream.finish(Finish::failed(format_args!("no thread: {reason}")));
        }
    }

    fn serve(&self, stream: &Stream) {
        let started = Instant::now();
        if self.verbose > 1 {
            output::say(&output::printable(&format!("{} from {}: opened", self.path, stream.peer())));
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let none = Answer::default();
        let answer =
            turn.checked_rem(self.answers.len()).and_then(|at| self.answers.get(at)).unwrap_or(&none);
        let mut counts = Counts::default();
        let end = self.exchange(stream, answer, &mut counts);
        let (finish, said) = match end {
            Ok(()) => finish(answer),
            Err(error) => (Finish::failed(error.text()), error.to_string()),
        };
        // The peer may have ended it.
        let _ = stream.finish(finish);
        if self.verbose > 0 {
            let Counts { received, sent } = counts;
            let (path, peer, millis) = (&self.path, stream.peer(), started.elapsed().as_secs_f64() * 1e3);
            let line = format!("{path} from {peer}: {received} in, {sent} out, {said}, {millis:.3} ms");
            output::say(&output::printable(&line));
        }
    }

    fn exchange(&self, stream: &Stream, answer: &Answer, counts: &mut Counts) -> krpc::base::Result<()> {
        stream.set_header(&pairs(&answer.header))?;
        stream.set_trailer(&pairs(&answer.trailer))?;
        // With an end of its own an answer says all that is sent.
        let is_whole = !matches!(answer.what, What::Default);
        match self.mode {
            StreamMode::Server => {
                if let Some(request) = stream.request() {
                    self.show(stream, request, counts);
                }
                let echo = [stream.request().filter(|_| self.echoes).unwrap_or(&self.example).clone()];
                let repeat = answer.repeat.unwrap_or(if answer.listed { 1 } else { self.repeat });
                let all = if answer.results.is_empty() && !is_whole { &echo[..] } else { &answer.results };
                for message in (0..repeat).flat_map(|_| all) {
                    self.send(stream, answer, message.clone(), counts)?;
                }
            }
            StreamMode::Client => {
                let mut last = None;
                while let Some(message) = stream.recv()? {
                    self.show(stream, &message, counts);
                    last = Some(message);
                }
                let echo = last.filter(|_| self.echoes).unwrap_or_else(|| self.example.clone());
                let result = answer.results.first().cloned().or((!is_whole).then_some(echo));
                if let Some(message) = result {
                    self.send(stream, answer, message, counts)?;
                }
            }
            StreamMode::Bidirectional => {
                let mut results = answer.results.iter().cycle();
                while !is_whole || counts.sent < answer.results.len() as u64 {
                    let Some(message) = stream.recv()? else { break };
                    self.show(stream, &message, counts);
                    let echo = if self.echoes { &message } else { &self.example };
                    self.send(stream, answer, results.next().unwrap_or(echo).clone(), counts)?;
                }
            }
        }
        if counts.sent == 0 {
            wait(stream, answer.delay);
        }
        Ok(())
    }

    fn send(
        &self,
        stream: &Stream,
        answer: &Answer,
        message: Message,
        counts: &mut Counts,
    ) -> krpc::base::Result<()> {
        wait(stream, answer.delay);
        stream.send(message)?;
        counts.sent += 1;
        Ok(())
    }

    /// A message, when it arrives.
    fn show(&self, stream: &Stream, message: &Message, counts: &mut Counts) {
        counts.received += 1;
        if self.verbose < 2 {
            return;
        }
        let options =
            JsonOptions { bare_strings: false, non_finite: NonFinite::Null, ..JsonOptions::default() };
        let shown = match self.shape.request().to_json(message, &options) {
            Ok(json) => String::from_utf8_lossy(&json).into_owned(),
            Err(error) => error.to_string(),
        };
        output::say(&output::printable(&format!("{} from {}: {shown}", self.path, stream.peer())));
    }
}

/// Sleeps, unless the stream ends.
fn wait(stream: &Stream, delay: Duration) {
    let started = Instant::now();
    while stream.end().is_none() && stream.context().cause().is_none() {
        match delay.saturating_sub(started.elapsed()) {
            Duration::ZERO => return,
            left => thread::sleep(left.min(LOOK)),
        }
    }
}

fn finish(answer: &Answer) -> (Finish, String) {
    match &answer.what {
        What::Biz { code, message, extra } => {
            let status =
                Biz { code: *code, message: message.clone().into_bytes().into(), extra: pairs(extra) };
            (Finish::Biz(status), format!("business error {code}"))
        }
        What::Error { type_id, message } => {
            let text = message.clone().into_bytes().into();
            (Finish::Exception { type_id: *type_id, text }, format!("error {type_id}"))
        }
        What::Default | What::Result(_) | What::Exception { .. } => (Finish::Ok, "ok".to_owned()),
    }
}

fn pairs(pairs: &[(String, String)]) -> Pairs {
    let pair = |(key, value): &(String, String)| {
        (key.clone().into_bytes().into(), value.clone().into_bytes().into())
    };
    pairs.iter().map(pair).collect()
}
