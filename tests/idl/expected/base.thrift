namespace go base
enum Level { LOW, HIGH = 5 }
typedef i64 Id
struct Base { 1: string LogID = "", 2: optional map<string, string> Extra }
exception Denied {}
service Health { string Ping() }
