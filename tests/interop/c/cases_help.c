/* The server goes away, with the help of whoever runs the client. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "cases.h"
#include "common.h"

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

/* ---- killed, drain ------------------------------------------------------------------------ */

struct running_call {
    pthread_t thread;
    const krpc_client *client;
    int32_t sleep_ms;
    struct scope scope;
    const krpc_reply *reply;
    atomic_bool ended;
};

static void *sleep_on_server(void *argument)
{
    struct running_call *running = argument;
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = 3 * running->sleep_ms;
    const krpc_message *args = write_i32(&running->scope, ARGUMENT, running->sleep_ms);
    running->reply = call_with(&running->scope, running->client, "Interop/Sleep", args, &options);
    atomic_store(&running->ended, true);
    return NULL;
}

/* Starts a call of Sleep and says CALLING once it is under way. */
static bool start_sleep(struct scope *s, const struct run *run, struct running_call *running, int32_t ms)
{
    running->client = run->client;
    running->sleep_ms = ms;
    if (!alive(s, run))
        return false;
    if (pthread_create(&running->thread, NULL, sleep_on_server, running) != 0)
        return scope_fail(s, "no thread");
    sleep_ms(200);
    if (atomic_load(&running->ended)) {
        pthread_join(running->thread, NULL);
        scope_fail_error(s, "the call ended at once", krpc_reply_error(running->reply));
        scope_end(&running->scope);
        return false;
    }
    say("CALLING");
    return true;
}

bool case_killed(struct scope *s, struct run *run)
{
    const int ms = 10000;
    struct running_call running = {0};
    if (!start_sleep(s, run, &running, ms))
        return false;
    int64_t start = now_ms();
    pthread_join(running.thread, NULL);
    int64_t took = now_ms() - start;
    const krpc_error *error = krpc_reply_error(running.reply);
    bool passed = want_status(s, running.reply, KRPC_STATUS_CONNECTION_LOST) &&
                  want_str(s, "peer", krpc_error_peer(error), krpc_cstr(run->target.address)) &&
                  want_str(s, "method", krpc_error_method(error), KRPC_STR("Interop/Sleep")) &&
                  want_number(s, "phase", krpc_error_phase(error), KRPC_PHASE_WAIT) &&
                  (!krpc_error_retryable(error) || scope_fail(s, "a call that may have run can't be retried"));
    scope_end(&running.scope);
    return passed && (took < 5000 || scope_fail(s, "the error took %" PRId64 " ms", took));
}

bool case_drain(struct scope *s, struct run *run)
{
    const int ms = 2000, gone_ms = 5000;
    struct running_call running = {0};
    if (!start_sleep(s, run, &running, ms))
        return false;
    pthread_join(running.thread, NULL);
    bool answered = result_of(s, running.reply) != NULL;
    if (!answered)
        scope_fail_error(s, "the running call", krpc_reply_error(running.reply));
    scope_end(&running.scope);
    if (!answered)
        return false;

    for (int64_t end = now_ms() + gone_ms; now_ms() < end; sleep_ms(20)) {
        struct scope one = SCOPE_INIT;
        const krpc_reply *reply = call(&one, run->client, "Interop/Add", write_add_args(&one, 1, 2));
        krpc_status status = krpc_reply_status(reply);
        /* Until then calls may still be answered or lose their connection. */
        if (status != KRPC_OK && status != KRPC_STATUS_CONNECT_FAILED && status != KRPC_STATUS_CONNECTION_LOST)
            scope_fail_error(s, "call while the server stops", krpc_reply_error(reply));
        scope_end(&one);
        if (status == KRPC_STATUS_CONNECT_FAILED)
            return true;
    }
    return scope_fail(s, "the server still takes connections %d ms after the call ended", gone_ms);
}

/* ---- load --------------------------------------------------------------------------------- */

/* One of many threads that call until the server takes no more connections. */
struct pusher {
    pthread_t thread;
    const krpc_client *client;
    int number;
    int64_t end_ms;
    long answered, lost;
    bool refused;
    struct scope scope;
};

static void push_once(struct scope *s, struct pusher *pusher)
{
    const struct note sent = {format_str(s, "%d.%ld", pusher->number, pusher->answered), false, {NULL, 0}};
    struct note got;
    const krpc_reply *reply = call(s, pusher->client, "Interop/Echo", write_note(s, ARGUMENT, &sent));
    switch (krpc_reply_status(reply)) {
    case KRPC_OK:
        if (read_note(s, krpc_reply_message(reply), RETURN_VALUE, &got) && want_note(s, &got, &sent))
            pusher->answered++;
        break;
    case KRPC_STATUS_CONNECT_FAILED: pusher->refused = true; break;
    case KRPC_STATUS_CONNECTION_LOST:
        if (pusher->lost++ == 0)
            scope_fail_error(&pusher->scope, "lost", krpc_reply_error(reply));
        break;
    default: scope_fail_error(s, "call while the server stops", krpc_reply_error(reply));
    }
}

