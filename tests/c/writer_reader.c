/* krpc_writer and krpc_reader: everything goes out and comes back; every wrong step and every hostile
 * message is a status, not a crash. */
#include "check.h"

#define BINARY KRPC_ENCODING_THRIFT_BINARY

static krpc_message *message_of(const char *bytes, size_t len)
{
    return krpc_message_copy(BINARY, KRPC_BYTES(bytes, len), NULL);
}

/* A struct with a field of every type. */
static krpc_message *everything(void)
{
    krpc_error *error = NULL;
    krpc_writer *w = krpc_writer_new(BINARY, &error);
    CHECK(w != NULL && error == NULL && krpc_writer_status(w) == KRPC_OK);
    krpc_writer_field_bool(w, 1, true);
    krpc_writer_field_i8(w, 2, INT8_MIN);
    krpc_writer_field_i16(w, 3, INT16_MIN);
    krpc_writer_field_i32(w, 4, INT32_MIN);
    krpc_writer_field_i64(w, 5, INT64_MIN);
    krpc_writer_field_double(w, 6, -0.5);
    krpc_writer_field_string(w, 7, KRPC_STR("text"));
    krpc_writer_field_binary(w, 8, KRPC_BYTES(NULL, 0));
    krpc_writer_field_list(w, 9, KRPC_TYPE_STRING, 2);
    krpc_writer_string(w, KRPC_STR("a"));
    krpc_writer_binary(w, KRPC_BYTES("\xff", 1));
    krpc_writer_field_set(w, 10, KRPC_TYPE_DOUBLE, 1);
    krpc_writer_double(w, 1.5);
    krpc_writer_field_map(w, 11, KRPC_TYPE_I16, KRPC_TYPE_STRUCT, 2);
    for (int16_t key = 1; key <= 2; key++) {
        krpc_writer_i16(w, key);
        krpc_writer_struct_begin(w);
        krpc_writer_field_i64(w, -1, key * 100);
        krpc_writer_struct_end(w);
    }
    krpc_writer_field_struct_begin(w, 12);
    krpc_writer_field(w, 1, KRPC_TYPE_LIST);
    krpc_writer_list(w, KRPC_TYPE_SET, 2);
    krpc_writer_set(w, KRPC_TYPE_MAP, 0);
    krpc_writer_set(w, KRPC_TYPE_MAP, 1);
    krpc_writer_map(w, KRPC_TYPE_BOOL, KRPC_TYPE_I8, 1);
    krpc_writer_bool(w, false);
    krpc_writer_i8(w, 7);
    CHECK(krpc_writer_struct_end(w) == KRPC_OK);
    CHECK(krpc_writer_status(w) == KRPC_OK);
    krpc_message *message = krpc_writer_finish(w, &error);
    CHECK(message != NULL && error == NULL && krpc_message_encoding(message) == BINARY);
    return message;
}

