/* Values of every type and nesting, built and read through a shape: by name, by id, with the IDL's checks. */
#include "idl.h"

static const char TEXT[] =
    "enum Color { RED = 1, BLUE = 2 }\n"
    "struct Point { 1: required i32 x, 2: i32 y }\n"
    "union Either { 1: string text, 2: Point point, 3: list<Either> many }\n"
    "struct Deep {\n"
    "    1: optional map<Point, string> by_point\n"
    "    2: optional map<string, map<i64, list<Either>>> nested\n"
    "    3: optional set<list<string>> lists\n"
    "    4: optional map<Color, set<Color>> colors\n"
    "    5: optional list<map<bool, binary>> maps\n"
    "    6: optional list<list<list<double>>> cube\n"
    "    7: optional map<i8, i16> small\n"
    "    8: optional Either either\n"
    "    9: optional map<list<i32>, Deep> self\n"
    "}\n"
    "struct Old { 1: optional string text }\n"
    "struct New {\n"
    "    1: optional string text, 2: optional i64 number, 3: optional Point point, 4: optional list<Point> points\n"
    "    5: optional map<string, Point> named\n"
    "}\n";

static krpc_idl *idl;

static krpc_shape *shape_of(const char *name)
{
    krpc_shape *shape = krpc_idl_struct(idl, krpc_cstr(name), NULL);
    CHECK(shape != NULL);
    return shape;
}

static void point(krpc_writer *w, int32_t x, int32_t y)
{
    krpc_writer_struct_begin(w);
    krpc_writer_field_name(w, KRPC_STR("x"));
    krpc_writer_i32(w, x);
    krpc_writer_field_i32(w, 2, y);
    krpc_writer_struct_end(w);
}

static void is_point(krpc_reader *r, int32_t x, int32_t y)
{
    int32_t number = 0;
    CHECK(krpc_reader_struct_begin(r) == KRPC_OK);
    CHECK(krpc_reader_find(r, 2, NULL)); /* by id only forwards */
    CHECK(krpc_reader_i32(r, &number) == KRPC_OK && number == y);
    CHECK(krpc_reader_find_name(r, KRPC_STR("x"), NULL)); /* by name also backwards */
    CHECK(krpc_reader_i32(r, &number) == KRPC_OK && number == x);
    CHECK(krpc_reader_struct_end(r) == KRPC_OK);
}

/* A union whose member is a list of itself: text, and a point. */
static void either(krpc_writer *w)
{
    krpc_writer_struct_begin(w);
    krpc_writer_field_name(w, KRPC_STR("many"));
    krpc_writer_list(w, 0, 2);
    krpc_writer_struct_begin(w);
    krpc_writer_field_name(w, KRPC_STR("text"));
    krpc_writer_string(w, KRPC_STR("t"));
    krpc_writer_struct_end(w);
    krpc_writer_struct_begin(w);
    krpc_writer_field_name(w, KRPC_STR("point"));
    point(w, -1, -2);
    krpc_writer_struct_end(w);
    krpc_writer_struct_end(w);
}

static void is_either(krpc_reader *r)
{
    int16_t id = 0;
    int32_t type = 0;
    size_t count = 0;
    krpc_str text = {NULL, 0};
    CHECK(krpc_reader_struct_begin(r) == KRPC_OK);
    CHECK(krpc_reader_field(r, &id, &type) && id == 3 && type == KRPC_TYPE_LIST);
    CHECK_STR(krpc_reader_field_name(r), "many");
    CHECK(krpc_reader_list(r, &type, &count) == KRPC_OK && type == KRPC_TYPE_STRUCT && count == 2);
    CHECK(krpc_reader_struct_begin(r) == KRPC_OK);
    CHECK(!krpc_reader_find_name(r, KRPC_STR("point"), NULL));
    CHECK(krpc_reader_find_name(r, KRPC_STR("text"), NULL));
    CHECK(krpc_reader_string(r, &text) == KRPC_OK);
    CHECK_STR(text, "t");
    CHECK(krpc_reader_struct_end(r) == KRPC_OK);
    CHECK(krpc_reader_struct_begin(r) == KRPC_OK);
    CHECK(krpc_reader_field(r, &id, NULL) && id == 2);
    is_point(r, -1, -2);
    CHECK(!krpc_reader_field(r, NULL, NULL));
    CHECK(krpc_reader_struct_end(r) == KRPC_OK);
    CHECK(krpc_reader_struct_end(r) == KRPC_OK);
}

