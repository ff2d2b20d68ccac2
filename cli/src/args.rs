//! What can be written on the command line.

use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  krpc serve --idl chat.thrift --listen 127.0.0.1:8888
  krpc call --idl chat.thrift -e 127.0.0.1:8888 -m Chat/Say -d '{\"text\":\"hi\"}'
  krpc bench --idl chat.thrift -e 127.0.0.1:8888 -m Chat/Say -c 16 -d 5s
  krpc idl template --idl chat.thrift Chat/Say
  krpc completions bash > ~/.local/share/bash-completion/completions/krpc

Exit codes: 0 ok, 1 usage or IDL, 2 no connection or timeout, 3 RPC error or declared
exception, 4 business error, 130 interrupted.";

const CALL_EXAMPLES: &str = "\
Examples:
  krpc call --idl chat.thrift -e 127.0.0.1:8888 -m Chat/Say -d '{\"text\":\"hi\"}'
  krpc call --idl chat.thrift -e unix:/run/chat.sock -m Say -d @request.json -o compact
  krpc idl template --idl chat.thrift Chat/Say | krpc call --idl chat.thrift -e host:8888 -m Chat/Say
  krpc call --idl chat.thrift -e 127.0.0.1:8888 -m Chat/Talk < messages.jsonl
  krpc call --profile staging -m Chat/Say -d '{\"text\":\"hi\"}' --timeout 200ms --json-status
  krpc call ... --timeout 1s --retry mixed --backup-delay 200ms --max-retries 2

The request is the value of the method's only argument, or an object of all arguments if it has
none or several. The result goes to stdout, everything else to stderr. kitexcall's flags are
accepted, with one dash or two.

A method that streams sends each JSON value of the input as it arrives, one per line or run together,
and prints each reply as it arrives; the input's end closes the sending side. Ctrl-C cancels.

Exit codes: 0 ok, 1 usage or IDL, 2 no connection or timeout, 3 RPC error or declared
exception, 4 business error, 130 interrupted.";

const SERVE_EXAMPLES: &str = "\
Examples:
  krpc serve --idl chat.thrift --listen 127.0.0.1:8888 -v
  krpc serve --idl chat.thrift --listen unix:/tmp/chat.sock --answers answers.json

A call is answered with its first argument of the result's type, else with an example value.
All transports are served on one port. SIGTERM and Ctrl-C let running calls end.
Streams: a bidirectional one sends each message back, a client stream the last one at its end, a
server stream repeats its request (--repeat).

