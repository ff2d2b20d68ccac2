use std::sync::Arc;

use crate::base::{Code, Encoding, Message, Result};
use crate::codec::json::JsonOptions;
use crate::codec::{Builder, CallShape, Cursor, Shape, TType};
use crate::idl::{MemoryProvider, Options, Schema, compile};

const IDL: &str = "
    enum Color { RED = 1, BLUE = 2 }
    union Either { 1: string text, 2: i64 number }
    struct Part { 1: required string name, 2: i32 size = 3 }
    struct Tree { 1: required string name, 2: list<Tree> kids }
    struct All {
        1: bool flag, 2: i8 tiny, 3: i16 small, 4: i32 middle, 5: i64 large, 6: double real,
        7: string text, 8: binary bytes, 9: Color color, 10: list<Part> parts, 11: set<i32> marks,
        12: map<string, Part> named, 13: Either either,
        14: required map<string, list<Color>> extra = {'a': [Color.BLUE]},
        15: optional i32 absent = 5, 16: Part part = {'name': 'x'}
    }
    exception Wrong { 1: string why }
    service Chat {
        All Say(3: All all) throws (1: Wrong wrong)
        string Text(1: string text)
        i32 Add(1: i32 left, 2: required i32 right)
        void Nothing()
        oneway void Note(1: list<string> lines)
    }";

fn schema() -> Arc<Schema> {
    let files = MemoryProvider::new().file("a.thrift", IDL);
    compile("a.thrift", &files, &Options::default()).into_schema().unwrap()
}

fn shape(name: &str) -> Shape {
    Shape::of_struct(&schema(), name).unwrap()
}

fn call(name: &str) -> CallShape {
    CallShape::find(&schema(), name).unwrap()
}

/// Builds with steps that ignore failures, as C code may.
fn build(shape: &Shape, steps: impl FnOnce(&mut Builder) -> Result<()>) -> Result<Message> {
    let mut builder = Builder::typed(shape)?;
    let _ = steps(&mut builder);
    builder.finish()
}

fn json(shape: &Shape, message: &Message) -> String {
    String::from_utf8(shape.to_json(message, &JsonOptions::strict()).unwrap()).unwrap()
}

#[test]
fn what_is_built_by_name_is_what_json_says() {
    let all = shape("All");
    let message = build(&all, |b| {
        b.field_named("text")?;
        b.bytes(b"hi")?;
        b.field_named("color")?;
        b.enum_named("BLUE")?;
        b.field_named("parts")?;
        b.list(TType::Stop, 2)?;
        for name in ["a", "b"] {
            b.struct_begin()?;
            b.field_named("name")?;
            b.bytes(name.as_bytes())?;
            b.struct_end()?;
        }
        b.field_named("named")?;
        b.map(TType::Stop, TType::Stop, 1)?;
        b.bytes(b"k")?;
        b.struct_begin()?;
        b.field_named("size")?;
        b.i32(9)?;
        b.field_named("name")?;
        b.bytes(b"c")?;
        b.struct_end()?;
        b.field(13, TType::Struct)?;
        b.struct_begin()?;
        b.field_named("number")?;
        b.i64(-1)?;
        b.struct_end()
    })
    .unwrap();
    let expected = r#"{"text":"hi","color":2,"parts":[{"name":"a","size":3},{"name":"b","size":3}],"named":{"k":{"size":9,"name":"c"}},"either":{"number":-1},"flag":false,"tiny":0,"small":0,"middle":0,"large":0,"real":0,"bytes":"","marks":[],"extra":{"a":[2]},"part":{"name":"x","size":3},"absent":5}"#;
    assert_eq!(json(&all, &message), expected);

    let mut c = Cursor::typed(&message, &all).unwrap();
    assert_eq!(c.find_named("either"), Ok(Some(TType::Struct)));
    c.struct_begin().unwrap();
    assert_eq!(c.find_named("text"), Ok(None));
    assert_eq!(c.find_named("number"), Ok(Some(TType::I64)));
    assert_eq!(c.i64(), Ok(-1));
    assert_eq!(c.find_named("number"), Ok(Some(TType::I64)), "again");
    c.struct_end().unwrap();
    assert_eq!(c.find_named("text"), Ok(Some(TType::String)), "before");
    assert_eq!(c.field_name(), Some("text"));
    assert_eq!(c.find_named("text"), Ok(Some(TType::String)), "itself, unread");
    assert_eq!(c.bytes(), Ok(&b"hi"[..]));
    assert_eq!(c.find_named("color"), Ok(Some(TType::I32)));
    assert_eq!(c.enumeration(), Ok((2, Some("BLUE".into()))));
    assert_eq!(c.find_named("absent"), Ok(None));
    assert_eq!(c.find_named("parts"), Ok(Some(TType::List)));
    assert_eq!(c.list(), Ok((TType::Struct, 2)));
    c.skip().unwrap();
    c.struct_begin().unwrap();
    assert_eq!(c.find_named("name"), Ok(Some(TType::String)));
    assert_eq!(c.bytes(), Ok(&b"b"[..]));
    c.struct_end().unwrap();
    c.end().unwrap();
}

