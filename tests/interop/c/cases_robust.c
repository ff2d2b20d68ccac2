/* What a client lives through: servers that stand still or are replaced, messages that are too large; and what
 * it tells the server besides. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "cases.h"
#include "common.h"

/* Says a word and waits until whoever runs the client has done what it stands for. */
static bool ask(struct scope *s, const char *word)
{
    char line[32];
    puts(word);
    fflush(stdout);
    return fgets(line, sizeof line, stdin) != NULL || scope_fail(s, "nobody did %s", word);
}

/* ---- protobuf ----------------------------------------------------------------------------- */

static bool pass(struct scope *s, const struct run *run, krpc_bytes bytes)
{
    krpc_message *sent = scope_message(s, krpc_message_copy(KRPC_ENCODING_PROTOBUF, bytes, NULL));
    const krpc_message *got = result_of(s, call(s, run->client, "Blobs/Pass", sent));
    if (got == NULL)
        return false;
    return want_number(s, "encoding", krpc_message_encoding(got), KRPC_ENCODING_PROTOBUF) &&
           (bytes_equal(krpc_message_bytes(got), bytes) || scope_fail(s, "%zu bytes came back otherwise", bytes.len));
}

bool case_protobuf(struct scope *s, struct run *run)
{
    static const unsigned char hello[] = {0x0a, 2, 'h', 'i'}, noise[] = {0xff, 0, 0x80};
    const krpc_bytes all[] = {{hello, sizeof hello}, {noise, 0}, {noise, sizeof noise}, pattern_bytes(s, 100000)};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!pass(s, run, all[i]))
            return false;
    return alive(s, run);
}

/* ---- told --------------------------------------------------------------------------------- */

bool case_told(struct scope *s, struct run *run)
{
    struct string_pair pair = {KRPC_STR(TELL_TIMEOUT), KRPC_STR("1")};
    const struct string_map backward = {1, &pair};
    struct string_map seen;
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = 4321;
    const krpc_message *args = write_string_map(s, ARGUMENT, &backward);
    const krpc_message *result = result_of(s, call_with(s, run->client, "Interop/Meta", args, &options));
    if (result == NULL || !read_string_map(s, result, RETURN_VALUE, &seen))
        return false;
    for (size_t i = 0; i < seen.count; i++) {
        if (!str_equal(seen.pairs[i].key, KRPC_STR(TELL_TIMEOUT)))
            continue;
        krpc_str text = format_str(s, "%.*s", (int)seen.pairs[i].value.len, seen.pairs[i].value.ptr);
        long ms = strtol(text.ptr, NULL, 10);
        bool right = has_header(run) ? ms > 4000 && ms <= 4321 : ms == 0;
        return right || scope_fail(s, "the server was told %ld ms", ms);
    }
    return scope_fail(s, "the server says nothing of the timeout");
}

/* ---- cancel ------------------------------------------------------------------------------- */

static void *cancel_soon(void *context)
{
    sleep_ms(100);
    krpc_context_cancel(context);
    return NULL;
}

bool case_cancel(struct scope *s, struct run *run)
{
    pthread_t thread;
    krpc_context *context = krpc_context_new(NULL, KRPC_FOREVER, NULL, NULL);
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.parent = context;
    if (pthread_create(&thread, NULL, cancel_soon, context) != 0)
        return scope_fail(s, "no thread");
    int64_t start = now_ms();
    const krpc_reply *reply = call_with(s, run->client, "Interop/Sleep", write_i32(s, ARGUMENT, 2000), &options);
    int64_t took = now_ms() - start;
    pthread_join(thread, NULL);
    krpc_context_free(context);
    if (took > 1000)
        return scope_fail(s, "the call ended after %" PRId64 " ms", took);
    return want_status(s, reply, KRPC_STATUS_CANCELLED) && alive(s, run);
}

/* ---- limit -------------------------------------------------------------------------------- */

/* Over the limits of both: the server's, which ends the connection, and our own, on its way back. Kitex's
 * multiplexing server says nothing instead. */
