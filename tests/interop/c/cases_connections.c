/* Connections, time and many threads. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "cases.h"
#include "common.h"
#include "tap.h"

/* ---- callers ------------------------------------------------------------------------------ */

struct caller {
    pthread_t thread;
    const struct run *run;
    const krpc_client *client;
    const krpc_method *echo, *add;
    int number;
    struct scope scope; /* only keeps the reason */
};

static const krpc_message *call_prepared(struct scope *s, const struct caller *caller, const krpc_method *method,
                                         const krpc_message *args)
{
    krpc_reply *reply = NULL;
    krpc_client_call(caller->client, method, args, NULL, &reply);
    return result_of(s, scope_reply(s, reply));
}

/* Every question is unique, so a reply that went to the wrong caller shows. */
static bool one_question(struct scope *s, const struct caller *caller, int n)
{
    /* Sizes vary, so that replies of different callers differ in length too. */
    size_t size = (size_t)(caller->number * 31 + n * 97) % 3000;
    const struct note sent = {format_str(s, "caller %d call %d", caller->number, n), true, pattern_bytes(s, size)};
    struct note got;
    const krpc_message *result = call_prepared(s, caller, caller->echo, write_note(s, ARGUMENT, &sent));
    if (result == NULL || !read_note(s, result, RETURN_VALUE, &got) || !want_note(s, &got, &sent))
        return false;

    int64_t a = (int64_t)caller->number << 32, sum;
    result = call_prepared(s, caller, caller->add, write_add_args(s, a, n));
    return result != NULL && read_i64(s, result, RETURN_VALUE, &sum) && want_number(s, "sum", sum, a + n);
}

static void *run_caller(void *argument)
{
    struct caller *caller = argument;
    for (int n = 0; n < caller->run->calls; n++) {
        struct scope s = SCOPE_INIT;
        bool passed = one_question(&s, caller, n) && s.why[0] == '\0';
        if (!passed)
            scope_fail(&caller->scope, "caller %d call %d: %s", caller->number, n, s.why);
        scope_end(&s);
        if (!passed)
            break;
    }
    return NULL;
}

bool case_callers(struct scope *s, struct run *run)
{
    struct target target = run->target;
    target.max_idle = (size_t)run->callers;
    krpc_client *client = new_client(s, &target);
    krpc_method *echo = scope_method(s, krpc_client_method(client, KRPC_STR("Interop/Echo"), 0, NULL));
    krpc_method *add = scope_method(s, krpc_client_method(client, KRPC_STR("Interop/Add"), 0, NULL));
    struct caller *callers = scope_alloc(s, (size_t)run->callers * sizeof *callers);
    int started = 0, failed = 0;
    for (; started < run->callers; started++) {
        struct caller *caller = &callers[started];
        *caller = (struct caller){.run = run, .client = client, .echo = echo, .add = add, .number = started};
        if (pthread_create(&caller->thread, NULL, run_caller, caller) != 0) {
            scope_fail(s, "no thread for caller %d", started);
            break;
        }
    }
    const char *first = NULL;
    for (int i = 0; i < started; i++) {
        pthread_join(callers[i].thread, NULL);
        if (callers[i].scope.why[0] != '\0' && failed++ == 0)
            first = callers[i].scope.why;
    }
    if (failed > 0)
        return scope_fail(s, "%d of %d callers failed, first: %s", failed, started, first);

    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    krpc_client_read_stats(client, &stats);
    if (stats.dialled > (uint64_t)run->callers)
        return scope_fail(s, "%" PRIu64 " connections for %ld callers", stats.dialled, run->callers);
    return want_number(s, "connections and reuses", (int64_t)(stats.dialled + stats.reused),
                       2 * (int64_t)run->callers * run->calls);
}

/* ---- deadline ----------------------------------------------------------------------------- */

static const krpc_reply *call_sleep(struct scope *s, const krpc_client *client, int32_t ms, int64_t timeout_ms)
{
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    return call_with(s, client, "Interop/Sleep", write_i32(s, ARGUMENT, ms), &options);
}