static void write_containers(krpc_writer *w)
{
    krpc_writer_field_name(w, KRPC_STR("by_point"));
    krpc_writer_map(w, KRPC_TYPE_STRUCT, KRPC_TYPE_STRING, 2);
    point(w, 1, 2);
    krpc_writer_string(w, KRPC_STR("a"));
    point(w, 3, 4);
    krpc_writer_string(w, KRPC_STR("b"));
    krpc_writer_field_name(w, KRPC_STR("nested"));
    krpc_writer_map(w, 0, 0, 1);
    krpc_writer_string(w, KRPC_STR("k"));
    krpc_writer_map(w, 0, 0, 2);
    krpc_writer_i64(w, INT64_MIN);
    krpc_writer_list(w, 0, 1);
    either(w);
    krpc_writer_i64(w, 0);
    krpc_writer_list(w, 0, 0);
    krpc_writer_field_name(w, KRPC_STR("lists"));
    krpc_writer_set(w, KRPC_TYPE_LIST, 2);
    krpc_writer_list(w, 0, 1);
    krpc_writer_string(w, KRPC_STR("s"));
    krpc_writer_list(w, 0, 0);
    krpc_writer_field_map(w, 4, 0, 0, 1);
    krpc_writer_enum(w, KRPC_STR("RED"));
    krpc_writer_set(w, 0, 2);
    krpc_writer_enum(w, KRPC_STR("BLUE"));
    krpc_writer_i32(w, 1);
}

static void write_rest(krpc_writer *w)
{
    krpc_writer_field_list(w, 5, 0, 2);
    krpc_writer_map(w, 0, 0, 1);
    krpc_writer_bool(w, true);
    krpc_writer_binary(w, KRPC_BYTES("\0\xff", 2));
    krpc_writer_map(w, 0, 0, 0);
    krpc_writer_field_list(w, 6, KRPC_TYPE_LIST, 1);
    krpc_writer_list(w, 0, 1);
    krpc_writer_list(w, 0, 2);
    krpc_writer_double(w, 0.5);
    krpc_writer_double(w, -1e300);
    krpc_writer_field_map(w, 7, 0, 0, 1);
    krpc_writer_i8(w, -128);
    krpc_writer_i16(w, 32767);
    krpc_writer_field_name(w, KRPC_STR("either"));
    either(w);
    krpc_writer_field_name(w, KRPC_STR("self"));
    krpc_writer_map(w, 0, 0, 1);
    krpc_writer_list(w, 0, 1);
    krpc_writer_i32(w, 9);
    krpc_writer_struct_begin(w);
    krpc_writer_field_map(w, 7, 0, 0, 0);
    krpc_writer_struct_end(w);
}

static void read_containers(krpc_reader *r)
{
    int32_t key = 0, value = 0, number = 0;
    int64_t large = 0;
    size_t count = 0;
    krpc_str text = {NULL, 0};
    CHECK(krpc_reader_find_name(r, KRPC_STR("by_point"), NULL));
    CHECK(krpc_reader_map(r, &key, &value, &count) == KRPC_OK && count == 2);
    CHECK(key == KRPC_TYPE_STRUCT && value == KRPC_TYPE_STRING);
    is_point(r, 1, 2);
    CHECK(krpc_reader_string(r, &text) == KRPC_OK);
    CHECK_STR(text, "a");
    is_point(r, 3, 4);
    CHECK(krpc_reader_skip(r) == KRPC_OK);
    CHECK(krpc_reader_find_name(r, KRPC_STR("nested"), NULL));
    CHECK(krpc_reader_map(r, NULL, &value, &count) == KRPC_OK && count == 1 && value == KRPC_TYPE_MAP);
    CHECK(krpc_reader_string(r, &text) == KRPC_OK);
    CHECK(krpc_reader_map(r, &key, &value, &count) == KRPC_OK && count == 2);
    CHECK(key == KRPC_TYPE_I64 && value == KRPC_TYPE_LIST);
    CHECK(krpc_reader_i64(r, &large) == KRPC_OK && large == INT64_MIN);
    CHECK(krpc_reader_list(r, NULL, &count) == KRPC_OK && count == 1);
    is_either(r);
    CHECK(krpc_reader_i64(r, &large) == KRPC_OK && large == 0);
    CHECK(krpc_reader_list(r, NULL, &count) == KRPC_OK && count == 0);
    CHECK(krpc_reader_find_name(r, KRPC_STR("lists"), NULL));
    CHECK(krpc_reader_set(r, &value, &count) == KRPC_OK && count == 2 && value == KRPC_TYPE_LIST);
    CHECK(krpc_reader_list(r, NULL, &count) == KRPC_OK && count == 1);
    CHECK(krpc_reader_string(r, &text) == KRPC_OK);
    CHECK_STR(text, "s");
    CHECK(krpc_reader_list(r, NULL, &count) == KRPC_OK && count == 0);
    CHECK(krpc_reader_find(r, 4, NULL));
    CHECK(krpc_reader_map(r, NULL, NULL, &count) == KRPC_OK && count == 1);
    CHECK(krpc_reader_enum(r, &number, &text) == KRPC_OK && number == 1);
    CHECK_STR(text, "RED");
    CHECK(krpc_reader_set(r, NULL, &count) == KRPC_OK && count == 2);
    CHECK(krpc_reader_enum(r, &number, &text) == KRPC_OK && number == 2);
    CHECK(krpc_reader_i32(r, &number) == KRPC_OK && number == 1);
}

