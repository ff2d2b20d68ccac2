/* Readers and writers with a shape: fields by name, checked against the IDL. */
#include "idl.h"

static krpc_idl *idl;

static krpc_shape *shape_of(const char *name)
{
    krpc_shape *shape = krpc_idl_struct(idl, krpc_cstr(name), NULL);
    CHECK(shape != NULL);
    return shape;
}

static void part(krpc_writer *w, const char *name)
{
    krpc_writer_struct_begin(w);
    krpc_writer_field_name(w, KRPC_STR("name"));
    krpc_writer_string(w, krpc_cstr(name));
    krpc_writer_struct_end(w);
}

/* Every kind of field, in any order. */
static krpc_message *build(const krpc_shape *shape)
{
    krpc_writer *w = krpc_writer_new_typed(shape, NULL);
    krpc_writer_field_name(w, KRPC_STR("must"));
    krpc_writer_string(w, KRPC_STR("\xc3\xa4"));
    krpc_writer_field_name(w, KRPC_STR("large"));
    krpc_writer_i64(w, INT64_MIN);
    krpc_writer_field_name(w, KRPC_STR("flag"));
    krpc_writer_bool(w, true);
    krpc_writer_field_name(w, KRPC_STR("bytes"));
    krpc_writer_binary(w, KRPC_BYTES("\0\xff", 2));
    krpc_writer_field_name(w, KRPC_STR("color"));
    krpc_writer_enum(w, KRPC_STR("BLUE"));
    krpc_writer_field_name(w, KRPC_STR("parts"));
    krpc_writer_list(w, 0, 2);
    part(w, "a");
    part(w, "b");
    krpc_writer_field_name(w, KRPC_STR("marks"));
    krpc_writer_set(w, KRPC_TYPE_I32, 1);
    krpc_writer_i32(w, 7);
    krpc_writer_field_name(w, KRPC_STR("names"));
    krpc_writer_map(w, 0, 0, 1);
    krpc_writer_i64(w, 9007199254740993);
    krpc_writer_string(w, KRPC_STR("odd"));
    krpc_writer_field_struct_begin(w, 13); /* by id works too */
    krpc_writer_field_name(w, KRPC_STR("number"));
    krpc_writer_i64(w, 5);
    krpc_writer_struct_end(w);
    krpc_error *error = NULL;
    krpc_message *message = krpc_writer_finish(w, &error);
    CHECK_ERROR(error, KRPC_OK, "");
    return message;
}