#[test]
fn requests_and_results_have_no_wrapping() {
    let say = call("Say");
    let fill = |b: &mut Builder| b.field_named("large").and_then(|()| b.i64(i64::MAX));
    let request = build(&say.request(), fill).unwrap();
    assert_eq!(&request.bytes()[..3], b"\x0c\0\x03", "argument 3");
    let result = build(&say.result().unwrap(), fill).unwrap();
    assert_eq!(&result.bytes()[..3], b"\x0c\0\0", "field 0");
    for (shape, message) in [(say.request(), request), (say.result().unwrap(), result)] {
        assert!(json(&shape, &message).starts_with(r#"{"large":9223372036854775807,"#));
        let mut c = Cursor::typed(&message, &shape).unwrap();
        assert_eq!(c.find_named("large"), Ok(Some(TType::I64)));
        assert_eq!(c.i64(), Ok(i64::MAX));
        c.end().unwrap();
        c.end().unwrap();
    }

    let text = build(&call("Text").request(), |b| b.bytes(b"hi")).unwrap();
    assert_eq!(&text.bytes()[..], b"\x0b\0\x01\0\0\0\x02hi\0");
    assert_eq!(Cursor::typed(&text, &call("Text").request()).unwrap().bytes(), Ok(&b"hi"[..]));
    let note =
        build(&call("Note").request(), |b| b.list(TType::Stop, 1).and_then(|()| b.bytes(b"x"))).unwrap();
    assert_eq!(json(&call("Note").request(), &note), r#"["x"]"#);
    assert!(call("Note").result().is_err());

    let add = call("Add").request();
    let both = build(&add, |b| b.field_named("right").and_then(|()| b.i32(2))).unwrap();
    assert_eq!(json(&add, &both), r#"{"right":2,"left":0}"#);
    let none = build(&call("Nothing").request(), |_| Ok(())).unwrap();
    assert_eq!(none, Message::empty_struct());
    for void in [&b"\0"[..], b"\x01\0\0\0\0"] {
        let void = Message::new(Encoding::THRIFT_BINARY, void.to_vec().into());
        Cursor::typed(&void, &call("Nothing").result().unwrap()).unwrap().end().unwrap();
    }
}

#[test]
fn a_wrong_step_says_what_the_idl_says() {
    type Steps = fn(&mut Builder) -> Result<()>;
    let part = |b: &mut Builder| {
        b.field_named("parts")?;
        b.list(TType::Stop, 1)?;
        b.struct_begin()
    };
    let _: Steps = part;
    let cases: &[(&str, Steps, Code, &str)] = &[
        (
            "All",
            |b| b.field_named("txt"),
            Code::InvalidArgument,
            "name: All has no field txt; did you mean text?",
        ),
        ("All", |b| b.field(99, TType::I32), Code::UnknownField, "field 99: All has no field 99"),
        (
            "All",
            |b| b.field(4, TType::I64),
            Code::TypeMismatch,
            "field middle: its type is i32 in the IDL, not i64",
        ),
        (
            "All",
            |b| b.field_named("middle").and_then(|()| b.i64(1)),
            Code::TypeMismatch,
            "field middle: its type is i32, not i64",
        ),
        (
            "All",
            |b| {
                b.field_named("flag").and_then(|()| b.bool(true))?;
                b.field_named("flag")
            },
            Code::InvalidState,
            "field flag: the field was written before",
        ),
        (
            "All",
            |b| b.field_named("marks").and_then(|()| b.set(TType::I64, 1)),
            Code::TypeMismatch,
            "field marks: its elements are i32 in the IDL, not i64",
        ),
        (
            "All",
            |b| b.field_named("named").and_then(|()| b.map(TType::I32, TType::Stop, 1)),
            Code::TypeMismatch,
            "field named: its keys are string in the IDL, not i32",
        ),
        (
            "All",
            |b| {
                b.field_named("parts")?;
                b.list(TType::Stop, 2)?;
                b.struct_begin()?;
                b.struct_end()
            },
            Code::MissingField,
            "field parts[0] (Part): field name is missing",
        ),
        (
            "All",
            |b| {
                b.field_named("either")?;
                b.struct_begin()?;
                b.struct_end()
            },
            Code::MissingField,
            "field either (Either): a union has exactly one field, this has 0",
        ),
        (
            "All",
            |b| b.field_named("color").and_then(|()| b.enum_named("REDD")),
            Code::TypeMismatch,
            "field color: Color has no value REDD; did you mean RED?",
        ),
        (
            "All",
            |b| b.field_named("middle").and_then(|()| b.enum_named("RED")),
            Code::TypeMismatch,
            "field middle: its type is not an enum of an IDL",
        ),
        ("Part", |_| Ok(()), Code::MissingField, "outermost struct (Part): field name is missing"),
        ("All", |b| b.struct_end(), Code::InvalidState, "no struct was begun that could end"),
    ];
    for (name, steps, code, text) in cases {
        let error = build(&shape(name), *steps).unwrap_err();
        assert_eq!((error.code(), error.text()), (*code, *text));
    }
    let wrapped: &[(&str, Steps, Code, &str)] = &[
        ("Say", |b| b.struct_end(), Code::InvalidState, "no struct was begun that could end"),
        (
            "Say",
            |b| b.field_named("flag"),
            Code::InvalidState,
            "field flag: its value, of type bool, is missing",
        ),
        ("Say", part, Code::InvalidState, "field parts[0]: its struct has not ended"),
        ("Text", |_| Ok(()), Code::InvalidState, "value: its value, of type string, is missing"),
        ("Text", |b| b.i32(1), Code::TypeMismatch, "value: its type is string, not i32"),
        (
            "Note",
            |b| b.list(TType::I32, 1),
            Code::TypeMismatch,
            "value: its elements are string in the IDL, not i32",
        ),
        (
            "Note",
            |b| b.list(TType::Stop, 2).and_then(|()| b.bytes(b"")),
            Code::InvalidState,
            "value[1]: the list has 1 of 2 elements",
        ),
        ("Add", |_| Ok(()), Code::MissingField, "outermost struct (ChatAddArgs): field right is missing"),
    ];
    for (name, steps, code, text) in wrapped {
        let error = build(&call(name).request(), *steps).unwrap_err();
        assert_eq!((error.code(), error.text()), (*code, *text));
    }
    let error = Builder::new().field_named("x").unwrap_err();
    assert_eq!(error.text(), "fields have names only with a shape: this was made without one");
}

#[test]
fn a_message_that_does_not_fit_is_refused_where_it_is_read() {
    type Steps = fn(&mut Cursor) -> Result<()>;
    let cases: &[(&str, &[u8], Steps, Code, &str)] = &[
        (
            "All",
            b"\x0a\0\x04\0\0\0\0\0\0\0\0\0",
            |c| c.find_named("middle").map(drop),
            Code::TypeMismatch,
            "field middle: its type is i32 in the IDL, not i64 (byte 3)",
        ),
        (
            "All",
            b"\0",
            |c| c.find_named("midle").map(drop),
            Code::InvalidArgument,
            "name: All has no field midle; did you mean middle?",
        ),
        (
            "Part",
            b"\0",
            |c| c.end(),
            Code::MissingField,
            "outermost struct (Part): field name is missing (byte 0)",
        ),
        (
            "All",
            b"\x0f\0\x0a\x0c\0\0\0\x01\0\0",
            |c| {
                c.find_named("parts")?;
                c.list()?;
                c.struct_begin()?;
                c.struct_end()
            },
            Code::MissingField,
            "field parts[0] (Part): field name is missing (byte 8)",
        ),
        (
            "All",
            b"\x0f\0\x0a\x08\0\0\0\x01\0\0\0\0\0",
            |c| c.find_named("parts").and_then(|_| c.list()).map(drop),
            Code::TypeMismatch,
            "field parts: its elements are struct in the IDL, not i32 (byte 8)",
        ),
        (
            "All",
            b"\x0f\0\x0a\x0c\0\0\0\x01\0\0",
            |c| {
                c.find_named("parts")?;
                c.list()?;
                c.find_named("parts").map(drop)
            },
            Code::InvalidState,
            "field parts[0]: the list has 0 of 1 elements",
        ),
    ];
    for (name, bytes, steps, code, text) in cases {
        let message = Message::new(Encoding::THRIFT_BINARY, bytes.to_vec().into());
        let error = steps(&mut Cursor::typed(&message, &shape(name)).unwrap()).unwrap_err();
        assert_eq!((error.code(), error.text()), (*code, *text));
    }
    // An empty list may claim any type, and what the IDL does not know has no rules.
    let bytes = b"\x0f\0\x0a\x08\0\0\0\0\x0c\0\x63\x02\0\x01\x01\0\x0d\0\x0e\0\0\0\0\0\0\0";
    let message = Message::new(Encoding::THRIFT_BINARY, bytes.to_vec().into());
    let mut c = Cursor::typed(&message, &shape("All")).unwrap();
    assert_eq!(c.field(), Ok(Some((10, TType::List))));
    c.list().unwrap();
    assert_eq!((c.field(), c.field_name()), (Ok(Some((99, TType::Struct))), None));
    c.struct_begin().unwrap();
    assert_eq!(c.field(), Ok(Some((1, TType::Bool))));
    c.struct_end().unwrap();
    c.end().unwrap();

    let missing = |call: &CallShape| Cursor::typed(&Message::empty_struct(), &call.request()).unwrap_err();
    assert_eq!(missing(&call("Text")).text(), "the message has no argument text");
    let result = Cursor::typed(&Message::empty_struct(), &call("Text").result().unwrap());
    assert_eq!(result.unwrap_err().text(), "the message has no result");
}

#[test]
fn recursion_ends_at_the_depth_limit() {
    let tree = shape("Tree");
    let grow = |depth: usize| {
        build(&tree, |b| {
            for _ in 0..depth {
                b.field_named("name").and_then(|()| b.bytes(b"n"))?;
                b.field_named("kids").and_then(|()| b.list(TType::Stop, 1))?;
                b.struct_begin()?;
            }
            b.field_named("name").and_then(|()| b.bytes(b"leaf"))?;
            (0..depth).try_for_each(|_| b.struct_end())
        })
    };
    let message = grow(31).unwrap();
    let mut c = Cursor::typed(&message, &tree).unwrap();
    for _ in 0..31 {
        assert_eq!(c.find_named("kids"), Ok(Some(TType::List)));
        c.list().and_then(|_| c.struct_begin()).unwrap();
    }
    assert_eq!(c.find_named("name"), Ok(Some(TType::String)));
    (0..31).for_each(|_| c.struct_end().unwrap());
    c.end().unwrap();
    assert_eq!(grow(32).unwrap_err().code(), Code::CodecLimit);
}

#[test]
fn exceptions_have_names() {
    let say = call("Say");
    let options = JsonOptions::strict();
    let thrown = say.exception_from_json("wrong", br#"{"why":"no"}"#, &options).unwrap();
    let error = say.result().unwrap().to_json(&thrown, &options).unwrap_err();
    assert_eq!(error.text(), "the message is the exception wrong, not a result");
    let inner = Message::new(Encoding::THRIFT_BINARY, thrown.bytes().slice(3..thrown.len() - 1));
    let json = say.exception_to_json(1, &inner, &options).unwrap();
    assert_eq!(json, ("wrong", br#"{"why":"no"}"#.to_vec()));
    for field in [0, 2] {
        let error = say.exception_to_json(field, &inner, &options).unwrap_err();
        assert_eq!(error.text(), format!("Say declares no exception with field {field}"));
    }
}