bool case_limit(struct scope *s, struct run *run)
{
    enum { SIZE = 64 << 20 };
    const bool is_silent = run->target.multiplexed > 0 && run->strict;
    struct target target = run->target;
    target.timeout_ms = is_silent ? 2000 : target.timeout_ms;
    krpc_client *client = new_client(s, &target);
    uint8_t *payload = scope_alloc(s, SIZE);
    const struct note large = {KRPC_STR("large"), true, {payload, SIZE}};
    const krpc_reply *reply = call(s, client, "Interop/Echo", write_note(s, ARGUMENT, &large));
    if (!want_status(s, reply, is_silent ? KRPC_STATUS_TIMEOUT : KRPC_STATUS_CONNECTION_LOST) || !alive(s, run))
        return false;
    reply = call(s, run->client, "Interop/Big", write_i32(s, ARGUMENT, SIZE));
    if (run->strict) /* Kitex keeps to its limit in what it sends as well, and ends the connection */
        return want_status(s, reply, KRPC_STATUS_CONNECTION_LOST) && alive(s, run);
    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    krpc_client_read_stats(run->client, &stats);
    return want_status(s, reply, KRPC_STATUS_FRAME_TOO_LARGE) &&
           want_number(s, "phase", krpc_error_phase(krpc_reply_error(reply)), KRPC_PHASE_DECODE) &&
           want_number(s, "idle connections", (int64_t)stats.idle, 0) && alive(s, run);
}

/* ---- frozen ------------------------------------------------------------------------------- */

struct stuck {
    pthread_t thread;
    const struct run *run;
    struct scope scope;
};

static void *time_out(void *argument)
{
    enum { LIMIT = 200, CALLS = 3 };
    struct stuck *stuck = argument;
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = LIMIT;
    for (int i = 0; i < CALLS; i++) {
        struct scope *s = &stuck->scope;
        int64_t start = now_ms();
        const krpc_reply *reply =
            call_with(s, stuck->run->client, "Interop/Add", write_add_args(s, 1, 2), &options);
        int64_t took = now_ms() - start;
        if (!want_status(s, reply, KRPC_STATUS_TIMEOUT))
            break;
        if (took > 10 * LIMIT)
            scope_fail(s, "timed out after %" PRId64 " ms", took);
    }
    return NULL;
}

/* The server is stopped by SIGSTOP: calls end by their timeouts, and once it goes on the client is as before. */
bool case_frozen(struct scope *s, struct run *run)
{
    enum { CALLERS = 8 };
    struct stuck stuck[CALLERS];
    if (!alive(s, run) || !ask(s, "FREEZE"))
        return false;
    for (int i = 0; i < CALLERS; i++) {
        stuck[i] = (struct stuck){.run = run};
        if (pthread_create(&stuck[i].thread, NULL, time_out, &stuck[i]) != 0)
            return scope_fail(s, "no thread"); /* the others use what is freed now: only seen on a broken system */
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(stuck[i].thread, NULL);
        if (stuck[i].scope.why[0] != '\0')
            scope_fail(s, "caller %d: %s", i, stuck[i].scope.why);
        scope_end(&stuck[i].scope);
    }
    if (s->why[0] != '\0' || !ask(s, "THAW"))
        return false;
    for (int i = 0; i < 20; i++)
        if (!alive(s, run))
            return false;
    return true;
}

/* ---- roll --------------------------------------------------------------------------------- */

struct roller {
    pthread_t thread;
    const krpc_client *client;
    int number;
    atomic_long answered;
    atomic_bool *over;
    struct scope scope; /* only keeps the reason */
};

static void *roll(void *argument)
{
    struct roller *roller = argument;
    while (!atomic_load(roller->over)) {
        struct scope s = SCOPE_INIT;
        struct note got;
        const struct note sent = {format_str(&s, "%d.%ld", roller->number, atomic_load(&roller->answered)), false,
                                  {NULL, 0}};
        bool passed = call_echo(&s, roller->client, "Interop/Echo", &sent, &got) && want_note(&s, &got, &sent);
        if (!passed)
            scope_fail(&roller->scope, "a call was lost: %s", s.why);
        scope_end(&s);
        if (!passed) {
            atomic_store(roller->over, true);
            break;
        }
        atomic_fetch_add(&roller->answered, 1);
    }
    return NULL;
}