bool case_deadline(struct scope *s, struct run *run)
{
    const int limit = 100, sleep = 400;
    int64_t start = now_ms();
    const krpc_reply *reply = call_sleep(s, run->client, sleep, limit);
    int64_t took = now_ms() - start;
    if (!want_status(s, reply, KRPC_STATUS_TIMEOUT))
        return false;
    if (took < limit || took >= sleep)
        return scope_fail(s, "timed out after %" PRId64 " ms, want about %d", took, limit);
    if (krpc_error_phase(krpc_reply_error(reply)) != KRPC_PHASE_WAIT)
        return scope_fail_error(s, "want phase WAIT", krpc_reply_error(reply));
    /* Call until well after the late reply: it must reach none of these calls. */
    for (int i = 0; now_ms() - start < 2 * sleep; i++) {
        struct scope one = SCOPE_INIT;
        struct note got;
        const struct note sent = {format_str(&one, "after the timeout %d", i), false, {NULL, 0}};
        if (!call_echo(&one, run->client, "Interop/Echo", &sent, &got) || !want_note(&one, &got, &sent))
            scope_fail(s, "call %d after the timeout: %s", i, one.why);
        scope_end(&one);
        if (s->why[0] != '\0')
            return false;
        sleep_ms(5);
    }
    return true;
}

/* ---- refused ------------------------------------------------------------------------------ */

bool case_refused(struct scope *s, struct run *run)
{
    /* Bound but not listening: nobody else gets the port meanwhile. */
    char address[64];
    int fd = bind_free_port(address, sizeof address);
    if (fd < 0)
        return scope_fail(s, "no free port");
    struct target target = run->target;
    target.address = address;
    krpc_client *client = new_client(s, &target);
    const krpc_reply *reply = call(s, client, "Interop/Add", write_add_args(s, 1, 2));
    close(fd);
    const krpc_error *error = krpc_reply_error(reply);
    return want_status(s, reply, KRPC_STATUS_CONNECT_FAILED) &&
           want_number(s, "phase", krpc_error_phase(error), KRPC_PHASE_CONNECT) &&
           want_str(s, "peer", krpc_error_peer(error), krpc_cstr(address)) &&
           want_str(s, "method", krpc_error_method(error), KRPC_STR("Interop/Add")) &&
           (krpc_error_retryable(error) || scope_fail(s, "a refused connection can be retried"));
}

/* ---- pool --------------------------------------------------------------------------------- */

/* After `what`, this many connections were made, calls used an old one, and connections wait. */
static bool want_stats(struct scope *s, const krpc_client *client, const char *what, uint64_t dialled,
                       uint64_t reused, uint64_t idle)
{
    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    krpc_client_read_stats(client, &stats);
    if (stats.dialled == dialled && stats.reused == reused && stats.idle == idle)
        return true;
    return scope_fail(s,
                      "after %s: dialled %" PRIu64 ", reused %" PRIu64 ", idle %" PRIu64 "; want %" PRIu64
                      ", %" PRIu64 ", %" PRIu64,
                      what, stats.dialled, stats.reused, stats.idle, dialled, reused, idle);
}

/* Facts and stats agree on whether the call found a connection. */
static bool add_once(struct scope *s, const krpc_client *client, bool reused)
{
    const krpc_reply *reply = call(s, client, "Interop/Add", write_add_args(s, 1, 2));
    krpc_facts facts = KRPC_FACTS_INIT;
    if (!want_status(s, reply, KRPC_OK) || krpc_reply_facts(reply, &facts) != KRPC_OK)
        return scope_fail(s, "no facts");
    if (facts.request_bytes < 20 || facts.reply_bytes < 20)
        return scope_fail(s, "%" PRIu64 " bytes sent, %" PRIu64 " received", facts.request_bytes, facts.reply_bytes);
    return want_number(s, "attempts", facts.attempts, 1) &&
           want_number(s, "reused_connection", facts.reused_connection, reused);
}

static void fail_once(struct scope *s, const krpc_client *client, const char *how)
{
    call(s, client, "Interop/Fail", write_string(s, ARGUMENT, krpc_cstr(how)));
}

/* One connection takes every call, also after an exception and a oneway call. */
static bool shares_one_connection(struct scope *s, struct target target)
{
    target.multiplexed = 1;
    krpc_client *client = new_client(s, &target);
    for (int i = 0; i < 3; i++)
        if (!add_once(s, client, i > 0))
            return false;
    fail_once(s, client, "declared");
    fail_once(s, client, "error");
    krpc_method *fire =
        scope_method(s, krpc_client_method(client, KRPC_STR("Interop/Fire"), KRPC_METHOD_FLAG_ONEWAY, NULL));
    krpc_reply *reply = NULL;
    krpc_client_call(client, fire, write_string(s, ARGUMENT, KRPC_STR("shot")), NULL, &reply);
    return want_status(s, scope_reply(s, reply), KRPC_OK) && add_once(s, client, true) &&
           want_stats(s, client, "all kinds of calls", 1, 6, 0);
}

