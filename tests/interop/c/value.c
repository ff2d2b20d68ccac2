#include "value.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- Making ------------------------------------------------------------------------------- */

static struct value *make(struct scope *s, int32_t type)
{
    struct value *v = scope_alloc(s, sizeof *v);
    v->type = type;
    return v;
}

struct value *value_integer(struct scope *s, int32_t type, int64_t integer)
{
    struct value *v = make(s, type);
    v->integer = integer;
    return v;
}

struct value *value_double(struct scope *s, double real)
{
    struct value *v = make(s, KRPC_TYPE_DOUBLE);
    v->real = real;
    return v;
}

struct value *value_bytes(struct scope *s, krpc_bytes bytes)
{
    struct value *v = make(s, KRPC_TYPE_STRING);
    v->bytes = bytes;
    return v;
}

struct value *value_empty(struct scope *s, int32_t type, int32_t key_type, int32_t element_type, size_t capacity)
{
    struct value *v = make(s, type);
    v->key_type = key_type;
    v->element_type = element_type;
    v->items = scope_alloc(s, capacity * sizeof(struct value *));
    return v;
}

void value_push(struct value *container, struct value *item)
{
    container->items[container->count++] = item;
}

struct value *value_items(struct scope *s, int32_t type, int32_t key_type, int32_t element_type,
                          struct value *const *items)
{
    size_t count = 0;
    while (items[count] != NULL)
        count++;
    struct value *v = value_empty(s, type, key_type, element_type, count);
    for (size_t i = 0; i < count; i++)
        value_push(v, items[i]);
    return v;
}

struct value *value_field(int16_t id, struct value *value)
{
    value->id = id;
    return value;
}

struct value *value_get(const struct value *record, int16_t id)
{
    for (size_t i = 0; i < record->count; i++)
        if (record->items[i]->id == id)
            return record->items[i];
    return NULL;
}

void value_set(struct scope *s, struct value *record, int16_t id, struct value *value)
{
    value->id = id;
    for (size_t i = 0; i < record->count; i++) {
        if (record->items[i]->id == id) {
            record->items[i] = value;
            return;
        }
    }
    struct value **grown = scope_alloc(s, (record->count + 1) * sizeof(struct value *));
    if (record->count > 0)
        memcpy(grown, record->items, record->count * sizeof(struct value *));
    record->items = grown;
    value_push(record, value);
}

/* ---- Writing ------------------------------------------------------------------------------ */

/* Failures stick to the writer: krpc_writer_finish tells them. */
static void write_one(krpc_writer *w, const struct value *v)
{
    switch (v->type) {
    case KRPC_TYPE_BOOL: krpc_writer_bool(w, v->integer != 0); return;
    case KRPC_TYPE_I8: krpc_writer_i8(w, (int8_t)v->integer); return;
    case KRPC_TYPE_I16: krpc_writer_i16(w, (int16_t)v->integer); return;
    case KRPC_TYPE_I32: krpc_writer_i32(w, (int32_t)v->integer); return;
    case KRPC_TYPE_I64: krpc_writer_i64(w, v->integer); return;
    case KRPC_TYPE_DOUBLE: krpc_writer_double(w, v->real); return;
    case KRPC_TYPE_STRING: krpc_writer_binary(w, v->bytes); return;
    case KRPC_TYPE_STRUCT:
        krpc_writer_struct_begin(w);
        for (size_t i = 0; i < v->count; i++) {
            krpc_writer_field(w, v->items[i]->id, v->items[i]->type);
            write_one(w, v->items[i]);
        }
        krpc_writer_struct_end(w);
        return;
    case KRPC_TYPE_LIST: krpc_writer_list(w, v->element_type, v->count); break;
    case KRPC_TYPE_SET: krpc_writer_set(w, v->element_type, v->count); break;
    case KRPC_TYPE_MAP: krpc_writer_map(w, v->key_type, v->element_type, v->count / 2); break;
    }
    for (size_t i = 0; i < v->count; i++)
        write_one(w, v->items[i]);
}

krpc_message *write_value(struct scope *s, int16_t id, const struct value *record)
{
    krpc_error *error = NULL;
    krpc_writer *w = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field(w, id, record->type);
    write_one(w, record);
    krpc_message *message = krpc_writer_finish(w, &error);
    if (message == NULL)
        scope_fail_error(s, "cannot write", scope_error(s, error));
    return scope_message(s, message);
}

/* ---- Reading ------------------------------------------------------------------------------ */

/* Failures stick to the reader; counts are 0 from then on, so loops end. */
static struct value *read_one(struct scope *s, krpc_reader *r, int32_t type)
{
    struct value *v = make(s, type);
    bool flag = false;
    int8_t i8 = 0;
    int16_t i16 = 0;
    int32_t i32 = 0;
    size_t count = 0;
    switch (type) {
    case KRPC_TYPE_BOOL: krpc_reader_bool(r, &flag); v->integer = flag; return v;
    case KRPC_TYPE_I8: krpc_reader_i8(r, &i8); v->integer = i8; return v;
    case KRPC_TYPE_I16: krpc_reader_i16(r, &i16); v->integer = i16; return v;
    case KRPC_TYPE_I32: krpc_reader_i32(r, &i32); v->integer = i32; return v;
    case KRPC_TYPE_I64: krpc_reader_i64(r, &v->integer); return v;
    case KRPC_TYPE_DOUBLE: krpc_reader_double(r, &v->real); return v;
    case KRPC_TYPE_STRING: krpc_reader_binary(r, &v->bytes); return v;
    case KRPC_TYPE_STRUCT:
        krpc_reader_struct_begin(r);
        for (int16_t id; krpc_reader_field(r, &id, &type);)
            value_set(s, v, id, read_one(s, r, type));
        krpc_reader_struct_end(r);
        return v;
    case KRPC_TYPE_LIST: krpc_reader_list(r, &v->element_type, &count); break;
    case KRPC_TYPE_SET: krpc_reader_set(r, &v->element_type, &count); break;
    case KRPC_TYPE_MAP: krpc_reader_map(r, &v->key_type, &v->element_type, &count); break;
    default: krpc_reader_skip(r); return v;
    }
    bool is_map = type == KRPC_TYPE_MAP;
    v->items = scope_alloc(s, 2 * count * sizeof(struct value *));
    for (size_t i = 0; i < count; i++) {
        if (is_map)
            value_push(v, read_one(s, r, v->key_type));
        value_push(v, read_one(s, r, v->element_type));
    }
    return v;
}