static void read_all(const krpc_message *message, const krpc_shape *shape)
{
    krpc_reader *r = krpc_reader_new_typed(message, shape, NULL);
    krpc_str text = {NULL, 0};
    int64_t large = 0;
    int32_t type = 0, number = 0;
    size_t count = 0;
    CHECK(krpc_reader_find_name(r, KRPC_STR("names"), &type) && type == KRPC_TYPE_MAP);
    CHECK(krpc_reader_map(r, NULL, NULL, &count) == KRPC_OK && count == 1);
    CHECK(krpc_reader_i64(r, &large) == KRPC_OK && large == 9007199254740993);
    CHECK(krpc_reader_string(r, &text) == KRPC_OK);
    CHECK_STR(text, "odd");
    CHECK(krpc_reader_find_name(r, KRPC_STR("color"), NULL));
    CHECK_STR(krpc_reader_field_name(r), "color");
    CHECK(krpc_reader_enum(r, &number, &text) == KRPC_OK && number == 2);
    CHECK_STR(text, "BLUE");
    CHECK(krpc_reader_find_name(r, KRPC_STR("large"), NULL));
    CHECK(krpc_reader_i64(r, &large) == KRPC_OK && large == INT64_MIN);
    double real = 1;
    CHECK(krpc_reader_find_name(r, KRPC_STR("real"), NULL)); /* not optional: the writer filled it in */
    CHECK(krpc_reader_double(r, &real) == KRPC_OK && real == 0);
    CHECK(krpc_reader_find_name(r, KRPC_STR("parts"), NULL));
    CHECK(krpc_reader_list(r, &type, &count) == KRPC_OK && count == 2);
    for (size_t i = 0; i < count; i++) {
        krpc_reader_struct_begin(r);
        CHECK(krpc_reader_find_name(r, KRPC_STR("size"), NULL)); /* the writer filled in the default */
        CHECK(krpc_reader_i32(r, &number) == KRPC_OK && number == 3);
        CHECK(krpc_reader_find_name(r, KRPC_STR("name"), NULL));
        krpc_reader_string(r, &text);
        CHECK_STR(text, i == 0 ? "a" : "b");
        krpc_reader_struct_end(r);
    }
    CHECK(krpc_reader_find_name(r, KRPC_STR("must"), NULL));
    CHECK(krpc_reader_end(r, NULL) == KRPC_OK);
    krpc_reader_free(r);

    /* One after the other, with their names. */
    r = krpc_reader_new_typed(message, shape, NULL);
    static const char *const names[] = {"must", "large", "flag", "bytes", "color", "parts", "marks",
                                        "names", "either", "tiny", "small", "middle", "real", "text", "base", "other"};
    CHECK_STR(krpc_reader_field_name(r), "");
    for (size_t i = 0; i < LEN(names); i++) {
        CHECK(krpc_reader_field(r, NULL, NULL));
        CHECK_STR(krpc_reader_field_name(r), names[i]);
    }
    CHECK(!krpc_reader_field(r, NULL, NULL));
    CHECK(krpc_reader_end(r, NULL) == KRPC_OK);
    krpc_reader_free(r);
}

#define WRITE_FAILS(shape_name, status, part, ...)                              \
    do {                                                                        \
        krpc_shape *shape_ = shape_of(shape_name);                              \
        krpc_writer *w = krpc_writer_new_typed(shape_, NULL);                   \
        __VA_ARGS__;                                                            \
        NOT_MADE(status, part, krpc_writer_finish(w, &error));                  \
        krpc_shape_free(shape_);                                                \
    } while (0)

static void wrong_writes(void)
{
    WRITE_FAILS("All", KRPC_STATUS_INVALID_ARGUMENT, "All has no field txt; did you mean text?",
                krpc_writer_field_name(w, KRPC_STR("txt")); krpc_writer_string(w, KRPC_STR("")));
    WRITE_FAILS("All", KRPC_STATUS_INVALID_ARGUMENT, "name", krpc_writer_field_name(w, (krpc_str){NULL, 1}));
    WRITE_FAILS("All", KRPC_STATUS_UNKNOWN_FIELD, "All has no field 99", krpc_writer_field_i32(w, 99, 1));
    WRITE_FAILS("All", KRPC_STATUS_TYPE_MISMATCH, "field middle: its type is i32 in the IDL, not i64",
                krpc_writer_field_i64(w, 4, 1));
    WRITE_FAILS("All", KRPC_STATUS_TYPE_MISMATCH, "field middle: its type is i32, not string",
                krpc_writer_field_name(w, KRPC_STR("middle")); krpc_writer_string(w, KRPC_STR("")));
    WRITE_FAILS("All", KRPC_STATUS_INVALID_STATE, "field flag: the field was written before",
                krpc_writer_field_bool(w, 1, true); krpc_writer_field_bool(w, 1, true));
    WRITE_FAILS("All", KRPC_STATUS_MISSING_FIELD, "field must is missing", (void)w);
    WRITE_FAILS("All", KRPC_STATUS_MISSING_FIELD, "field parts[1] (Part): field name is missing",
                krpc_writer_field_name(w, KRPC_STR("parts")); krpc_writer_list(w, 0, 2); part(w, "a");
                krpc_writer_struct_begin(w); krpc_writer_struct_end(w));
    WRITE_FAILS("Either", KRPC_STATUS_MISSING_FIELD, "a union has exactly one field, this has 2",
                krpc_writer_field_string(w, 1, KRPC_STR("")); krpc_writer_field_i64(w, 2, 1));
    WRITE_FAILS("All", KRPC_STATUS_TYPE_MISMATCH, "Color has no value BLU; did you mean BLUE?",
                krpc_writer_field_name(w, KRPC_STR("color")); krpc_writer_enum(w, KRPC_STR("BLU")));
    WRITE_FAILS("All", KRPC_STATUS_TYPE_MISMATCH, "field parts: its elements are struct in the IDL, not i32",
                krpc_writer_field_list(w, 10, KRPC_TYPE_I32, 1));
    WRITE_FAILS("All", KRPC_STATUS_INVALID_STATE, "no value is due", krpc_writer_enum(w, KRPC_STR("BLUE")));

    /* Without a shape there are no names. */
    krpc_writer *w = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    CHECK(krpc_writer_field_name(w, KRPC_STR("text")) == KRPC_STATUS_INVALID_STATE);
    NOT_MADE(KRPC_STATUS_INVALID_STATE, "only with a shape", krpc_writer_finish(w, &error));
    w = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    CHECK(krpc_writer_field_list(w, 1, 0, 1) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_writer_free(w);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "shape", krpc_writer_new_typed(NULL, &error));
    CHECK(krpc_writer_field_name(NULL, KRPC_STR("x")) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_writer_enum(NULL, KRPC_STR("x")) == KRPC_STATUS_INVALID_ARGUMENT);
}

