// What the examples 10 to 12 talk about.
namespace go chat

enum Mood { CALM = 1, HAPPY = 2 }

struct Message {
    1: required string text
    2: optional i64 at_ms
    3: Mood mood = Mood.CALM
    4: list<string> tags
    5: map<string, i64> counts
}

exception Refused {
    1: string why
    2: i32 code
}

service Chat {
    // Answers with the message, in capitals.
    Message Say(1: Message message) throws (1: Refused refused)
    i64 Count(1: string text, 2: i64 start)
    oneway void Note(1: string text)
}
