//! `cases.toml` as values.

use std::collections::BTreeMap;

use krpc::rpc::call::Transport;
use serde::Deserialize;

/// Words of [`Expect`] that [`Expect::spoiled`] spoils.
pub const EXPECTATIONS: usize = 20;

type Pairs = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    #[serde(default = "all_transports")]
    transports: Vec<String>,
    #[serde(default)]
    pub client: ClientWords,
    #[serde(rename = "call")]
    pub calls: Vec<Call>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientWords {
    pub caller: Option<String>,
    pub timeout_ms: Option<u64>,
    pub tell_timeout: Option<bool>,
    pub max_frame_bytes: Option<usize>,
    pub max_idle: Option<usize>,
    #[serde(default)]
    pub refused: bool,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub method: String,
    #[serde(default)]
    pub request: String,
    pub pad: Option<usize>,
    #[serde(default = "once")]
    pub repeat: usize,
    pub timeout_ms: Option<u64>,
    #[serde(default)]
    pub metainfo: BTreeMap<String, Pairs>,
    pub parent: Option<Parent>,
    pub cancel_after_ms: Option<u64>,
    #[serde(default)]
    pub expect: Expect,
    #[serde(default)]
    headerless: Expect,
    #[serde(default)]
    mux: Expect,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    pub timeout_ms: Option<u64>,
    #[serde(default)]
    pub metainfo: BTreeMap<String, Pairs>,
}

#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub status: Option<String>,
    pub result: Option<String>,
    pub text: Option<String>,
    pub text_has: Option<String>,
    pub exception: Option<String>,
    pub exception_json: Option<String>,
    pub remote_type: Option<i32>,
    pub remote_text: Option<String>,
    pub biz_code: Option<i32>,
    pub biz_message: Option<String>,
    pub biz_extra: Option<Pairs>,
    pub backward: Option<Pairs>,
    pub attempts: Option<u32>,
    pub reused: Option<bool>,
    pub phase: Option<String>,
    pub retryable: Option<bool>,
    pub at_least_ms: Option<u64>,
    pub below_ms: Option<u64>,
    pub reply_bytes_at_least: Option<usize>,
    pub request_error: Option<String>,
}

fn all_transports() -> Vec<String> {
    ["ttheader-framed", "ttheader", "framed", "buffered", "mux"].map(str::to_owned).to_vec()
}

fn once() -> usize {
    1
}

pub fn cases() -> Vec<Case> {
    toml::from_str::<File>(include_str!("cases.toml"))
        .unwrap_or_else(|error| panic!("cases.toml: {error}"))
        .cases
}

/// What calls travel over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    Plain(Transport),
    /// TTHeader around frames, on a connection that all calls share.
    Mux,
}

impl Wire {
    pub fn transport(self) -> Transport {
        match self {
            Wire::Plain(transport) => transport,
            Wire::Mux => Transport::TtheaderFramed,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Wire::Plain(Transport::TtheaderFramed) => "ttheader-framed",
            Wire::Plain(Transport::Ttheader) => "ttheader",
            Wire::Plain(Transport::Framed) => "framed",
            Wire::Plain(Transport::Buffered) => "buffered",
            Wire::Mux => "mux",
        }
    }

    fn has_header(self) -> bool {
        !matches!(self.transport(), Transport::Framed | Transport::Buffered)
    }
}

impl Case {
    pub fn runs_over(&self, wire: Wire) -> bool {
        self.transports.iter().any(|name| name == wire.name())
    }
}

impl Call {
    /// The call with `$PAD` and `$CASE` replaced.
    pub fn filled(&self, topic: &str) -> Call {
        let pad = "x".repeat(self.pad.unwrap_or(0));
        let fill = |text: &String| text.replace("$PAD", &pad).replace("$CASE", topic);
        let mut call = self.clone();
        call.request = fill(&call.request);
        for expect in [&mut call.expect, &mut call.headerless, &mut call.mux] {
            expect.result = expect.result.as_ref().map(fill);
        }
        call
    }

    /// What holds for a wire: `headerless` replaces words of `expect` where there is no header, `mux` where calls
    /// share a connection.
    pub fn expect_over(&self, wire: Wire) -> Expect {
        let base = self.expect.clone();
        let over = match wire {
            Wire::Mux => self.mux.clone(),
            _ if wire.has_header() => return base,
            _ => self.headerless.clone(),
        };
        macro_rules! merged { ($($word:ident)*) => { Expect { $($word: over.$word.or(base.$word)),* } } }
        merged!(status result text text_has exception exception_json remote_type remote_text biz_code biz_message
            biz_extra backward attempts reused phase retryable at_least_ms below_ms reply_bytes_at_least
            request_error)
    }
}

impl Expect {
    /// The same with one word after the other made wrong.
    pub fn spoiled(&self) -> Vec<(&'static str, Expect)> {
        let mut all = Vec::new();
        macro_rules! spoil {
            ($($word:ident: |$value:ident| $wrong:expr;)*) => { $(
                if let Some($value) = self.$word.clone() {
                    all.push((stringify!($word), Expect { $word: Some($wrong), ..self.clone() }));
                }
            )* };
        }
        let more = |mut pairs: Pairs| {
            pairs.insert("not".to_owned(), "there".to_owned());
            pairs
        };
        let other = |text: String| format!("{text} or not");
        spoil! {
            status: |_was| "FORKED".to_owned();
            result: |_was| "\"not this\"".to_owned();
            text: |was| other(was);
            text_has: |was| other(was);
            exception: |was| other(was);
            exception_json: |_was| "{}".to_owned();
            remote_type: |was| was + 1;
            remote_text: |was| other(was);
            biz_code: |was| was + 1;
            biz_message: |was| other(was);
            biz_extra: |was| more(was);
            backward: |was| more(was);
            attempts: |was| was + 1;
            reused: |was| !was;
            phase: |was| other(was);
            retryable: |was| !was;
            at_least_ms: |was| was + 100_000;
            below_ms: |_was| 0;
            reply_bytes_at_least: |was| was * 10;
            request_error: |was| other(was);
        }
        all
    }
}