/* Waits until all have been answered once more, unless one has failed. */
static void await_all(struct roller *rollers, long count, const atomic_bool *over)
{
    for (long i = 0; i < count; i++) {
        long before = atomic_load(&rollers[i].answered);
        while (atomic_load(&rollers[i].answered) == before && !atomic_load(over))
            sleep_ms(1);
    }
}

/* The servers are replaced one after the other while callers call without a pause; no call may be lost. After
 * each replacement a line asks whether all callers have been answered since. */
bool case_roll(struct scope *s, struct run *run)
{
    struct target target = run->target;
    target.max_idle = (size_t)run->callers;
    krpc_client *client = new_client(s, &target);
    atomic_bool over = false;
    struct roller *rollers = scope_alloc(s, (size_t)run->callers * sizeof *rollers);
    for (long i = 0; i < run->callers; i++) {
        rollers[i].client = client;
        rollers[i].number = (int)i;
        rollers[i].over = &over;
        if (pthread_create(&rollers[i].thread, NULL, roll, &rollers[i]) != 0)
            return scope_fail(s, "no thread"); /* the others use what is freed now: only seen on a broken system */
    }
    puts("CALLING");
    fflush(stdout);
    char line[32];
    while (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "over\n") != 0) {
        await_all(rollers, run->callers, &over);
        printf("%.*s answered\n", (int)strcspn(line, "\n"), line);
        fflush(stdout);
    }
    atomic_store(&over, true);
    long calls = 0;
    for (long i = 0; i < run->callers; i++) {
        pthread_join(rollers[i].thread, NULL);
        calls += atomic_load(&rollers[i].answered);
        if (rollers[i].scope.why[0] != '\0' && s->why[0] == '\0')
            scope_fail(s, "%s", rollers[i].scope.why);
    }
    printf("roll: %ld calls of %ld callers\n", calls, run->callers);
    return s->why[0] == '\0';
}

/* ---- base --------------------------------------------------------------------------------- */

/* What ../idl/based.thrift says, in one file: the type counts by the name it is written with. */
static const char based_idl[] = "include \"base.thrift\"\n"
                                "struct BasedReq { 1: string message, 255: base.Base base }\n"
                                "service Based { string Describe(1: BasedReq req) }\n";
static const char base_idl[] = "struct Base { 1: string LogID = \"\", 2: string Caller = \"\", 3: string Addr = \"\",\n"
                               "  4: string Client = \"\", 6: optional map<string, string> Extra }\n";

/* A base.Base that a framework fills in reaches the handler as Kitex's own does. */
bool case_base(struct scope *s, struct run *run)
{
    const krpc_idl_file files[] = {{KRPC_STR("based.thrift"), krpc_cstr(based_idl)},
                                   {KRPC_STR("base.thrift"), krpc_cstr(base_idl)}};
    krpc_idl *idl = krpc_idl_parse_memory(files, 2, KRPC_STR(""), NULL);
    krpc_shape *request = krpc_idl_request(idl, KRPC_STR("Based/Describe"), NULL);
    krpc_shape *shape = krpc_idl_struct(idl, KRPC_STR("base.Base"), NULL);
    const krpc_str base_json = KRPC_STR("{\"LogID\":\"log-1\",\"Caller\":\"c.caller\",\"Addr\":\"10.0.0.1\","
                                        "\"Client\":\"libkrpc\",\"Extra\":{\"k\":\"v\"}}");
    krpc_message *base = scope_message(s, krpc_message_from_json(base_json, shape, NULL, NULL));
    krpc_message *plain =
        scope_message(s, krpc_message_from_json(KRPC_STR("{\"message\":\"hi\"}"), request, NULL, NULL));
    krpc_message *based = scope_message(s, krpc_message_with_base(plain, request, base, NULL));
    krpc_shape_free(shape);
    krpc_shape_free(request);
    krpc_idl_free(idl);
    krpc_str seen;
    const krpc_message *result = based == NULL ? NULL : result_of(s, call(s, run->client, "Based/Describe", based));
    return result != NULL && read_string(s, result, RETURN_VALUE, &seen) &&
           want_str(s, "base", seen, KRPC_STR("hi|log-1|c.caller|10.0.0.1|libkrpc|k=v"));
}
