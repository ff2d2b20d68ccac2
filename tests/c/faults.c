/* Every step of a small scenario fails once: whatever fails, each call ends exactly once and in time, nothing
 * leaks, and what comes afterwards works. And panics: contained, told, and never printed. */
#include "hooks.h"
#include "net.h"

static void arm(int32_t point, uint64_t nth)
{
    CHECK(krpc_test_fail_nth(point, nth, NULL) == KRPC_OK);
}

static uint64_t passed(int32_t point)
{
    uint64_t count = 0;
    CHECK(krpc_test_fail_nth(point, 0, &count) == KRPC_OK);
    return count;
}

/* ---- what a host hears of a started call --------------------------------------------------------------------- */

typedef struct {
    int completed;
    int destroyed;
    krpc_status status;
} heard;

static void completed(void *user_data, krpc_reply *reply)
{
    heard *self = (heard *)user_data;
    self->status = krpc_reply_status(reply);
    krpc_reply_free(reply);
    __atomic_add_fetch(&self->completed, 1, __ATOMIC_SEQ_CST);
}

static void destroyed(void *user_data)
{
    __atomic_add_fetch(&((heard *)user_data)->destroyed, 1, __ATOMIC_SEQ_CST);
}

/* Whatever failed, it was not the time that ended the call: somebody noticed. */
static krpc_status in_time(krpc_status status)
{
    CHECK(status != KRPC_STATUS_TIMEOUT && status != KRPC_STATUS_CONNECT_TIMEOUT);
    return status;
}

static krpc_status call_waiting(const krpc_client *client)
{
    krpc_reply *reply = call(client, "Test/echo", "x", BOUND_MS);
    krpc_status status = in_time(krpc_reply_status(reply));
    CHECK(status != KRPC_OK || is_text(krpc_reply_message(reply), 0, KRPC_STR("x")));
    krpc_reply_free(reply);
    return status;
}

static krpc_status call_with_callback(const krpc_client *client, const krpc_method *method,
                                      const krpc_message *message, const krpc_call_options *options)
{
    heard self = {0, 0, KRPC_OK};
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.callback = completed;
    completion.user_data = &self;
    completion.destroy = destroyed;
    krpc_op *op = NULL;
    krpc_status status = krpc_client_start(client, method, message, options, &completion, &op, NULL);
    if (status != KRPC_OK) {
        CHECK(op == NULL && self.completed == 0 && self.destroyed == 1);
        return status;
    }
    CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    AWAIT(__atomic_load_n(&self.destroyed, __ATOMIC_SEQ_CST) == 1);
    CHECK(self.completed == 1);
    CHECK(krpc_op_take_reply(op) == NULL);
    krpc_op_free(op);
    return in_time(self.status);
}

static krpc_status call_with_queue(const krpc_client *client, const krpc_method *method,
                                   const krpc_message *message, const krpc_call_options *options)
{
    krpc_queue *queue = krpc_queue_new(1, NULL);
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.queue = queue;
    completion.tag = 7;
    krpc_status status = krpc_client_start(client, method, message, options, &completion, NULL, NULL);
    size_t count = 0;
    krpc_event event;
    if (status == KRPC_OK) {
        CHECK(krpc_queue_take(queue, &event, sizeof event, 1, BOUND_MS, &count) == KRPC_OK);
        CHECK(count == 1 && event.tag == 7 && event.reply != NULL);
        status = krpc_reply_status(event.reply);
        krpc_event_release(&event);
    }
    CHECK(krpc_queue_take(queue, &event, sizeof event, 1, 0, &count) == KRPC_OK && count == 0);
    krpc_queue_free(queue);
    return in_time(status);
}

/* ---- the scenario: how many of its steps went wrong ------------------------------------------------------------ */

static int calls(const krpc_client *client)
{
    int failed = 0;
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/echo"), 0, NULL);
    krpc_message *message = text_message(1, KRPC_STR("x"));
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = BOUND_MS;
    failed += call_waiting(client) != KRPC_OK;
    failed += call_with_callback(client, method, message, &options) != KRPC_OK;
    failed += call_with_queue(client, method, message, &options) != KRPC_OK;
    failed += call_waiting(client) != KRPC_OK;
    krpc_message_free(message);
    krpc_method_free(method);
    return failed;
}

