/* Signals belong to the host: its handlers run on its own threads only, a call that they interrupt loses nothing,
 * and a peer that has gone raises no SIGPIPE, which is at its default here. */
#include "process.h"

#include <sys/prctl.h>
#include <sys/time.h>

static volatile sig_atomic_t signals_here, signals_elsewhere;

static void on_signal(int number)
{
    char name[17] = "";
    (void)number;
    int kept = errno;
    prctl(PR_GET_NAME, name, 0, 0, 0);
    if (strncmp(name, "krpc-", 5) == 0)
        signals_elsewhere = signals_elsewhere + 1;
    else
        signals_here = signals_here + 1;
    errno = kept;
}

/* Every millisecond, and without SA_RESTART: each wait of the host ends with EINTR. */
static void start_interrupting(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    struct itimerval every = {{0, 1000}, {0, 1000}};
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

static void stop_interrupting(void)
{
    struct itimerval never = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
}

static void slowly(void *user_data, krpc_request *request)
{
    (void)user_data;
    struct timespec time = {0, 7000000}; /* not to be right, only to be interrupted */
    nanosleep(&time, NULL);
    echo(NULL, request);
}

static void calls_survive_interruptions(void)
{
    start_interrupting();
    krpc_runtime *runtime = krpc_runtime_new(NULL, NULL);
    krpc_server *server = serve_one("slow", 0, slowly, NULL);
    krpc_client *client = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/slow"), 0, NULL);
    krpc_message *message = text_message(1, KRPC_STR("x"));
    krpc_queue *queue = krpc_queue_new(64, NULL);
    char *large = malloc(1 << 20);
    memset(large, 'a', 1 << 20);
    large[(1 << 20) - 1] = 0;
    for (int round = under_valgrind() ? 18 : 0; round < 20; round++) {
        CHECK_ECHO_OF(client, "Test/slow", "hello");
        CHECK_ECHO_OF(client, "Test/echo", large);
        krpc_op *op = NULL;
        CHECK(krpc_client_start(client, method, message, NULL, NULL, &op, NULL) == KRPC_OK);
        CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
        krpc_reply *reply = krpc_op_take_reply(op);
        CHECK(krpc_reply_status(reply) == KRPC_OK);
        krpc_reply_free(reply);
        krpc_op_free(op);
        krpc_completion completion = KRPC_COMPLETION_INIT;
        completion.queue = queue;
        CHECK(krpc_client_start(client, method, message, NULL, &completion, NULL, NULL) == KRPC_OK);
        krpc_event event;
        size_t count = 0;
        CHECK(krpc_queue_take(queue, &event, sizeof event, 1, BOUND_MS, &count) == KRPC_OK && count == 1);
        CHECK(event.status == KRPC_OK);
        krpc_event_release(&event);
        /* Threads come and go meanwhile: none of them may catch a signal, not even in its first moment. */
        krpc_runtime_free(krpc_runtime_new(NULL, NULL));
    }
    /* Nor does a signal end a call too late. */
    char address[32];
    int listener = raw_listen(8, address);
    krpc_client *nobody = client_to(krpc_cstr(address));
    krpc_reply *reply = call(nobody, "Test/slow", "x", 50);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_TIMEOUT);
    krpc_reply_free(reply);
    krpc_client_free(nobody);
    close(listener);
    /* To the process, not to a thread: the kernel may choose any that does not block it. */
    int before = signals_here;
    for (int i = 0; i < 100; i++)
        kill(getpid(), SIGUSR1);
    AWAIT(signals_here > before);
    CHECK(krpc_server_stop(server, BOUND_MS, NULL, NULL) == KRPC_OK);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    stop_interrupting();
    CHECK(signals_here > 20 && signals_elsewhere == 0);
    free(large);
    krpc_queue_free(queue);
    krpc_message_free(message);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_runtime_free(runtime);
}

/* ---- SIGPIPE ------------------------------------------------------------------------------------------------- */

