/* How the peer says no. */
#include "cases.h"

static const krpc_reply *call_fail(struct scope *s, const struct run *run, const char *how)
{
    return call(s, run->client, "Interop/Fail", write_string(s, ARGUMENT, krpc_cstr(how)));
}

/* The struct of a declared exception. */
static const krpc_message *declared_exception(struct scope *s, const krpc_reply *reply, int16_t want_field)
{
    int16_t field = 0;
    const krpc_message *exception = NULL;
    if (!want_status(s, reply, KRPC_STATUS_DECLARED_EXCEPTION))
        return NULL;
    if (!krpc_error_declared_exception(krpc_reply_error(reply), &field, &exception))
        scope_fail(s, "the error has no declared exception");
    want_number(s, "field of the exception", field, want_field);
    return exception;
}

bool case_declared(struct scope *s, struct run *run)
{
    struct echo_error thrown;
    const krpc_message *exception = declared_exception(s, call_fail(s, run, "declared"), DECLARED_FIELD);
    return exception != NULL && read_echo_error(s, exception, &thrown) &&
           want_number(s, "code", thrown.code, DECLARED_CODE) &&
           want_str(s, "message", thrown.message, KRPC_STR(DECLARED_TEXT)) && alive(s, run);
}

bool case_declared2(struct scope *s, struct run *run)
{
    struct other_error thrown;
    const krpc_message *exception = declared_exception(s, call_fail(s, run, "declared2"), OTHER_FIELD);
    return exception != NULL && read_other_error(s, exception, &thrown) &&
           want_str(s, "reason", thrown.reason, KRPC_STR(OTHER_REASON)) &&
           want_number(s, "details", (int64_t)thrown.detail_count, 2) &&
           want_str(s, "first detail", thrown.details[0], KRPC_STR("a")) &&
           want_str(s, "second detail", thrown.details[1], KRPC_STR("b")) && alive(s, run);
}

static bool same_extra(struct scope *s, const krpc_error *error)
{
    if (!want_number(s, "extra pairs", (int64_t)krpc_error_biz_extra_count(error), BIZ_EXTRA_COUNT))
        return false;
    for (size_t i = 0; i < BIZ_EXTRA_COUNT; i++) {
        krpc_str key, value;
        bool found = false;
        for (size_t j = 0; !found && krpc_error_biz_extra_at(error, j, &key, &value); j++)
            found = str_equal(key, biz_extra[i].key) && str_equal(value, biz_extra[i].value);
        if (!found)
            return scope_fail(s, "extra \"%s\" is missing or has another value", biz_extra[i].key.ptr);
    }
    return true;
}

bool case_biz(struct scope *s, struct run *run)
{
    const krpc_reply *reply = call_fail(s, run, "biz");
    if (!has_header(run)) {
        /* The status has no place to travel in: an empty success is left. */
        const krpc_message *result = result_of(s, reply);
        return result != NULL && want_number(s, "bytes of the result", (int64_t)krpc_message_size(result), 1) &&
               alive(s, run);
    }
    int32_t code;
    krpc_str message;
    const krpc_error *error = krpc_reply_error(reply);
    if (!want_status(s, reply, KRPC_STATUS_BIZ_STATUS))
        return false;
    if (!krpc_error_biz_status(error, &code, &message))
        return scope_fail(s, "the error has no business status");
    return want_number(s, "code", code, BIZ_CODE) && want_str(s, "message", message, KRPC_STR(BIZ_TEXT)) &&
           same_extra(s, error) && alive(s, run);
}

bool case_error(struct scope *s, struct run *run)
{
    const krpc_reply *reply = call_fail(s, run, "error");
    bool as_expected = run->dialect->error_text != NULL
                           ? want_exception(s, reply, run->dialect->error_type, run->dialect->error_text)
                           : want_status(s, reply, KRPC_STATUS_CONNECTION_LOST);
    return as_expected && alive(s, run);
}

bool case_trans(struct scope *s, struct run *run)
{
    const struct dialect *dialect = run->dialect;
    return want_exception(s, call_fail(s, run, "trans"), dialect->trans_type, dialect->trans_text) && alive(s, run);
}

bool case_panic(struct scope *s, struct run *run)
{
    const char *text = "panic: [happened in biz handler, method=Interop.Fail, please check the panic at the server "
                       "side] panic on request";
    const krpc_reply *reply = call_fail(s, run, "panic");
    if (!want_exception(s, reply, 6, run->strict ? text : NULL))
        return false;
    krpc_str got;
    krpc_error_remote_exception(krpc_reply_error(reply), NULL, &got);
    return (got.len > 0 || scope_fail(s, "the exception has no text")) && alive(s, run);
}

bool case_unknown_method(struct scope *s, struct run *run)
{
    const krpc_message *args = write_string(s, ARGUMENT, KRPC_STR("anyone there?"));
    const krpc_reply *reply = call(s, run->client, "Interop/Missing", args);
    /* Without a service name the server looks for the method everywhere and reports the (nameless) service. */
    bool as_expected = has_one_service(run) ? want_exception(s, reply, 1, run->dialect->missing_text)
                       : has_header(run) ? want_exception(s, reply, 1, "unknown method Missing (service Interop)")
                                       : want_exception(s, reply, 20, "unknown service , method Missing");
    return as_expected && alive(s, run);
}

bool case_unknown_service(struct scope *s, struct run *run)
{
    const krpc_message *args = write_string(s, ARGUMENT, KRPC_STR("anyone there?"));
    const krpc_reply *missing = call(s, run->client, "Unknown/Missing", args);
    const char *text = has_header(run) ? "unknown service Unknown, method Missing" : "unknown service , method Missing";
    if (has_one_service(run) ? !want_exception(s, missing, 1, run->dialect->missing_text)
                             : !want_exception(s, missing, 20, text))
        return false;

    /* Two services have the method Echo: with an unknown service name none is preferred, without a name the
     * fallback service answers. */
    const struct note sent = {KRPC_STR("who?"), false, {NULL, 0}};
    const krpc_reply *reply = call(s, run->client, "Unknown/Echo", write_note(s, ARGUMENT, &sent));
    if (has_header(run))
        return want_exception(s, reply, 20, "unknown service Unknown, method Echo") && alive(s, run);
    struct note got;
    const krpc_message *result = result_of(s, reply);
    return result != NULL && read_note(s, result, RETURN_VALUE, &got) && want_note(s, &got, &sent) && alive(s, run);
}
