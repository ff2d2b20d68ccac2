/* Calls, and what their replies must say. */
#include "client.h"

#include <inttypes.h>

/* ---- Calls -------------------------------------------------------------------------------- */

const krpc_reply *call_with(struct scope *s, const krpc_client *client, const char *method,
                            const krpc_message *args, const krpc_call_options *options)
{
    krpc_reply *reply = NULL;
    krpc_status status = krpc_client_call_by_name(client, krpc_cstr(method), args, options, &reply);
    scope_reply(s, reply);
    if (status != krpc_reply_status(reply))
        scope_fail(s, "%s: returned %d, the reply says %d", method, (int)status, (int)krpc_reply_status(reply));
    return reply;
}

const krpc_reply *call(struct scope *s, const krpc_client *client, const char *method, const krpc_message *args)
{
    return call_with(s, client, method, args, NULL);
}

const krpc_message *result_of(struct scope *s, const krpc_reply *reply)
{
    if (krpc_reply_status(reply) == KRPC_OK)
        return krpc_reply_message(reply);
    scope_fail_error(s, "call failed", krpc_reply_error(reply));
    return NULL;
}

bool call_echo(struct scope *s, const krpc_client *client, const char *method, const struct note *in,
               struct note *out)
{
    const krpc_message *result = result_of(s, call(s, client, method, write_note(s, ARGUMENT, in)));
    return result != NULL && read_note(s, result, RETURN_VALUE, out);
}

bool call_add(struct scope *s, const krpc_client *client, int64_t a, int64_t b, int64_t *sum)
{
    const krpc_message *result = result_of(s, call(s, client, "Interop/Add", write_add_args(s, a, b)));
    return result != NULL && read_i64(s, result, RETURN_VALUE, sum);
}

bool call_fire_count(struct scope *s, const krpc_client *client, int64_t *count)
{
    const krpc_message *result = result_of(s, call(s, client, "Interop/FireCount", NULL));
    return result != NULL && read_i64(s, result, RETURN_VALUE, count);
}

bool alive(struct scope *s, const struct run *run)
{
    int64_t sum;
    return call_add(s, run->client, 40, 2, &sum) && want_number(s, "next call", sum, 42);
}

/* ---- Expectations ------------------------------------------------------------------------- */

bool want_status(struct scope *s, const krpc_reply *reply, krpc_status status)
{
    if (krpc_reply_status(reply) == status)
        return s->why[0] == '\0';
    krpc_str name = krpc_status_name(status), got = krpc_error_describe(krpc_reply_error(reply));
    return scope_fail(s, "got %.*s, want %.*s", got.len > 0 ? (int)got.len : 7, got.len > 0 ? got.ptr : "success",
                      (int)name.len, name.ptr);
}

bool want_exception(struct scope *s, const krpc_reply *reply, int32_t type_id, const char *text)
{
    krpc_status status = KRPC_STATUS_REMOTE_EXCEPTION;
    if (type_id == 1)
        status = KRPC_STATUS_UNKNOWN_METHOD;
    if (type_id == 20)
        status = KRPC_STATUS_UNKNOWN_SERVICE;
    int32_t got_type;
    krpc_str got_text;
    if (!want_status(s, reply, status))
        return false;
    if (!krpc_error_remote_exception(krpc_reply_error(reply), &got_type, &got_text))
        return scope_fail(s, "the error has no exception of the peer");
    return want_number(s, "exception type", got_type, type_id) &&
           (text == NULL || want_str(s, "exception text", got_text, krpc_cstr(text)));
}

bool want_str(struct scope *s, const char *what, krpc_str got, krpc_str want)
{
    if (str_equal(got, want))
        return true;
    return scope_fail(s, "%s: got \"%.*s\", want \"%.*s\"", what, (int)got.len, got.ptr, (int)want.len, want.ptr);
}

bool want_number(struct scope *s, const char *what, int64_t got, int64_t want)
{
    return got == want || scope_fail(s, "%s: got %" PRId64 ", want %" PRId64, what, got, want);
}

bool want_note(struct scope *s, const struct note *got, const struct note *want)
{
    if (got->message.len > 200 && got->message.len != want->message.len)
        return want_number(s, "length of the message", (int64_t)got->message.len, (int64_t)want->message.len);
    if (!want_str(s, "message", got->message, want->message))
        return false;
    if (got->has_payload != want->has_payload)
        return scope_fail(s, "payload: %s", got->has_payload ? "came without being sent" : "was lost");
    return bytes_equal(got->payload, want->payload) ||
           scope_fail(s, "payload: %zu bytes differ from the %zu sent", got->payload.len, want->payload.len);
}
