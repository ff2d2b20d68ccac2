/* Mistakes with handles of every type: NULL, of another type, no handle at all, freed before, freed twice. From
 * the host's thread, from many at once and from inside callbacks; and what is asked in the wrong state. Each is
 * a typed error that names the parameter, and the debug library says which functions made and freed it. */
#include "net.h"

/* A status without an error, with one, and a handle that is not made. */
#define BAD(expression) CHECK((expression) == KRPC_STATUS_INVALID_ARGUMENT)
#define BAD_E(expression) REFUSED(reason, expression)
#define BAD_N(expression) NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, reason, expression)

typedef void (*misuse)(void *pointer, const char *reason);

static void as_client(void *pointer, const char *reason)
{
    krpc_client *p = (krpc_client *)pointer;
    krpc_method *method = NULL;
    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    krpc_call call = {NULL, NULL, 0};
    BAD(krpc_client_call(p, method, NULL, NULL, NULL));
    BAD(krpc_client_call_by_name(p, KRPC_STR("a/b"), NULL, NULL, NULL));
    BAD_E(krpc_client_start(p, method, NULL, NULL, NULL, NULL, &error));
    BAD_E(krpc_client_start_many(p, &call, sizeof(krpc_call), 1, NULL, NULL, NULL, &error));
    BAD(krpc_client_close(p, true));
    BAD(krpc_client_read_stats(p, &stats));
    BAD_N(krpc_client_method(p, KRPC_STR("a/b"), 0, &error));
    krpc_client_free(p);
}

static void as_client_options(void *pointer, const char *reason)
{
    krpc_client_options *p = (krpc_client_options *)pointer;
    BAD_E(krpc_client_options_add_address(p, KRPC_STR("127.0.0.1:1"), &error));
    BAD_E(krpc_client_options_set_caller(p, KRPC_STR("c"), &error));
    BAD_E(krpc_client_options_set_transport(p, KRPC_TRANSPORT_FRAMED, &error));
    BAD_E(krpc_client_options_set_timeout_ms(p, 1, &error));
    BAD_E(krpc_client_options_set_runtime(p, NULL, &error));
    BAD_N(krpc_client_build(p, &error));
    krpc_client_options_free(p);
}

static void as_method(void *pointer, const char *reason)
{
    krpc_client *client = client_to(KRPC_STR("127.0.0.1:1"));
    BAD(krpc_client_call(client, (krpc_method *)pointer, NULL, NULL, NULL));
    BAD_E(krpc_client_start(client, (krpc_method *)pointer, NULL, NULL, NULL, NULL, &error));
    krpc_client_free(client);
    krpc_method_free((krpc_method *)pointer);
}

static void as_message(void *pointer, const char *reason)
{
    krpc_message *p = (krpc_message *)pointer;
    BAD_N(krpc_reader_new(p, &error));
    BAD_N(krpc_message_join(p, &error));
    CHECK(krpc_message_size(p) == 0 && krpc_message_bytes(p).len == 0 && krpc_message_retain(p) == NULL);
    krpc_message_free(p);
}

static void as_metainfo(void *pointer, const char *reason)
{
    krpc_metainfo *p = (krpc_metainfo *)pointer;
    BAD_E(krpc_metainfo_set(p, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("k"), KRPC_STR("v"), &error));
    CHECK(krpc_metainfo_count(p) == 0 && krpc_metainfo_copy(p) == NULL);
    krpc_metainfo_free(p);
}

static void as_writer(void *pointer, const char *reason)
{
    krpc_writer *p = (krpc_writer *)pointer;
    BAD(krpc_writer_i32(p, 1));
    BAD(krpc_writer_struct_begin(p));
    BAD(krpc_writer_field_string(p, 1, KRPC_STR("s")));
    BAD(krpc_writer_status(p));
    BAD_N(krpc_writer_finish(p, &error));
    krpc_writer_free(p);
}

static void as_reader(void *pointer, const char *reason)
{
    krpc_reader *p = (krpc_reader *)pointer;
    int32_t value;
    BAD(krpc_reader_i32(p, &value));
    BAD(krpc_reader_skip(p));
    BAD(krpc_reader_status(p));
    BAD_E(krpc_reader_end(p, &error));
    krpc_reader_free(p);
}

