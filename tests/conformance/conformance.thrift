// What the conformance server serves. Every method does one thing that a case of cases.toml needs.
namespace go conformance

enum Kind {
    PLAIN = 1
    ODD = -7
}

union Choice {
    1: string text
    2: i64 number
}

struct Item {
    1: required string name
    2: optional i64 number
    3: optional binary data
    4: optional list<string> tags
    5: optional map<string, i32> counts
    6: optional bool flag
    7: optional double real
    8: optional Kind kind
    9: optional Item next
    10: optional set<i16> marks
    11: optional byte tiny
    12: optional Choice choice
}

exception Wrong {
    1: i32 code
    2: string why
}

exception Other {
    1: list<string> details
}

service Conformance {
    // What came goes back.
    Item Echo(1: Item item)
    string Text(1: string text)
    i64 Add(1: i64 left, 2: i64 right)
    void Nothing()
    // That many bytes.
    binary Big(1: i32 bytes)

    // wrong: Wrong(7, "on purpose"); other: Other(["a", "b"]); anything else: returned.
    string Throw(1: string which) throws (1: Wrong wrong, 2: Other other)
    // An application exception.
    string Fail(1: i32 type_id, 2: string text)
    // A business status.
    string Biz(1: i32 code, 2: string message, 3: map<string, string> extra)
    // The handler panics.
    void Die()
    // The handler ends without an answer.
    void Forget()

    // Answers after `ms` with `ms`, or not at all once the caller has left.
    i32 Delay(1: string id, 2: i32 ms)
    // How Delay ended: "answered" or "left". Waits until it has.
    string Ended(1: string id)

    // What the handler sees: "service", "method", "caller", "timeout_ms" if the caller told one, and
    // "transient.K" and "persistent.K" for each pair K. Values that the transport does not carry are absent.
    map<string, string> Seen()
    // Sends the pairs back as backward metainfo and answers how many there are.
    i32 Back(1: map<string, string> pairs)

    // Kept under its topic.
    oneway void Note(1: string topic, 2: string text)
    // The notes of a topic, in order of arrival, once there are `count`; they are forgotten.
    list<string> Notes(1: string topic, 2: i32 count)

    // The server has no handler for it.
    string Missing(1: string text)
}

service Second {
    // Answers "second:" + text. Conformance, which is asked first without a service name, has it as well.
    string Text(1: string text)
    // Only here: found without a service name, too.
    string Only(1: string text)
}

// The server does not have it.
service Absent {
    string Nowhere(1: string text)
}
