//! generic.md §3: the JSON of calls.

use ::bytes::Bytes;

use super::*;
use crate::base::{Encoding, Message};

const IDL: &str = "
    struct Req { 1: optional i64 id }
    exception Bad { 1: i32 code, 2: string text }
    exception Worse { 1: i32 code }
    service Chat {
        Req One(7: Req req) throws (1: Bad bad, 5: Worse worse)
        void Nothing() throws (1: Bad bad)
        i64 Several(1: string a, 2: list<i32> b, 3: Req c)
        string Echo(1: string text)
        list<string> Words(1: i32 n)
        oneway void Tell(1: Req req)
        Req Stream(1: Req req) (streaming.mode = 'bidirectional')
        binary Raw(1: binary raw)
    }";

struct Calls(Arc<Schema>);

impl Calls {
    fn new() -> Calls {
        Calls(schema(IDL))
    }

    fn method(&self, name: &str) -> &crate::idl::schema::Method {
        self.0.method(self.0.find_method(name).unwrap())
    }

    fn request(&self, method: &str, json: &str, options: &JsonOptions) -> Result<Vec<u8>, Error> {
        request_from_json(&self.0, self.method(method), json.as_bytes(), options).map(|m| m.bytes().to_vec())
    }

    fn request_back(&self, method: &str, bytes: &[u8], options: &JsonOptions) -> Result<String, Error> {
        let json = request_to_json(&self.0, self.method(method), &message(bytes), options)?;
        Ok(String::from_utf8(json).unwrap())
    }

    fn reply(&self, method: &str, json: &str, options: &JsonOptions) -> Result<Vec<u8>, Error> {
        reply_from_json(&self.0, self.method(method), json.as_bytes(), options).map(|m| m.bytes().to_vec())
    }

    fn reply_back(&self, method: &str, bytes: &[u8], options: &JsonOptions) -> Result<ReplyJson, Error> {
        reply_to_json(&self.0, self.method(method), &message(bytes), options)
    }
}

fn message(bytes: &[u8]) -> Message {
    Message::new(Encoding::THRIFT_BINARY, Bytes::copy_from_slice(bytes))
}

fn success(json: &str) -> Result<ReplyJson, Error> {
    Ok(ReplyJson::Success(json.as_bytes().to_vec()))
}

#[test]
fn one_argument_is_bare_and_keeps_its_id() {
    let calls = Calls::new();
    for options in [lenient(), strict()] {
        let bytes = calls.request("One", "{\"id\":1}", &options).unwrap();
        assert_eq!(bytes, b"\x0c\0\x07\x0a\0\x01\0\0\0\0\0\0\0\x01\0\0");
        assert_eq!(calls.request_back("One", &bytes, &options).unwrap(), "{\"id\":1}");
        assert_eq!(calls.request_back("One", &[0], &options).unwrap(), "null");
    }
    let error = failure(calls.request("One", "{\"id\":{}}", &strict()));
    assert_eq!(
        error,
        (Code::TypeMismatch, "$.id: expected a number, found an object (line 1, column 7, byte 6)".into())
    );
}

