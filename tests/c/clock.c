/* Every limit, to the millisecond and without a sleep: the library's clock stands, and moves when a test says so.
   And connections that are held: nothing is read or written until they are let go. */
#include "async.h"
#include "hooks.h"

#include <stdatomic.h>

static void advance(uint64_t milliseconds)
{
    CHECK(krpc_test_clock_advance(milliseconds) == KRPC_OK);
}

/* Whatever moving the clock woke on the only I/O thread has run: it answers others. */
static void settle(const krpc_server *server)
{
    krpc_client *client = client_of(server);
    CHECK_ECHO(client);
    krpc_client_free(client);
}

/* ---- what blocks, on a thread of its own ---------------------------------------------------------------------- */

typedef struct {
    krpc_status (*body)(void *argument);
    void *argument;
    pthread_t thread;
    krpc_status status;
    atomic_int done;
} blocked;

static void *blocked_main(void *argument)
{
    blocked *self = (blocked *)argument;
    self->status = self->body(self->argument);
    atomic_store(&self->done, 1);
    return NULL;
}

/* Returns once it sleeps in the library. */
static void blocked_start(blocked *self, krpc_status (*body)(void *argument), void *argument)
{
    self->body = body;
    self->argument = argument;
    atomic_init(&self->done, 0);
    AWAIT(krpc_test_clock_sleepers() == 0);
    CHECK(pthread_create(&self->thread, NULL, blocked_main, self) == 0);
    AWAIT(krpc_test_clock_sleepers() > 0);
}

static krpc_status blocked_end(blocked *self)
{
    CHECK(pthread_join(self->thread, NULL) == 0);
    return self->status;
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static void check_timeout(krpc_reply *reply, const char *text, uint64_t elapsed_ms)
{
    krpc_facts facts = KRPC_FACTS_INIT;
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_TIMEOUT);
    if (!contains(krpc_error_describe(krpc_reply_error(reply)), text))
        check_str(krpc_error_describe(krpc_reply_error(reply)), text, __FILE__, __LINE__);
    CHECK(krpc_reply_facts(reply, &facts) == KRPC_OK && facts.elapsed_us == 1000 * elapsed_ms);
    krpc_reply_free(reply);
}

static void a_started_call_ends_with_its_time(void)
{
    world all;
    world_open(&all);
    krpc_op *op = start(all.client, all.keep, "x", 1234, NULL);
    shelf_await(&all.kept, 1);
    advance(1233);
    settle(all.server);
    CHECK(!krpc_op_is_done(op));
    advance(1);
    CHECK(krpc_op_wait(op, KRPC_FOREVER) == KRPC_OK);
    check_timeout(krpc_op_take_reply(op), "1.234s", 1234);
    krpc_op_free(op);

    /* By queue: one event, and its slot is back. */
    krpc_queue *queue = queue_of(1);
    krpc_completion completion = to_queue(queue, 9);
    op = start(all.client, all.keep, "x", 60000, &completion);
    shelf_await(&all.kept, 2);
    advance(59999);
    settle(all.server);
    CHECK(take_all(queue) == 0);
    advance(1);
    CHECK_CALL_EVENT(queue, 9, KRPC_STATUS_TIMEOUT);
    krpc_op_free(op);
    CHECK(take_all(queue) == 0 && stats_of(queue).reserved == 0);
    krpc_queue_free(queue);
    world_close(&all);
}

typedef struct {
    const krpc_client *client;
    int64_t timeout_ms;
    krpc_reply *reply;
} calling;

static krpc_status call_keep(void *argument)
{
    calling *self = (calling *)argument;
    self->reply = call(self->client, "Test/keep", "x", self->timeout_ms);
    return krpc_reply_status(self->reply);
}

static void a_blocking_call_ends_with_its_time(void)
{
    world all;
    world_open(&all);
    calling self = {all.client, 5000, NULL};
    blocked thread;
    blocked_start(&thread, call_keep, &self);
    shelf_await(&all.kept, 1);
    advance(4999);
    AWAIT(krpc_test_clock_sleepers() > 0);
    CHECK(!atomic_load(&thread.done));
    advance(1);
    CHECK(blocked_end(&thread) == KRPC_STATUS_TIMEOUT);
    check_timeout(self.reply, "5s", 5000);
    world_close(&all);
}