/* Reads it as a C program does, without looking at the status of each step. */
static krpc_status read_everything(const krpc_message *message, int *fields, krpc_error **error)
{
    krpc_reader *r = krpc_reader_new(message, error);
    CHECK(r != NULL);
    bool flag, ok = true;
    int8_t i8;
    int16_t id, i16;
    int32_t type, i32, value_type;
    int64_t i64;
    double real;
    size_t n, m;
    krpc_str text;
    krpc_bytes bytes;
    *fields = 0;
    while (krpc_reader_field(r, &id, &type)) {
        ++*fields;
        switch (id) {
        case 1: krpc_reader_bool(r, &flag); ok = ok && flag; break;
        case 2: krpc_reader_i8(r, &i8); ok = ok && i8 == INT8_MIN; break;
        case 3: krpc_reader_i16(r, &i16); ok = ok && i16 == INT16_MIN; break;
        case 4: krpc_reader_i32(r, &i32); ok = ok && i32 == INT32_MIN; break;
        case 5: krpc_reader_i64(r, &i64); ok = ok && i64 == INT64_MIN; break;
        case 6: krpc_reader_double(r, &real); ok = ok && real < -0.4 && real > -0.6; break;
        case 7: krpc_reader_string(r, &text); ok = ok && equal(text, "text"); break;
        case 8: krpc_reader_binary(r, &bytes); ok = ok && bytes.len == 0; break;
        case 9:
            krpc_reader_list(r, &type, &n);
            ok = ok && type == KRPC_TYPE_STRING && n == 2;
            for (size_t i = 0; i < n; i++) krpc_reader_string(r, &text);
            break;
        case 10:
            krpc_reader_set(r, &type, &n);
            ok = ok && type == KRPC_TYPE_DOUBLE && n == 1;
            for (size_t i = 0; i < n; i++) krpc_reader_double(r, NULL);
            break;
        case 11:
            krpc_reader_map(r, &type, &value_type, &n);
            ok = ok && type == KRPC_TYPE_I16 && value_type == KRPC_TYPE_STRUCT && n == 2;
            for (size_t i = 0; i < n; i++) {
                krpc_reader_i16(r, &i16);
                krpc_reader_struct_begin(r);
                if (krpc_reader_find(r, -1, &type)) krpc_reader_i64(r, &i64);
                ok = ok && i64 == i16 * 100;
                krpc_reader_struct_end(r);
            }
            break;
        case 12:
            krpc_reader_struct_begin(r);
            krpc_reader_field(r, NULL, NULL);
            krpc_reader_list(r, &type, &n);
            krpc_reader_set(r, NULL, &m);
            ok = ok && type == KRPC_TYPE_SET && n == 2 && m == 0;
            krpc_reader_skip(r);
            krpc_reader_struct_end(r);
            break;
        default: ok = false;
        }
    }
    krpc_status status = krpc_reader_end(r, error);
    CHECK(status == krpc_reader_status(r) && (status != KRPC_OK || ok));
    CHECK((status == KRPC_OK) == (krpc_reader_error(r) == NULL));
    krpc_reader_free(r);
    return status;
}

static void there_and_back(void)
{
    krpc_message *message = everything();
    krpc_error *error = NULL;
    int fields;
    CHECK(read_everything(message, &fields, &error) == KRPC_OK && error == NULL && fields == 12);

    /* The same in pieces of one byte. */
    krpc_bytes bytes = krpc_message_bytes(message);
    krpc_bytes *pieces = (krpc_bytes *)calloc(bytes.len, sizeof *pieces);
    for (size_t i = 0; i < bytes.len; i++)
        pieces[i] = KRPC_BYTES(bytes.ptr + i, 1);
    krpc_message *many = krpc_message_from_segments(BINARY, pieces, bytes.len, NULL);
    CHECK(read_everything(many, &fields, NULL) == KRPC_OK && fields == 12);
    krpc_message_free(many);
    free(pieces);

    /* Cut off anywhere it is malformed, and nothing beyond the end is read. */
    for (size_t len = 0; len < bytes.len; len++) {
        char *cut = (char *)malloc(len + 1);
        memcpy(cut, bytes.ptr, len);
        krpc_message *part = krpc_message_wrap(BINARY, KRPC_BYTES(cut, len), cut, free, NULL);
        CHECK(read_everything(part, &fields, &error) == KRPC_STATUS_MALFORMED);
        CHECK_ERROR(error, KRPC_STATUS_MALFORMED, "buffer too short at byte");
        krpc_reader *r = krpc_reader_new(part, NULL);
        CHECK(krpc_reader_end(r, NULL) == KRPC_STATUS_MALFORMED);
        krpc_reader_free(r);
        krpc_message_free(part);
    }
    krpc_message_free(message);
}

