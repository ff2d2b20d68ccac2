/* krpc_completion and krpc_client_start: mistakes, callbacks, what a start keeps of its arguments. */
#include "async.h"

#include <stdatomic.h>

/* ---- a callback that is looked at ---------------------------------------------------------------------- */

typedef struct {
    atomic_int called;
    atomic_int destroyed;
    krpc_status status;
    int was_null;
    char thread[16];
    gate *before; /* optional: waits there first */
    const world *all;
    krpc_op *op;
    int left; /* calls to start from inside */
} hearer;

static void note_thread(hearer *self)
{
    FILE *comm = fopen("/proc/thread-self/comm", "r");
    CHECK(comm != NULL && fgets(self->thread, sizeof self->thread, comm) != NULL);
    fclose(comm);
}

static void heard(void *user_data, krpc_reply *reply)
{
    hearer *self = (hearer *)user_data;
    CHECK(atomic_load(&self->destroyed) == 0);
    if (self->before != NULL)
        gate_pass(self->before);
    self->status = krpc_reply_status(reply);
    self->was_null = reply == NULL;
    note_thread(self);
    krpc_reply_free(reply);
    atomic_fetch_add(&self->called, 1);
}

static void let_go(void *user_data)
{
    atomic_fetch_add(&((hearer *)user_data)->destroyed, 1);
}

static krpc_completion to_callback(krpc_completion_fn callback, hearer *self)
{
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.callback = callback;
    completion.user_data = self;
    completion.destroy = let_go;
    return completion;
}

/* ---- mistakes --------------------------------------------------------------------------------------------- */

/* Whatever is wrong: the error says what, nothing is started, and `destroy` has run. */
static void a_start_that_fails_has_started_nothing(void)
{
    world all;
    world_open(&all);
    hearer self;
    memset(&self, 0, sizeof self);
    krpc_completion completion = to_callback(heard, &self);
    krpc_op *op = (krpc_op *)&self;
    int destroyed = 0;
#define REFUSED_START(status, part, client, method, request, options)                                     \
    do {                                                                                                  \
        FAILS(status, part, krpc_client_start(client, method, request, options, &completion, &op, &error)); \
        CHECK(op == NULL && atomic_load(&self.destroyed) == ++destroyed);                                 \
        op = (krpc_op *)&self;                                                                            \
    } while (0)
    const krpc_message *wrong = (const krpc_message *)(const void *)all.echo;
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    REFUSED_START(KRPC_STATUS_INVALID_ARGUMENT, "client", NULL, all.echo, NULL, NULL);
    REFUSED_START(KRPC_STATUS_INVALID_ARGUMENT, "method", all.client, NULL, NULL, NULL);
    REFUSED_START(KRPC_STATUS_INVALID_ARGUMENT, "request", all.client, all.echo, wrong, NULL);
    options.timeout_ms = -1;
    REFUSED_START(KRPC_STATUS_INVALID_ARGUMENT, "timeout_ms", all.client, all.echo, NULL, &options);
    options.timeout_ms = 0;
    options.parent = (const krpc_context *)(const void *)all.echo;
    REFUSED_START(KRPC_STATUS_INVALID_ARGUMENT, "parent", all.client, all.echo, NULL, &options);

    krpc_queue *queue = queue_of(1);
    completion.queue = queue;
    REFUSED_START(KRPC_STATUS_INVALID_ARGUMENT, "choose one", all.client, all.echo, NULL, NULL);
    completion.callback = NULL;
    completion.queue = (krpc_queue *)(void *)all.echo;
    REFUSED_START(KRPC_STATUS_INVALID_ARGUMENT, "completion.queue", all.client, all.echo, NULL, NULL);
    completion.queue = queue;
    completion.flags = KRPC_COMPLETION_FLAG_INLINE;
    REFUSED_START(KRPC_STATUS_INVALID_ARGUMENT, "completion.flags", all.client, all.echo, NULL, NULL);
    completion.flags = 2;
    REFUSED_START(KRPC_STATUS_INVALID_ARGUMENT, "unknown bits", all.client, all.echo, NULL, NULL);
    completion.flags = 0;
    completion.reserved = 1;
    REFUSED_START(KRPC_STATUS_INVALID_ARGUMENT, "completion.reserved", all.client, all.echo, NULL, NULL);
    completion.reserved = 0;
    CHECK(start_tagged(all.client, all.keep, queue, 1) == KRPC_OK);
    REFUSED_START(KRPC_STATUS_QUEUE_FULL, "full", all.client, all.echo, NULL, NULL);
    CHECK(krpc_queue_shutdown(queue) == KRPC_OK);
    REFUSED_START(KRPC_STATUS_CLOSED, "queue", all.client, all.echo, NULL, NULL);

    /* A field of a version to come; and a size that can't be, of which nothing can be believed. */
    struct {
        krpc_completion known;
        uint64_t unknown;
    } later = {to_callback(heard, &self), 1};
    later.known.struct_size = sizeof later;
    FAILS(KRPC_STATUS_UNSUPPORTED, "completion",
          krpc_client_start(all.client, all.echo, NULL, NULL, &later.known, &op, &error));
    CHECK(op == NULL && atomic_load(&self.destroyed) == ++destroyed);
    later.known.struct_size = 3;
    FAILS(KRPC_STATUS_INVALID_ARGUMENT, "struct_size",
          krpc_client_start(all.client, all.echo, NULL, NULL, &later.known, NULL, &error));
    hearer other;
    memset(&other, 0, sizeof other);
    later.known = to_callback(heard, &other);
    later.known.struct_size = sizeof later;
    later.unknown = 0;
    CHECK(krpc_client_start(all.client, all.echo, NULL, NULL, &later.known, NULL, NULL) == KRPC_OK);
    AWAIT(atomic_load(&other.destroyed) == 1);
    CHECK(atomic_load(&other.called) == 1);

    completion = to_callback(heard, &self);
    CHECK(krpc_client_close(all.client, false) == KRPC_OK);
    REFUSED_START(KRPC_STATUS_CLOSED, "closed", all.client, all.echo, NULL, NULL);
    CHECK(atomic_load(&self.called) == 0);
    krpc_queue_free(queue);
    world_close(&all);
}

