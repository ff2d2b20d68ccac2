//! The Kitex peer: built when it is needed, and run for one test.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
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

/// Says that a test is to play its role, and to whom.
pub const ROLE: &str = "KRPC_STREAM_ROLE";

/// The peer as a process of its own, killed when it is dropped.
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// This program again, for one of its tests that is a role; `address` is who it talks to, if anybody.
    pub fn ours(role: &str, address: &str) -> Process {
        let test = ["--exact", role, "--ignored", "--nocapture", "--test-threads", "1"];
        let program = std::env::current_exe().expect("this program");
        Process::start(
            Path::new("env"),
            &[&[&format!("{ROLE}={address}"), program.to_str().unwrap()][..], &test].concat(),
        )
    }

    pub fn start(peer: &Path, arguments: &[&str]) -> Process {
        let mut command = Command::new(peer);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the peer starts");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Process { child, lines }
    }

    /// What follows the word in the first line that has it; `None` if the peer ends without.
    pub fn heard(&mut self, word: &str) -> Option<String> {
        self.lines.by_ref().map_while(Result::ok).find_map(|line| Some(line.split_once(word)?.1.to_owned()))
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Ends it at once, as SIGKILL does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; whether it ended well, and what it still said.
    pub fn end(&mut self) -> (bool, String) {
        let said: Vec<_> = self.lines.by_ref().map_while(Result::ok).collect();
        (self.child.wait().unwrap().success(), said.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The peer as a server.
pub struct Server {
    pub process: Process,
    pub address: String,
}

impl Server {
    pub fn start(peer: &Path, arguments: &[&str]) -> Server {
        let mut process = Process::start(peer, &[&["stream-server"], arguments].concat());
        let address = process.heard("LISTENING ").expect("the peer listens");
        Server { process, address }
    }
}
