//! What the core does with text, on one thread and without a network: reads an IDL, turns JSON into Thrift
//! and back. `benches/codec/run` runs it and makes a table.
//!
//! Without arguments, all lanes take turns for some rounds, and one line of JSON says how long each took in
//! each round. `--repeat LANE TIMES` runs one lane only, for a counter of instructions. `--idl` prints the
//! IDL, for other compilers.

mod documents;
mod idl;

use std::hint::black_box;
use std::sync::Arc;

use krpc::base::Message;
use krpc::codec::json::JsonOptions;
use krpc::codec::{CallShape, Shape};
use krpc::idl::{MemoryProvider, Options, Schema, compile};

const ROUNDS: usize = 20;
/// How long a lane runs in a round, at least.
const ROUND_NS: u64 = 40_000_000;
const SIZES: [(usize, &str); 3] = [(1_000, "1 KB"), (5_000, "5 KB"), (10_000, "10 KB")];

/// Something to be timed.
struct Lane {
    name: String,
    /// Bytes of text that one run reads or writes.
    bytes: usize,
    run: Box<dyn Fn()>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => measure(&lanes()),
        ["--idl"] => print!("{}", idl::text()),
        ["--repeat", name, times] => repeat(name, times.parse().expect("a number of times")),
        _ => panic!("use: codec [--idl | --repeat LANE TIMES]"),
    }
}

fn lanes() -> Vec<Lane> {
    let schema = schema_of(documents::IDL);
    let documents = SIZES.iter().flat_map(|(bytes, label)| document_lanes(&schema, *bytes, label));
    std::iter::once(idl_lane()).chain(documents).collect()
}

fn schema_of(text: &str) -> Arc<Schema> {
    let files = MemoryProvider::new().file("main.thrift", text);
    compile("main.thrift", &files, &Options::default()).into_schema().expect("the IDL has no errors")
}

/// All of it, from bytes to schema, and freeing everything again.
fn idl_lane() -> Lane {
    let text = idl::text();
    let bytes = text.len();
    let files = MemoryProvider::new().file("main.thrift", text);
    let run = move || {
        let compiled = compile("main.thrift", &files, &Options::default());
        assert_eq!(compiled.schema.as_ref().map(|schema| schema.services().len()), Some(idl::SERVICES));
        drop(black_box(compiled));
    };
    Lane { name: "idl".to_owned(), bytes, run: Box::new(run) }
}

/// Both ways, by the core and by serde_json.
fn document_lanes(schema: &Arc<Schema>, bytes: usize, label: &str) -> [Lane; 4] {
    let order = documents::order(bytes);
    let json = documents::json(&order);
    let bytes = json.len();
    let shape = CallShape::find(schema, "Place").expect("the IDL has it").request();
    let message = from_json(&shape, &json);
    assert_eq!(to_json(&shape, &message), json, "both write the same text");

    let lane = |name: String, run: Box<dyn Fn()>| Lane { name, bytes, run };
    let (text, to_shape) = (json.clone(), shape.clone());
    [
        lane(
            format!("json to thrift, {label}"),
            Box::new(move || drop(black_box(from_json(&to_shape, black_box(&text))))),
        ),
        lane(
            format!("json to serde, {label}"),
            Box::new(move || {
                let read: documents::Order = serde_json::from_slice(black_box(&json)).expect("is an order");
                drop(black_box(read));
            }),
        ),
        lane(
            format!("thrift to json, {label}"),
            Box::new(move || drop(black_box(to_json(&shape, black_box(&message))))),
        ),
        lane(
            format!("serde to json, {label}"),
            Box::new(move || drop(black_box(documents::json(black_box(&order))))),
        ),
    ]
}

fn from_json(shape: &Shape, json: &[u8]) -> Message {
    shape.from_json(json, &JsonOptions::default()).expect("is an order")
}

fn to_json(shape: &Shape, message: &Message) -> Vec<u8> {
    shape.to_json(message, &JsonOptions::default()).expect("is an order")
}

/// Every lane once in each round, each round beginning with another one.
fn measure(lanes: &[Lane]) {
    let mut results = vec![Vec::new(); lanes.len()];
    for round in 0..=ROUNDS {
        for step in 0..lanes.len() {
            let at = (round * 5 + step) % lanes.len();
            let took = time(&lanes[at].run);
            // The first round warms up.
            if round > 0 {
                results[at].push(took);
            }
        }
    }
    let lanes = lanes.iter().zip(results);
    let entries: Vec<serde_json::Value> = lanes
        .map(|(lane, ns)| serde_json::json!({ "name": lane.name, "bytes": lane.bytes, "ns": ns }))
        .collect();
    println!("{}", serde_json::json!({ "rounds": ROUNDS, "lanes": entries }));
}

/// Nanoseconds of CPU time that one run takes.
fn time(run: &dyn Fn()) -> f64 {
    let start = cpu_ns();
    let mut runs = 0u32;
    loop {
        run();
        runs += 1;
        let took = cpu_ns() - start;
        if took >= ROUND_NS {
            return took as f64 / f64::from(runs);
        }
    }
}

fn repeat(name: &str, times: usize) {
    let lanes = lanes();
    let lane = lanes.iter().find(|lane| lane.name == name).expect("the name of a lane");
    (0..times).for_each(|_| (lane.run)());
}

/// CPU time of this thread: what others do on the machine is not in it.
fn cpu_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writing.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    assert_eq!(result, 0, "Linux has this clock");
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