bool read_value(struct scope *s, const krpc_message *message, int16_t id, struct value **record)
{
    krpc_error *error = NULL;
    int32_t type = 0;
    krpc_reader *r = scope_reader(s, krpc_reader_new(message, &error));
    bool found = krpc_reader_find(r, id, &type);
    if (found)
        *record = read_one(s, r, type);
    if (krpc_reader_end(r, error == NULL ? &error : NULL) != KRPC_OK)
        return scope_fail_error(s, "malformed", scope_error(s, error));
    if (!found)
        return scope_fail(s, "field %d is missing", id);
    return true;
}

/* ---- Comparing ---------------------------------------------------------------------------- */

static bool equal(const struct value *a, const struct value *b);

static const struct value *find_key(const struct value *map, const struct value *key)
{
    for (size_t i = 0; i < map->count; i += 2)
        if (equal(map->items[i], key))
            return map->items[i + 1];
    return NULL;
}

static bool set_has(const struct value *set, const struct value *element)
{
    for (size_t i = 0; i < set->count; i++)
        if (equal(set->items[i], element))
            return true;
    return false;
}

static bool equal_items(const struct value *a, const struct value *b)
{
    /* The types that an empty container announces mean nothing. */
    if (a->count != b->count)
        return false;
    if (a->count > 0 && (a->key_type != b->key_type || a->element_type != b->element_type))
        return false;
    for (size_t i = 0; i < a->count; i += a->type == KRPC_TYPE_MAP ? 2 : 1) {
        bool same;
        switch (a->type) {
        case KRPC_TYPE_MAP: {
            const struct value *other = find_key(b, a->items[i]);
            same = other != NULL && equal(a->items[i + 1], other);
            break;
        }
        case KRPC_TYPE_SET: same = set_has(b, a->items[i]); break;
        case KRPC_TYPE_STRUCT: {
            const struct value *other = value_get(b, a->items[i]->id);
            same = other != NULL && equal(a->items[i], other);
            break;
        }
        default: same = equal(a->items[i], b->items[i]);
        }
        if (!same)
            return false;
    }
    return true;
}

static bool equal(const struct value *a, const struct value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case KRPC_TYPE_DOUBLE: return memcmp(&a->real, &b->real, sizeof a->real) == 0;
    case KRPC_TYPE_STRING:
        return a->bytes.len == b->bytes.len &&
               (a->bytes.len == 0 || memcmp(a->bytes.ptr, b->bytes.ptr, a->bytes.len) == 0);
    case KRPC_TYPE_STRUCT:
    case KRPC_TYPE_LIST:
    case KRPC_TYPE_SET:
    case KRPC_TYPE_MAP: return equal_items(a, b);
    default: return a->integer == b->integer;
    }
}

/* ---- Showing ------------------------------------------------------------------------------ */

/* Text of bounded length; what does not fit is left out. */
struct text {
    size_t len;
    char at[300];
};

static void append(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(struct text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(t->at + t->len, sizeof t->at - t->len, format, arguments);
    va_end(arguments);
    t->len += (size_t)len;
    if (t->len >= sizeof t->at)
        t->len = sizeof t->at - 1;
}

static void show(struct text *t, const struct value *v)
{
    if (v == NULL) {
        append(t, "nothing");
        return;
    }
    switch (v->type) {
    case KRPC_TYPE_DOUBLE: append(t, "%.17g", v->real); return;
    case KRPC_TYPE_STRING: append(t, "\"%.*s\"", (int)v->bytes.len, (const char *)v->bytes.ptr); return;
    case KRPC_TYPE_STRUCT:
    case KRPC_TYPE_LIST:
    case KRPC_TYPE_SET:
    case KRPC_TYPE_MAP:
        append(t, "%zu{", v->count);
        for (size_t i = 0; i < v->count && t->len + 1 < sizeof t->at; i++) {
            if (v->type == KRPC_TYPE_STRUCT)
                append(t, "%d=", v->items[i]->id);
            show(t, v->items[i]);
            append(t, "%s", i + 1 < v->count ? ", " : "");
        }
        append(t, "}");
        return;
    default: append(t, "%" PRId64, v->integer);
    }
}

static bool field_differs(struct scope *s, int16_t id, const struct value *got, const struct value *want)
{
    struct text is = {0}, should = {0};
    show(&is, got);
    show(&should, want);
    return scope_fail(s, "field %d: got %s, want %s", id, is.at, should.at);
}

bool same_record(struct scope *s, const struct value *got, const struct value *want)
{
    for (size_t i = 0; i < want->count; i++) {
        const struct value *field = want->items[i], *other = value_get(got, field->id);
        if (other == NULL || !equal(other, field))
            return field_differs(s, field->id, other, field);
    }
    for (size_t i = 0; i < got->count; i++)
        if (value_get(want, got->items[i]->id) == NULL)
            return field_differs(s, got->items[i]->id, got->items[i], NULL);
    return true;
}
