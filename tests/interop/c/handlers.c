#include "handlers.h"

#include <stdio.h>
#include <time.h>

#include "contract.h"
#include "value.h"

/* One request being handled: freed, with all that was made for it, by `done`. */
struct job {
    struct scope scope;
    struct handlers *handlers;
    krpc_request *request;
    const krpc_message *args;
};

static struct job begin(void *user_data, krpc_request *request)
{
    struct job job = {SCOPE_INIT, user_data, request, krpc_request_message(request)};
    scope_request(&job.scope, request);
    atomic_fetch_add(&job.handlers->calls, 1);
    return job;
}

/* Ends a job with the outcome of its answer. */
static void done(struct job *job, krpc_status status, krpc_error *error)
{
    if (status != KRPC_OK && status != KRPC_STATUS_GONE) {
        krpc_str method = krpc_request_method(job->request), text = krpc_error_describe(error);
        fprintf(stderr, "answer of %.*s: %.*s\n", (int)method.len, method.ptr, (int)text.len, text.ptr);
        atomic_fetch_add(&job->handlers->failures, 1);
    }
    krpc_error_free(error);
    scope_end(&job->scope);
}

static void reply(struct job *job, const krpc_message *result)
{
    krpc_error *error = NULL;
    krpc_status status = krpc_request_reply(job->request, result, &error);
    done(job, status, error);
}

static void fail(struct job *job, int32_t type_id, krpc_str text)
{
    krpc_error *error = NULL;
    krpc_status status = krpc_request_fail(job->request, type_id, text, &error);
    done(job, status, error);
}

static void throw_declared(struct job *job, int16_t field_id, const krpc_message *exception)
{
    krpc_error *error = NULL;
    krpc_status status = krpc_request_throw(job->request, field_id, exception, &error);
    done(job, status, error);
}

/* The arguments cannot be read; the scope knows why. */
static void refuse_args(struct job *job)
{
    fail(job, 7, krpc_cstr(job->scope.why));
}

/* ---- Interop ------------------------------------------------------------------------------ */

static void handle_echo(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    struct note note;
    if (!read_note(&job.scope, job.args, ARGUMENT, &note)) {
        refuse_args(&job);
    } else if (str_equal(note.message, KRPC_STR("throw"))) {
        const struct echo_error thrown = {7, KRPC_STR("thrown")};
        throw_declared(&job, DECLARED_FIELD, write_echo_error(&job.scope, &thrown));
    } else {
        reply(&job, write_note(&job.scope, RETURN_VALUE, &note));
    }
}

/* Takes every value apart and writes it anew. */
static void handle_echo_types(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    struct value *all_types = NULL;
    if (read_value(&job.scope, job.args, ARGUMENT, &all_types))
        reply(&job, write_value(&job.scope, RETURN_VALUE, all_types));
    else
        refuse_args(&job);
}

static void handle_void(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    krpc_str text;
    if (read_string(&job.scope, job.args, ARGUMENT, &text))
        reply(&job, NULL);
    else
        refuse_args(&job);
}

static void handle_fire(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    krpc_str text;
    if (krpc_request_is_oneway(request) && read_string(&job.scope, job.args, ARGUMENT, &text))
        atomic_fetch_add(&job.handlers->fired, 1);
    done(&job, KRPC_OK, NULL); /* a oneway request needs no answer */
}

static void handle_fire_count(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    reply(&job, write_i64(&job.scope, RETURN_VALUE, atomic_load(&job.handlers->fired)));
}

static void fail_biz(struct job *job)
{
    krpc_error *error = NULL;
    krpc_metainfo *extra = scope_metainfo(&job->scope, krpc_metainfo_new());
    for (size_t i = 0; i < BIZ_EXTRA_COUNT; i++)
        krpc_metainfo_set(extra, KRPC_METAINFO_KIND_BACKWARD, biz_extra[i].key, biz_extra[i].value, NULL);
    krpc_status status = krpc_request_fail_biz(job->request, BIZ_CODE, KRPC_STR(BIZ_TEXT), extra, &error);
    done(job, status, error);
}