/* Views and messages stay valid as long as the documentation says. */
static void lifetimes(void)
{
    krpc_message *message = everything(), *inner = NULL;
    krpc_reader *r = krpc_reader_new(message, NULL);
    krpc_str text;
    CHECK(krpc_reader_find(r, 7, NULL) && krpc_reader_string(r, &text) == KRPC_OK);
    krpc_message_free(message);
    CHECK_STR(text, "text");
    CHECK(krpc_reader_find(r, 12, NULL) && krpc_reader_struct(r, &inner) == KRPC_OK);
    CHECK(krpc_reader_end(r, NULL) == KRPC_OK && krpc_reader_end(r, NULL) == KRPC_OK);
    CHECK_STR(text, "text");
    krpc_reader_free(r);

    /* A struct that was read can be written as it is. */
    krpc_writer *w = krpc_writer_new(BINARY, NULL);
    krpc_writer_field_struct(w, 1, inner);
    krpc_writer_field_list(w, 2, KRPC_TYPE_STRUCT, 2);
    krpc_writer_struct(w, inner);
    krpc_writer_struct(w, inner);
    krpc_message *outer = krpc_writer_finish(w, NULL);
    CHECK(krpc_message_size(outer) == 3 * krpc_message_size(inner) + 3 + 8 + 1);
    krpc_message_free(inner);
    krpc_message_free(outer);
}

enum step {
    END, BOOL, I8, I16, I32, I64, DOUBLE, STRING, BAD_STRING, BAD_BINARY, LIST, SET, MAP, BEGIN, STOP, JSON,
    FIELD, LIST_0, LIST_5, LIST_HUGE, MAP_1_8, FIELD_5, FIELD_VOID, FIELD_LIST_2, FIELD_STRUCT, FIELD_BAD,
    NO_MESSAGE,
};

static krpc_status write_step(krpc_writer *w, enum step step)
{
    krpc_message *json = NULL;
    krpc_status status = KRPC_OK;
    switch (step) {
    case END: break;
    case BOOL: return krpc_writer_bool(w, true);
    case I8: return krpc_writer_i8(w, 1);
    case I16: return krpc_writer_i16(w, 1);
    case I32: return krpc_writer_i32(w, 1);
    case I64: return krpc_writer_i64(w, 1);
    case DOUBLE: return krpc_writer_double(w, 1);
    case STRING: return krpc_writer_string(w, KRPC_STR("x"));
    case BAD_STRING: return krpc_writer_field_string(w, 1, (krpc_str){NULL, 1});
    case BAD_BINARY: return krpc_writer_field_binary(w, 1, KRPC_BYTES(NULL, 1));
    case LIST: return krpc_writer_list(w, KRPC_TYPE_I32, 1);
    case SET: return krpc_writer_set(w, KRPC_TYPE_I32, 1);
    case MAP: return krpc_writer_map(w, KRPC_TYPE_I32, KRPC_TYPE_I32, 1);
    case BEGIN: return krpc_writer_struct_begin(w);
    case STOP: return krpc_writer_struct_end(w);
    case FIELD: return krpc_writer_field(w, 1, KRPC_TYPE_I32);
    case LIST_0: return krpc_writer_field_list(w, 1, KRPC_TYPE_STOP, 0);
    case LIST_5: return krpc_writer_field_list(w, 1, 5, 0);
    case LIST_HUGE: return krpc_writer_field_list(w, 1, KRPC_TYPE_BOOL, (size_t)1 << 31);
    case MAP_1_8: return krpc_writer_field_map(w, 1, KRPC_TYPE_VOID, KRPC_TYPE_I32, 0);
    case FIELD_5: return krpc_writer_field(w, 1, -5);
    case FIELD_VOID: return krpc_writer_field(w, 1, KRPC_TYPE_VOID);
    case FIELD_LIST_2: return krpc_writer_field_list(w, 1, KRPC_TYPE_I32, 2);
    case FIELD_STRUCT: return krpc_writer_field_struct_begin(w, 1);
    case FIELD_BAD: {
        krpc_message *bad = message_of("\x08\0", 2);
        status = krpc_writer_field_struct(w, 1, bad);
        krpc_message_free(bad);
        return status;
    }
    case JSON:
        json = krpc_message_copy(KRPC_ENCODING_JSON, KRPC_BYTES("{}", 2), NULL);
        status = krpc_writer_field_struct(w, 1, json);
        krpc_message_free(json);
        return status;
    case NO_MESSAGE: return krpc_writer_field_struct(w, 1, NULL);
    }
    return status;
}

