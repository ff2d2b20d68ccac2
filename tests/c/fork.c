/* fork: handles of the parent are FORKED in the child and can be freed there, new ones work, and the parent
 * notices nothing; whatever its other threads were doing at the time. */
#include "process.h"

#include <fcntl.h>
#include <sys/stat.h>

/* One handle of each kind, with calls under way. */
typedef struct {
    gate gate;
    krpc_runtime *runtime;
    krpc_server *server;
    krpc_client *client;
    krpc_method *method;
    krpc_queue *queue;
    krpc_op *op;
    krpc_reply *reply;
    krpc_context *context;
    krpc_message *message;
    krpc_metainfo *metainfo;
    krpc_error *error;
    krpc_writer *writer;
    krpc_reader *reader;
    krpc_service *service;
    krpc_client_options *client_options;
    krpc_server_options *server_options;
    krpc_request *request; /* of the call under way; its handler's */
    int queue_fd;
} world;

#define WORLD_HANDLES 17

static void hold(void *user_data, krpc_request *request)
{
    world *w = (world *)user_data;
    w->request = request;
    echo_behind_gate(&w->gate, request);
}

static void world_make(world *w)
{
    static const world empty;
    *w = empty;
    gate fresh = GATE_INIT;
    w->gate = fresh;
    w->runtime = krpc_runtime_new(NULL, NULL);
    krpc_server_options *options =
        options_with("127.0.0.1:0", service_with("Test", "wait", 0, hold, w));
    CHECK(krpc_server_options_set_runtime(options, w->runtime, NULL) == KRPC_OK);
    w->server = serve(options);
    krpc_client_options *to = options_to(krpc_server_address(w->server, 0));
    CHECK(krpc_client_options_set_runtime(to, w->runtime, NULL) == KRPC_OK);
    w->client = krpc_client_build(to, NULL);
    w->method = krpc_client_method(w->client, KRPC_STR("Test/wait"), 0, NULL);
    w->queue = krpc_queue_new(8, NULL);
    CHECK(krpc_queue_fd(w->queue, &w->queue_fd, NULL) == KRPC_OK);
    w->message = text_message(1, KRPC_STR("x"));
    w->context = krpc_context_new(NULL, 0, NULL, NULL);
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.queue = w->queue;
    CHECK(krpc_client_start(w->client, w->method, w->message, NULL, &completion, &w->op, NULL) == KRPC_OK);
    gate_await(&w->gate, 1, 0);
    w->reply = call(w->client, "Test/echo", "x", BOUND_MS);
    w->metainfo = krpc_metainfo_new();
    CHECK(krpc_message_copy(0, KRPC_BYTES(NULL, 1), &w->error) == NULL);
    w->writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    w->reader = krpc_reader_new(w->message, NULL);
    w->service = krpc_service_new(KRPC_STR("Other"), NULL);
    w->client_options = options_to(KRPC_STR("127.0.0.1:1"));
    w->server_options = krpc_server_options_new();
    AWAIT(krpc_live_handles() == WORLD_HANDLES);
}

static void world_free(world *w)
{
    krpc_runtime_free(w->runtime);
    krpc_server_free(w->server);
    krpc_client_free(w->client);
    krpc_method_free(w->method);
    krpc_queue_free(w->queue);
    krpc_op_free(w->op);
    krpc_reply_free(w->reply);
    krpc_context_free(w->context);
    krpc_message_free(w->message);
    krpc_metainfo_free(w->metainfo);
    krpc_error_free(w->error);
    krpc_writer_free(w->writer);
    krpc_reader_free(w->reader);
    krpc_service_free(w->service);
    krpc_client_options_free(w->client_options);
    krpc_server_options_free(w->server_options);
}