/* ---- callbacks ----------------------------------------------------------------------------------------------- */

static void a_callback_hears_every_kind_of_end(void)
{
    world all;
    world_open(&all);
    static const struct {
        int cancel;
        int64_t timeout_ms;
        krpc_status status;
    } rows[] = {{0, 0, KRPC_OK}, {1, 0, KRPC_STATUS_CANCELLED}, {0, 5, KRPC_STATUS_TIMEOUT}};
    for (size_t i = 0; i < LEN(rows); i++) {
        hearer self;
        memset(&self, 0, sizeof self);
        krpc_completion completion = to_callback(heard, &self);
        krpc_op *op = start(all.client, all.keep, "x", rows[i].timeout_ms, &completion);
        krpc_request *request = NULL;
        if (rows[i].timeout_ms == 0)
            request = shelf_take(&all.kept);
        if (rows[i].cancel)
            CHECK(krpc_op_cancel(op) == KRPC_OK);
        if (request != NULL && !rows[i].cancel)
            echo(NULL, request);
        AWAIT(atomic_load(&self.destroyed) == 1);
        CHECK(atomic_load(&self.called) == 1 && self.status == rows[i].status);
        CHECK(strncmp(self.thread, "krpc-work", 9) == 0);
        CHECK(krpc_op_is_done(op) && krpc_op_take_reply(op) == NULL);
        krpc_op_free(op);
        if (rows[i].cancel)
            krpc_request_free(request);
    }
    world_close(&all);
}