static int scenario(void)
{
    krpc_error *error = NULL;
    krpc_runtime *runtime = krpc_runtime_new(NULL, &error);
    if (runtime == NULL) {
        CHECK_ERROR(error, KRPC_STATUS_OUT_OF_RESOURCES, "thread not started");
        return 1;
    }
    krpc_server_options *options =
        options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
    CHECK(krpc_server_options_set_runtime(options, runtime, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    krpc_client_options *to = options_to(krpc_server_address(server, 0));
    CHECK(krpc_client_options_set_runtime(to, runtime, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(to, NULL);
    int failed = calls(client);
    krpc_client_free(client);
    krpc_server_free(server);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    krpc_runtime_free(runtime);
    return failed;
}

static void every_step_may_fail(void)
{
    static const int32_t points[] = {FAULT_READ,  FAULT_WRITE,      FAULT_CONNECT,         FAULT_ACCEPT,
                                     FAULT_SPAWN, FAULT_QUEUE_SLOT, FAULT_CONNECTION_SLOT, FAULT_REQUEST_SLOT};
    CHECK(scenario() == 0);
    for (size_t i = 0; i < LEN(points); i++) {
        uint64_t nth = 0, reached = 0;
        int failed = 0;
        do {
            arm(points[i], ++nth);
            failed += scenario();
            reached = passed(points[i]);
            AWAIT(threads_named("krpc-") == 0);
            AWAIT(krpc_live_handles() == 0);
        } while (reached >= nth && nth < 200);
        CHECK(nth > (points[i] == FAULT_QUEUE_SLOT ? 1 : 2) && nth < 200);
        CHECK(failed > 0 || points[i] == FAULT_ACCEPT); /* that one is tried again */
        CHECK(scenario() == 0);
    }
}

/* ---- places that are all taken -------------------------------------------------------------------------------- */

static void who_finds_no_place_is_told(void)
{
    krpc_server *server = serve_one("m", 0, echo, NULL);
    krpc_client *client = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/echo"), 0, NULL);
    krpc_message *message = text_message(1, KRPC_STR("x"));
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;

    /* In a queue: nothing was started, and the queue has room again. */
    arm(FAULT_QUEUE_SLOT, 1);
    CHECK(call_with_queue(client, method, message, &options) == KRPC_STATUS_QUEUE_FULL);
    CHECK(call_with_queue(client, method, message, &options) == KRPC_OK);

    /* Among the requests in flight: an answer says so, and the connection stays. */
    arm(FAULT_REQUEST_SLOT, 1);
    CALL_STATUS(client, "Test/echo", KRPC_STATUS_REMOTE_EXCEPTION, "over limit");
    arm(FAULT_REQUEST_SLOT, 1);
    CHECK(call_with_callback(client, method, message, &options) == KRPC_STATUS_REMOTE_EXCEPTION);
    CHECK(calls(client) == 0);

    /* Among the connections: it is closed at once. */
    krpc_client *newcomer = client_of(server);
    arm(FAULT_CONNECTION_SLOT, 1);
    CALL_STATUS(newcomer, "Test/echo", KRPC_STATUS_CONNECTION_LOST, "");
    arm(FAULT_CONNECTION_SLOT, 1);
    CHECK(call_with_callback(newcomer, method, message, &options) == KRPC_STATUS_CONNECTION_LOST);
    CHECK(calls(newcomer) == 0);
    krpc_client_free(newcomer);
    krpc_message_free(message);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- panics -------------------------------------------------------------------------------------------------- */

typedef struct {
    pthread_mutex_t mutex;
    int panics;
    char last[200];
} told;

static void listen_to(void *user_data, krpc_log_level level, krpc_str target, krpc_str text)
{
    told *self = (told *)user_data;
    (void)target;
    pthread_mutex_lock(&self->mutex);
    if (level == KRPC_LOG_LEVEL_ERROR && contains(text, "panic in ")) {
        self->panics++;
        snprintf(self->last, sizeof self->last, "%.*s", (int)text.len, text.ptr);
    }
    pthread_mutex_unlock(&self->mutex);
}

static int panics(told *self)
{
    pthread_mutex_lock(&self->mutex);
    int count = self->panics;
    pthread_mutex_unlock(&self->mutex);
    return count;
}

static void panics_are_contained(void)
{
    told log = {PTHREAD_MUTEX_INITIALIZER, 0, ""};
    CHECK(krpc_log_set(KRPC_LOG_LEVEL_ERROR, listen_to, &log, NULL, NULL) == KRPC_OK);

    /* On the host's thread: an error with place and text. */
    FAILS(KRPC_STATUS_INTERNAL, "panic in the library at src/capi/test_hooks.rs:", krpc_test_panic(&error));
    FAILS(KRPC_STATUS_INTERNAL, ": wanted by a test", krpc_test_panic(&error));
    CHECK(krpc_test_panic(NULL) == KRPC_STATUS_INTERNAL);
    CHECK(panics(&log) == 3 && strstr(log.last, ": wanted by a test") != NULL);

    /* In a blocking call: it ends, with a reply. */
    krpc_server *server = serve_one("m", 0, echo, NULL);
    krpc_client *client = client_of(server);
    arm(PANIC_BLOCKING_CALL, 1);
    CALL_STATUS(client, "Test/echo", KRPC_STATUS_INTERNAL, "wanted by a test at BlockingCall");
    CHECK(panics(&log) == 4);
    CHECK(calls(client) == 0);

    /* Instead of a handler: its caller hears of it. */
    arm(PANIC_HANDLER, 1);
    CALL_STATUS(client, "Test/echo", KRPC_STATUS_REMOTE_EXCEPTION, "");
    AWAIT(panics(&log) == 5);
    CHECK(calls(client) == 0);
    krpc_client_free(client);
    krpc_server_free(server);
    AWAIT(threads_named("krpc-") == 0);

    /* In tasks of I/O threads, each time that they look around: at most what they drive is lost. */
    static const int32_t points[] = {PANIC_CLIENT_TASK, PANIC_SERVER_TASK};
    for (size_t i = 0; i < LEN(points); i++) {
        uint64_t nth = 0, reached = 0;
        int failed = 0, before = panics(&log);
        do {
            arm(points[i], ++nth);
            failed += scenario();
            reached = passed(points[i]);
            AWAIT(krpc_live_handles() == 0);
        } while (reached >= nth && nth < 200);
        CHECK(nth > 2 && nth < 200 && failed > 0);
        AWAIT(panics(&log) >= before + (int)nth - 1);
        CHECK(scenario() == 0);
    }
    CHECK(krpc_log_set(0, NULL, NULL, NULL, NULL) == KRPC_OK);
}

/* The task that all started calls of a client go through: the client says so from then on. Others, and its
   blocking calls, are not affected. */
static void a_client_whose_driver_panicked_says_so(void)
{
    krpc_server *server = serve_one("m", 0, echo, NULL);
    krpc_client *client = client_of(server), *other = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/echo"), 0, NULL);
    krpc_message *message = text_message(1, KRPC_STR("x"));
    arm(PANIC_DRIVER_TASK, 1);
    for (int i = 0; i < 3; i++) {
        krpc_op *op = NULL;
        CHECK(krpc_client_start(client, method, message, NULL, NULL, &op, NULL) == KRPC_OK);
        CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
        krpc_reply *reply = krpc_op_take_reply(op);
        CHECK(krpc_reply_status(reply) == KRPC_STATUS_INTERNAL);
        CHECK(contains(krpc_error_describe(krpc_reply_error(reply)), "wanted by a test at DriverTask"));
        krpc_reply_free(reply);
        krpc_op_free(op);
    }
    CHECK_ECHO(client);
    CHECK(calls(other) == 0);
    krpc_message_free(message);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_client_free(other);
    krpc_server_free(server);
}

int main(void)
{
    CHECK(krpc_has_feature(KRPC_STR("test-hooks")));
    CHECK(krpc_test_fail_nth(99, 1, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    every_step_may_fail();
    who_finds_no_place_is_told();
    panics_are_contained();
    a_client_whose_driver_panicked_says_so();
    return end_of_net_test();
}