/* The parent goes on: the call that was under way ends, others work. */
static void world_works(world *w)
{
    CHECK_ECHO(w->client);
    gate_open(&w->gate);
    krpc_event event;
    size_t count = 0;
    CHECK(krpc_queue_take(w->queue, &event, sizeof event, 1, BOUND_MS, &count) == KRPC_OK && count == 1);
    CHECK(event.status == KRPC_OK && event.reply != NULL);
    krpc_event_release(&event);
    CHECK(krpc_op_wait(w->op, 0) == KRPC_OK);
}

/* ---- what a child does ---------------------------------------------------------------------------------- */

#define FORKED(expression) FAILS(KRPC_STATUS_FORKED, "was made before a fork", expression)
#define NOT_MADE_FORKED(expression) NOT_MADE(KRPC_STATUS_FORKED, "was made before a fork", expression)

static void handles_are_forked(world *w)
{
    krpc_reply *reply = NULL;
    krpc_message *fresh = text_message(1, KRPC_STR("x"));
    CHECK(krpc_client_call(w->client, w->method, NULL, NULL, &reply) == KRPC_STATUS_FORKED && reply == NULL);
    CHECK(krpc_client_call_by_name(w->client, KRPC_STR("Test/echo"), fresh, NULL, &reply) ==
          KRPC_STATUS_FORKED);
    FORKED(krpc_client_start(w->client, w->method, fresh, NULL, NULL, NULL, &error));
    CHECK(krpc_client_close(w->client, true) == KRPC_STATUS_FORKED);
    NOT_MADE_FORKED(krpc_client_method(w->client, KRPC_STR("Test/echo"), 0, &error));
    FORKED(krpc_runtime_shutdown(w->runtime, &error));
    FORKED(krpc_server_stop(w->server, 0, NULL, &error));
    CHECK(krpc_server_address(w->server, 0).len == 0 && krpc_server_in_flight(w->server) == 0);
    CHECK(krpc_op_wait(w->op, KRPC_FOREVER) == KRPC_STATUS_FORKED);
    CHECK(krpc_op_cancel(w->op) == KRPC_STATUS_FORKED && !krpc_op_is_done(w->op));
    CHECK(krpc_op_take_reply(w->op) == NULL);
    krpc_event event;
    size_t count = 1;
    CHECK(krpc_queue_take(w->queue, &event, sizeof event, 1, KRPC_FOREVER, &count) == KRPC_STATUS_FORKED);
    CHECK(count == 0 && krpc_queue_cancel(w->queue, 0) == 0);
    CHECK(krpc_queue_shutdown(w->queue) == KRPC_STATUS_FORKED);
    int fd = 0;
    FORKED(krpc_queue_fd(w->queue, &fd, &error));
    CHECK(fd == -1);
    CHECK(krpc_reply_status(w->reply) == KRPC_STATUS_FORKED && krpc_reply_message(w->reply) == NULL);
    CHECK(krpc_context_cancel(w->context) == KRPC_STATUS_FORKED);
    CHECK(krpc_context_cause(w->context) == KRPC_CAUSE_NONE && krpc_context_retain(w->context) == NULL);
    CHECK(krpc_message_size(w->message) == 0 && krpc_message_retain(w->message) == NULL);
    NOT_MADE_FORKED(krpc_reader_new(w->message, &error));
    FORKED(krpc_metainfo_set(w->metainfo, KRPC_METAINFO_KIND_UPSTREAM, KRPC_STR("k"), KRPC_STR("v"), &error));
    CHECK(krpc_metainfo_count(w->metainfo) == 0);
    CHECK(krpc_error_status(w->error) == KRPC_STATUS_FORKED && krpc_error_text(w->error).len == 0);
    CHECK(krpc_writer_i32(w->writer, 1) == KRPC_STATUS_FORKED);
    NOT_MADE_FORKED(krpc_writer_finish(w->writer, &error));
    FORKED(krpc_service_add_method(w->service, KRPC_STR("m"), 0, echo, NULL, NULL, &error));
    NOT_MADE_FORKED(krpc_client_build(w->client_options, &error));
    NOT_MADE_FORKED(krpc_server_build(w->server_options, &error));

    FORKED(krpc_request_reply(w->request, NULL, &error));
    CHECK(krpc_request_method(w->request).len == 0 && krpc_request_context(w->request) == NULL);

    /* Nor do new handles take old ones. */
    krpc_client_options *options = options_to(KRPC_STR("127.0.0.1:1"));
    FORKED(krpc_client_options_set_runtime(options, w->runtime, &error));
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_call_options in_context = KRPC_CALL_OPTIONS_INIT;
    in_context.parent = w->context;
    CHECK(krpc_client_call_by_name(client, KRPC_STR("T/m"), NULL, &in_context, NULL) == KRPC_STATUS_FORKED);
    krpc_client_free(client);
    krpc_message_free(fresh);
}

