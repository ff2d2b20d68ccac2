/* What comes back is what was sent. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cases.h"
#include "common.h"
#include "samples.h"
#include "tap.h"

/* ---- wire --------------------------------------------------------------------------------- */

static uint32_t be16(const unsigned char *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t be32(const unsigned char *at)
{
    return be16(at) << 16 | be16(at + 2);
}

/* Tells the shape of one whole message from the wire format and checks its lengths. */
static bool sniff(struct scope *s, const struct tapped *message, bool *header, bool *framed)
{
    const size_t shortest = 14; /* a message with a name of one letter and no fields; also a TTHeader's fixed part */
    const unsigned char *at = message->bytes, *end = at + message->len;
    if (message->len < shortest || message->len >= sizeof message->bytes)
        return scope_fail(s, "%zu bytes", message->len);
    *header = be16(at + 4) == 0x1000;
    if (*header) {
        if (be32(at) + 4 != message->len)
            return scope_fail(s, "TTHeader of %" PRIu32 " bytes in %zu bytes", be32(at) + 4, message->len);
        at += 14 + 4 * be16(at + 12);
        if (at > end || (size_t)(end - at) < shortest)
            return scope_fail(s, "the TTHeader leaves no room for a message");
    }
    *framed = be16(at) != 0x8001;
    if (!*framed)
        return true;
    if (be16(at + 4) != 0x8001)
        return scope_fail(s, "no Thrift message");
    return be32(at) + 4 == (size_t)(end - at) || scope_fail(s, "frame of %" PRIu32 " bytes", be32(at));
}

static bool has_shape(struct scope *s, const struct run *run, const char *what, const struct tapped *message)
{
    bool header = false, framed = false;
    if (!sniff(s, message, &header, &framed))
        return false;
    return (header == has_header(run) && framed == is_framed(run)) ||
           scope_fail(s, "%s: TTHeader %d, framed %d", what, header, framed);
}

/* Every other case would pass with a transport mixed up. */
bool case_wire(struct scope *s, struct run *run)
{
    struct tap *tap = scope_alloc(s, sizeof *tap);
    if (!tap_start(s, tap, run->target.address))
        return false;
    struct target target = run->target;
    target.address = tap->address;
    target.max_idle = 0; /* the connection ends with the call, and the tap with it */
    krpc_client *client = new_client(s, &target);
    const struct note sent = {KRPC_STR("wire"), false, {NULL, 0}};
    struct note got;
    bool passed = call_echo(s, client, "Interop/Echo", &sent, &got) && want_note(s, &got, &sent);
    krpc_client_close(client, false); /* a multiplexed connection would stay */
    tap_join(tap);
    return passed && has_shape(s, run, "request", &tap->request) && has_shape(s, run, "reply", &tap->reply);
}

/* ---- Values ------------------------------------------------------------------------------- */

static bool echo(struct scope *s, const struct run *run, krpc_str message, bool has_payload, krpc_bytes payload)
{
    const struct note sent = {message, has_payload, payload};
    struct note got;
    return call_echo(s, run->client, "Interop/Echo", &sent, &got) && want_note(s, &got, &sent);
}

bool case_echo(struct scope *s, struct run *run)
{
    char *long_text = scope_alloc(s, 70000);
    memset(long_text, 'x', 70000);
    const krpc_str odd = KRPC_STR("h\xc3\xa9llo, \xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x8e\x89\0\t\"<>");
    if (!echo(s, run, KRPC_STR("hi"), false, KRPC_BYTES(NULL, 0)) ||
        !echo(s, run, KRPC_STR(""), true, KRPC_BYTES(NULL, 0)) ||
        !echo(s, run, odd, true, KRPC_BYTES("\x00\x01\x7f\x80\xff", 5)) ||
        !echo(s, run, (krpc_str){long_text, 70000}, true, pattern_bytes(s, 5000)))
        return false;

    const struct note sent = {KRPC_STR("throw"), false, {NULL, 0}};
    const krpc_reply *reply = call(s, run->client, "Interop/Echo", write_note(s, ARGUMENT, &sent));
    int16_t field;
    const krpc_message *exception;
    struct echo_error thrown;
    return want_status(s, reply, KRPC_STATUS_DECLARED_EXCEPTION) &&
           krpc_error_declared_exception(krpc_reply_error(reply), &field, &exception) &&
           want_number(s, "field", field, DECLARED_FIELD) && read_echo_error(s, exception, &thrown) &&
           want_number(s, "code", thrown.code, 7) && want_str(s, "message", thrown.message, KRPC_STR("thrown"));
}

static bool echo_types(struct scope *s, const struct run *run, struct value *sent)
{
    const krpc_message *args = write_value(s, ARGUMENT, sent);
    const krpc_message *result = result_of(s, call(s, run->client, "Interop/EchoTypes", args));
    struct value *got;
    if (result == NULL || !read_value(s, result, RETURN_VALUE, &got))
        return false;
    fill_in_defaults(s, got);
    fill_in_defaults(s, sent);
    return same_record(s, got, sent);
}

bool case_types(struct scope *s, struct run *run)
{
    return echo_types(s, run, full_types(s)) && echo_types(s, run, least_types(s)) &&
           echo_types(s, run, extreme_types(s));
}

bool case_enum_unknown(struct scope *s, struct run *run)
{
    return echo_types(s, run, unknown_enums(s));
}

bool case_void(struct scope *s, struct run *run)
{
    const krpc_message *result =
        result_of(s, call(s, run->client, "Interop/Void", write_string(s, ARGUMENT, KRPC_STR("nothing"))));
    return result != NULL && want_number(s, "bytes of the result", (int64_t)krpc_message_size(result), 1) &&
           alive(s, run);
}

static bool fire(struct scope *s, const struct run *run, const krpc_method *method, int shot)
{
    krpc_reply *reply = NULL;
    const krpc_message *args = write_string(s, ARGUMENT, format_str(s, "shot %d", shot));
    krpc_status status = krpc_client_call(run->client, method, args, NULL, &reply);
    scope_reply(s, reply);
    return want_status(s, reply, KRPC_OK) && want_number(s, "status", status, KRPC_OK);
}

/* Needs the server for itself: it reads a counter of the server. */
bool case_oneway(struct scope *s, struct run *run)
{
    const int shots = 20;
    int64_t before, now = 0;
    krpc_error *error = NULL;
    krpc_method *method =
        scope_method(s, krpc_client_method(run->client, KRPC_STR("Interop/Fire"), KRPC_METHOD_FLAG_ONEWAY, &error));
    if (method == NULL)
        return scope_fail_error(s, "no method", scope_error(s, error));
    if (!call_fire_count(s, run->client, &before))
        return false;
    for (int i = 0; i < shots; i++)
        if (!fire(s, run, method, i))
            return false;
    for (int64_t end = now_ms() + 3000; now_ms() < end && now < before + shots; sleep_ms(20))
        if (!call_fire_count(s, run->client, &now))
            return false;
    return want_number(s, "count", now - before, shots);
}

bool case_add(struct scope *s, struct run *run)
{
    const int64_t sums[][3] = {
        {1, 2, 3}, {-5, 3, -2}, {INT64_C(1) << 62, (INT64_C(1) << 62) - 1, INT64_MAX}};
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        int64_t got;
        if (!call_add(s, run->client, sums[i][0], sums[i][1], &got) || !want_number(s, "sum", got, sums[i][2]))
            return false;
    }
    return true;
}

