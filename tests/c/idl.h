/* The IDL of the tests of JSON, of values by name and of servers. */
#ifndef IDL_H
#define IDL_H

#include "net.h"

static const char BASE_IDL[] = "namespace go base\n"
                               "struct Base { 1: string log = 'none' }\n"
                               "enum Unused { A }\n";

static const char MAIN_IDL[] =
    "include 'base.thrift'\n"
    "enum Color { RED = 1, BLUE = 2 }\n"
    "typedef i64 Time\n"
    "typedef base.Base Root\n"
    "struct Part { 1: required string name, 2: i32 size = 3 }\n"
    "struct Tree { 1: required string name, 2: optional list<Tree> kids }\n"
    "union Either { 1: string text, 2: i64 number }\n"
    "struct All {\n"
    "    1: bool flag, 2: i8 tiny, 3: i16 small, 4: i32 middle, 5: Time large, 6: double real\n"
    "    7: string text, 8: binary bytes, 9: Color color, 10: list<Part> parts, 11: set<i32> marks\n"
    "    12: map<i64, string> names, 13: optional Either either, 14: base.Base base\n"
    "    15: required string must, 16: string other (api.key = 'renamed')\n"
    "}\n"
    "exception Wrong { 1: string why, 2: i64 code }\n"
    "service Parent { void Ping() }\n"
    "service Chat extends Parent {\n"
    "    All Say(3: All all) throws (1: Wrong wrong)\n"
    "    string Text(1: string text)\n"
    "    i64 Add(1: i64 left, 2: required i64 right)\n"
    "    oneway void Note(1: list<string> lines)\n"
    "    Tree Grow(1: Tree tree)\n"
    "    Tree Watch(1: Tree tree) (streaming.mode = 'server')\n"
    "}\n";

static inline krpc_idl *parse(const char *main)
{
    krpc_idl_file files[2];
    files[0].name = KRPC_STR("idl/main.thrift");
    files[0].text = krpc_cstr(main);
    files[1].name = KRPC_STR("idl/base.thrift");
    files[1].text = krpc_cstr(BASE_IDL);
    krpc_error *error = NULL;
    krpc_idl *idl = krpc_idl_parse_memory(files, 2, KRPC_STR(""), &error);
    CHECK_ERROR(error, KRPC_OK, "");
    CHECK(idl != NULL);
    return idl;
}

static inline krpc_str text_of(const krpc_message *message)
{
    krpc_bytes bytes = krpc_message_bytes(message);
    krpc_str text = {(const char *)bytes.ptr, bytes.len};
    return text;
}

/* A message is this JSON; frees it. */
#define CHECK_JSON(message, expected)                       \
    do {                                                    \
        krpc_message *json_ = (message);                    \
        CHECK(json_ != NULL);                               \
        CHECK(krpc_message_encoding(json_) == KRPC_ENCODING_JSON); \
        CHECK_STR(text_of(json_), (expected));              \
        krpc_message_free(json_);                           \
    } while (0)

#endif