static void as_error(void *pointer, const char *reason)
{
    krpc_error *p = (krpc_error *)pointer;
    (void)reason;
    CHECK(krpc_error_status(p) == KRPC_OK && krpc_error_text(p).len == 0 && !krpc_error_retryable(p));
    krpc_error_free(p);
}

static void as_reply(void *pointer, const char *reason)
{
    krpc_reply *p = (krpc_reply *)pointer;
    krpc_facts facts = KRPC_FACTS_INIT;
    (void)reason;
    BAD(krpc_reply_status(p));
    BAD(krpc_reply_facts(p, &facts));
    CHECK(krpc_reply_message(p) == NULL && krpc_reply_error(p) == NULL);
    krpc_reply_free(p);
}

static void as_runtime(void *pointer, const char *reason)
{
    krpc_runtime *p = (krpc_runtime *)pointer;
    BAD_E(krpc_runtime_shutdown(p, &error));
    krpc_runtime_free(p);
}

static void as_server(void *pointer, const char *reason)
{
    krpc_server *p = (krpc_server *)pointer;
    BAD_E(krpc_server_stop(p, 0, NULL, &error));
    CHECK(krpc_server_in_flight(p) == 0 && krpc_server_address(p, 0).len == 0);
    krpc_server_free(p);
}

static void as_server_options(void *pointer, const char *reason)
{
    krpc_server_options *p = (krpc_server_options *)pointer;
    BAD_E(krpc_server_options_add_address(p, KRPC_STR("127.0.0.1:0"), &error));
    BAD_E(krpc_server_options_set_max_in_flight(p, 1, &error));
    BAD_N(krpc_server_build(p, &error));
    krpc_server_options_free(p);
}

static void as_service(void *pointer, const char *reason)
{
    krpc_service *p = (krpc_service *)pointer;
    krpc_server_options *options = krpc_server_options_new();
    BAD_E(krpc_service_add_method(p, KRPC_STR("m"), 0, echo, NULL, NULL, &error));
    BAD_E(krpc_service_add_queued_method(p, KRPC_STR("m"), 0, NULL, 0, &error));
    BAD_E(krpc_server_options_add_service(options, p, false, &error));
    krpc_server_options_free(options);
    krpc_service_free(p);
}

static void as_request(void *pointer, const char *reason)
{
    krpc_request *p = (krpc_request *)pointer;
    BAD_E(krpc_request_reply(p, NULL, &error));
    BAD_E(krpc_request_throw(p, 1, NULL, &error));
    BAD_E(krpc_request_fail_biz(p, 1, KRPC_STR("m"), NULL, &error));
    BAD_E(krpc_request_fail(p, 6, KRPC_STR("m"), &error));
    BAD_E(krpc_request_set_backward(p, KRPC_STR("k"), KRPC_STR("v"), &error));
    CHECK(krpc_request_method(p).len == 0 && krpc_request_message(p) == NULL);
    CHECK(krpc_request_context(p) == NULL && !krpc_request_is_stopping(p));
    krpc_request_free(p);
}

static void as_context(void *pointer, const char *reason)
{
    krpc_context *p = (krpc_context *)pointer;
    BAD(krpc_context_cancel(p));
    if (p != NULL)
        BAD_N(krpc_context_new(p, 0, NULL, &error));
    CHECK(krpc_context_cause(p) == KRPC_CAUSE_NONE && krpc_context_retain(p) == NULL);
    krpc_context_free(p);
}

static void as_op(void *pointer, const char *reason)
{
    krpc_op *p = (krpc_op *)pointer;
    (void)reason;
    BAD(krpc_op_cancel(p));
    BAD(krpc_op_wait(p, 0));
    CHECK(!krpc_op_is_done(p) && krpc_op_take_reply(p) == NULL);
    krpc_op_free(p);
}