static void count_lines(void *lines, krpc_log_level level, krpc_str target, krpc_str text)
{
    (void)level, (void)target, (void)text;
    __atomic_fetch_add((int *)lines, 1, __ATOMIC_SEQ_CST);
}

/* Everything works from scratch: a runtime of its own, the shared one, waiting and started calls, the log. */
static void new_handles_work(void)
{
    static int lines;
    int before = threads_named("krpc-"); /* the child of a handler keeps its thread's name */
    CHECK(krpc_log_set(KRPC_LOG_LEVEL_INFO, count_lines, &lines, NULL, NULL) == KRPC_OK);
    for (int own = 0; own < 2; own++) {
        krpc_runtime *runtime = own ? krpc_runtime_new(NULL, NULL) : NULL;
        krpc_server_options *options =
            options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
        if (own)
            CHECK(krpc_server_options_set_runtime(options, runtime, NULL) == KRPC_OK);
        krpc_server *server = serve(options);
        krpc_client *client = client_of(server);
        CHECK_ECHO(client);
        krpc_method *method = krpc_client_method(client, KRPC_STR("Test/m"), 0, NULL);
        krpc_message *message = text_message(1, KRPC_STR("y"));
        krpc_context *context = krpc_context_new(NULL, BOUND_MS, NULL, NULL);
        krpc_call_options in_context = KRPC_CALL_OPTIONS_INIT;
        in_context.parent = context;
        krpc_reply *reply = NULL;
        CHECK(krpc_client_call(client, method, message, &in_context, &reply) == KRPC_OK);
        krpc_reply_free(reply);
        krpc_op *op = NULL;
        CHECK(krpc_client_start(client, method, message, NULL, NULL, &op, NULL) == KRPC_OK);
        CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
        reply = krpc_op_take_reply(op);
        CHECK(krpc_reply_status(reply) == KRPC_OK);
        krpc_reply_free(reply);
        krpc_op_free(op);
        krpc_context_free(context);
        krpc_message_free(message);
        krpc_method_free(method);
        krpc_client_free(client);
        krpc_server_free(server);
        krpc_runtime_free(runtime);
    }
    AWAIT(threads_named("krpc-") == before);
    CHECK(__atomic_load_n(&lines, __ATOMIC_SEQ_CST) > 0);
    CHECK(krpc_log_set(0, NULL, NULL, NULL, NULL) == KRPC_OK);
}

static void frees_leave_it_behind(world *w)
{
    size_t others = krpc_live_handles() - (WORLD_HANDLES - 3); /* finish and build have consumed three */
    for (int twice = 0; twice < 2; twice++) {
        world_free(w);
        krpc_request_free(w->request);
        CHECK(krpc_live_handles() == others);
    }
    krpc_message *report = krpc_runtime_report(KRPC_REPORT_FORMAT_TEXT, NULL);
    krpc_bytes text = krpc_message_bytes(report);
    krpc_str words = {(const char *)text.ptr, text.len};
    CHECK(contains(words, "; 17 freed after a fork, whose memory stays"));
    krpc_message_free(report);
}

static void use_all(const child *self, void *argument)
{
    (void)self;
    world *w = (world *)argument;
    CHECK(threads_named("") == 1);
    handles_are_forked(w);
    frees_leave_it_behind(w);
    new_handles_work();
}

