//! The Kitex peer: built when it is needed, and run for one test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The peer's program; `None`, with a line that says why, if there is no Go.
pub fn build() -> Option<PathBuf> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build_once).clone()
}

fn build_once() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = root.join("build/interop/kitex");
    let done =
        Command::new(root.join("tests/interop/kitex/build.sh")).arg(&out).output().expect("build.sh runs");
    match done.status.code() {
        Some(0) => Some(out.join("kitex-peer")),
        Some(3) => {
            eprintln!("skipped: streams with Kitex: needs Go 1.22 or newer");
            None
        }
        code => panic!("build.sh: {code:?}: {}", String::from_utf8_lossy(&done.stdout)),
    }
}

/// Runs it to its end, for two minutes at most; whether it ended well, and what it said.
pub fn run(peer: &Path, arguments: &[&str]) -> (bool, String) {
    let done = Command::new("timeout").arg("120").arg(peer).args(arguments).output().expect("the peer runs");
    let said = [&done.stdout, &done.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    (done.status.success(), said.concat())
}

/// The peer as a server, until it is dropped.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    pub fn start(peer: &Path) -> Server {
        let mut command = Command::new(peer);
        let mut child = command.arg("stream-server").stdout(Stdio::piped()).spawn().expect("the peer starts");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening =
            lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("LISTENING ")?.to_owned()));
        Server { child, address: listening.expect("the peer listens") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