static void wrong_writes(void)
{
    const struct {
        enum step steps[6];
        krpc_status status;
        const char *text;
    } cases[] = {
        {{BOOL}, KRPC_STATUS_INVALID_STATE, "no value is due: a field comes first"},
        {{FIELD, BOOL}, KRPC_STATUS_TYPE_MISMATCH, "field 1: its type is i32, not bool"},
        {{FIELD, I8}, KRPC_STATUS_TYPE_MISMATCH, "not i8"},
        {{FIELD, I16}, KRPC_STATUS_TYPE_MISMATCH, "not i16"},
        {{FIELD, I64}, KRPC_STATUS_TYPE_MISMATCH, "not i64"},
        {{FIELD, DOUBLE}, KRPC_STATUS_TYPE_MISMATCH, "not double"},
        {{FIELD, STRING}, KRPC_STATUS_TYPE_MISMATCH, "not string"},
        {{FIELD, LIST}, KRPC_STATUS_TYPE_MISMATCH, "not list"},
        {{FIELD, SET}, KRPC_STATUS_TYPE_MISMATCH, "not set"},
        {{FIELD, MAP}, KRPC_STATUS_TYPE_MISMATCH, "not map"},
        {{FIELD, BEGIN}, KRPC_STATUS_TYPE_MISMATCH, "not struct"},
        {{FIELD, I32, I32}, KRPC_STATUS_INVALID_STATE, "field 1: no value is due"},
        {{FIELD, FIELD}, KRPC_STATUS_INVALID_STATE, "field 1: its value, of type i32, is missing"},
        {{FIELD}, KRPC_STATUS_INVALID_STATE, "field 1: its value, of type i32, is missing"},
        {{FIELD_LIST_2, I32}, KRPC_STATUS_INVALID_STATE, "field 1[1]: the list has 1 of 2 elements"},
        {{FIELD_LIST_2, I32, I32, I32}, KRPC_STATUS_INVALID_STATE, "field 1: no value is due"},
        {{FIELD_LIST_2, I32, FIELD}, KRPC_STATUS_INVALID_STATE, "the list has 1 of 2 elements"},
        {{FIELD_LIST_2, STOP}, KRPC_STATUS_INVALID_STATE, "the list has 0 of 2 elements"},
        {{FIELD_LIST_2, I64}, KRPC_STATUS_TYPE_MISMATCH, "field 1[0]: its type is i32, not i64"},
        {{FIELD_STRUCT, FIELD, I32}, KRPC_STATUS_INVALID_STATE, "field 1.1: its struct has not ended"},
        {{FIELD_STRUCT, FIELD, STOP}, KRPC_STATUS_INVALID_STATE, "field 1.1: its value, of type i32"},
        {{FIELD_STRUCT, STOP, STOP}, KRPC_STATUS_INVALID_STATE, "no struct was begun that could end"},
        {{LIST_0}, KRPC_STATUS_INVALID_ARGUMENT, "stop is not the type of a value"},
        {{LIST_5}, KRPC_STATUS_INVALID_ARGUMENT, "element_type: 5 is no krpc_type"},
        {{LIST_HUGE}, KRPC_STATUS_ENCODE_FAILED, "2147483648 bytes or elements"},
        {{MAP_1_8}, KRPC_STATUS_INVALID_ARGUMENT, "void is not the type of a value"},
        {{FIELD_5}, KRPC_STATUS_INVALID_ARGUMENT, "type: -5 is no krpc_type"},
        {{FIELD_VOID}, KRPC_STATUS_INVALID_ARGUMENT, "void is not the type of a value"},
        {{BAD_STRING}, KRPC_STATUS_INVALID_ARGUMENT, "value: pointer is NULL but length is not 0"},
        {{BAD_BINARY}, KRPC_STATUS_INVALID_ARGUMENT, "value: pointer is NULL but length is not 0"},
        {{FIELD_BAD}, KRPC_STATUS_MALFORMED, "field 1, encoded: buffer too short at byte 1"},
        {{JSON}, KRPC_STATUS_UNSUPPORTED, "not Thrift Binary: encoding 4"},
        {{NO_MESSAGE}, KRPC_STATUS_INVALID_ARGUMENT, "message: is NULL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        krpc_writer *w = krpc_writer_new(BINARY, NULL);
        for (int step = 0; cases[i].steps[step] != END; step++)
            write_step(w, cases[i].steps[step]);
        /* What was found sticks; what is missing only shows at the end. */
        if (krpc_writer_status(w) != KRPC_OK) {
            CHECK(krpc_writer_status(w) == cases[i].status);
            CHECK(krpc_writer_field_i32(w, 9, 1) == cases[i].status);
        }
        krpc_error *error = NULL;
        CHECK(krpc_writer_finish(w, &error) == NULL);
        CHECK_ERROR(error, cases[i].status, cases[i].text);
    }
}

static void depth(void)
{
    for (int levels = 63; levels <= 65; levels++) {
        krpc_writer *w = krpc_writer_new(BINARY, NULL);
        char bytes[4 * 66];
        size_t len = 0;
        for (int i = 1; i < levels; i++) {
            krpc_writer_field_struct_begin(w, 1);
            memcpy(bytes + len, "\x0c\0\x01", 3);
            len += 3;
        }
        for (int i = 1; i < levels; i++)
            krpc_writer_struct_end(w);
        memset(bytes + len, 0, (size_t)levels);
        len += (size_t)levels;
        krpc_error *error = NULL;
        krpc_message *written = krpc_writer_finish(w, &error);
        CHECK((written != NULL) == (levels <= 64));
        if (levels > 64)
            CHECK_ERROR(error, KRPC_STATUS_CODEC_LIMIT, "depth limit exceeded");
        krpc_message_free(written);

        krpc_status expected = levels <= 64 ? KRPC_OK : KRPC_STATUS_CODEC_LIMIT;
        krpc_message *message = message_of(bytes, len);
        krpc_reader *skipping = krpc_reader_new(message, NULL), *stepping = krpc_reader_new(message, NULL);
        CHECK(krpc_reader_end(skipping, NULL) == expected);
        int depth = 1;
        while (krpc_reader_field(stepping, NULL, NULL) && krpc_reader_struct_begin(stepping) == KRPC_OK)
            depth++;
        CHECK(depth == (levels < 64 ? levels : 64));
        while (--depth > 0)
            krpc_reader_struct_end(stepping);
        CHECK(krpc_reader_end(stepping, NULL) == expected);
        krpc_reader_free(skipping);
        krpc_reader_free(stepping);
        krpc_message_free(message);
    }
}

/* Counts and lengths that a peer made up. */
static void hostile(void)
{
    const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        {"\x0f\0\x01\x02\x7f\xff\xff\xff\x01\0", 10, "buffer too short"},
        {"\x0f\0\x01\x0c\x80\0\0\0\0", 9, "invalid data length"},
        {"\x0f\0\x01\0\x7f\xff\xff\xff\0", 9, "unknown data type 0"},
        {"\x0f\0\x01\x01\x7f\xff\xff\xff\0", 9, "unknown data type 1"},
        {"\x0e\0\x01\x0b\x7f\xff\xff\xff\0", 9, "buffer too short"},
        {"\x0d\0\x01\x02\x02\x7f\xff\xff\xff\x01\x01\0", 12, "buffer too short"},
        {"\x0d\0\x01\x02\x02\xff\xff\xff\xff\0", 10, "invalid data length"},
        {"\x0b\0\x01\x7f\xff\xff\xff\0", 8, "buffer too short"},
        {"\x0b\0\x01\xff\xff\xff\xff\0", 8, "invalid data length"},
        {"\x05\0\x01\0", 4, "unknown data type 5"},
        {"\0\0", 2, "1 bytes after the struct"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        krpc_message *message = message_of(cases[i].bytes, cases[i].len);
        krpc_reader *r = krpc_reader_new(message, NULL);
        int32_t type;
        size_t n = 7;
        krpc_str text = KRPC_STR("old");
        while (krpc_reader_field(r, NULL, &type)) {
            if (type == KRPC_TYPE_LIST) krpc_reader_list(r, NULL, &n);
            if (type == KRPC_TYPE_SET) krpc_reader_set(r, NULL, &n);
            if (type == KRPC_TYPE_MAP) krpc_reader_map(r, NULL, NULL, &n);
            if (type == KRPC_TYPE_STRING) krpc_reader_string(r, &text);
            CHECK(n == 0 || text.len == 0);
        }
        krpc_error *error = NULL;
        CHECK(krpc_reader_end(r, &error) == KRPC_STATUS_MALFORMED);
        CHECK(contains(krpc_error_text(krpc_reader_error(r)), cases[i].text));
        CHECK_ERROR(error, KRPC_STATUS_MALFORMED, cases[i].text);
        krpc_reader_free(r);
        krpc_message_free(message);
    }
}

static void wrong_reads(void)
{
    krpc_message *message = everything();
    krpc_error *error = NULL;
    krpc_message *none = (krpc_message *)(void *)&error;
    bool flag = true;
    int8_t i8 = 7;
    int16_t i16 = 7, id = 7;
    int32_t i32 = 7, type = 7, other = 7;
    int64_t i64 = 7;
    double real = 7;
    size_t n = 7;
    krpc_str text = KRPC_STR("old");
    krpc_bytes bytes = KRPC_BYTES("old", 3);

    /* The first failure sticks, and each output after it is cleared. */
    krpc_reader *r = krpc_reader_new(message, NULL);
    CHECK(krpc_reader_i32(r, &i32) == KRPC_STATUS_INVALID_STATE && i32 == 0);
    CHECK(krpc_reader_bool(r, &flag) == KRPC_STATUS_INVALID_STATE && !flag);
    CHECK(krpc_reader_i8(r, &i8) == KRPC_STATUS_INVALID_STATE && i8 == 0);
    CHECK(krpc_reader_i16(r, &i16) == KRPC_STATUS_INVALID_STATE && i16 == 0);
    CHECK(krpc_reader_i64(r, &i64) == KRPC_STATUS_INVALID_STATE && i64 == 0);
    CHECK(krpc_reader_double(r, &real) == KRPC_STATUS_INVALID_STATE && real < 0.1 && real > -0.1);
    CHECK(krpc_reader_string(r, &text) == KRPC_STATUS_INVALID_STATE && text.len == 0);
    CHECK(krpc_reader_binary(r, &bytes) == KRPC_STATUS_INVALID_STATE && bytes.len == 0);
    CHECK(krpc_reader_list(r, &type, &n) == KRPC_STATUS_INVALID_STATE && type == 0 && n == 0);
    type = 7, n = 7;
    CHECK(krpc_reader_set(r, &type, &n) == KRPC_STATUS_INVALID_STATE && type == 0 && n == 0);
    type = 7, n = 7;
    CHECK(krpc_reader_map(r, &type, &other, &n) == KRPC_STATUS_INVALID_STATE && type == 0 && other == 0 && n == 0);
    CHECK(krpc_reader_struct(r, &none) == KRPC_STATUS_INVALID_STATE && none == NULL);
    type = 7;
    CHECK(!krpc_reader_field(r, &id, &type) && id == 0 && type == 0);
    type = 7;
    CHECK(!krpc_reader_find(r, 1, &type) && type == 0);
    CHECK(krpc_reader_struct_begin(r) == KRPC_STATUS_INVALID_STATE);
    CHECK(krpc_reader_struct_end(r) == KRPC_STATUS_INVALID_STATE);
    CHECK(krpc_reader_skip(r) == KRPC_STATUS_INVALID_STATE);
    CHECK(krpc_reader_status(r) == KRPC_STATUS_INVALID_STATE);
    CHECK_STR(krpc_error_text(krpc_reader_error(r)),
              "outermost struct: no value is due: a field comes first (byte 0)");
    CHECK(krpc_reader_end(r, &error) == KRPC_STATUS_INVALID_STATE);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_STATE, "no value is due");
    krpc_reader_free(r);

    /* Each field read as a bool, or the bool as an i8. */
    for (int16_t field = 1; field <= 12; field++) {
        r = krpc_reader_new(message, NULL);
        CHECK(krpc_reader_find(r, field, NULL));
        krpc_status status = field == 1 ? krpc_reader_i8(r, NULL) : krpc_reader_bool(r, NULL);
        CHECK(status == KRPC_STATUS_TYPE_MISMATCH);
        CHECK(krpc_reader_end(r, &error) == KRPC_STATUS_TYPE_MISMATCH);
        CHECK_ERROR(error, KRPC_STATUS_TYPE_MISMATCH, field == 1 ? "field 1: its type is bool, not i8" : "not bool");
        krpc_reader_free(r);
    }

    /* Containers and structs that were left before their end. */
    r = krpc_reader_new(message, NULL);
    CHECK(krpc_reader_find(r, 9, NULL) && krpc_reader_list(r, NULL, NULL) == KRPC_OK);
    krpc_reader_skip(r);
    CHECK(!krpc_reader_field(r, NULL, NULL));
    CHECK(krpc_reader_end(r, &error) == KRPC_STATUS_INVALID_STATE);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_STATE, "field 9[1]: the list has 1 of 2 elements");
    krpc_reader_free(r);
    r = krpc_reader_new(message, NULL);
    CHECK(krpc_reader_find(r, 12, NULL) && krpc_reader_struct_begin(r) == KRPC_OK);
    CHECK(krpc_reader_end(r, &error) == KRPC_STATUS_INVALID_STATE);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_STATE, "its struct has not ended");
    krpc_reader_free(r);
    r = krpc_reader_new(message, NULL);
    CHECK(krpc_reader_struct_end(r) == KRPC_STATUS_INVALID_STATE);
    krpc_reader_free(r);
    r = krpc_reader_new(message, NULL);
    CHECK(krpc_reader_find(r, 12, NULL) && krpc_reader_struct(r, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_reader_status(r) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_reader_free(r);

    /* What is not found, or has passed, leaves the reader at the end. */
    r = krpc_reader_new(message, NULL);
    CHECK(!krpc_reader_find(r, 99, &type) && !krpc_reader_find(r, 1, NULL));
    CHECK(!krpc_reader_field(r, NULL, NULL) && krpc_reader_end(r, NULL) == KRPC_OK);
    krpc_reader_free(r);
    krpc_message_free(message);
}

static void other_encodings(void)
{
    const int32_t others[] = {KRPC_ENCODING_RAW,  KRPC_ENCODING_THRIFT_COMPACT, KRPC_ENCODING_PROTOBUF,
                              KRPC_ENCODING_JSON, 99, -1};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        krpc_error *error = NULL;
        CHECK(krpc_writer_new(others[i], &error) == NULL);
        CHECK_ERROR(error, KRPC_STATUS_UNSUPPORTED, "encoding: no writer for");
        krpc_message *message = krpc_message_copy(others[i], KRPC_BYTES("\0", 1), NULL);
        CHECK(krpc_reader_new(message, &error) == NULL);
        CHECK_ERROR(error, KRPC_STATUS_UNSUPPORTED, "not Thrift Binary");
        krpc_message_free(message);
    }
}

