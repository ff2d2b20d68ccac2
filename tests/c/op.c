/* krpc_op: mistakes, every way to end, waiting, and races of cancel, end and free. */
#include "async.h"

#include <stdatomic.h>

/* ---- mistakes --------------------------------------------------------------------------------------- */

static void mistakes_are_refused(void)
{
    CHECK(krpc_op_cancel(NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_op_wait(NULL, 0) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(!krpc_op_is_done(NULL) && krpc_op_take_reply(NULL) == NULL);
    krpc_op_free(NULL);

    krpc_metainfo *other = krpc_metainfo_new();
    const krpc_op *wrong = (const krpc_op *)(const void *)other;
    CHECK(krpc_op_cancel(wrong) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_op_wait(wrong, 0) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(!krpc_op_is_done(wrong) && krpc_op_take_reply(wrong) == NULL);
    krpc_op_free((krpc_op *)(void *)other);
    CHECK(krpc_metainfo_count(other) == 0); /* it is still there */
    krpc_metainfo_free(other);

    world all;
    world_open(&all);
    krpc_op *op = start(all.client, all.keep, "x", 0, NULL);
    CHECK(krpc_op_wait(op, -1) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_op_wait(op, INT64_MIN) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_op_free(op);
    krpc_op_free(op); /* the debug library knows what was freed */
    CHECK(krpc_op_cancel(op) == KRPC_STATUS_INVALID_ARGUMENT);
    world_close(&all);
}

/* ---- ends ---------------------------------------------------------------------------------------------- */

static void the_reply_is_for_the_first_who_asks(void)
{
    world all;
    world_open(&all);
    krpc_op *op = start(all.client, all.keep, "hello", 0, NULL);
    krpc_request *request = shelf_take(&all.kept);
    CHECK(!krpc_op_is_done(op));
    CHECK(krpc_op_wait(op, 0) == KRPC_STATUS_TIMEOUT);
    CHECK(krpc_op_wait(op, 5) == KRPC_STATUS_TIMEOUT);
    CHECK(krpc_op_take_reply(op) == NULL);
    echo(NULL, request);

    CHECK(krpc_op_wait(op, KRPC_FOREVER) == KRPC_OK);
    CHECK(krpc_op_wait(op, 0) == KRPC_OK && krpc_op_is_done(op));
    krpc_reply *reply = krpc_op_take_reply(op);
    CHECK(krpc_reply_status(reply) == KRPC_OK);
    CHECK(is_text(krpc_reply_message(reply), 0, KRPC_STR("hello")));
    CHECK(krpc_op_take_reply(op) == NULL && krpc_op_is_done(op));
    CHECK(krpc_op_cancel(op) == KRPC_OK); /* too late to matter */
    krpc_op_free(op);
    CHECK(krpc_reply_status(reply) == KRPC_OK); /* it outlives its operation */
    krpc_reply_free(reply);
    world_close(&all);
}

static void cancel_ends_it_and_the_server_sees_that(void)
{
    world all;
    world_open(&all);
    krpc_op *op = start(all.client, all.keep, "x", 0, NULL);
    krpc_request *request = shelf_take(&all.kept);
    CHECK(krpc_op_cancel(op) == KRPC_OK && krpc_op_cancel(op) == KRPC_OK);
    CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    krpc_reply *reply = krpc_op_take_reply(op);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_CANCELLED);
    CHECK(krpc_error_phase(krpc_reply_error(reply)) == KRPC_PHASE_WAIT);
    CHECK_STR(krpc_error_method(krpc_reply_error(reply)), "Test/keep");
    CHECK(krpc_error_peer(krpc_reply_error(reply)).len > 0);
    krpc_reply_free(reply);
    krpc_op_free(op);
    AWAIT(krpc_request_is_abandoned(request));
    krpc_request_free(request);

    /* Before anything was sent it ends as well. */
    for (int round = 0; round < 20; round++) {
        op = start(all.client, all.keep, "x", 0, NULL);
        CHECK(krpc_op_cancel(op) == KRPC_OK);
        CHECK(op_end(op) == KRPC_STATUS_CANCELLED);
    }
    CHECK_ECHO(all.client);
    world_close(&all);
}

static void its_time_ends_it(void)
{
    world all;
    world_open(&all);
    CHECK(op_end(start(all.client, all.keep, "x", 1, NULL)) == KRPC_STATUS_TIMEOUT);
    CHECK(op_end(start(all.client, all.keep, "x", 30, NULL)) == KRPC_STATUS_TIMEOUT);

    /* An address that takes connections but never speaks. */
    char silent[32];
    int listener = raw_listen(8, silent);
    krpc_client *client = client_to(krpc_cstr(silent));
    CHECK(op_end(start(client, all.keep, "x", 30, NULL)) == KRPC_STATUS_TIMEOUT);
    krpc_client_free(client);
    close(listener);

    /* Nobody listens there any more. */
    client = client_to(krpc_cstr(silent));
    CHECK(op_end(start(client, all.keep, "x", 0, NULL)) == KRPC_STATUS_CONNECT_FAILED);
    krpc_client_free(client);
    world_close(&all);
}

/* Some calls have been sent, some wait for their connection, some are not even looked at yet. */
static void a_close_that_cuts_off_ends_them_all(void)
{
    enum { CALLS = 60 };
    for (int round = 0; round < 10; round++) {
        world all;
        world_open(&all);
        krpc_op *ops[CALLS];
        for (int i = 0; i < CALLS; i++) {
            ops[i] = start(all.client, all.keep, "x", 0, NULL);
            if (i == 0 && round % 2 == 0)
                shelf_await(&all.kept, 1);
        }
        CHECK(krpc_client_close(all.client, true) == KRPC_OK);
        krpc_op *late = NULL;
        CHECK(krpc_client_start(all.client, all.keep, NULL, NULL, NULL, &late, NULL) == KRPC_STATUS_CLOSED);
        CHECK(late == NULL);
        for (int i = 0; i < CALLS; i++)
            CHECK(op_end(ops[i]) == KRPC_STATUS_CLOSED);
        world_close(&all);
    }
}

static void a_close_that_waits_lets_them_end(void)
{
    world all;
    world_open(&all);
    krpc_op *kept = start(all.client, all.keep, "x", 0, NULL);
    krpc_op *fresh = start(all.client, all.echo, "x", 0, NULL);
    CHECK(krpc_client_close(all.client, false) == KRPC_OK);
    CHECK(op_end(fresh) == KRPC_OK);
    echo(NULL, shelf_take(&all.kept));
    CHECK(op_end(kept) == KRPC_OK);

    /* Freeing the client is such a close too. */
    krpc_client *client = client_of(all.server);
    kept = start(client, all.keep, "x", 0, NULL);
    krpc_client_free(client);
    echo(NULL, shelf_take(&all.kept));
    CHECK(op_end(kept) == KRPC_OK);

    /* First without, then with force. */
    client = client_of(all.server);
    kept = start(client, all.keep, "x", 0, NULL);
    CHECK(krpc_client_close(client, false) == KRPC_OK);
    CHECK(krpc_client_close(client, true) == KRPC_OK);
    CHECK(op_end(kept) == KRPC_STATUS_CLOSED);
    krpc_client_free(client);
    world_close(&all);
}

static void the_end_of_its_runtime_ends_it(void)
{
    world all;
    world_open(&all);
    krpc_runtime *runtime = krpc_runtime_new(NULL, NULL);
    krpc_client_options *options = options_to(krpc_server_address(all.server, 0));
    CHECK(krpc_client_options_set_runtime(options, runtime, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_op *sent = start(client, all.keep, "x", 0, NULL);
    shelf_await(&all.kept, 1);
    krpc_op *fresh = start(client, all.keep, "x", 0, NULL);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    CHECK(op_end(sent) == KRPC_STATUS_CLOSED && op_end(fresh) == KRPC_STATUS_CLOSED);

    /* Afterwards a call is refused or ends at once, never left alone. */
    krpc_op *late = NULL;
    krpc_status status = krpc_client_start(client, all.keep, NULL, NULL, NULL, &late, NULL);
    CHECK(status == KRPC_STATUS_CLOSED || (status == KRPC_OK && op_end(late) == KRPC_STATUS_CLOSED));
    krpc_client_free(client);
    krpc_runtime_free(runtime);
    world_close(&all);
}

/* Who frees the last client after its last call has ended is the one that ends the threads, and waits. */
static void no_thread_is_left_behind(void)
{
    AWAIT(threads_named("krpc-") == 0);
    char nobody[32];
    close(raw_listen(1, nobody));
    for (int round = under_valgrind() ? 10 : 300; round > 0; round--) {
        krpc_client *client = client_to(krpc_cstr(nobody));
        krpc_method *method = krpc_client_method(client, KRPC_STR("Test/echo"), 0, NULL);
        CHECK(op_end(start(client, method, "x", 0, NULL)) == KRPC_STATUS_CONNECT_FAILED);
        krpc_method_free(method);
        krpc_client_free(client);
        CHECK(threads_named("krpc-") == 0);
    }
}

static void *wait_for_it(void *op)
{
    CHECK(krpc_op_wait((krpc_op *)op, BOUND_MS) == KRPC_OK);
    return NULL;
}

static void many_may_wait(void)
{
    world all;
    world_open(&all);
    krpc_op *op = start(all.client, all.keep, "x", 0, NULL);
    pthread_t threads[4];
    for (size_t i = 0; i < LEN(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, wait_for_it, op) == 0);
    echo(NULL, shelf_take(&all.kept));
    for (size_t i = 0; i < LEN(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(op_end(op) == KRPC_OK);
    world_close(&all);
}

/* ---- on a thread that drives I/O ---------------------------------------------------------------------- */

static void start_inline(void *user_data, krpc_request *request)
{
    const world *all = (const world *)user_data;
    krpc_op *op = start(all->client, all->keep, "below", 0, NULL);
    CHECK(krpc_op_wait(op, 0) == KRPC_STATUS_TIMEOUT);
    CHECK(krpc_op_wait(op, 1) == KRPC_STATUS_WOULD_DEADLOCK);
    CHECK(krpc_op_wait(op, KRPC_FOREVER) == KRPC_STATUS_WOULD_DEADLOCK);
    krpc_op_free(op);
    echo(NULL, request);
}

static void an_io_thread_starts_but_never_waits(void)
{
    world all;
    world_open(&all);
    krpc_server *server = serve_one("start", KRPC_METHOD_FLAG_INLINE, start_inline, &all);
    krpc_client *client = client_of(server);
    CHECK_ECHO_OF(client, "Test/start", "from inside");
    krpc_client_free(client);
    krpc_server_free(server);
    world_close(&all);
}

/* ---- races ------------------------------------------------------------------------------------------------ */

enum { RACERS = 24 };

/* One operation of a round and what came of it. */
typedef struct {
    krpc_op *op;
    atomic_int called;
    atomic_int destroyed;
} racer;

typedef struct {
    racer racers[RACERS];
    krpc_queue *queue;
    krpc_context *context;
    atomic_int go;
    int round;
} race;

static void racer_ends(void *user_data, krpc_reply *reply)
{
    racer *self = (racer *)user_data;
    CHECK(atomic_load(&self->destroyed) == 0);
    CHECK(reply == NULL || krpc_reply_status(reply) == KRPC_OK ||
          krpc_reply_status(reply) == KRPC_STATUS_CANCELLED);
    atomic_fetch_add(&self->called, 1);
    krpc_reply_free(reply);
}

static void racer_destroyed(void *user_data)
{
    atomic_fetch_add(&((racer *)user_data)->destroyed, 1);
}

static void wait_for_go(race *self)
{
    while (!atomic_load(&self->go))
        sched_yield();
}

/* Every third is freed, which may be before, during and after its end. */
static int is_freed_early(int index)
{
    return index % 3 == 0;
}

static void *free_some(void *argument)
{
    race *self = (race *)argument;
    wait_for_go(self);
    for (int i = 0; i < RACERS; i++)
        if (is_freed_early(i))
            krpc_op_free(self->racers[i].op);
    return NULL;
}

static void *cancel_some(void *argument)
{
    race *self = (race *)argument;
    wait_for_go(self);
    for (int i = RACERS - 1; i >= 0; i--) {
        if (!is_freed_early(i) && i % 2 == 0)
            CHECK(krpc_op_cancel(self->racers[i].op) == KRPC_OK);
        if (self->queue != NULL)
            krpc_queue_cancel(self->queue, (uint64_t)i);
    }
    if (self->round % 3 == 0)
        krpc_context_cancel(self->context);
    return NULL;
}

static void *take_some(void *argument)
{
    race *self = (race *)argument;
    wait_for_go(self);
    for (int i = 0; i < RACERS; i++) {
        if (is_freed_early(i) || i % 4 != 1)
            continue;
        CHECK(krpc_op_wait(self->racers[i].op, BOUND_MS) == KRPC_OK);
        krpc_reply_free(krpc_op_take_reply(self->racers[i].op));
    }
    return NULL;
}

static void run_race(const world *all, race *self, int with_queue)
{
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.parent = self->context = krpc_context_new(NULL, 0, NULL, NULL);
    self->queue = with_queue ? queue_of(RACERS) : NULL;
    krpc_message *request = text_message(1, KRPC_STR("x"));
    pthread_t threads[3];
    CHECK(pthread_create(&threads[0], NULL, free_some, self) == 0);
    CHECK(pthread_create(&threads[1], NULL, cancel_some, self) == 0);
    CHECK(pthread_create(&threads[2], NULL, take_some, self) == 0);
    for (int i = 0; i < RACERS; i++) {
        racer *one = &self->racers[i];
        krpc_completion completion = to_queue(self->queue, (uint64_t)i);
        completion.user_data = one;
        completion.destroy = racer_destroyed;
        if (!with_queue)
            completion.callback = racer_ends;
        CHECK(krpc_client_start(all->client, all->echo, request, &options, &completion, &one->op, NULL) ==
              KRPC_OK);
    }
    krpc_message_free(request);
    atomic_store(&self->go, 1);

    /* An event of each that was not freed, and perhaps of those that were. */
    for (int left = RACERS - (RACERS + 2) / 3; with_queue && left > 0;) {
        krpc_event event = take_one(self->queue);
        CHECK(event.kind == KRPC_EVENT_KIND_CALL && event.tag < RACERS);
        CHECK(event.status == KRPC_OK || event.status == KRPC_STATUS_CANCELLED);
        CHECK(event.reply == NULL || krpc_reply_status(event.reply) == event.status);
        CHECK(atomic_fetch_add(&self->racers[event.tag].called, 1) == 0);
        left -= !is_freed_early((int)event.tag);
        krpc_event_release(&event);
    }
    for (size_t i = 0; i < LEN(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < RACERS; i++) {
        racer *one = &self->racers[i];
        AWAIT(atomic_load(&one->destroyed) == 1);
        CHECK(is_freed_early(i) ? atomic_load(&one->called) <= 1 : atomic_load(&one->called) == 1);
        if (!is_freed_early(i))
            krpc_op_free(one->op);
    }
    if (with_queue) {
        CHECK(take_all(self->queue) == 0);
        AWAIT(stats_of(self->queue).reserved == 0 && stats_of(self->queue).queued == 0);
    }
    krpc_queue_free(self->queue);
    krpc_context_free(self->context);
}

/* However cancel, end, take and free meet: one completion, unless freed; one destroy, always. */
static void each_ends_once_and_is_destroyed_once(void)
{
    world all;
    world_open(&all);
    int rounds = under_valgrind() ? 10 : 150;
    for (int round = 0; round < rounds; round++) {
        race state;
        memset(&state, 0, sizeof state);
        state.round = round;
        run_race(&all, &state, round % 2);
        for (int i = 0; i < RACERS; i++)
            CHECK(atomic_load(&state.racers[i].destroyed) == 1);
    }
    world_close(&all);
}

int main(void)
{
    mistakes_are_refused();
    the_reply_is_for_the_first_who_asks();
    cancel_ends_it_and_the_server_sees_that();
    its_time_ends_it();
    a_close_that_cuts_off_ends_them_all();
    a_close_that_waits_lets_them_end();
    the_end_of_its_runtime_ends_it();
    no_thread_is_left_behind();
    many_may_wait();
    an_io_thread_starts_but_never_waits();
    each_ends_once_and_is_destroyed_once();
    return end_of_net_test();
}