bool case_pool(struct scope *s, struct run *run)
{
    if (run->target.multiplexed > 0)
        return shares_one_connection(s, run->target);
    krpc_client *client = new_client(s, &run->target);
    if (!want_stats(s, client, "nothing", 0, 0, 0) || !add_once(s, client, false) ||
        !want_stats(s, client, "the first call", 1, 0, 1) || !add_once(s, client, true) ||
        !want_stats(s, client, "the second call", 1, 1, 1))
        return false;
    fail_once(s, client, "declared");
    fail_once(s, client, "biz");
    if (!want_stats(s, client, "declared exception and business status", 1, 3, 1))
        return false;
    fail_once(s, client, "error");
    if (!want_stats(s, client, "an application exception", 1, 4, 0) || !add_once(s, client, false) ||
        !want_stats(s, client, "the call after it", 2, 4, 1))
        return false;

    krpc_method *fire =
        scope_method(s, krpc_client_method(client, KRPC_STR("Interop/Fire"), KRPC_METHOD_FLAG_ONEWAY, NULL));
    krpc_reply *reply = NULL;
    krpc_client_call(client, fire, write_string(s, ARGUMENT, KRPC_STR("shot")), NULL, &reply);
    return want_status(s, scope_reply(s, reply), KRPC_OK) && want_stats(s, client, "a oneway call", 2, 5, 0);
}

/* ---- volume ------------------------------------------------------------------------------- */

/* Apache Thrift 0.17 for C++ counts the strings of a framed connection and ends it after 100 MiB. That costs the
 * call that is under way, which may have run; the next one finds a new connection. */
bool case_volume(struct scope *s, struct run *run)
{
    enum { CALLS = 120, SIZE = 1000000 };
    const bool tires = run->dialect->tires && is_framed(run);
    krpc_client *client = new_client(s, &run->target);
    char *text = scope_alloc(s, SIZE);
    memset(text, 'v', SIZE);
    const struct note sent = {{text, SIZE}, false, {NULL, 0}};
    int answered = 0, lost = 0;
    for (int i = 0; i < CALLS && s->why[0] == '\0'; i++) {
        struct scope one = SCOPE_INIT;
        struct note got;
        const krpc_reply *reply = call(&one, client, "Interop/Echo", write_note(&one, ARGUMENT, &sent));
        const krpc_message *result = krpc_reply_message(reply);
        if (tires && krpc_reply_status(reply) == KRPC_STATUS_CONNECTION_LOST)
            lost++;
        else if (want_status(&one, reply, KRPC_OK) && read_note(&one, result, RETURN_VALUE, &got) &&
                 want_note(&one, &got, &sent))
            answered++;
        else
            scope_fail(s, "call %d: %s", i, one.why);
        scope_end(&one);
    }
    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    krpc_client_read_stats(client, &stats);
    return want_number(s, "lost", lost, tires ? 1 : 0) && want_number(s, "answered", answered, CALLS - lost) &&
           want_number(s, "connections", (int64_t)stats.dialled, tires || run->target.multiplexed == 2 ? 2 : 1);
}

/* ---- close -------------------------------------------------------------------------------- */

struct sleeper {
    const krpc_client *client;
    struct scope scope;
    const krpc_reply *reply;
};

static void *sleep_long(void *argument)
{
    struct sleeper *sleeper = argument;
    sleeper->reply = call_sleep(&sleeper->scope, sleeper->client, 1000, 0);
    return NULL;
}

bool case_close(struct scope *s, struct run *run)
{
    krpc_client *client = new_client(s, &run->target);
    struct sleeper sleeper = {client, SCOPE_INIT, NULL};
    pthread_t thread;
    if (pthread_create(&thread, NULL, sleep_long, &sleeper) != 0)
        return scope_fail(s, "no thread");
    sleep_ms(100);
    int64_t start = now_ms();
    krpc_client_close(client, true);
    pthread_join(thread, NULL);
    int64_t took = now_ms() - start;
    want_status(s, sleeper.reply, KRPC_STATUS_CLOSED);
    scope_end(&sleeper.scope);
    if (took >= 700)
        return scope_fail(s, "the call ended %" PRId64 " ms after the client was closed", took);
    const krpc_reply *late = call(s, client, "Interop/Add", write_add_args(s, 1, 2));
    return want_status(s, late, KRPC_STATUS_CLOSED);
}
