//! Load, and what it takes of the machine.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use volo_thrift::MaybeException;

use crate::client;
use crate::flags::Flags;
use crate::interop::{InteropClient, Req};

const WARMUP: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;
static PHASE: AtomicU8 = AtomicU8::new(WARMUP);

type Due = tokio::sync::Mutex<mpsc::UnboundedReceiver<Instant>>;

pub fn run(runtime: &Runtime, flags: &Flags) -> Result<()> {
    let callers: usize = flags.number("c", 1)?;
    let size: usize = flags.number("size", 1024)?;
    let rate: f64 = flags.number("rate", 0.0)?;
    let client = {
        let _entered = runtime.enter();
        client::interop(flags, callers)?
    };
    let due: Option<&'static Due> = (rate > 0.0).then(|| start_schedule(rate));
    let all: Vec<_> = (0..callers).map(|_| runtime.spawn(calls(client.clone(), size, due))).collect();

    std::thread::sleep(Duration::from_secs_f64(flags.number("warmup", 0.5)?));
    let (before, begin) = (Usage::now(), Instant::now());
    PHASE.store(MEASURE, Relaxed);
    std::thread::sleep(Duration::from_secs_f64(flags.number("seconds", 2.0)?));
    PHASE.store(STOP, Relaxed);
    let (used, seconds) = (Usage::now().since(&before), begin.elapsed().as_secs_f64());
    let mut latencies = Vec::new();
    for one in all {
        latencies.extend(runtime.block_on(one)??);
    }
    if latencies.is_empty() {
        bail!("no call has ended");
    }
    latencies.sort_unstable();
    let count = latencies.len();
    let quantile =
        |share: f64| latencies[((count as f64 * share) as usize).min(count - 1)].as_nanos() as f64 / 1e3;
    let per_call = |time: Duration| time.as_nanos() as f64 / 1e3 / count as f64;
    println!(
        "{{\"calls\":{count},\"seconds\":{seconds:.6},\"cpu_user_us_per_call\":{:.3},\"cpu_sys_us_per_call\":{:.3},\
         \"p50_us\":{:.2},\"p99_us\":{:.2},\"p999_us\":{:.2},\"max_us\":{:.2},\"waits_per_call\":{:.4},\"rss_kb\":{}}}",
        per_call(used.user),
        per_call(used.system),
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        quantile(1.0),
        used.waits as f64 / count as f64,
        peak_kb(),
    );
    Ok(())
}

async fn calls(client: InteropClient, size: usize, due: Option<&'static Due>) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let text: pilota::FastStr = "x".repeat(size).into();
    loop {
        let begin = match due {
            Some(due) => match due.lock().await.recv().await {
                Some(at) => at,
                None => return Ok(latencies),
            },
            None => Instant::now(),
        };
        let phase = PHASE.load(Relaxed);
        if phase == STOP {
            return Ok(latencies);
        }
        match client.echo(Req { message: Some(text.clone()), payload: None }).await? {
            MaybeException::Ok(back) if back.message.as_ref().is_some_and(|text| text.len() == size) => {}
            _ => bail!("the answer is another"),
        }
        if phase == MEASURE {
            latencies.push(begin.elapsed());
        }
    }
}

/// Times at which calls are due. Tokio's timers count milliseconds, so a thread of its own sleeps.
fn start_schedule(rate: f64) -> &'static Due {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        // SAFETY: no pointers; the thread's sleeps would end up to 50 us late otherwise.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
        let begin = Instant::now();
        for number in 0u64.. {
            let at = begin + Duration::from_secs_f64(number as f64 / rate);
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if PHASE.load(Relaxed) == STOP || sender.send(at).is_err() {
                return;
            }
        }
    });
    Box::leak(Box::new(tokio::sync::Mutex::new(receiver)))
}

#[derive(Default)]
struct Usage {
    user: Duration,
    system: Duration,
    waits: i64,
}

impl Usage {
    fn now() -> Usage {
        // SAFETY: zeros are a valid value of this plain struct, which the system fills.
        let usage = unsafe {
            let mut usage = std::mem::zeroed::<libc::rusage>();
            libc::getrusage(libc::RUSAGE_SELF, &mut usage);
            usage
        };
        let time = |time: libc::timeval| {
            Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
        };
        Usage { user: time(usage.ru_utime), system: time(usage.ru_stime), waits: usage.ru_nvcsw }
    }

    fn since(&self, before: &Usage) -> Usage {
        Usage {
            user: self.user - before.user,
            system: self.system - before.system,
            waits: self.waits - before.waits,
        }
    }
}

/// Peak memory of this program.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A server's line of JSON.
pub fn print_use(calls: u64) {
    let used = Usage::now();
    eprintln!(
        "{{\"calls\":{calls},\"cpu_user_s\":{:.6},\"cpu_sys_s\":{:.6},\"waits\":{},\"max_rss_kb\":{}}}",
        used.user.as_secs_f64(),
        used.system.as_secs_f64(),
        used.waits,
        peak_kb(),
    );
}
