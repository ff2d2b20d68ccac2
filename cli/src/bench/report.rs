//! What a measurement has shown, as a table or as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use krpc::rpc::call::Facts;
use serde::Serialize;

use crate::args::BenchArgs;
use crate::bench::Seen;
use crate::target::{Target, transport_name};

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

pub struct Report<'a> {
    pub target: &'a Target,
    pub args: &'a BenchArgs,
    pub seen: &'a Seen,
    pub elapsed: Duration,
    /// Of the first call, for the sizes.
    pub first: &'a Facts,
}

#[derive(Serialize)]
struct Json<'a> {
    method: &'a str,
    endpoints: Vec<String>,
    transport: String,
    concurrency: u32,
    rate: Option<f64>,
    seconds: f64,
    calls: u64,
    calls_per_second: f64,
    errors: &'a BTreeMap<&'static str, u64>,
    request_bytes: usize,
    reply_bytes: usize,
    latency_us: BTreeMap<&'static str, f64>,
}

impl Report<'_> {
    pub fn text(&self) -> String {
        if self.args.json {
            return serde_json::to_string(&self.json()).unwrap_or_default() + "\n";
        }
        let json = self.json();
        let loop_kind = match self.args.rate {
            Some(rate) => format!("open loop at {rate} calls/s"),
            None => "closed loop".to_owned(),
        };
        let mut text = format!(
            "{} at {}, {}, {} callers, {:.1} s, {loop_kind}\n\n",
            json.method,
            json.endpoints.join(", "),
            json.transport,
            json.concurrency,
            json.seconds
        );
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  calls    {} ({:.1} a second)", json.calls, json.calls_per_second);
        let _ = writeln!(text, "  errors   {}", self.errors());
        let _ =
            writeln!(text, "  bytes    {} out, {} in, for each call", json.request_bytes, json.reply_bytes);
        if json.calls > 0 {
            let _ = writeln!(text, "\n  latency");
            for (name, latency) in self.latencies() {
                let _ = writeln!(text, "  {name:<7} {:>10.3} ms", latency.as_secs_f64() * 1e3);
            }
        }
        text
    }

    fn errors(&self) -> String {
        let total: u64 = self.seen.errors.values().sum();
        let each: Vec<String> =
            self.seen.errors.iter().map(|(name, count)| format!("{name} {count}")).collect();
        if each.is_empty() { total.to_string() } else { format!("{total} ({})", each.join(", ")) }
    }

    fn latencies(&self) -> Vec<(&'static str, Duration)> {
        let latencies = &self.seen.latencies;
        let mut all: Vec<_> =
            QUANTILES.iter().map(|(name, share)| (*name, latencies.quantile(*share))).collect();
        all.extend([("max", latencies.max()), ("mean", latencies.mean())]);
        all
    }

    fn json(&self) -> Json<'_> {
        let calls = self.seen.latencies.count();
        let seconds = self.elapsed.as_secs_f64();
        Json {
            method: &self.target.found.path,
            endpoints: self.target.endpoints.iter().map(ToString::to_string).collect(),
            transport: transport_name(self.target.transport),
            concurrency: self.args.concurrency,
            rate: self.args.rate,
            seconds,
            calls,
            calls_per_second: if seconds > 0.0 { calls as f64 / seconds } else { 0.0 },
            errors: &self.seen.errors,
            request_bytes: self.first.request_bytes,
            reply_bytes: self.first.reply_bytes,
            latency_us: self
                .latencies()
                .into_iter()
                .map(|(name, time)| (name, time.as_secs_f64() * 1e6))
                .collect(),
        }
    }
}
