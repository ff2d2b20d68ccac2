/* krpc_runtime: options, threads and their signal masks, sharing, and every order of ends. */
#include "net.h"

static krpc_runtime *runtime_of(uint32_t io_threads, uint32_t worker_threads)
{
    krpc_runtime_options options = KRPC_RUNTIME_OPTIONS_INIT;
    options.io_threads = io_threads;
    options.worker_threads = worker_threads;
    krpc_runtime *runtime = krpc_runtime_new(&options, NULL);
    CHECK(runtime != NULL);
    return runtime;
}

static krpc_server *serve_on(const krpc_runtime *runtime, krpc_handler_fn handler, void *user_data)
{
    krpc_server_options *options =
        options_with("127.0.0.1:0", service_with("Test", "wait", 0, handler, user_data));
    CHECK(krpc_server_options_set_runtime(options, runtime, NULL) == KRPC_OK);
    return serve(options);
}

static void mistakes(void)
{
    krpc_runtime_options options = KRPC_RUNTIME_OPTIONS_INIT;
    options.io_threads = 1025;
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "io_threads", krpc_runtime_new(&options, &error));
    options.io_threads = 1;
    options.struct_size = 0;
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "struct_size", krpc_runtime_new(&options, &error));
    struct {
        krpc_runtime_options known;
        uint64_t unknown;
    } later = {{sizeof later, 1, 1}, 1};
    NOT_MADE(KRPC_STATUS_UNSUPPORTED, "options", krpc_runtime_new(&later.known, &error));
    REFUSED("runtime", krpc_runtime_shutdown(NULL, &error));
    CHECK(krpc_runtime_shutdown(NULL, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_runtime_free(NULL);
    AWAIT(threads_named("krpc-") == 0);

    /* A larger struct whose unknown end is zero is fine. */
    later.unknown = 0;
    krpc_runtime *runtime = krpc_runtime_new(&later.known, NULL);
    CHECK(runtime != NULL);
    AWAIT(threads_named("krpc-io-") == 1);
    krpc_runtime_free(runtime);
    AWAIT(threads_named("krpc-") == 0);
}

static void threads_come_when_needed_and_go(void)
{
    AWAIT(threads_named("") == 1);
    krpc_runtime *runtime = runtime_of(3, 4);
    AWAIT(threads_named("krpc-io-") == 3);
    CHECK(threads_named("krpc-work-") == 0);
    AWAIT(threads_named("krpc-io-0") == 1 && threads_named("krpc-io-2") == 1);
    krpc_server *server = serve_on(runtime, echo, NULL);
    krpc_client *client = client_of(server);
    CHECK_ECHO(client);
    AWAIT(threads_named("krpc-work-0") == 1);
    krpc_client_free(client);
    krpc_server_free(server);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    AWAIT(threads_named("") == 1);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    krpc_runtime_free(runtime);

    /* The shared runtime is made by the first server and ends with the last. */
    krpc_server *first = serve_one("m", 0, echo, NULL), *second = serve_one("m", 0, echo, NULL);
    AWAIT(threads_named("krpc-io-") == 1);
    krpc_server_free(first);
    AWAIT(threads_named("krpc-io-") == 1);
    client = client_of(second);
    CHECK_ECHO(client);
    krpc_client_free(client);
    krpc_server_free(second);
    AWAIT(threads_named("krpc-") == 0);
}

static void signals_are_blocked_in_all_threads(void)
{
    krpc_server *server = serve_one("m", 0, echo, NULL);
    krpc_client *client = client_of(server);
    CHECK_ECHO(client);
    static const int open_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
    static const int blocked_signals[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM};
    int seen = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        char path[300], line[128], name[32] = "";
        unsigned long long mask = 0;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *status = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (status == NULL)
            continue;
        while (fgets(line, sizeof line, status) != NULL) {
            (void)sscanf(line, "Name: %31s", name);
            (void)sscanf(line, "SigBlk: %llx", &mask);
        }
        fclose(status);
        if (strncmp(name, "krpc-", 5) != 0)
            continue;
        seen++;
        for (size_t i = 0; i < LEN(blocked_signals); i++)
            CHECK((mask >> (blocked_signals[i] - 1) & 1) == 1);
        /* Valgrind keeps a mask of its own, which the kernel shows. */
        for (size_t i = 0; i < LEN(open_signals) && !under_valgrind(); i++)
            CHECK((mask >> (open_signals[i] - 1) & 1) == 0);
    }
    closedir(tasks);
    CHECK(seen >= 2);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- handlers that block ------------------------------------------------------------------------------- */

static void blocked_handlers_hold_up_nobody(void)
{
    enum { WORKERS = 6 };
    gate gate = GATE_INIT;
    krpc_runtime *runtime = runtime_of(1, WORKERS);
    krpc_server *server = serve_on(runtime, echo_behind_gate, &gate);
    krpc_client *client = client_of(server);
    caller callers[WORKERS + 2];
    for (size_t i = 0; i < WORKERS - 1; i++)
        caller_start(&callers[i], client, "Test/wait", "x");
    gate_await(&gate, WORKERS - 1, 0);
    for (int i = 0; i < 20; i++)
        CHECK_ECHO(client);
    AWAIT(threads_named("krpc-work-") == WORKERS);

    /* More than there are threads wait their turn, and no request is lost. */
    for (size_t i = WORKERS - 1; i < LEN(callers); i++)
        caller_start(&callers[i], client, "Test/wait", "x");
    gate_await(&gate, WORKERS, 0);
    AWAIT(krpc_server_in_flight(server) == LEN(callers));
    AWAIT(threads_named("krpc-work-") == WORKERS);
    gate_open(&gate);
    for (size_t i = 0; i < LEN(callers); i++)
        CHECK(caller_end(&callers[i]) == KRPC_OK);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_runtime_free(runtime);
}

/* A handler that calls a server on the same runtime needs a second worker, however many do so. */
static void call_below(void *user_data, krpc_request *request)
{
    const krpc_client *client = *(krpc_client *const *)user_data;
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = BOUND_MS;
    options.metainfo = krpc_request_metainfo(request);
    krpc_reply *reply = NULL;
    CHECK(krpc_client_call_by_name(client, KRPC_STR("Test/echo"), krpc_request_message(request), &options,
                                   &reply) == KRPC_OK);
    CHECK(krpc_request_reply(request, krpc_reply_message(reply), NULL) == KRPC_OK);
    krpc_reply_free(reply);
    krpc_request_free(request);
}

static void *call_many(void *argument)
{
    for (int i = 0; i < 50; i++)
        CHECK_ECHO_OF((const krpc_client *)argument, "Test/wait", "down and up");
    return NULL;
}

static void handlers_may_call(void)
{
    krpc_client *client = NULL;
    krpc_runtime *runtime = runtime_of(2, 16);
    krpc_server *server = serve_on(runtime, call_below, &client);
    client = client_of(server);
    pthread_t threads[8];
    for (size_t i = 0; i < LEN(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, call_many, client) == 0);
    for (size_t i = 0; i < LEN(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_runtime_free(runtime);
}

/* ---- orders of ends ------------------------------------------------------------------------------------- */

static void a_runtime_may_be_freed_before_its_server(void)
{
    krpc_runtime *runtime = runtime_of(2, 2);
    krpc_server *server = serve_on(runtime, echo, NULL);
    krpc_runtime_free(runtime);
    krpc_client *client = client_of(server);
    CHECK_ECHO(client);
    krpc_server_free(server);
    AWAIT(threads_named("krpc-") == 0);
    /* An idle connection may have been taken before its end was seen. */
    krpc_reply *reply = call(client, "Test/echo", "x", BOUND_MS);
    krpc_status status = krpc_reply_status(reply);
    CHECK(status == KRPC_STATUS_CONNECT_FAILED || status == KRPC_STATUS_CONNECTION_LOST);
    krpc_reply_free(reply);
    krpc_client_free(client);
}

static void a_shutdown_ends_its_servers(void)
{
    krpc_runtime *runtime = runtime_of(1, 2);
    krpc_server *server = serve_on(runtime, echo, NULL);
    krpc_client *client = client_of(server);
    CHECK_ECHO(client);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    AWAIT(threads_named("krpc-") == 0);
    krpc_reply *reply = call(client, "Test/echo", "x", BOUND_MS);
    CHECK(krpc_reply_status(reply) != KRPC_OK);
    krpc_reply_free(reply);

    /* What is left can be stopped and freed, and says where it was. */
    krpc_stopped stopped = KRPC_STOPPED_INIT;
    CHECK(krpc_server_address(server, 0).len > 0 && krpc_server_in_flight(server) == 0);
    CHECK(krpc_server_stop(server, KRPC_FOREVER, &stopped, NULL) == KRPC_OK);
    CHECK(stopped.finished == 0 && stopped.cut_off == 0);

    /* No server starts on it any more. */
    krpc_server_options *options = options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
    krpc_server_options_set_runtime(options, runtime, NULL);
    NOT_MADE(KRPC_STATUS_CLOSED, "runtime", krpc_server_build(options, &error));
    krpc_client_free(client);
    krpc_runtime_free(runtime);
    krpc_server_free(server);
}

static void *shut_down(void *argument)
{
    CHECK(krpc_runtime_shutdown((krpc_runtime *)argument, NULL) == KRPC_OK);
    return NULL;
}

/* A shutdown waits for handlers that run; their callers don't. */
static void a_shutdown_waits_for_handlers(void)
{
    gate gate = GATE_INIT;
    krpc_runtime *runtime = runtime_of(1, 2);
    krpc_server *server = serve_on(runtime, echo_behind_gate, &gate);
    krpc_client *client = client_of(server);
    caller one;
    caller_start(&one, client, "Test/wait", "x");
    gate_await(&gate, 1, 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, shut_down, runtime) == 0);
    CHECK(caller_end(&one) == KRPC_STATUS_CONNECTION_LOST);
    gate_open(&gate);
    CHECK(pthread_join(thread, NULL) == 0);
    AWAIT(threads_named("krpc-") == 0);
    CHECK(gate.passed == 1);
    krpc_runtime_free(runtime);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* Freed by a handler on the server's own thread: nothing can be waited for there. */
typedef struct {
    krpc_server *server;
    krpc_client *client;
    gate done;
} suicide;

static void free_everything(void *user_data, krpc_request *request)
{
    suicide *self = (suicide *)user_data;
    krpc_server_free(self->server);
    krpc_client_free(self->client);
    krpc_request_free(request);
    gate_open(&self->done);
}

static void a_handler_may_free_its_server(void)
{
    static const uint32_t flags[] = {0, KRPC_METHOD_FLAG_INLINE};
    for (size_t i = 0; i < LEN(flags); i++) {
        suicide self = {NULL, NULL, GATE_INIT};
        self.server = serve_one("end", flags[i], free_everything, &self);
        self.client = client_of(self.server);
        krpc_client *client = client_of(self.server);
        krpc_reply *reply = call(client, "Test/end", "x", BOUND_MS);
        CHECK(krpc_reply_status(reply) != KRPC_OK);
        krpc_reply_free(reply);
        gate_pass(&self.done);
        krpc_client_free(client);
        AWAIT(threads_named("krpc-") == 0);
        CHECK(krpc_live_handles() == 0);
    }
}

int main(void)
{
    AWAIT(threads_named("") == 1);
    mistakes();
    threads_come_when_needed_and_go();
    signals_are_blocked_in_all_threads();
    blocked_handlers_hold_up_nobody();
    handlers_may_call();
    a_runtime_may_be_freed_before_its_server();
    a_shutdown_ends_its_servers();
    a_shutdown_waits_for_handlers();
    a_handler_may_free_its_server();
    return end_of_net_test();
}
