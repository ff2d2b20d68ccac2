//! The conformance server as a program: prints `LISTENING ADDRESS`, serves until its standard input ends.
//! Exit code 1: a call was cut off.

mod server;

use std::io::{Read, Write};
use std::time::Duration;

fn main() {
    let server = server::start("127.0.0.1:0");
    println!("LISTENING {}", server.addresses()[0]);
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let stopped = server.stop(Duration::from_secs(5)).unwrap();
    std::process::exit(i32::from(stopped.cut_off > 0));
}