Answers by method, used in turn:
  { \"Chat/Say\": [
      {\"result\": {\"text\": \"hello\"}, \"delay_ms\": 50},
      {\"exception\": {\"TooLong\": {\"why\": \"too long\"}}},
      {\"biz\": {\"code\": 404, \"message\": \"not found\", \"extra\": {\"k\": \"v\"}}},
      {\"error\": {\"type\": 6, \"message\": \"went wrong\"}},
      {\"delay_ms\": 1200, \"backward\": {\"trace\": \"1\"}} ],
    \"Chat/Watch\": {\"results\": [{\"text\": \"a\"}, {\"text\": \"b\"}], \"delay_ms\": 100,
      \"header\": {\"k\": \"v\"}, \"trailer\": {}, \"biz\": {\"code\": 404, \"message\": \"enough\"}} }
Of a stream an answer says what to send instead of messages received: \"result\", or \"results\" in
turn, each after the delay, and how to end then.";

const BENCH_EXAMPLES: &str = "\
Examples:
  krpc bench --idl chat.thrift -e 127.0.0.1:8888 -m Chat/Say -c 16 -d 5s
  krpc bench --idl chat.thrift -e 127.0.0.1:8888 -m Chat/Say --rate 5000 -c 64 -d 30s --json

Without --rate each of -c callers calls again as soon as its call has ended (closed loop). With
--rate calls start at fixed times, and a latency counts from the time its call should have started
(open loop), so that a stalled server cannot hide. Without --data the request is the IDL's template.";

/// Calls, mocks and measures Kitex services.
#[derive(Parser, Debug)]
#[command(name = "krpc", version, propagate_version = true, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Call a method with JSON and print its result as JSON; streams too.
    #[command(after_help = CALL_EXAMPLES)]
    Call(Box<CallArgs>),
    /// Serve the services of an IDL: an echo and mock server.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Measure a method's latency and throughput.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(Box<BenchArgs>),
    /// Check an IDL, dump it, make requests from it.
    #[command(subcommand)]
    Idl(IdlCommand),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of krpc or of one of its commands.
    Man {
        /// The command, such as `call` or `idl check`.
        command: Vec<String>,
    },
}

#[derive(Subcommand, Debug)]
pub enum IdlCommand {
    /// Report errors and warnings.
    Check {
        /// IDL files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<String>,
        #[command(flatten)]
        include: IncludeArgs,
        /// One line for each finding, for editors and scripts.
        #[arg(long)]
        short: bool,
        /// Treat warnings as errors.
        #[arg(long)]
        strict: bool,
    },
    /// Print everything an IDL and its includes define, as JSON.
    Dump {
        /// IDL file.
        #[arg(value_name = "FILE")]
        file: String,
        #[command(flatten)]
        include: IncludeArgs,
    },
    /// Print a request to start from: every field with its default or a value of its type.
    Template {
        /// Service/Method, or Method.
        method: String,
        #[command(flatten)]
        idl: IdlArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print a result instead of a request.
        #[arg(long)]
        result: bool,
        /// Say id, requiredness and type of each field in comments, which JSON does not have.
        #[arg(long)]
        comments: bool,
    },
}

#[derive(Args, Debug)]
pub struct IncludeArgs {
    /// Directory in which includes are looked for; may be repeated.
    #[arg(short = 'I', long = "include", alias = "include-path", value_name = "DIR")]
    pub include: Vec<String>,
}

#[derive(Args, Debug)]
pub struct IdlArgs {
    /// The IDL: the main .thrift file.
    #[arg(
        short = 'p',
        long,
        alias = "idl-path",
        value_name = "FILE",
        env = "KRPC_IDL",
        hide_env_values = true
    )]
    pub idl: Option<String>,
    #[command(flatten)]
    pub include: IncludeArgs,
    /// Kind of the IDL; guessed from the file's name otherwise.
    #[arg(
        short = 't',
        long = "type",
        value_name = "TYPE",
        default_value = "unknown",
        hide_default_value = true
    )]
    pub kind: IdlKind,
}

#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// TOML file with settings: a [default] table, and [profile.NAME] tables.
    #[arg(long, value_name = "FILE", env = "KRPC_CONFIG", hide_env_values = true)]
    pub config: Option<String>,
    /// Profile of the configuration file to use.
    #[arg(long, value_name = "NAME", env = "KRPC_PROFILE", hide_env_values = true)]
    pub profile: Option<String>,
}

/// Whom to call, and how.
#[derive(Args, Debug)]
pub struct TargetArgs {
    #[command(flatten)]
    pub idl: IdlArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// HOST:PORT or unix:PATH; may be repeated, calls take them in turn.
    #[arg(
        short,
        long,
        value_name = "ADDRESS",
        env = "KRPC_ENDPOINT",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub endpoint: Vec<String>,
    /// Service/Method; Method alone if only one service has it.
    #[arg(short, long, value_name = "METHOD")]
    pub method: Option<String>,
    /// How requests are framed [default: ttheader-framed].
    #[arg(
        long,
        value_name = "TRANSPORT",
        ignore_case = true,
        env = "KRPC_TRANSPORT",
        hide_env_values = true
    )]
    pub transport: Option<TransportArg>,
    /// For a whole call or stream, such as 1s or 200ms [default: none].
    #[arg(long, value_name = "TIME", value_parser = duration, env = "KRPC_TIMEOUT", hide_env_values = true)]
    pub timeout: Option<Duration>,
    /// Metainfo for the next service only; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub meta: Vec<(String, String)>,
    /// Metainfo for all services below; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub meta_persistent: Vec<(String, String)>,
    /// Try again: after a failure, after a delay, or both; --timeout is then for each attempt.
    #[arg(long, value_name = "KIND", help_heading = "Retries")]
    pub retry: Option<RetryKind>,
    /// Further attempts at most [default: failure 2, backup and mixed 1].
    #[arg(long, value_name = "N", help_heading = "Retries")]
    pub max_retries: Option<u32>,
    /// Backup and mixed: another attempt begins after so long without an answer.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Retries")]
    pub backup_delay: Option<Duration>,
    /// Which errors are worth another attempt [default: timeouts].
    #[arg(long, value_name = "ERRORS", help_heading = "Retries")]
    pub retry_on: Option<RetryOn>,
}

