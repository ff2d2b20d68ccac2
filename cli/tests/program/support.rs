//! Runs the program, and holds servers and files for as long as a test lasts.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

pub const CHAT: &str = r#"
struct Message { 1: required string text, 2: optional i64 at_ms }
exception TooLong { 1: string why, 2: i64 limit }
enum Mood { GOOD = 1, BAD = 2 }
struct Tree { 1: i32 value, 2: list<Tree> children, 3: optional Tree parent, 4: Mood mood = Mood.BAD }
union Choice { 1: string text, 2: i64 number }

service Chat {
  Message Say(1: Message m) throws (1: TooLong e)
  Message Late(7: i32 ms, 3: Message m)
  string Name(1: string s)
  i64 Big(1: i64 n)
  binary Blob(1: binary b)
  list<Tree> Grow(1: i32 n)
  Choice Choose()
  void Nothing()
  void Swallow(1: Message m) throws (1: TooLong e)
  oneway void Fire(1: string s)
  map<string, i64> Add(1: i64 a, 2: i64 b)
  Message Talk(1: Message m) (streaming.mode = "bidirectional")
  Message Watch(1: Message m) (streaming.mode = "server")
  Message Upload(1: Message m) (streaming.mode = "client")
}
"#;

/// The program without anything of this environment that it reads.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_krpc"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KRPC_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

pub struct Ran {
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Ran {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// Fails with this code, nothing on stdout, and this on stderr.
    #[track_caller]
    pub fn fails(self, code: i32, text: &str) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert!(self.stderr.contains(text), "{text:?} is not in: {}", self.stderr);
        assert!(self.stdout.is_empty(), "{}", self.text());
        assert!(!self.stderr.contains('\x1b'), "colours without a terminal: {:?}", self.stderr);
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}

pub fn krpc(args: &[&str]) -> Ran {
    command().args(args).output().unwrap().into()
}

/// With something on stdin.
pub fn krpc_with(args: &[&str], input: &[u8]) -> Ran {
    let mut child = command()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may refuse its arguments before it reads.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

/// A folder of its own, gone at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a file; its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `krpc serve`, killed at the end.
pub struct Serve {
    child: Child,
    stderr: Option<BufReader<ChildStderr>>,
    pub folder: Folder,
    pub idl: String,
    pub address: String,
}

impl Serve {
    /// Serves an IDL. `more` are further arguments.
    pub fn start(idl: &str, more: &[&str]) -> Serve {
        let folder = Folder::new();
        let idl = folder.file("main.thrift", idl);
        Serve::of_file(folder, idl, more)
    }

    pub fn with_answers(idl: &str, answers: &str, more: &[&str]) -> Serve {
        let folder = Folder::new();
        let answers = folder.file("answers.json", answers);
        let idl = folder.file("main.thrift", idl);
        Serve::of_file(folder, idl, &[&["--answers", &answers], more].concat())
    }

    pub fn of_file(folder: Folder, idl: String, more: &[&str]) -> Serve {
        let mut child = command()
            .args(["serve", "--idl", &idl, "--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.strip_prefix("listening on ") else {
            let mut why = String::new();
            std::io::Read::read_to_string(&mut stderr, &mut why).unwrap();
            panic!("no server: {line}{why}");
        };
        let address = address.trim_end().to_owned();
        Serve { child, stderr: Some(stderr), folder, idl, address }
    }

    /// The arguments of a call.
    pub fn args<'a>(&'a self, method: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["call", "--idl", &self.idl, "-e", &self.address, "-m", method], more].concat()
    }

    pub fn call(&self, method: &str, more: &[&str]) -> Ran {
        krpc(&self.args(method, more))
    }

    pub fn spawn_call(&self, method: &str, more: &[&str]) -> Child {
        command().args(self.args(method, more)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The next line that the server says.
    pub fn said(&mut self) -> String {
        let mut line = String::new();
        self.stderr.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|reason| panic!("{reason}: {text}"))
}