static void without_a_handle_the_callback_comes_too(void)
{
    world all;
    world_open(&all);
    hearer self;
    memset(&self, 0, sizeof self);
    krpc_completion completion = to_callback(heard, &self);
    CHECK(krpc_client_start(all.client, all.keep, NULL, NULL, &completion, NULL, NULL) == KRPC_OK);
    krpc_request_free(shelf_take(&all.kept));
    AWAIT(atomic_load(&self.destroyed) == 1);
    CHECK(atomic_load(&self.called) == 1 && self.status == KRPC_STATUS_REMOTE_EXCEPTION);

    /* With neither, the call is made all the same. */
    CHECK(krpc_client_start(all.client, all.keep, NULL, NULL, NULL, NULL, NULL) == KRPC_OK);
    krpc_request_free(shelf_take(&all.kept));
    world_close(&all);
}

/* What runs already may finish; what has not begun never does. */
static void free_drops_the_callback(void)
{
    world all;
    world_open(&all);
    hearer self;
    memset(&self, 0, sizeof self);
    krpc_completion completion = to_callback(heard, &self);
    krpc_op *op = start(all.client, all.keep, "x", 0, &completion);
    shelf_await(&all.kept, 1);
    krpc_op_free(op);
    CHECK(atomic_load(&self.destroyed) == 1); /* before free returned */
    AWAIT(krpc_request_is_abandoned(all.kept.requests[0]));
    CHECK(atomic_load(&self.called) == 0);

    gate before = GATE_INIT;
    memset(&self, 0, sizeof self);
    self.before = &before;
    op = start(all.client, all.echo, "x", 0, &completion);
    gate_await(&before, 1, 0);
    krpc_op_free(op);
    CHECK(atomic_load(&self.called) == 0 && atomic_load(&self.destroyed) == 0);
    gate_open(&before);
    AWAIT(atomic_load(&self.destroyed) == 1);
    CHECK(atomic_load(&self.called) == 1 && self.status == KRPC_OK && !self.was_null);
    world_close(&all);
}

/* The handle was faster: the callback comes all the same, without the reply. */
static void a_reply_that_was_taken_is_null_in_the_callback(void)
{
    world all;
    world_open(&all);
    int was_null = 0;
    for (int round = 0; round < 500 && was_null == 0; round++) {
        hearer self;
        memset(&self, 0, sizeof self);
        krpc_completion completion = to_callback(heard, &self);
        krpc_op *op = start(all.client, all.echo, "x", 0, &completion);
        CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
        krpc_reply *reply = krpc_op_take_reply(op);
        AWAIT(atomic_load(&self.destroyed) == 1);
        CHECK(atomic_load(&self.called) == 1);
        CHECK(self.was_null == (reply != NULL)); /* one of them has it */
        was_null += self.was_null;
        krpc_reply_free(reply);
        krpc_op_free(op);
    }
    CHECK(was_null > 0);
    world_close(&all);
}

/* Makes a call that blocks, starts one and waits for it, and starts the next of the chain. */
static void goes_on(void *user_data, krpc_reply *reply)
{
    hearer *self = (hearer *)user_data;
    CHECK(krpc_reply_status(reply) == KRPC_OK);
    krpc_reply_free(reply);
    CHECK_ECHO(self->all->client);
    if (self->left-- > 0) {
        krpc_completion completion = to_callback(goes_on, self);
        CHECK(krpc_client_start(self->all->client, self->all->echo, NULL, NULL, NULL, &self->op, NULL) == KRPC_OK);
        CHECK(krpc_op_wait(self->op, BOUND_MS) == KRPC_OK);
        krpc_op_free(self->op);
        self->op = NULL;
        krpc_message *request = text_message(1, KRPC_STR("next"));
        CHECK(krpc_client_start(self->all->client, self->all->echo, request, NULL, &completion, NULL, NULL) ==
              KRPC_OK);
        krpc_message_free(request);
    }
    atomic_fetch_add(&self->called, 1);
}

