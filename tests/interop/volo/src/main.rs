//! The other end of the interop tests and benchmarks on volo, CloudWeGo's Rust framework, unchanged.
//!
//!   volo-peer server -listen ADDR [-stats]
//!   volo-peer client -addr ADDR -transport ttheader-framed|framed|buffered [-case NAMES] [-c N] [-n N]
//!   volo-peer bench-client -addr ADDR -transport … [-c N] [-seconds S] [-warmup S] [-size BYTES] [-rate N]
//!
//! The lines that they print are those of the Kitex peer, ../kitex.

mod bench;
mod client;
mod flags;
mod server;

/// What volo-build makes of ../idl/interop.thrift.
#[allow(warnings, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/volo_gen.rs"));
}
use generated::volo_gen::interop;

use flags::Flags;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let command = words.first().map_or("", String::as_str);
    let flags = Flags::parse(words.get(1..).unwrap_or_default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        "server" => runtime.block_on(server::serve(&flags)),
        "client" => std::process::exit(runtime.block_on(client::run(&flags))?),
        "bench-client" => bench::run(&runtime, &flags),
        _ => anyhow::bail!("usage: volo-peer server|client|bench-client [flags]"),
    }
}