/* ---- contexts ----------------------------------------------------------------------------------------------------- */

static void a_context_ends_with_its_time(void)
{
    world all;
    world_open(&all);
    krpc_context *work = krpc_context_new(NULL, 1000, NULL, NULL);
    krpc_context *below = krpc_context_new(work, 0, NULL, NULL);
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.parent = below;
    krpc_op *op = NULL;
    CHECK(krpc_client_start(all.client, all.keep, NULL, &options, NULL, &op, NULL) == KRPC_OK);
    shelf_await(&all.kept, 1);
    advance(400);
    CHECK(krpc_context_time_left_ms(work) == 600 && krpc_context_time_left_ms(below) == 600);
    advance(599);
    settle(all.server);
    CHECK(krpc_context_cause(below) == KRPC_CAUSE_NONE && !krpc_op_is_done(op));
    advance(1);
    CHECK(krpc_context_cause(below) == KRPC_CAUSE_DEADLINE && krpc_context_time_left_ms(work) == 0);
    CHECK(op_end(op) == KRPC_STATUS_TIMEOUT);
    CHECK(krpc_client_call(all.client, all.echo, NULL, &options, NULL) == KRPC_STATUS_TIMEOUT);
    krpc_context_free(work);
    krpc_context_free(below);
    world_close(&all);
}

/* ---- waits of the host ---------------------------------------------------------------------------------------------- */

static krpc_status wait_for_op(void *argument)
{
    return krpc_op_wait((krpc_op *)argument, 700);
}

static krpc_status take_from(void *argument)
{
    krpc_event event;
    size_t count = 1;
    krpc_status status = krpc_queue_take((krpc_queue *)argument, &event, sizeof event, 1, 700, &count);
    CHECK(count == 0);
    return status;
}

static void waits_end_with_their_time(void)
{
    world all;
    world_open(&all);
    krpc_op *op = start(all.client, all.keep, "x", 0, NULL);
    krpc_queue *queue = queue_of(1);
    struct {
        krpc_status (*body)(void *argument);
        void *argument;
        krpc_status expected;
    } waits[] = {{wait_for_op, op, KRPC_STATUS_TIMEOUT}, {take_from, queue, KRPC_OK}};
    for (size_t i = 0; i < LEN(waits); i++) {
        blocked thread;
        blocked_start(&thread, waits[i].body, waits[i].argument);
        advance(699);
        AWAIT(krpc_test_clock_sleepers() > 0);
        CHECK(!atomic_load(&thread.done));
        advance(1);
        CHECK(blocked_end(&thread) == waits[i].expected);
    }
    CHECK(!krpc_op_is_done(op)); /* a wait consumes nothing */
    krpc_op_free(op);
    krpc_queue_free(queue);
    world_close(&all);
}

/* Waits that began while the clock ran hear that it was stopped. */
static void waits_that_have_begun_follow(void)
{
    krpc_test_clock_run();
    CHECK(krpc_test_clock_advance(1) == KRPC_STATUS_INVALID_STATE);
    world all;
    world_open(&all);
    krpc_op *op = start(all.client, all.keep, "x", 10 * BOUND_MS, NULL);
    shelf_await(&all.kept, 1);
    krpc_op *forever = start(all.client, all.keep, "x", 0, NULL);
    blocked thread;
    blocked_start(&thread, wait_for_op, forever);
    krpc_test_clock_stop();
    krpc_test_clock_stop(); /* twice is once */
    advance(10 * BOUND_MS);
    CHECK(blocked_end(&thread) == KRPC_STATUS_TIMEOUT);
    CHECK(op_end(op) == KRPC_STATUS_TIMEOUT);
    krpc_op_free(forever);

    /* It runs on from where it stands. */
    op = start(all.client, all.keep, "x", 10, NULL);
    krpc_context *work = krpc_context_new(NULL, BOUND_MS, NULL, NULL);
    advance(5);
    krpc_test_clock_run();
    CHECK(op_end(op) == KRPC_STATUS_TIMEOUT);
    CHECK(krpc_context_time_left_ms(work) < BOUND_MS - 5 && krpc_context_cause(work) == KRPC_CAUSE_NONE);
    krpc_context_free(work);
    krpc_test_clock_stop();
    world_close(&all);
}

