#include "contract.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The quotes and angle brackets make Go's JSON encoder escape; é is two bytes and must not be. */
const struct string_pair biz_extra[BIZ_EXTRA_COUNT] = {
    {{"k", 1}, {"v", 1}},
    {{"quote", 5}, {"<\"\xc3\xa9>", 5}},
};

/* ---- Writing ------------------------------------------------------------------------------ */

static krpc_writer *begin(void)
{
    return krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
}

static krpc_message *finish(struct scope *s, krpc_writer *w)
{
    krpc_error *error = NULL;
    krpc_message *message = krpc_writer_finish(w, &error);
    if (message == NULL) {
        krpc_str text = krpc_error_describe(error);
        fprintf(stderr, "cannot write: %.*s\n", (int)text.len, text.ptr);
        abort();
    }
    return scope_message(s, message);
}

krpc_message *write_string(struct scope *s, int16_t id, krpc_str value)
{
    krpc_writer *w = begin();
    krpc_writer_field_string(w, id, value);
    return finish(s, w);
}

krpc_message *write_binary(struct scope *s, int16_t id, krpc_bytes value)
{
    krpc_writer *w = begin();
    krpc_writer_field_binary(w, id, value);
    return finish(s, w);
}

krpc_message *write_i32(struct scope *s, int16_t id, int32_t value)
{
    krpc_writer *w = begin();
    krpc_writer_field_i32(w, id, value);
    return finish(s, w);
}

krpc_message *write_i64(struct scope *s, int16_t id, int64_t value)
{
    krpc_writer *w = begin();
    krpc_writer_field_i64(w, id, value);
    return finish(s, w);
}

krpc_message *write_note(struct scope *s, int16_t id, const struct note *value)
{
    krpc_writer *w = begin();
    krpc_writer_field_struct_begin(w, id);
    krpc_writer_field_string(w, 1, value->message);
    if (value->has_payload)
        krpc_writer_field_binary(w, 2, value->payload);
    krpc_writer_struct_end(w);
    return finish(s, w);
}

krpc_message *write_string_map(struct scope *s, int16_t id, const struct string_map *value)
{
    krpc_writer *w = begin();
    krpc_writer_field_map(w, id, KRPC_TYPE_STRING, KRPC_TYPE_STRING, value->count);
    for (size_t i = 0; i < value->count; i++) {
        krpc_writer_string(w, value->pairs[i].key);
        krpc_writer_string(w, value->pairs[i].value);
    }
    return finish(s, w);
}

krpc_message *write_add_args(struct scope *s, int64_t a, int64_t b)
{
    krpc_writer *w = begin();
    krpc_writer_field_i64(w, 1, a);
    krpc_writer_field_i64(w, 2, b);
    return finish(s, w);
}

krpc_message *write_echo_error(struct scope *s, const struct echo_error *value)
{
    krpc_writer *w = begin();
    krpc_writer_field_i32(w, 1, value->code);
    krpc_writer_field_string(w, 2, value->message);
    return finish(s, w);
}

krpc_message *write_other_error(struct scope *s, const struct other_error *value)
{
    krpc_writer *w = begin();
    krpc_writer_field_string(w, 1, value->reason);
    krpc_writer_field_list(w, 2, KRPC_TYPE_STRING, value->detail_count);
    for (size_t i = 0; i < value->detail_count; i++)
        krpc_writer_string(w, value->details[i]);
    return finish(s, w);
}

/* ---- Reading ------------------------------------------------------------------------------ */

static krpc_reader *open_reader(struct scope *s, const krpc_message *message)
{
    krpc_error *error = NULL;
    krpc_reader *r = krpc_reader_new(message, &error);
    if (r == NULL)
        scope_fail_error(s, "no reader", scope_error(s, error));
    return scope_reader(s, r);
}

/* Nothing is wrong with the message to its end. */
static bool close_reader(struct scope *s, krpc_reader *r)
{
    krpc_error *error = NULL;
    if (krpc_reader_end(r, &error) == KRPC_OK)
        return true;
    return scope_fail_error(s, "malformed", scope_error(s, error));
}

/* A reader at the value of the one field that matters. */
static krpc_reader *open_at(struct scope *s, const krpc_message *message, int16_t id)
{
    krpc_reader *r = open_reader(s, message);
    if (r == NULL || krpc_reader_find(r, id, NULL))
        return r;
    if (close_reader(s, r))
        scope_fail(s, "field %d is missing", id);
    return NULL;
}

