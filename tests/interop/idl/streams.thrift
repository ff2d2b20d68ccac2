// Streams of every mode, for the tests against Kitex.
namespace go streams

struct Item {
    1: required i64 n
    2: optional binary data
    3: optional string text
}

service Streams {
    Item Bidi(1: Item item) (streaming.mode = "bidirectional")
    Item Upload(1: Item item) (streaming.mode = "client")
    // Counts the items and drops them: for the benchmarks.
    Item Sink(1: Item item) (streaming.mode = "client")
    Item Watch(1: Item item) (streaming.mode = "server")
}