static void wrong_reads(void)
{
    krpc_shape *all = shape_of("All");
    krpc_message *message = build(all);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "message", krpc_reader_new_typed(NULL, all, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "shape", krpc_reader_new_typed(message, NULL, &error));
    CHECK(!krpc_reader_find_name(NULL, KRPC_STR("x"), NULL));
    CHECK_STR(krpc_reader_field_name(NULL), "");
    CHECK(krpc_reader_enum(NULL, NULL, NULL) == KRPC_STATUS_INVALID_ARGUMENT);

    krpc_reader *r = krpc_reader_new_typed(message, all, NULL);
    CHECK(!krpc_reader_find_name(r, KRPC_STR("lagre"), NULL));
    FAILS(KRPC_STATUS_INVALID_ARGUMENT, "did you mean large?", krpc_reader_end(r, &error));
    krpc_reader_free(r);
    r = krpc_reader_new_typed(message, all, NULL);
    CHECK(!krpc_reader_find_name(r, (krpc_str){NULL, 1}, NULL));
    CHECK(krpc_reader_status(r) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_reader_free(r);
    r = krpc_reader_new_typed(message, all, NULL);
    krpc_reader_find_name(r, KRPC_STR("large"), NULL);
    int32_t number = 1;
    CHECK(krpc_reader_enum(r, &number, NULL) == KRPC_STATUS_TYPE_MISMATCH && number == 0);
    krpc_reader_free(r);
    r = krpc_reader_new(message, NULL);
    CHECK(!krpc_reader_find_name(r, KRPC_STR("large"), NULL));
    FAILS(KRPC_STATUS_INVALID_STATE, "only with a shape", krpc_reader_end(r, &error));
    krpc_reader_free(r);
    krpc_message_free(message);

    /* Another struct's bytes. */
    message = text_message(4, KRPC_STR("no number"));
    r = krpc_reader_new_typed(message, all, NULL);
    CHECK(!krpc_reader_find_name(r, KRPC_STR("middle"), NULL));
    FAILS(KRPC_STATUS_TYPE_MISMATCH, "field middle: its type is i32 in the IDL, not string", krpc_reader_end(r, &error));
    krpc_reader_free(r);
    krpc_message_free(message);
    message = text_message(7, KRPC_STR("text"));
    r = krpc_reader_new_typed(message, all, NULL);
    int32_t type = 1;
    CHECK(!krpc_reader_find_name(r, KRPC_STR("real"), &type) && type == 0);
    CHECK(krpc_reader_find_name(r, KRPC_STR("text"), &type) && type == KRPC_TYPE_STRING);
    FAILS(KRPC_STATUS_MISSING_FIELD, "field must is missing", krpc_reader_end(r, &error));
    krpc_reader_free(r);
    krpc_message_free(message);
    krpc_shape_free(all);
}

/* Arguments and results come without the struct around them. */
static void calls(void)
{
    krpc_shape *request = krpc_idl_request(idl, KRPC_STR("Text"), NULL);
    krpc_shape *result = krpc_idl_result(idl, KRPC_STR("Text"), NULL);
    krpc_writer *w = krpc_writer_new_typed(request, NULL);
    krpc_writer_string(w, KRPC_STR("hi"));
    krpc_message *message = krpc_writer_finish(w, NULL);
    CHECK(is_text(message, 1, KRPC_STR("hi")));
    NOT_MADE(KRPC_STATUS_MISSING_FIELD, "no result", krpc_reader_new_typed(message, result, &error));
    krpc_reader *r = krpc_reader_new_typed(message, request, NULL);
    krpc_str text = {NULL, 0};
    CHECK(krpc_reader_string(r, &text) == KRPC_OK);
    CHECK_STR(text, "hi");
    CHECK(krpc_reader_end(r, NULL) == KRPC_OK);
    krpc_reader_free(r);
    krpc_message_free(message);
    w = krpc_writer_new_typed(request, NULL);
    NOT_MADE(KRPC_STATUS_INVALID_STATE, "value: its value, of type string, is missing", krpc_writer_finish(w, &error));
    krpc_shape_free(result);
    krpc_shape_free(request);

    /* A tree, as deep as it may be. */
    request = krpc_idl_request(idl, KRPC_STR("Grow"), NULL);
    for (int depth = 31; depth <= 32; depth++) {
        w = krpc_writer_new_typed(request, NULL);
        for (int i = 0; i < depth; i++) {
            krpc_writer_field_name(w, KRPC_STR("name"));
            krpc_writer_string(w, KRPC_STR("n"));
            krpc_writer_field_name(w, KRPC_STR("kids"));
            krpc_writer_list(w, 0, 1);
            krpc_writer_struct_begin(w);
        }
        krpc_writer_field_name(w, KRPC_STR("name"));
        krpc_writer_string(w, KRPC_STR("leaf"));
        for (int i = 0; i < depth; i++)
            krpc_writer_struct_end(w);
        message = krpc_writer_finish(w, NULL);
        CHECK((message != NULL) == (depth == 31));
        if (message == NULL)
            continue;
        krpc_message *json = krpc_message_to_json(message, request, NULL, NULL);
        CHECK(json != NULL && contains(text_of(json), "{\"name\":\"leaf\"}"));
        krpc_message_free(json);
        krpc_message_free(message);
    }
    krpc_shape_free(request);
}

int main(void)
{
    idl = parse(MAIN_IDL);
    krpc_shape *all = shape_of("All");
    krpc_message *message = build(all);
    read_all(message, all);
    krpc_message *json = krpc_message_to_json(message, all, NULL, NULL);
    CHECK(contains(text_of(json), "\"parts\":[{\"name\":\"a\",\"size\":3},{\"name\":\"b\",\"size\":3}]"));
    CHECK(contains(text_of(json), "\"bytes\":\"AP8=\"") && contains(text_of(json), "\"9007199254740993\":\"odd\""));
    krpc_message_free(json);
    krpc_message_free(message);
    krpc_shape_free(all);
    wrong_writes();
    wrong_reads();
    calls();
    krpc_idl_free(idl);
    return end_of_test();
}