bool case_second(struct scope *s, struct run *run)
{
    /* Only Second has Echo2, so it is found with and without a service name. */
    krpc_str text;
    const krpc_message *result =
        result_of(s, call(s, run->client, "Second/Echo2", write_string(s, ARGUMENT, KRPC_STR("a"))));
    if (result == NULL || !read_string(s, result, RETURN_VALUE, &text) ||
        !want_str(s, "Echo2", text, KRPC_STR("second2:a")))
        return false;

    struct note sent = {KRPC_STR("b"), true, KRPC_BYTES("\x01", 1)}, got;
    if (!call_echo(s, run->client, "Second/Echo", &sent, &got))
        return false;
    if (has_header(run))
        sent.message = KRPC_STR("second:b");
    return want_note(s, &got, &sent) && echo(s, run, KRPC_STR("c"), false, KRPC_BYTES(NULL, 0));
}

/* ---- metainfo ----------------------------------------------------------------------------- */

/* The map has this key with this value, or lacks it if `want` is NULL. */
static bool want_seen(struct scope *s, const struct string_map *seen, const char *key, const char *want)
{
    for (size_t i = 0; i < seen->count; i++) {
        if (!str_equal(seen->pairs[i].key, krpc_cstr(key)))
            continue;
        return want != NULL ? want_str(s, key, seen->pairs[i].value, krpc_cstr(want))
                            : scope_fail(s, "%s was seen", key);
    }
    return want == NULL || scope_fail(s, "%s was not seen", key);
}

static const krpc_reply *call_meta(struct scope *s, const struct run *run, const struct string_map *backward,
                                   const krpc_metainfo *metainfo, struct string_map *seen)
{
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.metainfo = metainfo;
    const krpc_message *args = write_string_map(s, ARGUMENT, backward);
    const krpc_reply *reply = call_with(s, run->client, "Interop/Meta", args, &options);
    const krpc_message *result = result_of(s, reply);
    return result != NULL && read_string_map(s, result, RETURN_VALUE, seen) ? reply : NULL;
}