#[test]
fn no_argument_and_several() {
    let calls = Calls::new();
    for json in ["", " ", "null", "{}", " { } "] {
        assert_eq!(calls.request("Nothing", json, &strict()).unwrap(), [0], "{json:?}");
    }
    for json in ["1", "{\"a\":1}", "null null", "{}{}", "[]"] {
        assert!(calls.request("Nothing", json, &strict()).is_err(), "{json:?}");
    }
    assert_eq!(calls.request_back("Nothing", &[0], &strict()).unwrap(), "{}");
    let json = r#"{"a":"x","b":[1],"c":{"id":2}}"#;
    let bytes = calls.request("Several", json, &strict()).unwrap();
    assert_eq!(calls.request_back("Several", &bytes, &strict()).unwrap(), json);
    let bytes = calls.request("Several", "{}", &strict()).unwrap();
    assert_eq!(calls.request_back("Several", &bytes, &strict()).unwrap(), r#"{"a":"","b":[],"c":{}}"#);
    assert_eq!(
        failure(calls.request("Several", "{\"d\":1}", &strict())).1,
        "$.d: arguments ChatSeveralArgs has no such field (line 1, column 2, byte 1)"
    );
}

#[test]
fn strings_may_be_bare() {
    let calls = Calls::new();
    let text = |text: &str| [b"\x0b\0\x01\0\0\0", &[text.len() as u8][..], text.as_bytes(), b"\0"].concat();
    let rows = [
        ("\"hi\"", "hi"),
        (" \"hi\\n\" ", "hi\n"),
        ("hi", "hi"),
        ("test", "test"),
        ("{", "{"),
        ("1", "1"),
        ("", ""),
        ("\"hi", "\"hi"),
        ("\"a\" b", "\"a\" b"),
        ("a\\b\n\t\u{1}é", "a\\b\n\t\u{1}é"),
    ];
    for (json, value) in rows {
        let bytes = calls.request("Echo", json, &lenient()).unwrap();
        assert_eq!(bytes, text(value), "{json}");
        assert_eq!(calls.request_back("Echo", &bytes, &lenient()).unwrap(), value);
    }
    assert_eq!(calls.request("Echo", "\"hi\"", &strict()).unwrap(), text("hi"));
    assert_eq!(calls.request_back("Echo", &text("h\"i"), &strict()).unwrap(), "\"h\\\"i\"");
    assert_eq!(failure(calls.request("Echo", "hi", &strict())).0, Code::Malformed);
    let reply = calls.reply("Echo", "hi", &lenient()).unwrap();
    assert_eq!(reply, b"\x0b\0\0\0\0\0\x02hi\0");
    assert_eq!(calls.reply_back("Echo", &reply, &lenient()), success("hi"));
    assert_eq!(calls.reply_back("Echo", &reply, &strict()), success("\"hi\""));
    // A binary is base64 as everywhere.
    assert_eq!(calls.request("Raw", "\"/w==\"", &lenient()).unwrap(), b"\x0b\0\x01\0\0\0\x01\xff\0");
}

#[test]
fn results() {
    let calls = Calls::new();
    for (method, json) in [("One", "{\"id\":5}"), ("One", "{}"), ("Several", "-7"), ("Words", "[\"a\",\"\"]")]
    {
        let bytes = calls.reply(method, json, &strict()).unwrap();
        assert_eq!(bytes[1..3], [0, 0]);
        assert_eq!(calls.reply_back(method, &bytes, &strict()), success(json));
    }
    assert_eq!(calls.reply_back("One", &[0], &lenient()), success("null"));
    assert_eq!(failure(calls.reply_back("One", &[0], &strict())).0, Code::MissingField);
    assert_eq!(
        failure(calls.reply_back("One", b"\x08\0\0\0\0\0\x01\0", &strict())),
        (Code::TypeMismatch, "$: need struct type, but got: i32 (byte 0)".into())
    );
    // The last result counts; what is unknown is skipped; bytes behind are refused strictly.
    assert_eq!(
        calls.reply_back(
            "Several",
            b"\x0a\0\0\0\0\0\0\0\0\0\x01\x08\0\x09\0\0\0\0\x0a\0\0\0\0\0\0\0\0\0\x02\0",
            &strict()
        ),
        success("2")
    );
    assert_eq!(calls.reply_back("Several", b"\x0a\0\0\0\0\0\0\0\0\0\x01\0\0", &lenient()), success("1"));
    assert!(calls.reply_back("Several", b"\x0a\0\0\0\0\0\0\0\0\0\x01\0\0", &strict()).is_err());
    assert!(calls.reply_back("Several", b"\x0a\0\0\0\0\0\0\0\0\0\x01", &lenient()).is_err());
}

#[test]
fn void_in_both_forms() {
    let calls = Calls::new();
    for bytes in [&b"\0"[..], b"\x01\0\0\0\0"] {
        assert_eq!(calls.reply_back("Nothing", bytes, &strict()), Ok(ReplyJson::Void));
    }
    assert!(calls.reply_back("Nothing", b"\x01\0\0\x05\0", &strict()).is_err());
    for json in ["", "null", "{}"] {
        assert_eq!(calls.reply("Nothing", json, &strict()).unwrap(), [0]);
    }
    assert_eq!(
        failure(calls.reply("Nothing", "1", &lenient())),
        (Code::TypeMismatch, "the method is void: its result is null".into())
    );
}

#[test]
fn exceptions() {
    let calls = Calls::new();
    let throw = |method: &str, name: &str, json: &str| {
        exception_from_json(&calls.0, calls.method(method), name, json.as_bytes(), &strict())
    };
    let worse = ReplyJson::Exception { field: 5, name: "worse".into(), json: b"{\"code\":2}".to_vec() };
    for name in ["worse", "Worse", "5"] {
        let bytes = throw("One", name, "{\"code\":2}").unwrap().bytes();
        assert_eq!(bytes, &b"\x0c\0\x05\x08\0\x01\0\0\0\x02\0\0"[..]);
        assert_eq!(calls.reply_back("One", &bytes, &strict()).unwrap(), worse);
        // A result beside it, before or behind, does not matter.
        let result = b"\x0c\0\0\0";
        for both in [[&result[..], &bytes].concat(), [&bytes[..bytes.len() - 1], result, b"\0"].concat()] {
            assert_eq!(calls.reply_back("One", &both, &strict()).unwrap(), worse);
        }
    }
    let bytes = throw("Nothing", "bad", "{\"code\":1,\"text\":\"t\"}").unwrap().bytes();
    let bad =
        ReplyJson::Exception { field: 1, name: "bad".into(), json: b"{\"code\":1,\"text\":\"t\"}".to_vec() };
    assert_eq!(calls.reply_back("Nothing", &bytes, &strict()).unwrap(), bad);
    for name in ["success", "0", "Req", "2", ""] {
        let (code, text) = failure(throw("One", name, "{}"));
        assert_eq!((code, text), (Code::InvalidArgument, format!("exception: One does not throw {name}")));
    }
}

#[test]
fn oneway_and_streams() {
    let calls = Calls::new();
    assert!(calls.request("Tell", "{}", &strict()).is_ok());
    let text = "method: Tell is oneway: there is no reply";
    assert_eq!(failure(calls.reply("Tell", "{}", &strict())), (Code::InvalidArgument, text.into()));
    assert_eq!(failure(calls.reply_back("Tell", &[0], &strict())), (Code::InvalidArgument, text.into()));
    let bytes = calls.request("Stream", "{\"id\":1}", &strict()).unwrap();
    assert_eq!(bytes, b"\x0a\0\x01\0\0\0\0\0\0\0\x01\0", "nothing around it");
    assert_eq!(calls.request_back("Stream", &bytes, &strict()).unwrap(), "{\"id\":1}");
    assert_eq!(calls.reply("Stream", "{\"id\":1}", &strict()).unwrap(), bytes);
    assert_eq!(calls.reply_back("Stream", &bytes, &strict()), success("{\"id\":1}"));
}

#[test]
fn other_encodings_are_refused_and_segments_joined() {
    let calls = Calls::new();
    let protobuf = Message::new(Encoding::PROTOBUF, Bytes::from_static(&[0]));
    let method = calls.method("One");
    assert_eq!(failure(request_to_json(&calls.0, method, &protobuf, &strict())).0, Code::Unsupported);
    assert_eq!(failure(reply_to_json(&calls.0, method, &protobuf, &strict())).0, Code::Unsupported);
    let parts = vec![Bytes::from_static(b"\x0c\0"), Bytes::from_static(b"\x07\0\0")];
    let parts = Message::from_segments(Encoding::THRIFT_BINARY, parts);
    assert_eq!(request_to_json(&calls.0, method, &parts, &strict()).unwrap(), b"{}");
}

#[test]
fn the_struct_around_counts_as_depth() {
    let schema = schema("struct R { 1: optional R r } service X { R m(1: R r) }");
    let method = schema.method(schema.find_method("m").unwrap());
    let nested = |n: usize| "{\"r\":".repeat(n - 1) + "{" + &"}".repeat(n);
    let message = request_from_json(&schema, method, nested(63).as_bytes(), &strict()).unwrap();
    assert_eq!(request_to_json(&schema, method, &message, &strict()).unwrap(), nested(63).as_bytes());
    assert_eq!(
        failure(request_from_json(&schema, method, nested(64).as_bytes(), &strict())).0,
        Code::CodecLimit
    );
}