static void as_queue(void *pointer, const char *reason)
{
    krpc_queue *p = (krpc_queue *)pointer;
    krpc_queue_stats stats = KRPC_QUEUE_STATS_INIT;
    krpc_event event;
    size_t count;
    int fd;
    BAD_E(krpc_queue_fd(p, &fd, &error));
    BAD(krpc_queue_take(p, &event, sizeof event, 1, 0, &count));
    BAD(krpc_queue_shutdown(p));
    BAD(krpc_queue_read_stats(p, &stats));
    CHECK(krpc_queue_cancel(p, 0) == 0);
    krpc_queue_free(p);
}

static void as_decision(void *pointer, const char *reason)
{
    krpc_decision *p = (krpc_decision *)pointer;
    (void)reason;
    BAD(krpc_decision_allow(p));
    BAD(krpc_decision_reject(p, KRPC_STR("no")));
    CHECK(krpc_decision_method(p).len == 0);
    krpc_decision_free(p);
}

static void as_idl(void *pointer, const char *reason)
{
    krpc_idl *p = (krpc_idl *)pointer;
    krpc_method_info info = KRPC_METHOD_INFO_INIT;
    BAD_N(krpc_idl_struct(p, KRPC_STR("m"), &error));
    BAD_N(krpc_idl_request(p, KRPC_STR("m"), &error));
    BAD_N(krpc_idl_result(p, KRPC_STR("m"), &error));
    BAD_N(krpc_idl_dump(p, &error));
    BAD_N(krpc_idl_template(p, KRPC_STR("m"), true, &error));
    BAD_N(krpc_service_from_idl(p, KRPC_STR("m"), &error));
    BAD_E(krpc_idl_method_at(p, KRPC_STR("m"), 0, &info, &error));
    BAD_E(krpc_idl_find_method(p, KRPC_STR("m"), &info, &error));
    CHECK(krpc_idl_service_count(p) == 0 && krpc_idl_main_service(p).len == 0);
    krpc_idl_free(p);
}

static void as_shape(void *pointer, const char *reason)
{
    krpc_shape *p = (krpc_shape *)pointer;
    krpc_field_info info = KRPC_FIELD_INFO_INIT;
    BAD_N(krpc_message_from_json(KRPC_STR("{}"), p, NULL, &error));
    BAD_N(krpc_writer_new_typed(p, &error));
    BAD(krpc_shape_field_at(p, 0, &info));
    CHECK(krpc_shape_field_count(p) == 0);
    krpc_shape_free(p);
}

static const struct {
    misuse use;
    const char *not_one;
} types[] = {
    {as_client, "is not a krpc_client but a krpc_"},
    {as_client_options, "is not a krpc_client_options but a krpc_"},
    {as_method, "is not a krpc_method but a krpc_"},
    {as_message, "is not a krpc_message but a krpc_"},
    {as_metainfo, "is not a krpc_metainfo but a krpc_"},
    {as_writer, "is not a krpc_writer but a krpc_"},
    {as_reader, "is not a krpc_reader but a krpc_"},
    {as_error, "is not a krpc_error but a krpc_"},
    {as_reply, "is not a krpc_reply but a krpc_"},
    {as_runtime, "is not a krpc_runtime but a krpc_"},
    {as_server, "is not a krpc_server but a krpc_"},
    {as_server_options, "is not a krpc_server_options but a krpc_"},
    {as_service, "is not a krpc_service but a krpc_"},
    {as_request, "is not a krpc_request but a krpc_"},
    {as_context, "is not a krpc_context but a krpc_"},
    {as_op, "is not a krpc_op but a krpc_"},
    {as_queue, "is not a krpc_queue but a krpc_"},
    {as_decision, "is not a krpc_decision but a krpc_"},
    {as_idl, "is not a krpc_idl but a krpc_"},
    {as_shape, "is not a krpc_shape but a krpc_"},
};