bool case_metainfo(struct scope *s, struct run *run)
{
    const char *user_id = "h\xc3\xa9llo <\"&>";
    bool header = has_header(run);
    struct string_pair pairs[] = {{KRPC_STR("BACK"), KRPC_STR("b-1")}, {KRPC_STR("BACK_TWO"), KRPC_STR("\xc3\xa9")}};
    const struct string_map backward = {2, pairs}, nothing = {0, NULL};
    struct string_map seen;
    krpc_metainfo *metainfo = scope_metainfo(s, krpc_metainfo_new());
    krpc_metainfo_set(metainfo, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("TRACE"), KRPC_STR("t-1"), NULL);
    krpc_metainfo_set(metainfo, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("USER_ID"), krpc_cstr(user_id), NULL);
    /* What arrived as upstream is not sent on, and backward pairs only travel with replies. */
    krpc_metainfo_set(metainfo, KRPC_METAINFO_KIND_UPSTREAM, KRPC_STR("ABOVE"), KRPC_STR("u-1"), NULL);
    krpc_metainfo_set(metainfo, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("WRONG_WAY"), KRPC_STR("w-1"), NULL);

    const krpc_reply *reply = call_meta(s, run, &backward, metainfo, &seen);
    if (reply == NULL || !want_number(s, "pairs seen", (int64_t)seen.count, header ? 5 : 3) ||
        !want_seen(s, &seen, "caller", header ? CLIENT_NAME : "") || !want_seen(s, &seen, "arg.BACK", "b-1") ||
        !want_seen(s, &seen, "arg.BACK_TWO", "\xc3\xa9") ||
        !want_seen(s, &seen, "transient.TRACE", header ? "t-1" : NULL) ||
        !want_seen(s, &seen, "persistent.USER_ID", header ? user_id : NULL))
        return false;

    const krpc_metainfo *back = krpc_reply_metainfo(reply);
    for (size_t i = 0; i < backward.count; i++) {
        krpc_str value;
        bool came = krpc_metainfo_get(back, KRPC_METAINFO_KIND_BACKWARD, pairs[i].key, &value);
        if (came != header)
            return scope_fail(s, "backward %s: received=%d", pairs[i].key.ptr, came);
        if (came && !want_str(s, "backward value", value, pairs[i].value))
            return false;
    }
    if (!want_number(s, "backward pairs", (int64_t)krpc_metainfo_count(back), header ? 2 : 0))
        return false;

    /* Nothing of that call may stick to the connection or the next call. */
    reply = call_meta(s, run, &nothing, NULL, &seen);
    return reply != NULL && want_number(s, "pairs seen without metainfo", (int64_t)seen.count, 1) &&
           want_seen(s, &seen, "caller", header ? CLIENT_NAME : "") &&
           want_number(s, "backward pairs", (int64_t)krpc_metainfo_count(krpc_reply_metainfo(reply)), 0);
}

/* ---- big ---------------------------------------------------------------------------------- */

static void count_destroy(void *user_data)
{
    ++*(int *)user_data;
}

/* The args of Echo around a payload that is lent, not copied. */
static krpc_message *lend(struct scope *s, krpc_bytes payload, int *destroyed)
{
    const size_t head_len = 3 + 3 + 4 + 3 + 3 + 4, len = head_len + payload.len + 2;
    unsigned char *bytes = scope_alloc(s, len);
    /* field 1: struct { field 1: string "big", field 2: binary */
    memcpy(bytes, "\x0c\0\x01\x0b\0\x01\0\0\0\x03" "big" "\x0b\0\x02", 16);
    for (size_t i = 0; i < 4; i++)
        bytes[16 + i] = (unsigned char)(payload.len >> (24 - 8 * i));
    memcpy(bytes + head_len, payload.ptr, payload.len);
    krpc_message *message = krpc_message_wrap(KRPC_ENCODING_THRIFT_BINARY, KRPC_BYTES(bytes, len), destroyed,
                                              count_destroy, NULL);
    return message;
}

bool case_big(struct scope *s, struct run *run)
{
    const int32_t size = 1 << 20;
    const krpc_bytes want = pattern_bytes(s, (size_t)size);
    const krpc_message *result = result_of(s, call(s, run->client, "Interop/Big", write_i32(s, ARGUMENT, size)));
    krpc_bytes got;
    if (result == NULL || !read_binary(s, result, RETURN_VALUE, &got))
        return false;
    if (!bytes_equal(got, want))
        return scope_fail(s, "reply: %zu bytes differ from the %zu expected", got.len, want.len);
    for (int i = 0; i < 3; i++)
        if (!echo(s, run, KRPC_STR("big"), true, want))
            return false;

    /* The same from memory of ours, which the library gives back once. */
    int destroyed = 0;
    struct note note;
    const struct note sent = {KRPC_STR("big"), true, want};
    krpc_message *lent = lend(s, want, &destroyed);
    result = result_of(s, call(s, run->client, "Interop/Echo", lent));
    bool passed = result != NULL && read_note(s, result, RETURN_VALUE, &note) && want_note(s, &note, &sent);
    krpc_message_free(lent);
    return passed && want_number(s, "destroyed", destroyed, 1);
}
