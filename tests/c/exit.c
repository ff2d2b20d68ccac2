/* A program may end at any time and from anywhere, with threads at work and nothing freed: it ends at once, with
 * its own exit code, and says nothing. Each way out is a run of this program by itself. */
#include "net.h"

#include <sys/prctl.h>

enum { CODE = 7 };

static void leave(void *user_data, krpc_request *request)
{
    (void)user_data, (void)request;
    exit(CODE);
}

static void leave_from_completion(void *user_data, krpc_reply *reply)
{
    (void)user_data, (void)reply;
    exit(CODE);
}

static void leave_from_log(void *user_data, krpc_log_level level, krpc_str target, krpc_str text)
{
    (void)user_data, (void)level, (void)target, (void)text;
    exit(CODE);
}

static void *keep_calling(void *client)
{
    for (;;)
        krpc_reply_free(call((const krpc_client *)client, "Test/echo", "x", BOUND_MS));
    return NULL;
}

static void *keep_taking(void *queue)
{
    krpc_event event;
    size_t count;
    for (;;)
        krpc_queue_take((const krpc_queue *)queue, &event, sizeof event, 1, KRPC_FOREVER, &count);
    return NULL;
}

static krpc_client *kept_client;
static krpc_server *kept_server;

/* Other threads still use the client. */
static void use_at_exit(void)
{
    CHECK_ECHO(kept_client);
    krpc_client *own = client_of(kept_server);
    CHECK_ECHO(own);
    krpc_client_free(own);
    krpc_server_free(kept_server);
}

static void *exit_from_thread(void *unused)
{
    (void)unused;
    exit(CODE);
}

static void detached(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0 && pthread_detach(thread) == 0);
}

/* Servers and clients at work: handlers that wait, calls under way of every style, threads that call and take. */
static int leave_by(const char *way)
{
    alarm(BOUND_MS / 1000);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    static gate gate = GATE_INIT;
    krpc_service *service = service_with("Test", "wait", 0, echo_behind_gate, &gate);
    CHECK(krpc_service_add_method(service, KRPC_STR("leave"), 0, leave, NULL, NULL, NULL) == KRPC_OK);
    CHECK(krpc_service_add_method(service, KRPC_STR("leave_inline"), KRPC_METHOD_FLAG_INLINE, leave, NULL, NULL,
                                  NULL) == KRPC_OK);
    kept_server = serve(options_with("127.0.0.1:0", service));
    kept_client = client_of(kept_server);
    krpc_method *wait = krpc_client_method(kept_client, KRPC_STR("Test/wait"), 0, NULL);
    krpc_method *echo = krpc_client_method(kept_client, KRPC_STR("Test/echo"), 0, NULL);
    krpc_queue *queue = krpc_queue_new(8, NULL);
    krpc_completion by_queue = KRPC_COMPLETION_INIT, by_callback = KRPC_COMPLETION_INIT;
    by_queue.queue = queue;
    CHECK(krpc_client_start(kept_client, wait, NULL, NULL, &by_queue, NULL, NULL) == KRPC_OK);
    gate_await(&gate, 1, 0);
    for (int i = 0; i < 3; i++)
        detached(keep_calling, kept_client);
    detached(keep_taking, queue);
    krpc_runtime_new(NULL, NULL);
    CHECK_ECHO(kept_client);

    if (strcmp(way, "return") == 0)
        return CODE;
    if (strcmp(way, "exit") == 0)
        exit(CODE);
    if (strcmp(way, "_exit") == 0)
        _exit(CODE);
    if (strcmp(way, "quick_exit") == 0)
        quick_exit(CODE);
    if (strcmp(way, "atexit") == 0) {
        CHECK(atexit(use_at_exit) == 0);
        return CODE;
    }
    if (strcmp(way, "thread") == 0)
        detached(exit_from_thread, NULL);
    if (strcmp(way, "main thread first") == 0) {
        detached(exit_from_thread, NULL);
        pthread_exit(NULL);
    }
    if (strcmp(way, "handler") == 0)
        call(kept_client, "Test/leave", "x", 0);
    if (strcmp(way, "inline handler") == 0)
        call(kept_client, "Test/leave_inline", "x", 0);
    if (strcmp(way, "log") == 0) {
        krpc_log_set(KRPC_LOG_LEVEL_DEBUG, leave_from_log, NULL, NULL, NULL);
        krpc_runtime_new(NULL, NULL);
    }
    if (strcmp(way, "completion") == 0) {
        by_callback.callback = leave_from_completion;
        CHECK(krpc_client_start(kept_client, echo, NULL, NULL, &by_callback, NULL, NULL) == KRPC_OK);
    }
    for (;;)
        pause();
}

static void ends_by(const char *program, const char *way)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* nothing is freed, on purpose */
        execl(program, program, way, (char *)NULL);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != CODE) {
        fprintf(stderr, "%s: ended with status %x\n", way, (unsigned)status);
        exit(1);
    }
}

int main(int count, char **arguments)
{
    if (count > 1)
        return leave_by(arguments[1]);
    static const char *const ways[] = {
        "return", "exit", "_exit", "quick_exit", "atexit", "thread", "main thread first",
        "handler", "inline handler", "log", "completion",
    };
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < LEN(ways); i++)
            ends_by(arguments[0], ways[i]);
    return end_of_net_test();
}