static void read_rest(krpc_reader *r)
{
    bool flag = false;
    double real = 0;
    int8_t tiny = 0;
    int16_t small = 0;
    size_t count = 0;
    krpc_bytes bytes = {NULL, 0};
    CHECK(krpc_reader_find_name(r, KRPC_STR("maps"), NULL));
    CHECK(krpc_reader_list(r, NULL, &count) == KRPC_OK && count == 2);
    CHECK(krpc_reader_map(r, NULL, NULL, &count) == KRPC_OK && count == 1);
    CHECK(krpc_reader_bool(r, &flag) == KRPC_OK && flag);
    CHECK(krpc_reader_binary(r, &bytes) == KRPC_OK && bytes.len == 2 && bytes.ptr[1] == 0xff);
    CHECK(krpc_reader_map(r, NULL, NULL, &count) == KRPC_OK && count == 0);
    CHECK(krpc_reader_find_name(r, KRPC_STR("cube"), NULL));
    CHECK(krpc_reader_list(r, NULL, &count) == KRPC_OK && count == 1);
    CHECK(krpc_reader_list(r, NULL, &count) == KRPC_OK && count == 1);
    CHECK(krpc_reader_list(r, NULL, &count) == KRPC_OK && count == 2);
    CHECK(krpc_reader_double(r, &real) == KRPC_OK && real == 0.5);
    CHECK(krpc_reader_double(r, &real) == KRPC_OK && real == -1e300);
    CHECK(krpc_reader_find_name(r, KRPC_STR("small"), NULL));
    CHECK(krpc_reader_map(r, NULL, NULL, &count) == KRPC_OK && count == 1);
    CHECK(krpc_reader_i8(r, &tiny) == KRPC_OK && tiny == -128);
    CHECK(krpc_reader_i16(r, &small) == KRPC_OK && small == 32767);
    CHECK(krpc_reader_find_name(r, KRPC_STR("either"), NULL));
    is_either(r);
    CHECK(krpc_reader_find_name(r, KRPC_STR("self"), NULL));
    CHECK(krpc_reader_map(r, NULL, NULL, &count) == KRPC_OK && count == 1);
    CHECK(krpc_reader_skip(r) == KRPC_OK);
    CHECK(krpc_reader_struct_begin(r) == KRPC_OK);
    CHECK(krpc_reader_find_name(r, KRPC_STR("small"), NULL));
    CHECK(!krpc_reader_find_name(r, KRPC_STR("cube"), NULL));
    CHECK(krpc_reader_struct_end(r) == KRPC_OK);
}

static void everything(void)
{
    krpc_shape *deep = shape_of("Deep");
    krpc_writer *w = krpc_writer_new_typed(deep, NULL);
    write_containers(w);
    write_rest(w);
    krpc_error *error = NULL;
    krpc_message *message = krpc_writer_finish(w, &error);
    CHECK_ERROR(error, KRPC_OK, "");
    krpc_reader *r = krpc_reader_new_typed(message, deep, NULL);
    read_containers(r);
    read_rest(r);
    CHECK(krpc_reader_end(r, &error) == KRPC_OK);
    krpc_reader_free(r);
    krpc_message_free(message);
    krpc_shape_free(deep);
}

#define DEEP_FAILS(status, part, ...)                          \
    do {                                                       \
        krpc_shape *deep_ = shape_of("Deep");                  \
        krpc_writer *w = krpc_writer_new_typed(deep_, NULL);   \
        __VA_ARGS__;                                           \
        NOT_MADE(status, part, krpc_writer_finish(w, &error)); \
        krpc_shape_free(deep_);                                \
    } while (0)

