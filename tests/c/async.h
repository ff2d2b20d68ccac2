/* What the tests of operations, queues and contexts share: a shelf for requests that are answered when
   the test wants, calls that are started, and events that are taken one by one. */
#ifndef ASYNC_H
#define ASYNC_H

#include "net.h"

/* ---- a shelf: an inline handler puts requests there, the test takes them off --------------------------- */

#define SHELF_SIZE 256

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    krpc_request *requests[SHELF_SIZE];
    int arrived;
    int taken;
} shelf;

#define SHELF_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {NULL}, 0, 0}

static inline void shelve(void *user_data, krpc_request *request)
{
    shelf *self = (shelf *)user_data;
    pthread_mutex_lock(&self->mutex);
    CHECK(self->arrived - self->taken < SHELF_SIZE);
    self->requests[self->arrived++ % SHELF_SIZE] = request;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

/* The oldest request, waited for. */
static inline krpc_request *shelf_take(shelf *self)
{
    struct timespec until = bound();
    pthread_mutex_lock(&self->mutex);
    while (self->taken == self->arrived)
        CHECK(pthread_cond_timedwait(&self->changed, &self->mutex, &until) == 0);
    krpc_request *request = self->requests[self->taken++ % SHELF_SIZE];
    pthread_mutex_unlock(&self->mutex);
    return request;
}

static inline void shelf_await(shelf *self, int arrived)
{
    struct timespec until = bound();
    pthread_mutex_lock(&self->mutex);
    while (self->arrived < arrived)
        CHECK(pthread_cond_timedwait(&self->changed, &self->mutex, &until) == 0);
    pthread_mutex_unlock(&self->mutex);
}

/* Frees whatever lies there, which answers it. */
static inline void shelf_clear(shelf *self)
{
    pthread_mutex_lock(&self->mutex);
    while (self->taken < self->arrived)
        krpc_request_free(self->requests[self->taken++ % SHELF_SIZE]);
    pthread_mutex_unlock(&self->mutex);
}

/* ---- a world: a server of "Test/echo" and "Test/keep", which shelves, and a client of it ---------------- */

typedef struct {
    shelf kept;
    krpc_server *server;
    krpc_client *client;
    krpc_method *echo;
    krpc_method *keep;
} world;

static inline void world_open(world *self)
{
    static const shelf empty = SHELF_INIT;
    self->kept = empty;
    self->server = serve_one("keep", KRPC_METHOD_FLAG_INLINE, shelve, &self->kept);
    self->client = client_of(self->server);
    self->echo = krpc_client_method(self->client, KRPC_STR("Test/echo"), 0, NULL);
    self->keep = krpc_client_method(self->client, KRPC_STR("Test/keep"), 0, NULL);
    CHECK(self->echo != NULL && self->keep != NULL);
}

static inline void world_close(world *self)
{
    shelf_clear(&self->kept);
    krpc_method_free(self->echo);
    krpc_method_free(self->keep);
    krpc_client_free(self->client);
    krpc_server_free(self->server);
    shelf_clear(&self->kept); /* what came meanwhile */
}

/* ---- calls that are started ------------------------------------------------------------------------------ */

/* Starts a call with a text; `timeout_ms` 0 waits. The message is freed before this returns. */
static inline krpc_op *start(const krpc_client *client, const krpc_method *method, const char *text,
                             int64_t timeout_ms, const krpc_completion *completion)
{
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    krpc_message *request = text_message(1, krpc_cstr(text));
    krpc_op *op = NULL;
    krpc_error *error = NULL;
    CHECK(krpc_client_start(client, method, request, &options, completion, &op, &error) == KRPC_OK);
    CHECK(op != NULL && error == NULL);
    krpc_message_free(request);
    return op;
}

static inline krpc_completion to_queue(krpc_queue *queue, uint64_t tag)
{
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.queue = queue;
    completion.tag = tag;
    return completion;
}

static inline krpc_op *start_queued(const krpc_client *client, const krpc_method *method, const char *text,
                                    krpc_queue *queue, uint64_t tag)
{
    krpc_completion completion = to_queue(queue, tag);
    return start(client, method, text, 0, &completion);
}

/* The same without a handle; returns how the start went. */
static inline krpc_status start_tagged(const krpc_client *client, const krpc_method *method, krpc_queue *queue,
                                       uint64_t tag)
{
    krpc_completion completion = to_queue(queue, tag);
    krpc_message *request = text_message(1, KRPC_STR("x"));
    krpc_status status = krpc_client_start(client, method, request, NULL, &completion, NULL, NULL);
    krpc_message_free(request);
    return status;
}

/* Waits for the end and returns how it was; frees the operation. */
static inline krpc_status op_end(krpc_op *op)
{
    CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    CHECK(krpc_op_is_done(op));
    krpc_reply *reply = krpc_op_take_reply(op);
    CHECK(reply != NULL);
    krpc_status status = krpc_reply_status(reply);
    krpc_reply_free(reply);
    krpc_op_free(op);
    return status;
}

/* ---- events ------------------------------------------------------------------------------------------------ */

static inline krpc_queue *queue_of(size_t capacity)
{
    krpc_queue *queue = krpc_queue_new(capacity, NULL);
    CHECK(queue != NULL);
    return queue;
}

/* The next event, waited for. */
static inline krpc_event take_one(const krpc_queue *queue)
{
    krpc_event event;
    size_t count = 0;
    CHECK(krpc_queue_take(queue, &event, sizeof event, 1, BOUND_MS, &count) == KRPC_OK);
    CHECK(count == 1);
    return event;
}

/* How many events are there now; they are released. */
static inline size_t take_all(const krpc_queue *queue)
{
    krpc_event events[16];
    size_t total = 0, count = 0;
    do {
        CHECK(krpc_queue_take(queue, events, sizeof events[0], 16, 0, &count) == KRPC_OK);
        krpc_event_release_many(events, sizeof events[0], count);
        total += count;
    } while (count == 16);
    return total;
}

/* The next event is a call's end with this tag and status; it is released. */
#define CHECK_CALL_EVENT(queue, expected_tag, expected_status)                          \
    do {                                                                                \
        krpc_event ended = take_one(queue);                                             \
        CHECK(ended.kind == KRPC_EVENT_KIND_CALL && ended.tag == (expected_tag));       \
        CHECK(ended.status == (expected_status));                                       \
        CHECK(ended.request == NULL && ended.decision == NULL);                         \
        krpc_event_release(&ended);                                                     \
        CHECK(ended.reply == NULL);                                                     \
    } while (0)

static inline krpc_queue_stats stats_of(const krpc_queue *queue)
{
    krpc_queue_stats stats = KRPC_QUEUE_STATS_INIT;
    CHECK(krpc_queue_read_stats(queue, &stats) == KRPC_OK);
    return stats;
}

/* Whether the descriptor is readable within a time. */
static inline int readable(int fd, int timeout_ms)
{
    struct pollfd entry = {fd, POLLIN, 0};
    return poll(&entry, 1, timeout_ms) == 1;
}

#endif