static void handle_fail(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    krpc_str how;
    if (!read_string(&job.scope, job.args, ARGUMENT, &how)) {
        refuse_args(&job);
    } else if (str_equal(how, KRPC_STR("declared"))) {
        const struct echo_error thrown = {DECLARED_CODE, KRPC_STR(DECLARED_TEXT)};
        throw_declared(&job, DECLARED_FIELD, write_echo_error(&job.scope, &thrown));
    } else if (str_equal(how, KRPC_STR("declared2"))) {
        const struct other_error thrown = {KRPC_STR(OTHER_REASON), 2, {KRPC_STR("a"), KRPC_STR("b")}};
        throw_declared(&job, OTHER_FIELD, write_other_error(&job.scope, &thrown));
    } else if (str_equal(how, KRPC_STR("biz"))) {
        fail_biz(&job);
    } else if (str_equal(how, KRPC_STR("error"))) {
        fail(&job, 6, KRPC_STR(PLAIN_TEXT));
    } else if (str_equal(how, KRPC_STR("trans"))) {
        fail(&job, TRANS_CODE, KRPC_STR(TRANS_TEXT));
    } else if (str_equal(how, KRPC_STR("panic"))) {
        done(&job, KRPC_OK, NULL); /* the nearest that C has: the request is freed unanswered */
    } else {
        reply(&job, write_string(&job.scope, RETURN_VALUE, how));
    }
}

static void handle_add(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    int64_t a, b;
    if (read_add_args(&job.scope, job.args, &a, &b))
        reply(&job, write_i64(&job.scope, RETURN_VALUE, a + b));
    else
        refuse_args(&job);
}

static void handle_sleep(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    int32_t ms;
    if (!read_i32(&job.scope, job.args, ARGUMENT, &ms)) {
        refuse_args(&job);
        return;
    }
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&pause, NULL);
    reply(&job, write_i32(&job.scope, RETURN_VALUE, ms));
}

static void see(struct scope *s, struct string_map *seen, const char *prefix, krpc_str key, krpc_str value)
{
    krpc_str name = format_str(s, "%s%.*s", prefix, (int)key.len, key.ptr);
    seen->pairs[seen->count++] = (struct string_pair){name, value};
}

static void see_timeout(struct scope *s, struct string_map *seen, const krpc_request *request)
{
    krpc_context *context = krpc_request_context(request);
    int64_t left = krpc_context_time_left_ms(context);
    krpc_context_free(context);
    see(s, seen, "", KRPC_STR(TELL_TIMEOUT), format_str(s, "%lld", left == KRPC_FOREVER ? 0LL : (long long)left));
}

static void handle_meta(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    struct string_map backward;
    if (!read_string_map(&job.scope, job.args, ARGUMENT, &backward)) {
        refuse_args(&job);
        return;
    }
    const krpc_metainfo *metainfo = krpc_request_metainfo(request);
    size_t most = 2 + krpc_metainfo_count(metainfo) + backward.count;
    struct string_map seen = {0, scope_alloc(&job.scope, most * sizeof(struct string_pair))};
    see(&job.scope, &seen, "caller", KRPC_STR(""), krpc_request_caller(request));

    int32_t kind;
    krpc_str key, value;
    for (size_t i = 0; krpc_metainfo_at(metainfo, i, &kind, &key, &value); i++) {
        const char *prefix = kind == KRPC_METAINFO_KIND_UPSTREAM ? "transient." : "persistent.";
        see(&job.scope, &seen, prefix, key, value);
    }
    for (size_t i = 0; i < backward.count; i++) {
        const struct string_pair *pair = &backward.pairs[i];
        see(&job.scope, &seen, "arg.", pair->key, pair->value);
        krpc_request_set_backward(request, pair->key, pair->value, NULL);
        if (str_equal(pair->key, KRPC_STR(TELL_TIMEOUT)))
            see_timeout(&job.scope, &seen, request);
    }
    reply(&job, write_string_map(&job.scope, RETURN_VALUE, &seen));
}