/* As a daemon does it: all descriptors are closed, and their numbers are soon other files. */
static void use_all_after_closefrom(const child *self, void *argument)
{
    for (int fd = 3; fd < 200; fd++)
        if (fd != self->from_child && fd != self->to_child)
            close(fd);
    CHECK(krpc_fork_close_inherited() == 0);
    use_all(self, argument);
    int files[20];
    for (size_t i = 0; i < LEN(files); i++)
        CHECK((files[i] = open("/dev/null", 0)) >= 0);
    new_handles_work();
    CHECK(krpc_fork_close_inherited() == 0);
    for (size_t i = 0; i < LEN(files); i++)
        CHECK(close(files[i]) == 0);
}

static void use_all_in_grandchild(const child *self, void *argument)
{
    (void)self;
    krpc_server *server = serve_one("m", 0, echo, NULL);
    krpc_client *client = client_of(server);
    CHECK_ECHO(client);
    AWAIT(krpc_live_handles() == WORLD_HANDLES + 2);
    /* The middle one's handles are as foreign to it as the first one's. */
    in_child(use_all, argument);
    CHECK_ECHO(client);
    krpc_client_free(client);
    krpc_server_free(server);
    CHECK(krpc_live_handles() == WORLD_HANDLES);
}

static void children_start_anew(void)
{
    world w;
    world_make(&w);
    in_child(use_all, &w);
    in_child(use_all_after_closefrom, &w);
    in_child(use_all_in_grandchild, &w);
    in_child(use_all, &w);
    CHECK(krpc_live_handles() == WORLD_HANDLES);
    world_works(&w);
    world_free(&w);
}

/* ---- inherited sockets ------------------------------------------------------------------------------------ */

static int open_sockets(void)
{
    int count = 0;
    struct stat status;
    for (int fd = 0; fd < 256; fd++)
        count += fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
    return count;
}

static void close_inherited(const child *self, void *argument)
{
    (void)argument;
    child_pause(self); /* the parent has freed its server: only this process keeps the address */
    size_t closed = krpc_fork_close_inherited();
    CHECK(closed >= 3); /* a listener and both ends of a connection, at least */
    CHECK(open_sockets() == 0 && krpc_fork_close_inherited() == 0);
    child_pause(self); /* it looks at once, before another program may listen there */
    new_handles_work();
}