/* A peer that closes as soon as it has a connection, with a reset or without. */
typedef struct {
    int listener;
    int stop;
} rude;

static void *hang_up(void *argument)
{
    rude *self = (rude *)argument;
    for (int resets = 0; !__atomic_load_n(&self->stop, __ATOMIC_SEQ_CST); resets = !resets) {
        struct pollfd ready = {self->listener, POLLIN, 0};
        if (poll(&ready, 1, 10) != 1)
            continue;
        int fd = accept(self->listener, NULL, NULL);
        struct linger at_once = {1, 0};
        if (resets)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
    return NULL;
}

/* Large enough not to fit into the socket: a write meets the closed end. */
static krpc_message *large_message(void)
{
    size_t size = 8 << 20;
    char *text = malloc(size);
    memset(text, 'b', size);
    krpc_str view = {text, size};
    krpc_message *message = text_message(1, view);
    free(text);
    return message;
}

static void clients_write_to_dead_peers(void)
{
    char address[32];
    rude peer = {raw_listen(64, address), 0};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, hang_up, &peer) == 0);
    krpc_client *client = client_to(krpc_cstr(address));
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/echo"), 0, NULL);
    krpc_message *message = large_message();
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = BOUND_MS;
    for (int round = 0; round < 20; round++) {
        krpc_status status = krpc_client_call(client, method, message, &options, NULL);
        CHECK(status == KRPC_STATUS_CONNECTION_LOST || status == KRPC_STATUS_CONNECT_FAILED);
        krpc_op *op = NULL;
        CHECK(krpc_client_start(client, method, message, &options, NULL, &op, NULL) == KRPC_OK);
        CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
        krpc_reply *reply = krpc_op_take_reply(op);
        status = krpc_reply_status(reply);
        CHECK(status == KRPC_STATUS_CONNECTION_LOST || status == KRPC_STATUS_CONNECT_FAILED);
        krpc_reply_free(reply);
        krpc_op_free(op);
    }
    __atomic_store_n(&peer.stop, 1, __ATOMIC_SEQ_CST);
    CHECK(pthread_join(thread, NULL) == 0);
    close(peer.listener);
    krpc_message_free(message);
    krpc_method_free(method);
    krpc_client_free(client);
}

typedef struct {
    gate gate;
    krpc_message *answer;
} late;

static void answer_late(void *user_data, krpc_request *request)
{
    late *self = (late *)user_data;
    gate_pass(&self->gate);
    krpc_request_reply(request, self->answer, NULL);
    krpc_request_free(request);
}

static void servers_write_to_dead_peers(void)
{
    late self = {GATE_INIT, large_message()};
    krpc_server *server = serve_one("late", 0, answer_late, &self);
    krpc_client *client = client_of(server);
    for (int round = 0; round < 10; round++) {
        gate_close(&self.gate);
        krpc_reply *reply = call(client, "Test/late", "x", 10);
        CHECK(krpc_reply_status(reply) == KRPC_STATUS_TIMEOUT); /* its connection is closed now */
        krpc_reply_free(reply);
        gate_await(&self.gate, 1, 0);
        gate_open(&self.gate);
        gate_await(&self.gate, 0, 1);
    }
    CHECK_ECHO(client);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_message_free(self.answer);
}

int main(void)
{
    struct sigaction pipe_action;
    CHECK(sigaction(SIGPIPE, NULL, &pipe_action) == 0 && pipe_action.sa_handler == SIG_DFL);
    clients_write_to_dead_peers();
    servers_write_to_dead_peers();
    calls_survive_interruptions();
    CHECK(sigaction(SIGPIPE, NULL, &pipe_action) == 0 && pipe_action.sa_handler == SIG_DFL);
    sigset_t pending, blocked;
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0 && sigismember(&blocked, SIGPIPE) == 0);
    CHECK(sigismember(&blocked, SIGALRM) == 0);
    return end_of_net_test();
}
