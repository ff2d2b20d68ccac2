//! `krpc bench`: latency and throughput of one method.

mod histogram;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use krpc::base::{Code, Message};
use krpc::idl::template::{self, Style};
use krpc::rpc::call::Reply;

use crate::args::BenchArgs;
use crate::bench::histogram::Histogram;
use crate::bench::report::Report;
use crate::config::Settings;
use crate::exit::{Exit, Failure, Result};
use crate::target::{self, Target};
use crate::{input, output, signals};

/// How long calls that still run at the end may take.
const LAST_CALLS: Duration = Duration::from_secs(1);

const TICK: Duration = Duration::from_millis(100);

pub fn run(mut args: BenchArgs) -> Result<Exit> {
    if args.duration.is_zero() {
        return Err(Failure::usage("--duration: measuring takes time; write 5s"));
    }
    signals::watch()?;
    let settings = Settings::load(&args.target.config)?;
    let target = Target::new(&mut args.target, &settings)?;
    if target.mode().is_some() {
        let path = &target.found.path;
        return Err(Failure::unsupported(format_args!("{path} is a stream; bench measures calls")));
    }
    let request = request(&args, &target)?;
    let client = Arc::clone(&target.client);
    signals::on_interrupt(move || client.close(true));

    // One call first: a destination that is down is an error, not a table of errors.
    let first = target.call(&request, None);
    if let Some(error) = first.error() {
        let exit = Exit::of_call(error.code());
        if exit == Exit::Network || exit == Exit::Usage {
            if signals::interrupted() {
                return Err(Failure::interrupted());
            }
            let hint = target::hint(error, target.transport).map(|hint| format!("\n  {hint}"));
            let text = format!("{error}{}", hint.unwrap_or_default());
            return Err(Failure { exit, code: error.code().name(), text, laid_out: false });
        }
    }

    let plan = Plan::new(&args, &target, &request);
    let (seen, elapsed) = plan.run(&args);
    let report = Report { target: &target, args: &args, seen: &seen, elapsed, first: first.facts() };
    output::result(report.text().as_bytes())?;
    Ok(match (signals::interrupted(), seen.first_error) {
        (true, _) => Exit::Interrupted,
        (false, Some(code)) if seen.latencies.count() == 0 => Exit::of_call(code),
        _ => Exit::Ok,
    })
}

fn request(args: &BenchArgs, target: &Target) -> Result<Message> {
    match input::given(args.data.as_deref(), &args.file)? {
        Some(json) => target.request(&json),
        None => {
            let json =
                template::request(&target.schema, &target.found.path, Style::Json).map_err(Failure::usage)?;
            target.request(json.as_bytes())
        }
    }
}

/// What callers share.
struct Plan<'a> {
    target: &'a Target,
    request: &'a Message,
    begin: Instant,
    /// When warming up is over: calls that start before do not count.
    start: Instant,
    end: Instant,
    /// Seconds between calls of an open loop.
    interval: Option<f64>,
    next: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
}

/// What one caller, or all of them, have seen.
pub struct Seen {
    /// Of calls that went well.
    pub latencies: Histogram,
    pub errors: BTreeMap<&'static str, u64>,
    pub first_error: Option<Code>,
}

impl Seen {
    fn new() -> Seen {
        Seen { latencies: Histogram::new(), errors: BTreeMap::new(), first_error: None }
    }

    fn add(&mut self, other: &Seen) {
        self.latencies.add(&other.latencies);
        for (name, count) in &other.errors {
            *self.errors.entry(name).or_default() += count;
        }
        self.first_error = self.first_error.or(other.first_error);
    }
}

impl<'a> Plan<'a> {
    fn new(args: &BenchArgs, target: &'a Target, request: &'a Message) -> Plan<'a> {
        let begin = Instant::now();
        let start = begin + args.warmup;
        Plan {
            target,
            request,
            begin,
            start,
            end: start + args.duration,
            interval: args.rate.map(|rate| 1.0 / rate),
            next: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// Runs all callers to the end, or to Ctrl-C; what they saw, and how long it took.
    fn run(&self, args: &BenchArgs) -> (Seen, Duration) {
        let mut seen = Seen::new();
        let callers = usize::try_from(args.concurrency).unwrap_or(1);
        thread::scope(|scope| {
            let callers: Vec<_> = (0..callers).map(|_| scope.spawn(|| self.caller())).collect();
            self.watch(args, || callers.iter().all(|caller| caller.is_finished()));
            for caller in callers {
                if let Ok(part) = caller.join() {
                    seen.add(&part);
                }
            }
        });
        let elapsed = Instant::now().min(self.end).saturating_duration_since(self.start);
        (seen, elapsed)
    }

    fn caller(&self) -> Seen {
        let mut seen = Seen::new();
        while let Some(started) = self.next_start() {
            let reply = self.target.call(self.request, None);
            let ended = Instant::now();
            // A call that was cut off, or ended too late, says nothing about the time measured.
            if started < self.start || self.is_over() && is_cut_off(&reply) {
                continue;
            }
            match reply.error() {
                None => {
                    seen.latencies.record(ended.saturating_duration_since(started));
                    self.done.fetch_add(1, Ordering::Relaxed);
                }
                Some(error) => {
                    *seen.errors.entry(error.code().name()).or_default() += 1;
                    seen.first_error.get_or_insert(error.code());
                    self.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        seen
    }

    /// When the next call starts, or should have started; `None` at the end.
    fn next_start(&self) -> Option<Instant> {
        let Some(interval) = self.interval else {
            let now = Instant::now();
            return (now < self.end && !self.is_over()).then_some(now);
        };
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let offset = Duration::try_from_secs_f64(turn as f64 * interval).ok()?;
        let at = self.begin.checked_add(offset)?;
        while at < self.end && !self.is_over() {
            let now = Instant::now();
            match at.checked_duration_since(now) {
                None | Some(Duration::ZERO) => return Some(at),
                Some(wait) => thread::sleep(wait.min(TICK)),
            }
        }
        None
    }

    /// Whether no call starts any more. Ctrl-C closes the client as well, so this must come first.
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || signals::interrupted()
    }

    /// Shows progress until all callers have ended.
    fn watch(&self, args: &BenchArgs, ended: impl Fn() -> bool) {
        let whole = args.warmup + args.duration;
        let bar = bar(args, whole);
        while !ended() {
            thread::sleep(TICK.min(whole));
            let now = Instant::now();
            bar.set_position(
                u64::try_from(now.saturating_duration_since(self.begin).min(whole).as_millis()).unwrap_or(0),
            );
            bar.set_message(self.progress(now));
            if now >= self.end {
                self.stop.store(true, Ordering::Relaxed);
            }
            if now >= self.end + LAST_CALLS {
                self.target.client.close(true);
            }
        }
        bar.finish_and_clear();
    }

    fn progress(&self, now: Instant) -> String {
        let (done, failed) = (self.done.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        let seconds = now.saturating_duration_since(self.start).as_secs_f64();
        let rate = if seconds > 0.0 { done as f64 / seconds } else { 0.0 };
        match failed {
            0 => format!("{rate:.0} calls/s"),
            _ => format!("{rate:.0} calls/s, {failed} errors"),
        }
    }
}

fn is_cut_off(reply: &Reply) -> bool {
    reply.error().is_some_and(|error| error.code() == Code::Closed)
}

/// On terminals only; indicatif sees to that.
fn bar(args: &BenchArgs, whole: Duration) -> ProgressBar {
    if args.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(whole.as_millis()).unwrap_or(u64::MAX));
    match ProgressStyle::with_template("{elapsed} {wide_bar} {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