/* The IDL holds at any depth, and errors say where. */
static void checks(void)
{
    DEEP_FAILS(KRPC_STATUS_MISSING_FIELD, "field x is missing", krpc_writer_field_map(w, 1, 0, 0, 1);
               krpc_writer_struct_begin(w); krpc_writer_field_i32(w, 2, 0); krpc_writer_struct_end(w));
    DEEP_FAILS(KRPC_STATUS_TYPE_MISMATCH, "its elements are list in the IDL, not string",
               krpc_writer_field_set(w, 3, KRPC_TYPE_STRING, 1));
    DEEP_FAILS(KRPC_STATUS_TYPE_MISMATCH, "its keys are struct in the IDL, not i32",
               krpc_writer_field_map(w, 1, KRPC_TYPE_I32, 0, 1));
    DEEP_FAILS(KRPC_STATUS_TYPE_MISMATCH, "not i32", krpc_writer_field_set(w, 3, 0, 1); krpc_writer_list(w, 0, 1);
               krpc_writer_i32(w, 1));
    DEEP_FAILS(KRPC_STATUS_TYPE_MISMATCH, "Color has no value GREEN", krpc_writer_field_map(w, 4, 0, 0, 1);
               krpc_writer_enum(w, KRPC_STR("GREEN")));
    DEEP_FAILS(KRPC_STATUS_MISSING_FIELD, "a union has exactly one field, this has 0",
               krpc_writer_field_struct_begin(w, 8); krpc_writer_struct_end(w));
    DEEP_FAILS(KRPC_STATUS_INVALID_ARGUMENT, "Either has no field txt; did you mean text?",
               krpc_writer_field_struct_begin(w, 8); krpc_writer_field_name(w, KRPC_STR("txt")));
    DEEP_FAILS(KRPC_STATUS_INVALID_STATE, "maps", krpc_writer_field_list(w, 5, 0, 2); krpc_writer_map(w, 0, 0, 0));
}

/* What a newer peer sends is stepped over, whatever it is; its fields have ids and types, but no names. */
static void unknown(void)
{
    krpc_shape *new_shape = shape_of("New"), *old_shape = shape_of("Old");
    krpc_writer *w = krpc_writer_new_typed(new_shape, NULL);
    krpc_writer_field_i64(w, 2, 7);
    krpc_writer_field_struct_begin(w, 3);
    krpc_writer_field_i32(w, 1, 1);
    krpc_writer_struct_end(w);
    krpc_writer_field_list(w, 4, 0, 1);
    point(w, 5, 6);
    krpc_writer_field_map(w, 5, 0, 0, 1);
    krpc_writer_string(w, KRPC_STR("p"));
    point(w, 7, 8);
    krpc_writer_field_string(w, 1, KRPC_STR("known"));
    krpc_message *message = krpc_writer_finish(w, NULL);
    krpc_reader *r = krpc_reader_new_typed(message, old_shape, NULL);
    krpc_str text = {NULL, 0};
    int16_t id = 0;
    int32_t type = 0, number = 0;
    CHECK(krpc_reader_find_name(r, KRPC_STR("text"), NULL));
    CHECK(krpc_reader_string(r, &text) == KRPC_OK);
    CHECK_STR(text, "known");
    CHECK(krpc_reader_end(r, NULL) == KRPC_OK);
    krpc_reader_free(r);

    r = krpc_reader_new_typed(message, old_shape, NULL);
    int64_t large = 0;
    CHECK(krpc_reader_field(r, &id, &type) && id == 2 && type == KRPC_TYPE_I64);
    CHECK_STR(krpc_reader_field_name(r), "");
    CHECK(krpc_reader_i64(r, &large) == KRPC_OK && large == 7);
    CHECK(krpc_reader_field(r, &id, &type) && id == 3 && type == KRPC_TYPE_STRUCT);
    CHECK(krpc_reader_struct_begin(r) == KRPC_OK);
    CHECK(krpc_reader_field(r, &id, NULL) && id == 1);
    CHECK(krpc_reader_i32(r, &number) == KRPC_OK && number == 1);
    CHECK(krpc_reader_struct_end(r) == KRPC_OK);
    CHECK(krpc_reader_field(r, &id, &type) && id == 4 && type == KRPC_TYPE_LIST);
    CHECK(krpc_reader_skip(r) == KRPC_OK);
    CHECK(krpc_reader_field(r, &id, &type) && id == 5 && type == KRPC_TYPE_MAP);
    CHECK(krpc_reader_end(r, NULL) == KRPC_OK);
    krpc_reader_free(r);
    krpc_message_free(message);
    krpc_shape_free(old_shape);
    krpc_shape_free(new_shape);
}

int main(void)
{
    idl = parse(TEXT);
    everything();
    checks();
    unknown();
    krpc_idl_free(idl);
    return end_of_test();
}