/* All of it, with pointers that belong to nobody else. Neither changes what is alive. */
static void everything_wrong(void)
{
    krpc_message *message = text_message(1, KRPC_STR("x"));
    krpc_metainfo *info = krpc_metainfo_new();
    char memory[64] = "not a handle";
    for (size_t i = 0; i < LEN(types); i++) {
        types[i].use(NULL, "is NULL");
        types[i].use(memory, "is not a handle of this library");
        types[i].use((void *)(uintptr_t)3, "is not a handle of this library");
        types[i].use(types[i].use == as_message ? (void *)info : (void *)message, types[i].not_one);
    }
    CHECK(krpc_message_size(message) > 0 && krpc_metainfo_count(info) == 0);
    CHECK(krpc_metainfo_set(info, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("k"), KRPC_STR("v"), NULL) ==
          KRPC_OK);
    krpc_message_free(message);
    krpc_metainfo_free(info);
}

/* ---- freed before: the debug library knows who made it and who freed it -------------------------------------- */

#define FREED(kind, made_by, freed_by) \
    "is a krpc_" kind " that was freed before (made by " made_by ", freed by " freed_by ")"

/* The first use says it all. Later ones may find another handle at the address. */
static void after_free(void)
{
    krpc_error *error = NULL;
    krpc_message *message = krpc_message_copy(KRPC_ENCODING_RAW, KRPC_BYTES("abc", 3), NULL);
    krpc_message *again = krpc_message_retain(message);
    krpc_message_free(message);
    CHECK(krpc_message_join(message, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, FREED("message", "krpc_message_copy", "krpc_message_free"));
    as_message(message, "message: is ");
    krpc_message_free(again);
    CHECK(krpc_reader_new(again, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, FREED("message", "krpc_message_retain", "krpc_message_free"));

    krpc_client_options *options = options_to(KRPC_STR("127.0.0.1:1"));
    krpc_client *client = krpc_client_build(options, NULL);
    CHECK(krpc_client_build(options, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT,
                FREED("client_options", "krpc_client_options_new", "krpc_client_build"));
    as_client_options(options, "options: is ");
    krpc_client_free(client);
    CHECK(krpc_client_method(client, KRPC_STR("a/b"), 0, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, FREED("client", "krpc_client_build", "krpc_client_free"));
    as_client(client, "client: is ");

    krpc_runtime *runtime = krpc_runtime_new(NULL, NULL);
    krpc_runtime_free(runtime);
    CHECK(krpc_runtime_shutdown(runtime, &error) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, FREED("runtime", "krpc_runtime_new", "krpc_runtime_free"));
    as_runtime(runtime, "runtime: is ");

    /* Another type: what it really is. */
    krpc_metainfo *info = krpc_metainfo_new();
    CHECK(krpc_message_join((krpc_message *)(void *)info, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT,
                "is not a krpc_message but a krpc_metainfo, made by krpc_metainfo_new");
    krpc_metainfo_free(info);

    /* What came from the library itself, and what is lent. */
    krpc_server *server = serve_one("m", 0, echo, NULL);
    client = client_of(server);
    krpc_reply *reply = call(client, "Test/echo", "x", BOUND_MS);
    const krpc_message *result = krpc_reply_message(reply);
    CHECK(krpc_message_size(result) > 0);
    krpc_message_free((krpc_message *)(uintptr_t)result);
    CHECK(krpc_message_size(result) > 0);
    krpc_reply_free(reply);
    CHECK(krpc_message_join(result, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, FREED("message", "krpc_reply_message", "krpc_reply_free"));
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- many threads at once ------------------------------------------------------------------------------------- */

enum { THREADS = 16, HANDLES = 64 };

typedef struct {
    pthread_barrier_t start;
    krpc_message *messages[HANDLES];
    krpc_context *contexts[HANDLES];
} shared;

static void *misuse_everything(void *argument)
{
    pthread_barrier_wait(&((shared *)argument)->start);
    for (int round = under_valgrind() ? 9 : 0; round < 10; round++)
        everything_wrong();
    return NULL;
}

/* Every thread frees every handle: each is freed once. */
static void *free_everything(void *argument)
{
    shared *all = (shared *)argument;
    pthread_barrier_wait(&all->start);
    for (size_t i = 0; i < HANDLES; i++) {
        krpc_message_free(all->messages[i]);
        krpc_context_free(all->contexts[i]);
    }
    return NULL;
}

static void run_many(void *(*body)(void *), shared *all)
{
    pthread_t threads[THREADS];
    CHECK(pthread_barrier_init(&all->start, NULL, THREADS) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, body, all) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&all->start) == 0);
}

static void from_many_threads(void)
{
    static shared all;
    run_many(misuse_everything, &all);
    CHECK(krpc_live_handles() == 0);
    for (size_t i = 0; i < HANDLES; i++) {
        all.messages[i] = text_message(1, KRPC_STR("x"));
        all.contexts[i] = krpc_context_new(NULL, 0, NULL, NULL);
    }
    CHECK(krpc_live_handles() == 2 * HANDLES);
    run_many(free_everything, &all);
    CHECK(krpc_live_handles() == 0);
}

/* ---- from inside callbacks -------------------------------------------------------------------------------------- */

typedef struct {
    krpc_runtime *runtime;
    krpc_server *server;
    const krpc_client *client;
    int ran;
} callbacks;

static void ran(callbacks *self)
{
    __atomic_add_fetch(&self->ran, 1, __ATOMIC_SEQ_CST);
}

/* What would wait for itself says so, on a thread for handlers or completions. */
static void misuse_in_handler(void *user_data, krpc_request *request)
{
    callbacks *self = (callbacks *)user_data;
    everything_wrong();
    FAILS(KRPC_STATUS_WOULD_DEADLOCK, "", krpc_runtime_shutdown(self->runtime, &error));
    CHECK(krpc_request_reply(request, NULL, NULL) == KRPC_OK);
    FAILS(KRPC_STATUS_INVALID_STATE, "answered before", krpc_request_reply(request, NULL, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "answered before",
          krpc_request_fail(request, 6, KRPC_STR("late"), &error));
    krpc_request_free(request);
    as_request(request, "request: is ");
    ran(self);
}

/* On an I/O thread nothing waits at all. */
static void misuse_inline(void *user_data, krpc_request *request)
{
    callbacks *self = (callbacks *)user_data;
    everything_wrong();
    FAILS(KRPC_STATUS_WOULD_DEADLOCK, "", krpc_runtime_shutdown(self->runtime, &error));
    FAILS(KRPC_STATUS_WOULD_DEADLOCK, "I/O thread", krpc_server_stop(self->server, 1, NULL, &error));
    krpc_reply *reply = call(self->client, "Test/echo", "x", BOUND_MS);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_WOULD_DEADLOCK);
    krpc_reply_free(reply);
    krpc_queue *queue = krpc_queue_new(1, NULL);
    krpc_event event;
    size_t count;
    CHECK(krpc_queue_take(queue, &event, sizeof event, 1, 1, &count) == KRPC_STATUS_WOULD_DEADLOCK);
    CHECK(krpc_queue_take(queue, &event, sizeof event, 1, 0, &count) == KRPC_OK);
    krpc_queue_free(queue);
    krpc_request_free(request); /* unanswered: the caller is told so */
    ran(self);
}

static void misuse_in_completion(void *user_data, krpc_reply *reply)
{
    callbacks *self = (callbacks *)user_data;
    everything_wrong();
    FAILS(KRPC_STATUS_WOULD_DEADLOCK, "", krpc_runtime_shutdown(self->runtime, &error));
    CHECK(krpc_reply_status(reply) == KRPC_OK);
    krpc_reply_free(reply);
    krpc_reply_free(reply);
    ran(self);
}

static void misuse_in_destroy(void *user_data)
{
    everything_wrong();
    ran((callbacks *)user_data);
}

static void misuse_in_log(void *user_data, krpc_log_level level, krpc_str target, krpc_str text)
{
    (void)level, (void)target, (void)text;
    everything_wrong();
    ran((callbacks *)user_data);
}

static void from_inside_callbacks(void)
{
    callbacks self = {krpc_runtime_new(NULL, NULL), NULL, NULL, 0};
    krpc_service *service = service_with("Test", "wrong", 0, misuse_in_handler, &self);
    CHECK(krpc_service_add_method(service, KRPC_STR("inline"), KRPC_METHOD_FLAG_INLINE, misuse_inline, &self,
                                  misuse_in_destroy, NULL) == KRPC_OK);
    krpc_server_options *options = options_with("127.0.0.1:0", service);
    CHECK(krpc_server_options_set_runtime(options, self.runtime, NULL) == KRPC_OK);
    self.server = serve(options);
    krpc_client *client = client_of(self.server);
    self.client = client;
    CALL_STATUS(client, "Test/wrong", KRPC_OK, "");
    CALL_STATUS(client, "Test/inline", KRPC_STATUS_REMOTE_EXCEPTION, "handler gave no answer");

    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/echo"), 0, NULL);
    krpc_message *message = text_message(1, KRPC_STR("x"));
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.callback = misuse_in_completion;
    completion.user_data = &self;
    completion.destroy = misuse_in_destroy;
    krpc_op *op = NULL;
    CHECK(krpc_client_start(client, method, message, NULL, &completion, &op, NULL) == KRPC_OK);
    AWAIT(__atomic_load_n(&self.ran, __ATOMIC_SEQ_CST) == 4);
    krpc_op_free(op);
    as_op(op, "");
    krpc_message_free(message);
    krpc_method_free(method);
    krpc_client_free(client);

    CHECK(krpc_log_set(KRPC_LOG_LEVEL_DEBUG, misuse_in_log, &self, NULL, NULL) == KRPC_OK);
    krpc_server_free(self.server);
    CHECK(krpc_runtime_shutdown(self.runtime, NULL) == KRPC_OK);
    krpc_runtime_free(self.runtime);
    AWAIT(__atomic_load_n(&self.ran, __ATOMIC_SEQ_CST) >= 6); /* a destroy, and a line at least */
    CHECK(krpc_log_set(0, NULL, NULL, NULL, NULL) == KRPC_OK);
}

/* ---- wrong state -------------------------------------------------------------------------------------------------- */

static void in_the_wrong_state(void)
{
    krpc_runtime *runtime = krpc_runtime_new(NULL, NULL);
    krpc_server *server = serve_one("m", 0, echo, NULL);
    krpc_client *client = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/echo"), 0, NULL);
    krpc_message *message = text_message(1, KRPC_STR("x"));

    /* An operation that has ended: asking for its end does nothing; its reply is taken once. */
    krpc_op *op = NULL;
    CHECK(krpc_client_start(client, method, message, NULL, NULL, &op, NULL) == KRPC_OK);
    CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK && krpc_op_cancel(op) == KRPC_OK);
    krpc_reply *reply = krpc_op_take_reply(op);
    CHECK(krpc_reply_status(reply) == KRPC_OK && krpc_op_take_reply(op) == NULL);
    krpc_reply_free(reply);
    krpc_op_free(op);

    /* Closed things. */
    krpc_queue *queue = krpc_queue_new(1, NULL);
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.queue = queue;
    CHECK(krpc_queue_shutdown(queue) == KRPC_OK && krpc_queue_shutdown(queue) == KRPC_OK);
    FAILS(KRPC_STATUS_CLOSED, "queue",
          krpc_client_start(client, method, message, NULL, &completion, &op, &error));
    CHECK(op == NULL);
    krpc_queue_free(queue);
    CHECK(krpc_client_close(client, false) == KRPC_OK && krpc_client_close(client, true) == KRPC_OK);
    CHECK(krpc_client_call(client, method, message, NULL, NULL) == KRPC_STATUS_CLOSED);
    FAILS(KRPC_STATUS_CLOSED, "closed", krpc_client_start(client, method, message, NULL, NULL, NULL, &error));
    CHECK(krpc_server_stop(server, 0, NULL, NULL) == KRPC_OK);
    CHECK(krpc_server_stop(server, 0, NULL, NULL) == KRPC_OK);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    krpc_server_options *options =
        options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
    CHECK(krpc_server_options_set_runtime(options, runtime, NULL) == KRPC_OK);
    NOT_MADE(KRPC_STATUS_CLOSED, "runtime", krpc_server_build(options, &error));

    krpc_message_free(message);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_runtime_free(runtime);
}

int main(void)
{
    everything_wrong();
    CHECK(krpc_live_handles() == 0);
    after_free();
    from_many_threads();
    from_inside_callbacks();
    in_the_wrong_state();
    return end_of_net_test();
}