static void null(void)
{
    const krpc_status bad = KRPC_STATUS_INVALID_ARGUMENT;
    const krpc_str text = krpc_cstr(NULL);
    const krpc_bytes bytes = KRPC_BYTES(NULL, 0);
    krpc_error *error = NULL;
    CHECK(krpc_writer_field(NULL, 1, KRPC_TYPE_I32) == bad && krpc_writer_bool(NULL, true) == bad);
    CHECK(krpc_writer_i8(NULL, 1) == bad && krpc_writer_i16(NULL, 1) == bad && krpc_writer_i32(NULL, 1) == bad);
    CHECK(krpc_writer_i64(NULL, 1) == bad && krpc_writer_double(NULL, 1) == bad);
    CHECK(krpc_writer_string(NULL, text) == bad && krpc_writer_binary(NULL, bytes) == bad);
    CHECK(krpc_writer_list(NULL, 2, 1) == bad && krpc_writer_set(NULL, 2, 1) == bad);
    CHECK(krpc_writer_map(NULL, 2, 2, 1) == bad && krpc_writer_struct(NULL, NULL) == bad);
    CHECK(krpc_writer_struct_begin(NULL) == bad && krpc_writer_struct_end(NULL) == bad);
    CHECK(krpc_writer_field_bool(NULL, 1, true) == bad && krpc_writer_field_i8(NULL, 1, 1) == bad);
    CHECK(krpc_writer_field_i16(NULL, 1, 1) == bad && krpc_writer_field_i32(NULL, 1, 1) == bad);
    CHECK(krpc_writer_field_i64(NULL, 1, 1) == bad && krpc_writer_field_double(NULL, 1, 1) == bad);
    CHECK(krpc_writer_field_string(NULL, 1, text) == bad && krpc_writer_field_binary(NULL, 1, bytes) == bad);
    CHECK(krpc_writer_field_list(NULL, 1, 2, 1) == bad && krpc_writer_field_set(NULL, 1, 2, 1) == bad);
    CHECK(krpc_writer_field_map(NULL, 1, 2, 2, 1) == bad && krpc_writer_field_struct_begin(NULL, 1) == bad);
    CHECK(krpc_writer_field_struct(NULL, 1, NULL) == bad && krpc_writer_status(NULL) == bad);
    CHECK(krpc_writer_finish(NULL, NULL) == NULL && krpc_writer_finish(NULL, &error) == NULL);
    CHECK_ERROR(error, bad, "writer: is NULL");
    CHECK(krpc_writer_new(-1, NULL) == NULL);
    krpc_writer_free(NULL);

    CHECK(krpc_reader_new(NULL, NULL) == NULL && krpc_reader_new(NULL, &error) == NULL);
    CHECK_ERROR(error, bad, "message: is NULL");
    CHECK(!krpc_reader_field(NULL, NULL, NULL) && !krpc_reader_find(NULL, 1, NULL));
    CHECK(krpc_reader_bool(NULL, NULL) == bad && krpc_reader_i8(NULL, NULL) == bad);
    CHECK(krpc_reader_i16(NULL, NULL) == bad && krpc_reader_i32(NULL, NULL) == bad);
    CHECK(krpc_reader_i64(NULL, NULL) == bad && krpc_reader_double(NULL, NULL) == bad);
    CHECK(krpc_reader_string(NULL, NULL) == bad && krpc_reader_binary(NULL, NULL) == bad);
    CHECK(krpc_reader_list(NULL, NULL, NULL) == bad && krpc_reader_set(NULL, NULL, NULL) == bad);
    CHECK(krpc_reader_map(NULL, NULL, NULL, NULL) == bad && krpc_reader_struct(NULL, NULL) == bad);
    CHECK(krpc_reader_struct_begin(NULL) == bad && krpc_reader_struct_end(NULL) == bad);
    CHECK(krpc_reader_skip(NULL) == bad && krpc_reader_status(NULL) == bad);
    CHECK(krpc_reader_error(NULL) == NULL && krpc_reader_end(NULL, &error) == bad);
    CHECK_ERROR(error, bad, "reader: is NULL");
    krpc_reader_free(NULL);
}

int main(void)
{
    there_and_back();
    lifetimes();
    wrong_writes();
    depth();
    hostile();
    wrong_reads();
    other_encodings();
    null();
    return end_of_test();
}
