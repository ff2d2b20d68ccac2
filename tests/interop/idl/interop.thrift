// The contract of the interop tests. Every peer (Kitex, Volo, krpc) generates
// its code from this one file, so it carries nothing that only one of them
// understands: the Go namespace is a hint that other generators ignore.
namespace go interop

// ---- types -----------------------------------------------------------------

enum Color {
    RED = 1
    GREEN = 2
    // A negative and a large value: enums travel as full i32.
    NEGATIVE = -5
    LARGE = 2147483647
}

struct Pair {
    1: string key
    2: i64 value
}

union Choice {
    1: string text
    2: i64 number
    3: Pair pair
    4: list<i32> numbers
}

// A recursive struct; `next` and `children` recurse in the two usual ways.
struct Node {
    1: i32 value
    2: optional Node next
    3: optional list<Node> children
}

// Every Thrift type at least once. Field ids are not contiguous and not in
// declaration order on purpose: codecs must go by id.
struct AllTypes {
    1: bool b
    2: byte i8v
    3: i16 i16v
    4: i32 i32v
    5: i64 i64v
    6: double dbl
    7: string str
    8: binary bin
    9: Color color
    10: Pair pair
    11: Choice choice
    12: list<string> strings
    13: set<i32> ids
    14: map<string, i64> counts
    15: list<list<i32>> matrix
    16: map<i32, list<Pair>> pairs_by_id
    17: list<map<string, set<string>>> nested
    18: map<Color, string> color_names
    19: list<bool> flags
    20: list<double> doubles
    21: list<binary> blobs
    22: map<string, map<string, i32>> table
    23: list<Color> colors
    24: list<Choice> choices

    40: required string req_str
    41: required i32 req_i32
    42: required list<string> req_list

    60: optional bool opt_bool
    61: optional byte opt_i8
    62: optional i16 opt_i16
    63: optional i32 opt_i32
    64: optional i64 opt_i64
    65: optional double opt_dbl
    66: optional string opt_str
    67: optional binary opt_bin
    68: optional Color opt_color
    69: optional Pair opt_pair
    70: optional list<i64> opt_list
    71: optional map<string, string> opt_map
    72: optional set<string> opt_set
    // Left unset by the tests: must still be unset after the round trip.
    73: optional i32 opt_never
    74: optional Pair opt_pair_never

    80: i32 def_i32 = 42
    81: string def_str = "default"
    82: optional i32 opt_def_i32 = 7
    83: list<i32> def_list = [1, 2, 3]
    84: Color def_color = Color.GREEN
    85: bool def_bool = true

    32767: Node tree
    100: Node chain
}

struct Req {
    1: string message
    2: optional binary payload
}

struct Res {
    1: string message
    2: optional binary payload
}

exception EchoError {
    1: i32 code
    2: string message
}

exception OtherError {
    1: string reason
    2: optional list<string> details
}

// ---- services --------------------------------------------------------------

service Interop {
    // The request comes back; message "throw" raises EchoError(7, "thrown").
    Res Echo(1: Req req) throws (1: EchoError err)

    AllTypes EchoTypes(1: AllTypes v)

    void Void(1: string s)

    // Counted by the server; FireCount tells how many arrived.
    oneway void Fire(1: string s)
    i64 FireCount()

    // how = declared: EchoError(1001, "declared")
    //       declared2: OtherError("declared2", ["a", "b"])
    //       biz: business status 404, "not found", {"k": "v", "quote": "<\"é>"}
    //       error: plain handler error "plain error"
    //       trans: application exception with its own code 9001, "own code"
    //       panic: the handler dies
    //       anything else: returned as it is
    string Fail(1: string how) throws (1: EchoError err, 2: OtherError other)

    i64 Add(1: i64 a, 2: i64 b)

    // Sleeps, then returns ms.
    i32 Sleep(1: i32 ms)

    // Returns what the handler sees: "transient.K" and "persistent.K" for each
    // metainfo value K, "caller" for the calling service's name, and "arg.K"
    // for each entry of the argument. Each argument entry is also sent back as
    // a backward metainfo value.
    map<string, string> Meta(1: map<string, string> backward)

    // Returns `bytes` bytes; byte i is i mod 251.
    binary Big(1: i32 bytes)
}

service Second {
    // Answers "second2:" + s.
    string Echo2(1: string s)

    // Same method name as Interop.Echo; answers with message "second:" + message.
    Res Echo(1: Req req)
}

// ---- callers' view of things the server does not have ----------------------
// No server implements these; clients use them to make calls that must fail.

service Unknown {
    string Missing(1: string s)
    Res Echo(1: Req req)
}