bool read_string(struct scope *s, const krpc_message *message, int16_t id, krpc_str *value)
{
    krpc_reader *r = open_at(s, message, id);
    if (r == NULL)
        return false;
    krpc_reader_string(r, value);
    return close_reader(s, r);
}

bool read_binary(struct scope *s, const krpc_message *message, int16_t id, krpc_bytes *value)
{
    krpc_reader *r = open_at(s, message, id);
    if (r == NULL)
        return false;
    krpc_reader_binary(r, value);
    return close_reader(s, r);
}

bool read_i32(struct scope *s, const krpc_message *message, int16_t id, int32_t *value)
{
    krpc_reader *r = open_at(s, message, id);
    if (r == NULL)
        return false;
    krpc_reader_i32(r, value);
    return close_reader(s, r);
}

bool read_i64(struct scope *s, const krpc_message *message, int16_t id, int64_t *value)
{
    krpc_reader *r = open_at(s, message, id);
    if (r == NULL)
        return false;
    krpc_reader_i64(r, value);
    return close_reader(s, r);
}

bool read_note(struct scope *s, const krpc_message *message, int16_t id, struct note *value)
{
    *value = (struct note){0};
    krpc_reader *r = open_at(s, message, id);
    if (r == NULL)
        return false;
    krpc_reader_struct_begin(r);
    for (int16_t field; krpc_reader_field(r, &field, NULL);) {
        switch (field) { /* fields that are not named here are skipped */
        case 1: krpc_reader_string(r, &value->message); break;
        case 2: value->has_payload = krpc_reader_binary(r, &value->payload) == KRPC_OK; break;
        }
    }
    krpc_reader_struct_end(r);
    return close_reader(s, r);
}

bool read_string_map(struct scope *s, const krpc_message *message, int16_t id, struct string_map *value)
{
    krpc_reader *r = open_at(s, message, id);
    if (r == NULL)
        return false;
    krpc_reader_map(r, NULL, NULL, &value->count);
    value->pairs = scope_alloc(s, value->count * sizeof *value->pairs);
    for (size_t i = 0; i < value->count; i++) {
        krpc_reader_string(r, &value->pairs[i].key);
        krpc_reader_string(r, &value->pairs[i].value);
    }
    return close_reader(s, r);
}

bool read_add_args(struct scope *s, const krpc_message *message, int64_t *a, int64_t *b)
{
    krpc_reader *r = open_reader(s, message);
    if (r == NULL)
        return false;
    *a = *b = 0;
    for (int16_t field; krpc_reader_field(r, &field, NULL);) {
        switch (field) {
        case 1: krpc_reader_i64(r, a); break;
        case 2: krpc_reader_i64(r, b); break;
        }
    }
    return close_reader(s, r);
}

bool read_echo_error(struct scope *s, const krpc_message *message, struct echo_error *value)
{
    *value = (struct echo_error){0};
    krpc_reader *r = open_reader(s, message);
    if (r == NULL)
        return false;
    for (int16_t field; krpc_reader_field(r, &field, NULL);) {
        switch (field) {
        case 1: krpc_reader_i32(r, &value->code); break;
        case 2: krpc_reader_string(r, &value->message); break;
        }
    }
    return close_reader(s, r);
}

bool read_other_error(struct scope *s, const krpc_message *message, struct other_error *value)
{
    *value = (struct other_error){0};
    krpc_reader *r = open_reader(s, message);
    if (r == NULL)
        return false;
    for (int16_t field; krpc_reader_field(r, &field, NULL);) {
        switch (field) {
        case 1: krpc_reader_string(r, &value->reason); break;
        case 2:
            krpc_reader_list(r, NULL, &value->detail_count);
            if (value->detail_count > sizeof value->details / sizeof value->details[0])
                return scope_fail(s, "%zu details", value->detail_count);
            for (size_t i = 0; i < value->detail_count; i++)
                krpc_reader_string(r, &value->details[i]);
            break;
        }
    }
    return close_reader(s, r);
}

/* ---- Values ------------------------------------------------------------------------------- */

krpc_bytes pattern_bytes(struct scope *s, size_t len)
{
    uint8_t *bytes = scope_alloc(s, len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i % 251);
    return KRPC_BYTES(bytes, len);
}

krpc_str format_str(struct scope *s, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t len = (size_t)vsnprintf(NULL, 0, format, arguments);
    char *text = scope_alloc(s, len + 1);
    vsnprintf(text, len + 1, format, again);
    va_end(again);
    va_end(arguments);
    return (krpc_str){text, len};
}

bool str_equal(krpc_str a, krpc_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool bytes_equal(krpc_bytes a, krpc_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
