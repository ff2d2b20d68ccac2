// A little of everything, for the dump and the templates.
include "base.thrift"
cpp_include "<deque>"
namespace go shop.api
namespace * shop (note = "all languages")

/** What a thing costs. */
typedef i64 (js = "text") Cents

const Cents FREE = 0
const list<string> TAGS = ["new", "it's \"here\""]
const map<string, base.Level> LEVELS = {"a": base.Level.LOW, "b": 7}
const binary MAGIC = "PK\n"
const double RATE = 2

enum Color {
  RED = 1 // like blood
  # the colour of grass
  GREEN (html = "#0f0")
} (open = "true")

struct Item {
  1: required string name (go.tag = 'json:"title,omitempty"')
  2: optional Cents price = FREE
  3: Color color = Color.GREEN
  4: list<string> tags = TAGS
  5: map<Color, set<double>> ratings
  6: optional Item parent, // the one it is part of
  7: list<Item> parts
  9: base.Id id (api.js_conv = "")
  8: list<i32> cpp_type "std::deque" sizes
  10: base.Base base
  11: optional binary picture
}

union Search { 1: string text, 2: base.Id id }
exception SoldOut { 1: string why; 2: i32 left = -1 }
struct Empty {}

service Reader extends base.Health {
  /* Finds things. */
  list<Item> Find(1: Search search, 2: i32 limit = 10) throws (1: SoldOut gone, 2: base.Denied denied)
  Item Get(3: base.Id id) (api.get = "/items/:id")
  void Nothing()
}

service Shop extends Reader {
  oneway void Forget(1: Item item)
  Item Watch(1: Item item) (streaming.mode = "server")
  bool Same(1: bool flag)
}