/// How further attempts come about.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryKind {
    /// After a failed attempt, one after the other.
    Failure,
    /// After a delay, side by side; the first end of any kind counts.
    Backup,
    /// Both.
    Mixed,
}

/// Which errors are worth another attempt.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryOn {
    /// Timeouts of an attempt.
    Timeouts,
    /// All errors but business errors.
    All,
}

/// What to send.
#[derive(Args, Debug)]
pub struct FileArgs {
    /// File with the request.
    #[arg(short, long, value_name = "FILE", conflicts_with = "data")]
    pub file: Option<String>,
}

#[derive(Args, Debug)]
pub struct CallArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    /// The request: JSON, @FILE, or - for stdin, which is also the default.
    #[arg(short, long, value_name = "JSON", allow_hyphen_values = true)]
    pub data: Option<String>,
    #[command(flatten)]
    pub file: FileArgs,
    /// Show the metainfo that the handler sent back.
    #[arg(long)]
    pub meta_backward: bool,
    /// How results are printed [default: pretty; of streams compact, a line each].
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<Layout>,
    /// Report status, code, message, metainfo, latency and endpoint as one line of JSON on stderr.
    #[arg(long)]
    pub json_status: bool,
    /// Print the result and errors, nothing else.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what is sent where, and what came back.
    #[arg(short, long)]
    pub verbose: bool,
    /// Business errors need TTHeader: refuse other transports (kitexcall).
    #[arg(long)]
    pub biz_error: bool,
    /// Refuse a method that does not stream; the IDL says which do (kitexcall).
    #[arg(long)]
    pub streaming: bool,
    /// For each reply of a stream, such as 1s; --timeout is for all of it [default: none].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub recv_timeout: Option<Duration>,
}

#[derive(Args, Debug)]
pub struct ServeArgs {
    #[command(flatten)]
    pub idl: IdlArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// HOST:PORT or unix:PATH; port 0 lets the system choose; may be repeated.
    #[arg(short, long, value_name = "ADDRESS", default_value = "127.0.0.1:8888")]
    pub listen: Vec<String>,
    /// Serve only this service of the IDL; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub service: Vec<String>,
    /// JSON file with answers by method, used in turn.
    #[arg(short, long, value_name = "FILE")]
    pub answers: Option<String>,
    /// How long running calls may take to end once the server is told to stop.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub grace: Duration,
    /// One line for each call; twice: also its request, when it arrives.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// How often a server stream repeats its answer.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub repeat: u32,
}

#[derive(Args, Debug)]
pub struct BenchArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    /// The request: JSON, @FILE, or - for stdin [default: the IDL's template].
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub data: Option<String>,
    #[command(flatten)]
    pub file: FileArgs,
    /// Callers, each with a thread and a connection of its own.
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub concurrency: u32,
    /// How long to measure.
    #[arg(short, long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub duration: Duration,
    /// Calls a second at fixed times (open loop).
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// How long to call before measuring.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s")]
    pub warmup: Duration,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// No progress bar.
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdlKind {
    Thrift,
    Protobuf,
    #[value(hide = true)]
    Unknown,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransportArg {
    Ttheader,
    Framed,
    Buffered,
    #[value(alias = "ttheaderframed")]
    TtheaderFramed,
    Mux,
    Grpc,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Indented JSON.
    Pretty,
    /// JSON on one line.
    Compact,
    /// A string without quotes, a binary as its bytes, anything else compact.
    Raw,
}

/// `5s`, `200ms`, `1.5m`, `0s`; a bare number has no unit, so it is refused.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time; write 200ms, 1s or 2m");
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "us" | "µs" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("Invalid format for key-value pair: {text}; write KEY=VALUE")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e7).contains(&rate) => Ok(rate),
        _ => Err("write calls a second, from 0.001 to 10000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_a_unit() {
        let table =
            [("5s", 5000), ("200ms", 200), ("1.5s", 1500), ("2m", 120_000), ("0s", 0), ("1h", 3_600_000)];
        for (text, millis) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1d", "1.2.3s", "1e9s", "99999999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