static void a_callback_may_call_everything(void)
{
    world all;
    world_open(&all);
    hearer self;
    memset(&self, 0, sizeof self);
    self.all = &all;
    self.left = 5;
    krpc_completion completion = to_callback(goes_on, &self);
    krpc_message *request = text_message(1, KRPC_STR("first"));
    CHECK(krpc_client_start(all.client, all.echo, request, NULL, &completion, NULL, NULL) == KRPC_OK);
    krpc_message_free(request);
    AWAIT(atomic_load(&self.destroyed) == 6);
    CHECK(atomic_load(&self.called) == 6);
    world_close(&all);
}

/* An inline callback runs on the I/O thread: it may start calls, but not wait there. */
static void goes_on_inline(void *user_data, krpc_reply *reply)
{
    hearer *self = (hearer *)user_data;
    CHECK(krpc_reply_status(reply) == KRPC_OK);
    krpc_reply *never = NULL;
    CHECK(krpc_client_call(self->all->client, self->all->echo, NULL, NULL, &never) == KRPC_STATUS_WOULD_DEADLOCK);
    krpc_reply_free(never);
    if (self->left-- > 0) {
        krpc_completion next = to_callback(goes_on_inline, self);
        next.flags = KRPC_COMPLETION_FLAG_INLINE;
        krpc_message *request = text_message(1, KRPC_STR("next"));
        CHECK(krpc_client_start(self->all->client, self->all->echo, request, NULL, &next, NULL, NULL) == KRPC_OK);
        krpc_message_free(request);
    }
    krpc_reply_free(reply);
    note_thread(self);
    atomic_fetch_add(&self->called, 1);
}

static void an_inline_callback_runs_where_the_call_ends(void)
{
    world all;
    world_open(&all);
    hearer self;
    memset(&self, 0, sizeof self);
    self.all = &all;
    self.left = 100;
    krpc_completion completion = to_callback(goes_on_inline, &self);
    completion.flags = KRPC_COMPLETION_FLAG_INLINE;
    krpc_message *request = text_message(1, KRPC_STR("first"));
    CHECK(krpc_client_start(all.client, all.echo, request, NULL, &completion, NULL, NULL) == KRPC_OK);
    krpc_message_free(request);
    AWAIT(atomic_load(&self.destroyed) == 101);
    CHECK(atomic_load(&self.called) == 101 && strncmp(self.thread, "krpc-io", 7) == 0);
    world_close(&all);
}