static void handle_big(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    int32_t size;
    if (!read_i32(&job.scope, job.args, ARGUMENT, &size))
        refuse_args(&job);
    else if (size < 0 || size > MAX_BIG_BYTES)
        fail(&job, 6, format_str(&job.scope, "Big: %d bytes is out of range", size));
    else
        reply(&job, write_binary(&job.scope, RETURN_VALUE, pattern_bytes(&job.scope, (size_t)size)));
}

/* ---- Second ------------------------------------------------------------------------------- */

static void handle_second_echo2(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    krpc_str text;
    if (!read_string(&job.scope, job.args, ARGUMENT, &text)) {
        refuse_args(&job);
        return;
    }
    krpc_str answer = format_str(&job.scope, "second2:%.*s", (int)text.len, text.ptr);
    reply(&job, write_string(&job.scope, RETURN_VALUE, answer));
}

static void handle_second_echo(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    struct note note;
    if (!read_note(&job.scope, job.args, ARGUMENT, &note)) {
        refuse_args(&job);
        return;
    }
    note.message = format_str(&job.scope, "second:%.*s", (int)note.message.len, note.message.ptr);
    reply(&job, write_note(&job.scope, RETURN_VALUE, &note));
}

/* ---- Blobs -------------------------------------------------------------------------------- */

static void handle_pass(void *user_data, krpc_request *request)
{
    struct job job = begin(user_data, request);
    reply(&job, job.args);
}

/* ---- Services ----------------------------------------------------------------------------- */

struct method {
    const char *name;
    uint32_t flags;
    krpc_handler_fn handler;
};

/* Short handlers run on the I/O thread, those that block or take long on the pool. */
static const struct method interop[] = {
    {"Echo", KRPC_METHOD_FLAG_INLINE, handle_echo},
    {"EchoTypes", 0, handle_echo_types},
    {"Void", KRPC_METHOD_FLAG_INLINE, handle_void},
    {"Fire", KRPC_METHOD_FLAG_ONEWAY, handle_fire},
    {"FireCount", KRPC_METHOD_FLAG_INLINE, handle_fire_count},
    {"Fail", 0, handle_fail},
    {"Add", 0, handle_add},
    {"Sleep", 0, handle_sleep},
    {"Meta", KRPC_METHOD_FLAG_INLINE, handle_meta},
    {"Big", 0, handle_big},
    {NULL, 0, NULL},
};

static const struct method second[] = {
    {"Echo2", 0, handle_second_echo2},
    {"Echo", KRPC_METHOD_FLAG_INLINE, handle_second_echo},
    {NULL, 0, NULL},
};

static const struct method blobs[] = {
    {"Pass", KRPC_METHOD_FLAG_INLINE, handle_pass},
    {NULL, 0, NULL},
};

static void count_destroy(void *user_data)
{
    struct handlers *handlers = user_data;
    atomic_fetch_add(&handlers->destroyed, 1);
}

static bool add_service(krpc_server_options *options, krpc_str name, const struct method *methods, bool fallback,
                        struct handlers *handlers, krpc_error **error)
{
    krpc_service *service = krpc_service_new(name, error);
    if (service == NULL)
        return false;
    for (const struct method *m = methods; m->name != NULL; m++) {
        handlers->added++;
        krpc_status status = krpc_service_add_method(service, krpc_cstr(m->name), m->flags, m->handler, handlers,
                                                     count_destroy, error);
        if (status != KRPC_OK) {
            krpc_service_free(service);
            return false;
        }
    }
    return krpc_server_options_add_service(options, service, fallback, error) == KRPC_OK;
}

bool add_services(krpc_server_options *options, struct handlers *handlers, krpc_error **error)
{
    return add_service(options, KRPC_STR("Interop"), interop, true, handlers, error) &&
           add_service(options, KRPC_STR("Second"), second, false, handlers, error) &&
           add_service(options, KRPC_STR("Blobs"), blobs, false, handlers, error);
}
