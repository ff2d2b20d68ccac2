/* krpc_queue: mistakes, room, tags, the end, batches, the descriptor, many users. */
#include "async.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/epoll.h>

/* ---- mistakes -------------------------------------------------------------------------------------------- */

static void mistakes_are_refused(void)
{
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "capacity", krpc_queue_new(0, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "capacity", krpc_queue_new((1 << 20) + 1, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "capacity", krpc_queue_new(SIZE_MAX, &error));
    krpc_queue_free(krpc_queue_new(1 << 20, NULL));
    krpc_queue_free(NULL);

    int32_t fd = 7;
    size_t count = 7;
    krpc_event event;
    krpc_queue_stats stats = KRPC_QUEUE_STATS_INIT;
    REFUSED("queue", krpc_queue_fd(NULL, &fd, &error));
    CHECK(fd == -1);
    CHECK(krpc_queue_take(NULL, &event, sizeof event, 1, 0, &count) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(count == 0);
    CHECK(krpc_queue_cancel(NULL, 0) == 0);
    CHECK(krpc_queue_shutdown(NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_queue_read_stats(NULL, &stats) == KRPC_STATUS_INVALID_ARGUMENT);

    krpc_queue *queue = queue_of(1);
    CHECK(krpc_queue_fd(queue, NULL, NULL) == KRPC_OK);
    CHECK(krpc_queue_take(queue, NULL, sizeof event, 1, 0, &count) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_queue_take(queue, &event, sizeof event, 0, 0, &count) == KRPC_STATUS_INVALID_ARGUMENT);
    /* That of the first version, and less than that. */
    CHECK(krpc_queue_take(queue, &event, offsetof(krpc_event, record), 1, 0, &count) == KRPC_OK && count == 0);
    CHECK(krpc_queue_take(queue, &event, offsetof(krpc_event, record) - 8, 1, 0, &count) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_queue_take(queue, &event, sizeof event + 1, 1, 0, &count) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_queue_take(queue, &event, 0, 1, 0, &count) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_queue_take(queue, &event, sizeof event, 1, -1, &count) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_queue_take(queue, &event, sizeof event, 1, 0, NULL) == KRPC_OK);
    CHECK(krpc_queue_read_stats(queue, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    stats.struct_size = 0;
    CHECK(krpc_queue_read_stats(queue, &stats) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_event_release(NULL);
    krpc_event_release_many(NULL, sizeof event, 3);
    krpc_event_release_many(&event, 0, 1);
    krpc_event_release_many(&event, sizeof event, 0);
    krpc_queue_free(queue);
    CHECK(krpc_queue_take(queue, &event, sizeof event, 1, 0, &count) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_queue_free(queue); /* the debug library knows what was freed */
}

static void start_many_checks_what_it_gets(void)
{
    world all;
    world_open(&all);
    krpc_queue *queue = queue_of(4);
    krpc_call calls[2] = {{all.echo, NULL, 1}, {NULL, NULL, 2}};
    size_t started = 7;
    REFUSED("client", krpc_client_start_many(NULL, calls, sizeof(krpc_call), 1, NULL, queue, &started, &error));
    CHECK(started == 0);
    REFUSED("queue", krpc_client_start_many(all.client, calls, sizeof(krpc_call), 1, NULL, NULL, &started, &error));
    REFUSED("calls", krpc_client_start_many(all.client, NULL, sizeof(krpc_call), 1, NULL, queue, &started, &error));
    /* One bad call, and none is started. */
    REFUSED("calls.method", krpc_client_start_many(all.client, calls, sizeof(krpc_call), 2, NULL, queue, &started, &error));
    calls[1].method = all.echo;
    calls[1].request = (const krpc_message *)(const void *)all.echo;
    REFUSED("request", krpc_client_start_many(all.client, calls, sizeof(krpc_call), 2, NULL, queue, &started, &error));
    CHECK(started == 0 && stats_of(queue).reserved == 0);
    CHECK(krpc_client_start_many(all.client, NULL, sizeof(krpc_call), 0, NULL, queue, &started, NULL) == KRPC_OK);
    CHECK(krpc_client_start_many(all.client, calls, sizeof(krpc_call), 1, NULL, queue, NULL, NULL) == KRPC_OK);
    krpc_event event = take_one(queue);
    krpc_event_release(&event);
    krpc_queue_free(queue);
    world_close(&all);
}

/* ---- room --------------------------------------------------------------------------------------------------- */

static void a_full_queue_can_be_tried_again(void)
{
    world all;
    world_open(&all);
    krpc_queue *queue = queue_of(2);
    CHECK(start_tagged(all.client, all.keep, queue, 1) == KRPC_OK);
    CHECK(start_tagged(all.client, all.echo, queue, 2) == KRPC_OK);
    AWAIT(stats_of(queue).queued == 1);
    CHECK(stats_of(queue).reserved == 1);
    CHECK(start_tagged(all.client, all.echo, queue, 3) == KRPC_STATUS_QUEUE_FULL);
    CHECK(krpc_status_retryable(KRPC_STATUS_QUEUE_FULL));
    CHECK(stats_of(queue).full == 1);
    CHECK_CALL_EVENT(queue, 2, KRPC_OK);
    CHECK(start_tagged(all.client, all.echo, queue, 3) == KRPC_OK);
    CHECK_CALL_EVENT(queue, 3, KRPC_OK);
    echo(NULL, shelf_take(&all.kept));
    CHECK_CALL_EVENT(queue, 1, KRPC_OK);
    CHECK(stats_of(queue).max_depth == 1);
    krpc_queue_free(queue);
    world_close(&all);
}

static void start_many_starts_as_many_as_there_is_room_for(void)
{
    world all;
    world_open(&all);
    krpc_queue *queue = queue_of(3);
    krpc_message *request = text_message(1, KRPC_STR("x"));
    krpc_call calls[5];
    for (size_t i = 0; i < LEN(calls); i++) {
        calls[i].method = all.echo;
        calls[i].request = request;
        calls[i].tag = i;
    }
    size_t started = 0;
    FAILS(KRPC_STATUS_QUEUE_FULL, "3 of 5",
          krpc_client_start_many(all.client, calls, sizeof(krpc_call), LEN(calls), NULL, queue, &started, &error));
    CHECK(started == 3);
    unsigned seen = 0;
    for (size_t i = 0; i < started; i++) {
        krpc_event event = take_one(queue);
        CHECK(event.status == KRPC_OK && is_text(krpc_reply_message(event.reply), 0, KRPC_STR("x")));
        seen |= 1u << event.tag;
        krpc_event_release(&event);
    }
    CHECK(seen == 7);
    CHECK(krpc_client_start_many(all.client, calls + 3, sizeof(krpc_call), 2, NULL, queue, &started, NULL) == KRPC_OK);
    CHECK(started == 2);
    AWAIT(stats_of(queue).queued == 2);
    CHECK(krpc_queue_shutdown(queue) == KRPC_OK);
    /* Not QUEUE_FULL: trying again would be of no use. */
    CHECK(krpc_client_start_many(all.client, calls, sizeof(krpc_call), 1, NULL, queue, &started, NULL) == KRPC_STATUS_CLOSED);
    CHECK(started == 0 && take_all(queue) == 3); /* with the end */
    CHECK(krpc_client_close(all.client, false) == KRPC_OK);
    CHECK(krpc_client_start_many(all.client, calls, sizeof(krpc_call), 1, NULL, queue, &started, NULL) == KRPC_STATUS_CLOSED);
    krpc_message_free(request);
    krpc_queue_free(queue);
    world_close(&all);
}

/* ---- tags and handles ------------------------------------------------------------------------------------------ */

static void a_tag_is_enough_to_cancel(void)
{
    world all;
    world_open(&all);
    krpc_queue *queue = queue_of(8);
    CHECK(start_tagged(all.client, all.keep, queue, 5) == KRPC_OK);
    CHECK(start_tagged(all.client, all.keep, queue, 5) == KRPC_OK);
    CHECK(start_tagged(all.client, all.keep, queue, UINT64_MAX) == KRPC_OK);
    shelf_await(&all.kept, 3);
    CHECK(krpc_queue_cancel(queue, 6) == 0);
    CHECK(krpc_queue_cancel(queue, 5) == 2);
    CHECK_CALL_EVENT(queue, 5, KRPC_STATUS_CANCELLED);
    CHECK_CALL_EVENT(queue, 5, KRPC_STATUS_CANCELLED);
    CHECK(krpc_queue_cancel(queue, 5) == 0);
    CHECK(take_all(queue) == 0);
    CHECK(krpc_queue_cancel(queue, UINT64_MAX) == 1);
    CHECK_CALL_EVENT(queue, UINT64_MAX, KRPC_STATUS_CANCELLED);
    krpc_queue_free(queue);
    world_close(&all);
}

static void free_returns_the_place_and_skips_the_event(void)
{
    world all;
    world_open(&all);
    krpc_queue *queue = queue_of(1);
    krpc_op *op = start_queued(all.client, all.keep, "x", queue, 1);
    CHECK(stats_of(queue).reserved == 1);
    krpc_op_free(op);
    CHECK(stats_of(queue).reserved == 0);

    /* One that has ended leaves a stale event, which the next take passes over. */
    op = start_queued(all.client, all.echo, "x", queue, 2);
    CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    AWAIT(stats_of(queue).queued == 1);
    krpc_op_free(op);
    CHECK(take_all(queue) == 0);
    CHECK(stats_of(queue).stale == 1 && stats_of(queue).queued == 0);
    CHECK(start_tagged(all.client, all.echo, queue, 3) == KRPC_OK);
    CHECK_CALL_EVENT(queue, 3, KRPC_OK);
    krpc_queue_free(queue);
    world_close(&all);
}

/* Whoever asks first has the reply; the event says how the call ended all the same. */
static void the_reply_is_in_the_event_or_was_taken(void)
{
    world all;
    world_open(&all);
    krpc_queue *queue = queue_of(2);
    krpc_op *op = start_queued(all.client, all.echo, "first", queue, 1);
    krpc_event event = take_one(queue);
    CHECK(krpc_op_is_done(op) && krpc_op_take_reply(op) == NULL);
    CHECK(is_text(krpc_reply_message(event.reply), 0, KRPC_STR("first")));
    krpc_event_release(&event);
    krpc_op_free(op);

    op = start_queued(all.client, all.keep, "second", queue, 2);
    CHECK(krpc_op_cancel(op) == KRPC_OK && krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    krpc_reply *reply = krpc_op_take_reply(op);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_CANCELLED);
    event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_CALL && event.tag == 2 && event.reply == NULL);
    CHECK(event.status == KRPC_STATUS_CANCELLED);
    krpc_event_release(&event);
    krpc_reply_free(reply);
    krpc_op_free(op);

    /* An event owns its reply: it outlives operation, queue and client; and a NULL pointer keeps it. */
    op = start_queued(all.client, all.echo, "third", queue, 3);
    event = take_one(queue);
    krpc_op_free(op);
    krpc_queue_free(queue);
    reply = event.reply;
    event.reply = NULL;
    krpc_event_release(&event);
    krpc_event_release(&event);
    CHECK(is_text(krpc_reply_message(reply), 0, KRPC_STR("third")));
    krpc_reply_free(reply);
    world_close(&all);
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

static void the_end_comes_last_and_stays(void)
{
    world all;
    world_open(&all);
    krpc_queue *queue = queue_of(4);
    CHECK(start_tagged(all.client, all.echo, queue, 1) == KRPC_OK);
    AWAIT(stats_of(queue).queued == 1);
    CHECK(start_tagged(all.client, all.keep, queue, 2) == KRPC_OK);
    shelf_await(&all.kept, 1);
    CHECK(krpc_queue_shutdown(queue) == KRPC_OK && krpc_queue_shutdown(queue) == KRPC_OK);
    CHECK(start_tagged(all.client, all.echo, queue, 3) == KRPC_STATUS_CLOSED);
    CHECK_CALL_EVENT(queue, 1, KRPC_OK);
    CHECK_CALL_EVENT(queue, 2, KRPC_STATUS_CLOSED);
    for (int i = 0; i < 3; i++) {
        krpc_event event;
        memset(&event, 0xff, sizeof event);
        size_t count = 0;
        CHECK(krpc_queue_take(queue, &event, sizeof event, 1, KRPC_FOREVER, &count) == KRPC_OK && count == 1);
        CHECK(event.kind == KRPC_EVENT_KIND_QUEUE_END && event.status == KRPC_OK && event.tag == 0);
        CHECK(event.reply == NULL && event.request == NULL && event.decision == NULL);
        krpc_event_release(&event);
    }
    int32_t fd;
    CHECK(krpc_queue_fd(queue, &fd, NULL) == KRPC_OK && readable(fd, 0));
    krpc_queue_free(queue);
    world_close(&all);
}

static void *take_until_the_end(void *argument)
{
    krpc_queue *queue = (krpc_queue *)argument;
    size_t calls = 0;
    for (;;) {
        krpc_event event = take_one(queue);
        int32_t kind = event.kind;
        krpc_event_release(&event);
        if (kind == KRPC_EVENT_KIND_QUEUE_END)
            break;
        calls++;
    }
    return (void *)(uintptr_t)calls;
}

static void the_end_wakes_everyone_who_waits(void)
{
    world all;
    world_open(&all);
    enum { CALLS = 40 };
    krpc_queue *queue = queue_of(CALLS);
    pthread_t takers[4];
    for (size_t i = 0; i < LEN(takers); i++)
        CHECK(pthread_create(&takers[i], NULL, take_until_the_end, queue) == 0);
    for (uint64_t tag = 0; tag < CALLS; tag++)
        CHECK(start_tagged(all.client, tag % 2 ? all.echo : all.keep, queue, tag) == KRPC_OK);
    CHECK(krpc_queue_shutdown(queue) == KRPC_OK);
    size_t taken = 0;
    for (size_t i = 0; i < LEN(takers); i++) {
        void *calls = NULL;
        CHECK(pthread_join(takers[i], &calls) == 0);
        taken += (size_t)(uintptr_t)calls;
    }
    CHECK(taken == CALLS);
    krpc_queue_free(queue);
    world_close(&all);
}

/* What is under way ends unseen, what waits is released; requests in it are answered. */
static void free_at_any_time(void)
{
    world all;
    world_open(&all);
    krpc_queue *queue = queue_of(4);
    krpc_service *service = krpc_service_new(KRPC_STR("Queued"), NULL);
    CHECK(krpc_service_add_queued_method(service, KRPC_STR("ask"), 0, queue, 9, NULL) == KRPC_OK);
    krpc_server *server = serve(options_with("127.0.0.1:0", service));
    krpc_client *client = client_of(server);
    caller asker;
    caller_start(&asker, client, "Queued/ask", "x");
    krpc_op *op = start_queued(all.client, all.keep, "x", queue, 1);
    CHECK(start_tagged(all.client, all.echo, queue, 2) == KRPC_OK);
    AWAIT(stats_of(queue).queued == 2);
    krpc_queue_free(queue);
    CHECK(caller_end(&asker) == KRPC_STATUS_REMOTE_EXCEPTION); /* though the server still has the queue */
    CHECK(op_end(op) == KRPC_STATUS_CLOSED);
    CALL_STATUS(client, "Queued/ask", KRPC_STATUS_REMOTE_EXCEPTION, "queue is closed");
    krpc_client_free(client);
    krpc_server_free(server);
    world_close(&all);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* Of a version to come, with fields that this one does not know: they are cleared. */
typedef struct {
    krpc_event known;
    uint64_t unknown[3];
} later_event;

static void larger_events_are_fine(void)
{
    world all;
    world_open(&all);
    krpc_queue *queue = queue_of(8);
    for (uint64_t tag = 1; tag <= 5; tag++)
        CHECK(start_tagged(all.client, all.echo, queue, tag) == KRPC_OK);
    AWAIT(stats_of(queue).queued == 5);
    later_event events[8];
    memset(events, 0xff, sizeof events);
    size_t count = 0;
    CHECK(krpc_queue_take(queue, &events[0].known, sizeof events[0], 3, 0, &count) == KRPC_OK && count == 3);
    CHECK(krpc_queue_take(queue, &events[3].known, sizeof events[0], 5, 0, &count) == KRPC_OK && count == 2);
    unsigned seen = 0;
    for (size_t i = 0; i < 5; i++) {
        CHECK(events[i].known.kind == KRPC_EVENT_KIND_CALL && events[i].known.reply != NULL);
        CHECK(events[i].unknown[0] == 0 && events[i].unknown[2] == 0);
        seen |= 1u << events[i].known.tag;
    }
    CHECK(seen == 0x3e);
    CHECK(events[5].unknown[0] == UINT64_MAX && events[5].known.tag == UINT64_MAX); /* not touched */
    krpc_event_release_many(&events[0].known, sizeof events[0], 5);
    for (size_t i = 0; i < 5; i++)
        CHECK(events[i].known.reply == NULL);
    krpc_queue_free(queue);
    world_close(&all);
}

/* ---- the descriptor ------------------------------------------------------------------------------------------------ */

static void the_descriptor_follows_the_queue(void)
{
    world all;
    world_open(&all);
    krpc_queue *queue = queue_of(8);
    int32_t fd = -1, again = -1;
    CHECK(krpc_queue_fd(queue, &fd, NULL) == KRPC_OK && krpc_queue_fd(queue, &again, NULL) == KRPC_OK);
    CHECK(fd >= 0 && fd == again && !readable(fd, 0));
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);

    /* A burst rings once, and what is left keeps it readable. */
    for (uint64_t tag = 0; tag < 3; tag++)
        CHECK(start_tagged(all.client, all.echo, queue, tag) == KRPC_OK);
    AWAIT(stats_of(queue).queued == 3);
    CHECK(readable(fd, 0) && stats_of(queue).wakes == 1);
    krpc_event event = take_one(queue);
    krpc_event_release(&event);
    CHECK(readable(fd, 0) && stats_of(queue).wakes == 1);
    CHECK(take_all(queue) == 2);
    CHECK(!readable(fd, 0));
    CHECK(take_all(queue) == 0 && stats_of(queue).wakes == 1);

    /* A stale event makes somebody look in vain, once. */
    krpc_op *op = start_queued(all.client, all.echo, "x", queue, 9);
    CHECK(readable(fd, BOUND_MS));
    krpc_op_free(op);
    CHECK(take_all(queue) == 0 && !readable(fd, 0) && stats_of(queue).wakes == 2);

    /* An operation that is given up before its end rings nothing. */
    krpc_op_free(start_queued(all.client, all.keep, "x", queue, 10));
    CHECK(!readable(fd, 20) && stats_of(queue).wakes == 2);
    CHECK(krpc_queue_shutdown(queue) == KRPC_OK);
    CHECK(readable(fd, 0) && take_all(queue) == 1 && readable(fd, 0));
    krpc_queue_free(queue);
    CHECK(fcntl(fd, F_GETFD) == -1);

    /* Asked for late, it is readable at once if there is something. */
    queue = queue_of(1);
    CHECK(start_tagged(all.client, all.echo, queue, 1) == KRPC_OK);
    AWAIT(stats_of(queue).queued == 1);
    CHECK(krpc_queue_fd(queue, &fd, NULL) == KRPC_OK && readable(fd, 0));
    krpc_queue_free(queue);
    world_close(&all);
}

/* One thread loops over an edge-triggered descriptor; each edge is followed by takes until one is short. */
static void an_edge_for_each_burst(void)
{
    world all;
    world_open(&all);
    enum { CALLS = 2000, AT_ONCE = 32 };
    const size_t calls = under_valgrind() ? 200 : CALLS;
    krpc_queue *queue = queue_of(AT_ONCE);
    int32_t fd;
    CHECK(krpc_queue_fd(queue, &fd, NULL) == KRPC_OK);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event interest;
    memset(&interest, 0, sizeof interest);
    interest.events = EPOLLIN | EPOLLET;
    CHECK(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &interest) == 0);
    struct epoll_event edge;
    CHECK(epoll_wait(loop, &edge, 1, 0) == 0);

    size_t started = 0, ended = 0, edges = 0;
    while (ended < calls) {
        while (started < calls && started - ended < AT_ONCE)
            CHECK(start_tagged(all.client, all.echo, queue, started++) == KRPC_OK);
        CHECK(epoll_wait(loop, &edge, 1, BOUND_MS) == 1);
        edges++;
        krpc_event events[5];
        size_t count;
        do {
            CHECK(krpc_queue_take(queue, events, sizeof events[0], LEN(events), 0, &count) == KRPC_OK);
            for (size_t i = 0; i < count; i++)
                CHECK(events[i].status == KRPC_OK);
            krpc_event_release_many(events, sizeof events[0], count);
            ended += count;
        } while (count == LEN(events));
    }
    CHECK(edges <= stats_of(queue).wakes && stats_of(queue).wakes <= calls);
    CHECK(krpc_queue_shutdown(queue) == KRPC_OK);
    CHECK(epoll_wait(loop, &edge, 1, 0) == 1); /* the end is an edge as well */
    close(loop);
    krpc_queue_free(queue);
    world_close(&all);
}

/* ---- many users ------------------------------------------------------------------------------------------------------ */

typedef struct {
    krpc_queue *queue;
    krpc_method *method;
    atomic_int left;
    atomic_int requests;
    atomic_int *seen; /* of each tag */
} mixed;

enum { MIXED_CALLS = 400, REQUEST_TAG = 1000000 };

static void *take_mixed(void *argument)
{
    mixed *self = (mixed *)argument;
    krpc_event events[7];
    while (atomic_load(&self->left) > 0) {
        size_t count = 0;
        CHECK(krpc_queue_take(self->queue, events, sizeof events[0], LEN(events), 20, &count) == KRPC_OK);
        for (size_t i = 0; i < count; i++) {
            if (events[i].kind == KRPC_EVENT_KIND_REQUEST) {
                CHECK(events[i].tag == REQUEST_TAG && events[i].request != NULL);
                atomic_fetch_add(&self->requests, 1);
                echo(NULL, events[i].request);
                events[i].request = NULL;
            } else {
                char text[16];
                CHECK(events[i].kind == KRPC_EVENT_KIND_CALL && events[i].status == KRPC_OK);
                snprintf(text, sizeof text, "%d", (int)events[i].tag);
                CHECK(is_text(krpc_reply_message(events[i].reply), 0, krpc_cstr(text)));
                CHECK(atomic_fetch_add(&self->seen[events[i].tag], 1) == 0);
                atomic_fetch_sub(&self->left, 1);
            }
        }
        krpc_event_release_many(events, sizeof events[0], count);
    }
    return NULL;
}

/* A queue shared by two clients and the server that they call: nothing lost, doubled or crossed. */
static void clients_and_a_server_share_a_queue(void)
{
    mixed self;
    memset(&self, 0, sizeof self);
    const int calls = under_valgrind() ? 60 : MIXED_CALLS;
    self.left = calls;
    self.seen = (atomic_int *)calloc((size_t)calls, sizeof(atomic_int));
    self.queue = queue_of(64);
    krpc_service *service = krpc_service_new(KRPC_STR("Queued"), NULL);
    CHECK(krpc_service_add_queued_method(service, KRPC_STR("ask"), 0, self.queue, REQUEST_TAG, NULL) == KRPC_OK);
    krpc_server *server = serve(options_with("127.0.0.1:0", service));
    krpc_client *clients[2] = {client_of(server), client_of(server)};
    self.method = krpc_client_method(clients[0], KRPC_STR("Queued/ask"), 0, NULL);
    pthread_t takers[2];
    for (size_t i = 0; i < LEN(takers); i++)
        CHECK(pthread_create(&takers[i], NULL, take_mixed, &self) == 0);
    for (int tag = 0; tag < calls; tag++) {
        char text[16];
        snprintf(text, sizeof text, "%d", tag);
        /* Half of the room is for requests: they must not find the queue full. */
        AWAIT(stats_of(self.queue).reserved + stats_of(self.queue).queued < 32);
        krpc_completion completion = to_queue(self.queue, (uint64_t)tag);
        krpc_message *request = text_message(1, krpc_cstr(text));
        CHECK(krpc_client_start(clients[tag % 2], self.method, request, NULL, &completion, NULL, NULL) == KRPC_OK);
        krpc_message_free(request);
    }
    for (size_t i = 0; i < LEN(takers); i++)
        CHECK(pthread_join(takers[i], NULL) == 0);
    CHECK(atomic_load(&self.requests) == calls);
    krpc_method_free(self.method);
    krpc_client_free(clients[0]);
    krpc_client_free(clients[1]);
    krpc_server_free(server);
    krpc_queue_free(self.queue);
    free(self.seen);
}

int main(void)
{
    mistakes_are_refused();
    start_many_checks_what_it_gets();
    a_full_queue_can_be_tried_again();
    start_many_starts_as_many_as_there_is_room_for();
    a_tag_is_enough_to_cancel();
    free_returns_the_place_and_skips_the_event();
    the_reply_is_in_the_event_or_was_taken();
    the_end_comes_last_and_stays();
    the_end_wakes_everyone_who_waits();
    free_at_any_time();
    larger_events_are_fine();
    the_descriptor_follows_the_queue();
    an_edge_for_each_burst();
    clients_and_a_server_share_a_queue();
    return end_of_net_test();
}