static int connects(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

static void inherited_sockets_can_be_closed(void)
{
    krpc_server *server = serve_one("m", 0, echo, NULL);
    krpc_client *client = client_of(server);
    CHECK_ECHO(client);
    CHECK(krpc_fork_close_inherited() == 0); /* not in a process that is no child */
    uint16_t port = port_of(krpc_server_address(server, 0));
    child one = child_start(close_inherited, NULL);
    child_await(&one);
    CHECK_ECHO(client);
    krpc_client_free(client);
    krpc_server_free(server);
    AWAIT(threads_named("krpc-") == 0);
    CHECK(connects(port));
    child_go(&one);
    child_await(&one);
    CHECK(!connects(port));
    child_go(&one);
    child_end(&one);
}

/* ---- in the middle of everything ---------------------------------------------------------------------------- */

typedef struct {
    const krpc_client *client;
    int stop;
    long calls;
} busy;

static int stopped(busy *self)
{
    return __atomic_load_n(&self->stop, __ATOMIC_SEQ_CST);
}

static void *keep_calling(void *argument)
{
    busy *self = (busy *)argument;
    while (!stopped(self)) {
        CHECK_ECHO(self->client);
        __atomic_fetch_add(&self->calls, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

/* Locks of the library are held most of the time: handles, the log, runtimes that come and go. */
static void *keep_making(void *argument)
{
    static int lines;
    busy *self = (busy *)argument;
    krpc_message *message = text_message(1, KRPC_STR("z"));
    krpc_queue *queue = krpc_queue_new(64, NULL);
    krpc_method *method = krpc_client_method(self->client, KRPC_STR("Test/echo"), 0, NULL);
    while (!stopped(self)) {
        CHECK(krpc_log_set(KRPC_LOG_LEVEL_DEBUG, count_lines, &lines, NULL, NULL) == KRPC_OK);
        krpc_completion completion = KRPC_COMPLETION_INIT;
        completion.queue = queue;
        CHECK(krpc_client_start(self->client, method, message, NULL, &completion, NULL, NULL) == KRPC_OK);
        krpc_runtime_free(krpc_runtime_new(NULL, NULL));
        krpc_event event;
        size_t count = 0;
        CHECK(krpc_queue_take(queue, &event, sizeof event, 1, BOUND_MS, &count) == KRPC_OK && count == 1);
        CHECK(event.status == KRPC_OK);
        krpc_event_release(&event);
    }
    krpc_method_free(method);
    krpc_queue_free(queue);
    krpc_message_free(message);
    return NULL;
}

static void start_anew(const child *self, void *argument)
{
    (void)self;
    busy *them = (busy *)argument;
    krpc_reply *reply = NULL;
    CHECK(krpc_client_call_by_name(them->client, KRPC_STR("Test/echo"), NULL, NULL, &reply) ==
          KRPC_STATUS_FORKED);
    krpc_client_free((krpc_client *)(uintptr_t)them->client);
    new_handles_work();
    CHECK(krpc_fork_close_inherited() > 0);
    new_handles_work();
}

/* Its allocator is not made for forks beside busy threads. */
static int under_asan(void)
{
#ifdef __SANITIZE_ADDRESS__
    return 1;
#else
    return 0;
#endif
}

static void forks_under_load(void)
{
    krpc_server *server = serve_one("m", 0, echo, NULL);
    busy them = {client_of(server), 0, 0};
    pthread_t threads[4];
    for (size_t i = 0; i < LEN(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, i < 2 ? keep_calling : keep_making, &them) == 0);
    AWAIT(__atomic_load_n(&them.calls, __ATOMIC_SEQ_CST) > 0);
    int rounds = under_asan() ? 0 : under_valgrind() ? 2 : 40;
    for (int round = 0; round < rounds; round++)
        in_child(start_anew, &them);
    long calls = __atomic_load_n(&them.calls, __ATOMIC_SEQ_CST);
    AWAIT(__atomic_load_n(&them.calls, __ATOMIC_SEQ_CST) > calls);
    __atomic_store_n(&them.stop, 1, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < LEN(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(krpc_log_set(0, NULL, NULL, NULL, NULL) == KRPC_OK);
    krpc_client_free((krpc_client *)(uintptr_t)them.client);
    krpc_server_free(server);
}

/* ---- a handler that forks ------------------------------------------------------------------------------------ */

static void nothing_is_shared(const child *self, void *argument)
{
    (void)self;
    CHECK(krpc_request_reply((krpc_request *)argument, NULL, NULL) == KRPC_STATUS_FORKED);
    krpc_request_free((krpc_request *)argument);
    /* Its thread is no longer one of the library's, and may wait. */
    krpc_runtime *runtime = krpc_runtime_new(NULL, NULL);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    krpc_runtime_free(runtime);
    new_handles_work();
}

static void fork_in_handler(void *user_data, krpc_request *request)
{
    in_child(nothing_is_shared, request);
    echo(user_data, request);
}

static void handlers_may_fork(void)
{
    static const uint32_t flags[] = {0, KRPC_METHOD_FLAG_INLINE};
    for (size_t i = 0; i < LEN(flags); i++) {
        krpc_server *server = serve_one("fork", flags[i], fork_in_handler, NULL);
        krpc_client *client = client_of(server);
        CHECK_ECHO_OF(client, "Test/fork", "twice");
        krpc_client_free(client);
        krpc_server_free(server);
    }
}

int main(void)
{
    children_start_anew();
    inherited_sockets_can_be_closed();
    forks_under_load();
    handlers_may_fork();
    return end_of_net_test();
}