/* ---- connections ------------------------------------------------------------------------------------------------------ */

/* "Test/echo" of "x", unframed, and a read of the whole answer. */
static void raw_echo(int fd)
{
    static const char request[] = "\x80\x01\x00\x01\x00\x00\x00\x04" "echo" "\x00\x00\x00\x01\x0b\x00\x01\x00\x00\x00\x01x\x00";
    char answer[64];
    raw_send(fd, request, sizeof request - 1);
    for (size_t got = 0; got < sizeof request - 1;) {
        CHECK(readable(fd, BOUND_MS));
        ssize_t more = recv(fd, answer, sizeof answer, 0);
        CHECK(more > 0);
        got += (size_t)more;
    }
}

static void a_server_ends_idle_connections(void)
{
    krpc_server_options *options = options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
    CHECK(krpc_server_options_set_idle_timeout_ms(options, 3600 * 1000, NULL) == KRPC_OK);
    CHECK(krpc_server_options_set_read_timeout_ms(options, 7000, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    int idle = raw_connect(krpc_server_address(server, 0)), slow = raw_connect(krpc_server_address(server, 0));
    raw_echo(idle);
    raw_echo(slow);
    raw_send(slow, "\x80\x01\x00", 3);
    settle(server);
    advance(6999);
    settle(server);
    CHECK(!readable(idle, 0) && !readable(slow, 0));
    advance(1);
    CHECK(raw_until_closed(slow) == 0);
    advance(3600 * 1000 - 7001);
    settle(server);
    CHECK(!readable(idle, 0));
    advance(1);
    CHECK(raw_until_closed(idle) == 0);
    close(idle);
    close(slow);
    krpc_server_free(server);
}

static krpc_client_stats client_stats(const krpc_client *client)
{
    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    CHECK(krpc_client_read_stats(client, &stats) == KRPC_OK);
    return stats;
}

/* Connections that were idle for too long: who comes first, a call or the runtime, closes them. */
static uint64_t outdated(const krpc_client *client)
{
    return client_stats(client).found_dead + client_stats(client).expired;
}

static void a_client_ends_idle_connections(void)
{
    krpc_server *server = serve_one("m", 0, echo, NULL);
    krpc_client_options *options = options_to(krpc_server_address(server, 0));
    CHECK(krpc_client_options_set_idle_timeout_ms(options, 30000, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    CHECK_ECHO(client);
    advance(29999);
    CHECK_ECHO(client);
    CHECK(client_stats(client).dialled == 1);
    advance(30000);
    CHECK_ECHO(client);
    CHECK(client_stats(client).dialled == 2 && outdated(client) == 1);
    advance(30000);

    /* Of started calls: nobody has to ask. The first looks for one that a blocking call has left, too late. */
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/echo"), 0, NULL);
    CHECK(op_end(start(client, method, "x", 0, NULL)) == KRPC_OK);
    AWAIT(client_stats(client).idle == 1);
    CHECK(client_stats(client).dialled == 3 && outdated(client) == 2);
    advance(29999);
    settle(server);
    CHECK(client_stats(client).idle == 1);
    advance(1);
    AWAIT(client_stats(client).idle == 0);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
}

static void a_connect_ends_with_its_time(void)
{
    deaf peer;
    deaf_open(&peer);
    calling self = {peer.client, 0, NULL};
    blocked thread;
    blocked_start(&thread, call_keep, &self);
    advance(1999);
    AWAIT(krpc_test_clock_sleepers() > 0);
    CHECK(!atomic_load(&thread.done));
    advance(1);
    CHECK(blocked_end(&thread) == KRPC_STATUS_CONNECT_TIMEOUT);
    CHECK(contains(krpc_error_text(krpc_reply_error(self.reply)), "no connection within 2s"));
    krpc_reply_free(self.reply);

    /* The call's own time is shorter. It begins once the address may be dialled again. */
    advance(100);
    self.timeout_ms = 1500;
    blocked_start(&thread, call_keep, &self);
    advance(1500);
    CHECK(blocked_end(&thread) == KRPC_STATUS_TIMEOUT);
    check_timeout(self.reply, "1.5s", 1500);

    /* A started one: its connection's task must have begun. */
    krpc_method *method = krpc_client_method(peer.client, KRPC_STR("S/m"), 0, NULL);
    krpc_op *op = start(peer.client, method, "x", 0, NULL);
    while (!krpc_op_is_done(op)) {
        advance(2000);
        poll(NULL, 0, 1);
    }
    CHECK(op_end(op) == KRPC_STATUS_CONNECT_TIMEOUT);
    krpc_method_free(method);
    deaf_close(&peer);
}

/* Closed or cancelled while it waits for a connection: at once, for no time passes here. */
static void a_connect_can_be_interrupted(void)
{
    deaf peer;
    deaf_open(&peer);
    calling self = {peer.client, 0, NULL};
    blocked thread;
    blocked_start(&thread, call_keep, &self);
    CHECK(krpc_client_close(peer.client, true) == KRPC_OK);
    CHECK(blocked_end(&thread) == KRPC_STATUS_CLOSED);
    krpc_reply_free(self.reply);
    deaf_close(&peer);
}

typedef struct {
    const krpc_client *client;
    const krpc_context *parent;
} in_context;

static krpc_status call_in(void *argument)
{
    in_context *self = (in_context *)argument;
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.parent = self->parent;
    krpc_reply *reply = NULL;
    krpc_status status = krpc_client_call_by_name(self->client, KRPC_STR("S/m"), NULL, &options, &reply);
    krpc_reply_free(reply);
    return status;
}

static void a_connect_ends_with_its_context(void)
{
    deaf peer;
    deaf_open(&peer);
    in_context self = {peer.client, krpc_context_new(NULL, 0, NULL, NULL)};
    blocked thread;
    blocked_start(&thread, call_in, &self);
    CHECK(krpc_context_cancel(self.parent) == KRPC_OK);
    CHECK(blocked_end(&thread) == KRPC_STATUS_CANCELLED);
    krpc_context_free((krpc_context *)self.parent);
    deaf_close(&peer);
}

/* ---- the end of a server ------------------------------------------------------------------------------------------------ */

typedef struct {
    const krpc_server *server;
    krpc_stopped stopped;
} stopping;

static krpc_status stop_server(void *argument)
{
    stopping *self = (stopping *)argument;
    return krpc_server_stop(self->server, 4000, &self->stopped, NULL);
}

static void a_stop_ends_with_its_grace(void)
{
    world all;
    world_open(&all);
    krpc_op *op = start(all.client, all.keep, "x", 0, NULL);
    krpc_request *request = shelf_take(&all.kept);
    stopping self = {all.server, KRPC_STOPPED_INIT};
    blocked thread;
    blocked_start(&thread, stop_server, &self);
    advance(3999);
    AWAIT(krpc_test_clock_sleepers() > 0);
    CHECK(!atomic_load(&thread.done) && !krpc_op_is_done(op));
    advance(1);
    CHECK(blocked_end(&thread) == KRPC_OK);
    CHECK(self.stopped.cut_off == 1);
    CHECK(op_end(op) == KRPC_STATUS_CONNECTION_LOST);
    CHECK(krpc_request_reply(request, NULL, NULL) == KRPC_STATUS_GONE);
    krpc_request_free(request);
    world_close(&all);
}

/* ---- connections that are held -------------------------------------------------------------------------------------------- */

static void what_is_held_waits_or_ends_with_its_time(void)
{
    CHECK(krpc_test_hold(4) == KRPC_STATUS_INVALID_ARGUMENT);
    world all;
    world_open(&all);
    CHECK_ECHO(all.client);

    /* The server does not read. */
    CHECK(krpc_test_hold(HOLD_SERVERS) == KRPC_OK);
    krpc_op *op = start(all.client, all.keep, "x", 300, NULL);
    advance(299);
    CHECK(!krpc_op_is_done(op));
    advance(1);
    CHECK(op_end(op) == KRPC_STATUS_TIMEOUT);
    op = start(all.client, all.echo, "x", 300, NULL);
    CHECK(krpc_test_hold(HOLD_NOBODY) == KRPC_OK);
    CHECK(op_end(op) == KRPC_OK);
    shelf_clear(&all.kept);

    /* The client does not write. */
    int arrived = all.kept.arrived;
    CHECK(krpc_test_hold(HOLD_CLIENTS) == KRPC_OK);
    calling self = {all.client, 300, NULL};
    blocked thread;
    blocked_start(&thread, call_keep, &self);
    advance(300);
    CHECK(blocked_end(&thread) == KRPC_STATUS_TIMEOUT);
    check_timeout(self.reply, "the request was not taken within the timeout", 300);
    op = start(all.client, all.keep, "x", 300, NULL);
    CHECK(krpc_op_wait(op, 0) == KRPC_STATUS_TIMEOUT && all.kept.arrived == arrived);

    /* Nor read. */
    CHECK(krpc_test_hold(HOLD_NOBODY) == KRPC_OK);
    krpc_request *request = shelf_take(&all.kept);
    CHECK(krpc_test_hold(HOLD_CLIENTS) == KRPC_OK);
    echo(NULL, request);
    advance(299);
    CHECK(!krpc_op_is_done(op));
    CHECK(krpc_test_hold(HOLD_NOBODY) == KRPC_OK);
    CHECK(op_end(op) == KRPC_OK);

    /* An answer that the server can't write ends its connection in the end. */
    op = start(all.client, all.keep, "x", 0, NULL);
    request = shelf_take(&all.kept);
    CHECK(krpc_test_hold(HOLD_SERVERS) == KRPC_OK);
    echo(NULL, request);
    while (!krpc_op_is_done(op)) {
        advance(5000);
        poll(NULL, 0, 1);
    }
    CHECK(op_end(op) == KRPC_STATUS_CONNECTION_LOST);
    CHECK(krpc_test_hold(HOLD_NOBODY) == KRPC_OK);
    CHECK_ECHO(all.client);
    world_close(&all);
}

/* A call that gives up leaves a shared connection to the others. */
static void a_shared_connection_is_held_too(void)
{
    world all;
    world_open(&all);
    krpc_client_options *options = options_to(krpc_server_address(all.server, 0));
    CHECK(krpc_client_options_set_multiplexed(options, 1, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    CHECK_ECHO(client);
    CHECK(krpc_test_hold(HOLD_CLIENTS) == KRPC_OK);
    krpc_op *stays = start(client, all.keep, "x", 0, NULL);
    krpc_op *leaves = start(client, all.keep, "x", 300, NULL);
    advance(300);
    CHECK(op_end(leaves) == KRPC_STATUS_TIMEOUT);
    CHECK(all.kept.arrived == 0);
    CHECK(krpc_test_hold(HOLD_NOBODY) == KRPC_OK);
    echo(NULL, shelf_take(&all.kept));
    CHECK(op_end(stays) == KRPC_OK);
    CHECK_ECHO(client);
    CHECK(client_stats(client).dialled == 1);
    krpc_client_free(client);
    world_close(&all);
}

int main(void)
{
    krpc_runtime *runtime = krpc_runtime_new(NULL, NULL);
    krpc_test_clock_stop();
    a_started_call_ends_with_its_time();
    a_blocking_call_ends_with_its_time();
    a_context_ends_with_its_time();
    waits_end_with_their_time();
    waits_that_have_begun_follow();
    a_server_ends_idle_connections();
    a_client_ends_idle_connections();
    a_connect_ends_with_its_time();
    a_connect_can_be_interrupted();
    a_connect_ends_with_its_context();
    a_stop_ends_with_its_grace();
    what_is_held_waits_or_ends_with_its_time();
    a_shared_connection_is_held_too();
    krpc_runtime_free(runtime);
    return end_of_net_test();
}