static void *push(void *argument)
{
    struct pusher *pusher = argument;
    while (!pusher->refused && now_ms() < pusher->end_ms) {
        struct scope s = SCOPE_INIT;
        push_once(&s, pusher);
        bool failed = s.why[0] != '\0';
        if (failed) {
            pusher->scope.why[0] = '\0';
            scope_fail(&pusher->scope, "wrong: %s", s.why);
        }
        scope_end(&s);
        if (failed)
            break;
    }
    return NULL;
}

/* A graceful stop under load. With TTHeader the server tells when it is about to go, so no call that it has
 * taken may be lost. Without, it can only close the connection, which may meet a request on its way. */
bool case_load(struct scope *s, struct run *run)
{
    struct target target = run->target;
    target.max_idle = (size_t)run->callers;
    krpc_client *client = new_client(s, &target);
    struct pusher *pushers = scope_alloc(s, (size_t)run->callers * sizeof *pushers);
    const int64_t end = now_ms() + 15000;
    for (int i = 0; i < run->callers; i++) {
        pushers[i] = (struct pusher){.client = client, .number = i, .end_ms = end};
        if (pthread_create(&pushers[i].thread, NULL, push, &pushers[i]) != 0)
            return scope_fail(s, "no thread"); /* the others use what is freed now: only seen on a broken system */
    }
    sleep_ms(300);
    say("CALLING");

    long answered = 0, lost = 0, refused = 0;
    const char *example = "";
    for (int i = 0; i < run->callers; i++) {
        struct pusher *pusher = &pushers[i];
        pthread_join(pusher->thread, NULL);
        answered += pusher->answered;
        lost += pusher->lost;
        refused += pusher->refused;
        if (pusher->scope.why[0] != '\0' && example[0] == '\0')
            example = pusher->scope.why;
        if (strncmp(pusher->scope.why, "wrong", 5) == 0)
            return scope_fail(s, "%s", pusher->scope.why);
    }
    printf("load: %ld answered, %ld lost, %ld of %ld callers refused in the end\n", answered, lost, refused,
           run->callers);
    if (refused != run->callers || answered < run->callers)
        return scope_fail(s, "%ld answered, %ld lost, %ld of %ld callers refused; %s", answered, lost, refused,
                          run->callers, example);
    /* Kitex cuts off requests of multiplexed connections that it has not read when it stops. */
    bool may_lose = run->target.multiplexed > 0 && run->strict;
    if (has_header(run) && !may_lose && lost > 0)
        return scope_fail(s, "%ld calls lost; %s", lost, example);
    return lost <= run->callers || scope_fail(s, "%ld calls lost by %ld callers; %s", lost, run->callers, example);
}

/* ---- restart ------------------------------------------------------------------------------ */

/* Leaves some connections idle: as many as there are calls at once. */
static bool fill_pool(struct scope *s, const krpc_client *client, struct running_call *running, int count)
{
    for (int i = 0; i < count; i++) {
        running[i] = (struct running_call){.client = client, .sleep_ms = 200};
        if (pthread_create(&running[i].thread, NULL, sleep_on_server, &running[i]) != 0)
            return scope_fail(s, "no thread");
    }
    for (int i = 0; i < count; i++) {
        pthread_join(running[i].thread, NULL);
        want_status(s, running[i].reply, KRPC_OK);
        scope_end(&running[i].scope);
    }
    return s->why[0] == '\0';
}

/* The server dies and another one listens on its port: the dead connections in the pool are replaced, and no
 * call notices. */
bool case_restart(struct scope *s, struct run *run)
{
    enum { IDLE = 5 };
    struct running_call running[IDLE];
    krpc_client *client = new_client(s, &run->target);
    krpc_client_stats before = KRPC_CLIENT_STATS_INIT, after = KRPC_CLIENT_STATS_INIT;
    if (!fill_pool(s, client, running, IDLE))
        return false;
    krpc_client_read_stats(client, &before);
    if (!want_number(s, "idle connections", (int64_t)before.idle, IDLE))
        return false;
    say("RESTART");
    char line[16];
    if (fgets(line, sizeof line, stdin) == NULL)
        return scope_fail(s, "nobody said that the new server is there");

    for (int i = 0; i < 2 * IDLE; i++) {
        int64_t sum;
        if (!call_add(s, client, i, 1, &sum) || !want_number(s, "sum", sum, i + 1))
            return false;
    }
    krpc_client_read_stats(client, &after);
    return want_number(s, "dead connections", (int64_t)(after.found_dead - before.found_dead), IDLE) &&
           want_number(s, "new connections", (int64_t)(after.dialled - before.dialled), 1);
}