/* More callbacks block than there are threads for them: no call waits for that. */
static void blocked_callbacks_hold_up_no_call(void)
{
    world all;
    world_open(&all);
    krpc_runtime_options few = KRPC_RUNTIME_OPTIONS_INIT;
    few.worker_threads = 2;
    krpc_runtime *runtime = krpc_runtime_new(&few, NULL);
    krpc_client_options *options = options_to(krpc_server_address(all.server, 0));
    CHECK(krpc_client_options_set_runtime(options, runtime, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    gate before = GATE_INIT;
    hearer hearers[6];
    memset(hearers, 0, sizeof hearers);
    for (size_t i = 0; i < LEN(hearers); i++) {
        hearers[i].before = &before;
        krpc_completion completion = to_callback(heard, &hearers[i]);
        CHECK(krpc_client_start(client, all.echo, NULL, NULL, &completion, NULL, NULL) == KRPC_OK);
    }
    gate_await(&before, 2, 0);
    for (int i = 0; i < 10; i++)
        CHECK(op_end(start(client, all.echo, "x", 0, NULL)) == KRPC_OK);
    gate_open(&before);
    for (size_t i = 0; i < LEN(hearers); i++)
        AWAIT(atomic_load(&hearers[i].destroyed) == 1 && atomic_load(&hearers[i].called) == 1);
    krpc_client_free(client);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    krpc_runtime_free(runtime);
    world_close(&all);
}

/* A shutdown inside a callback would wait for itself. */
static void shuts_down(void *user_data, krpc_reply *reply)
{
    hearer *self = (hearer *)user_data;
    krpc_reply_free(reply);
    self->status = krpc_runtime_shutdown((krpc_runtime *)(void *)self->op, NULL);
    atomic_fetch_add(&self->called, 1);
}

static void a_callback_cannot_shut_its_runtime_down(void)
{
    world all;
    world_open(&all);
    krpc_runtime *runtime = krpc_runtime_new(NULL, NULL);
    krpc_client_options *options = options_to(krpc_server_address(all.server, 0));
    CHECK(krpc_client_options_set_runtime(options, runtime, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    hearer self;
    memset(&self, 0, sizeof self);
    self.op = (krpc_op *)(void *)runtime;
    krpc_completion completion = to_callback(shuts_down, &self);
    CHECK(krpc_client_start(client, all.echo, NULL, NULL, &completion, NULL, NULL) == KRPC_OK);
    AWAIT(atomic_load(&self.destroyed) == 1);
    CHECK(self.status == KRPC_STATUS_WOULD_DEADLOCK);
    krpc_client_free(client);
    krpc_runtime_free(runtime);
    world_close(&all);
}

/* ---- what a start keeps ------------------------------------------------------------------------------------------ */

static atomic_int bytes_released;

static void release_bytes(void *user_data)
{
    CHECK(atomic_fetch_add(&bytes_released, 1) == 0);
    free(user_data);
}

/* The host's memory behind a message stays until the call needs it no more; all else was copied. */
static void inputs_are_kept_as_long_as_needed(void)
{
    static const char struct_with_text[] = "\x0b\0\x01\0\0\0\x02hi";
    world all;
    world_open(&all);
    char *bytes = (char *)malloc(sizeof struct_with_text);
    memcpy(bytes, struct_with_text, sizeof struct_with_text);
    krpc_message *request = krpc_message_wrap(KRPC_ENCODING_THRIFT_BINARY,
                                              KRPC_BYTES(bytes, sizeof struct_with_text), bytes, release_bytes,
                                              NULL);
    krpc_metainfo *pairs = krpc_metainfo_new();
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("P"), KRPC_STR("p"), NULL);
    krpc_method *method = krpc_client_method(all.client, KRPC_STR("Test/keep"), 0, NULL);
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.metainfo = pairs;
    krpc_op *op = NULL;
    CHECK(krpc_client_start(all.client, method, request, &options, NULL, &op, NULL) == KRPC_OK);
    krpc_message_free(request);
    krpc_metainfo_free(pairs);
    krpc_method_free(method);

    krpc_request *arrived = shelf_take(&all.kept);
    krpc_str value;
    CHECK(is_text(krpc_request_message(arrived), 1, KRPC_STR("hi")));
    CHECK(krpc_metainfo_get(krpc_request_metainfo(arrived), KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("P"), &value));
    CHECK_STR(value, "p");
    echo(NULL, arrived);
    CHECK(op_end(op) == KRPC_OK);
    AWAIT(atomic_load(&bytes_released) == 1);
    world_close(&all);
}

static void note(void *user_data, krpc_request *request)
{
    atomic_fetch_add((atomic_int *)user_data, 1);
    krpc_request_free(request);
}

static void a_oneway_call_ends_when_it_is_sent(void)
{
    atomic_int notes = 0;
    krpc_server *server = serve_one("note", KRPC_METHOD_FLAG_ONEWAY, note, &notes);
    krpc_client *client = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/note"), KRPC_METHOD_FLAG_ONEWAY, NULL);
    for (int i = 0; i < 5; i++)
        CHECK(op_end(start(client, method, "x", 0, NULL)) == KRPC_OK);
    AWAIT(atomic_load(&notes) == 5);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
}

int main(void)
{
    a_start_that_fails_has_started_nothing();
    a_callback_hears_every_kind_of_end();
    without_a_handle_the_callback_comes_too();
    free_drops_the_callback();
    a_reply_that_was_taken_is_null_in_the_callback();
    a_callback_may_call_everything();
    an_inline_callback_runs_where_the_call_ends();
    blocked_callbacks_hold_up_no_call();
    a_callback_cannot_shut_its_runtime_down();
    inputs_are_kept_as_long_as_needed();
    a_oneway_call_ends_when_it_is_sent();
    return end_of_net_test();
}
