/* krpc_decision: access checks at once and by queue, their defaults, and answers that come too late. */
#include "async.h"
#include "hooks.h"

#include <stdatomic.h>

/* ---- mistakes --------------------------------------------------------------------------------------------- */

static bool allow(void *user_data, const krpc_decision *decision)
{
    (void)user_data;
    (void)decision;
    return true;
}

static void count(void *user_data)
{
    atomic_fetch_add((atomic_int *)user_data, 1);
}

static void mistakes_are_refused(void)
{
    CHECK_STR(krpc_decision_service(NULL), "");
    CHECK_STR(krpc_decision_method(NULL), "");
    CHECK_STR(krpc_decision_peer(NULL), "");
    CHECK(krpc_decision_metainfo(NULL) == NULL);
    CHECK(krpc_decision_allow(NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_decision_reject(NULL, KRPC_STR("no")) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_decision_free(NULL);

    atomic_int destroyed = 0;
    krpc_queue *queue = queue_of(1);
    krpc_server_options *options = krpc_server_options_new();
    REFUSED("options", krpc_server_options_set_acl(NULL, allow, &destroyed, count, &error));
    CHECK(destroyed == 1);
    REFUSED("check", krpc_server_options_set_acl(options, NULL, &destroyed, count, &error));
    CHECK(destroyed == 2);
    REFUSED("options", krpc_server_options_set_acl_queue(NULL, queue, 0, 1, true, &error));
    REFUSED("queue", krpc_server_options_set_acl_queue(options, NULL, 0, 1, true, &error));
    REFUSED("timeout_ms", krpc_server_options_set_acl_queue(options, queue, 0, 0, true, &error));
    REFUSED("timeout_ms", krpc_server_options_set_acl_queue(options, queue, 0, -1, true, &error));
    REFUSED("options", krpc_server_options_set_follow_caller_timeout(NULL, true, &error));

    /* The last one counts, and the others are let go. */
    CHECK(krpc_server_options_set_acl(options, allow, &destroyed, count, NULL) == KRPC_OK);
    CHECK(krpc_server_options_set_acl(options, allow, &destroyed, count, NULL) == KRPC_OK);
    CHECK(destroyed == 3);
    CHECK(krpc_server_options_set_acl_queue(options, queue, 0, KRPC_FOREVER, true, NULL) == KRPC_OK);
    CHECK(destroyed == 4);
    krpc_server_options_free(options);
    krpc_queue_free(queue);
}

/* ---- at once --------------------------------------------------------------------------------------------------- */

/* Judges by the pair "R" that came along. */
static bool judge(void *user_data, const krpc_decision *decision)
{
    atomic_fetch_add((atomic_int *)user_data, 1);
    krpc_str rule = {NULL, 0};
    CHECK_STR(krpc_decision_service(decision), "Test");
    CHECK_STR(krpc_decision_method(decision), "echo");
    CHECK(contains(krpc_decision_peer(decision), "127.0.0.1:"));
    krpc_metainfo_get(krpc_decision_metainfo(decision), KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("R"), &rule);
    if (equal(rule, "no"))
        return false;
    if (equal(rule, "no, because")) {
        CHECK(krpc_decision_reject(decision, (krpc_str){NULL, 1}) == KRPC_STATUS_INVALID_ARGUMENT);
        CHECK(krpc_decision_reject(decision, KRPC_STR("of reasons")) == KRPC_OK);
        CHECK(krpc_decision_reject(decision, KRPC_STR("of others")) == KRPC_STATUS_GONE);
        CHECK(krpc_decision_allow(decision) == KRPC_STATUS_GONE);
        return false;
    }
    if (equal(rule, "yes, though"))
        CHECK(krpc_decision_reject(decision, KRPC_STR("not said")) == KRPC_OK);
    krpc_decision_free((krpc_decision *)(uintptr_t)decision); /* it is only lent: nothing happens */
    CHECK_STR(krpc_decision_service(decision), "Test");
    return true;
}

/* A call under a rule ends with this status, and this text in its error. */
static void call_by_rule(const krpc_client *client, const char *rule, krpc_status status, const char *part)
{
    krpc_metainfo *pairs = krpc_metainfo_new();
    CHECK(krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("R"), krpc_cstr(rule), NULL) == KRPC_OK);
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.metainfo = pairs;
    options.timeout_ms = BOUND_MS;
    krpc_message *request = text_message(1, KRPC_STR("x"));
    krpc_reply *reply = NULL;
    CHECK(krpc_client_call_by_name(client, KRPC_STR("Test/echo"), request, &options, &reply) == status);
    CHECK(contains(krpc_error_describe(krpc_reply_error(reply)), part));
    krpc_reply_free(reply);
    krpc_message_free(request);
    krpc_metainfo_free(pairs);
}

static void a_function_is_asked_at_once(void)
{
    atomic_int asked = 0;
    krpc_server_options *options = options_with("127.0.0.1:0", krpc_service_new(KRPC_STR("Test"), NULL));
    CHECK(krpc_server_options_set_acl(options, judge, &asked, count, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);
    call_by_rule(client, "yes", KRPC_OK, "");
    call_by_rule(client, "yes, though", KRPC_OK, "");
    call_by_rule(client, "no", KRPC_STATUS_REMOTE_EXCEPTION, "request forbidden: the access check said no");
    call_by_rule(client, "no, because", KRPC_STATUS_REMOTE_EXCEPTION, "request forbidden: of reasons");
    call_by_rule(client, "yes", KRPC_OK, "");
    CHECK(asked == 5);
    /* What no service has is not asked about. */
    CALL_STATUS(client, "Test/sing", KRPC_STATUS_UNKNOWN_METHOD, "sing");
    CHECK(asked == 5);
    krpc_client_free(client);
    krpc_server_free(server);
    AWAIT(asked == 6); /* by `count`: it is let go */
}

/* ---- by queue ----------------------------------------------------------------------------------------------------- */

enum { QUESTION = 3 };

typedef struct {
    krpc_queue *queue;
    krpc_server *server;
    krpc_client *client;
    krpc_method *echo;
} guarded;

static void guarded_open(guarded *self, size_t capacity, int64_t timeout_ms, bool allow_by_default)
{
    self->queue = queue_of(capacity);
    krpc_server_options *options = options_with("127.0.0.1:0", krpc_service_new(KRPC_STR("Test"), NULL));
    CHECK(krpc_server_options_set_acl_queue(options, self->queue, QUESTION, timeout_ms, allow_by_default, NULL) ==
          KRPC_OK);
    self->server = serve(options);
    self->client = client_of(self->server);
    self->echo = krpc_client_method(self->client, KRPC_STR("Test/echo"), 0, NULL);
}

static void guarded_close(guarded *self)
{
    krpc_method_free(self->echo);
    krpc_client_free(self->client);
    krpc_server_free(self->server);
    krpc_queue_free(self->queue);
}

static krpc_decision *next_question(const guarded *self)
{
    krpc_event event = take_one(self->queue);
    CHECK(event.kind == KRPC_EVENT_KIND_DECISION && event.tag == QUESTION && event.status == KRPC_OK);
    CHECK(event.decision != NULL && event.request == NULL && event.reply == NULL);
    return event.decision;
}

/* How a started call ended; `part` is in the text of its error. */
static krpc_status end_with(krpc_op *op, const char *part)
{
    CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    krpc_reply *reply = krpc_op_take_reply(op);
    krpc_status status = krpc_reply_status(reply);
    CHECK(contains(krpc_error_describe(krpc_reply_error(reply)), part));
    krpc_reply_free(reply);
    krpc_op_free(op);
    return status;
}

static void a_question_in_the_queue_is_answered_once(void)
{
    guarded all;
    guarded_open(&all, 4, KRPC_FOREVER, false);
    krpc_op *op = start(all.client, all.echo, "x", 0, NULL);
    krpc_decision *decision = next_question(&all);
    CHECK_STR(krpc_decision_service(decision), "Test");
    CHECK_STR(krpc_decision_method(decision), "echo");
    CHECK(krpc_server_in_flight(all.server) == 1);
    CHECK(krpc_op_wait(op, 0) == KRPC_STATUS_TIMEOUT);
    CHECK(krpc_decision_allow(decision) == KRPC_OK);
    CHECK(krpc_decision_allow(decision) == KRPC_STATUS_GONE);
    CHECK(krpc_decision_reject(decision, KRPC_STR("late")) == KRPC_STATUS_GONE);
    CHECK_STR(krpc_decision_method(decision), "echo"); /* readable until it is freed */
    krpc_decision_free(decision);
    CHECK(end_with(op, "") == KRPC_OK);

    op = start(all.client, all.echo, "x", 0, NULL);
    decision = next_question(&all);
    CHECK(krpc_decision_reject(decision, KRPC_STR("no \xff")) == KRPC_OK);
    krpc_decision_free(decision);
    CHECK(end_with(op, "request forbidden: no ") == KRPC_STATUS_REMOTE_EXCEPTION);

    op = start(all.client, all.echo, "x", 0, NULL);
    decision = next_question(&all);
    CHECK(krpc_decision_reject(decision, (krpc_str){NULL, 0}) == KRPC_OK);
    krpc_decision_free(decision);
    CHECK(end_with(op, "request forbidden: ") == KRPC_STATUS_REMOTE_EXCEPTION);
    guarded_close(&all);
}

/* Moves the clock, which stands, until the call has ended: its time has perhaps not begun yet. */
static void let_time_pass(const krpc_op *op, uint64_t milliseconds)
{
    while (!krpc_op_is_done(op)) {
        CHECK(krpc_test_clock_advance(milliseconds) == KRPC_OK);
        poll(NULL, 0, 1);
    }
}

static void without_an_answer_the_default_counts(void)
{
    for (int allowed = 0; allowed <= 1; allowed++) {
        krpc_status expected = allowed ? KRPC_OK : KRPC_STATUS_REMOTE_EXCEPTION;
        const char *part = allowed ? "" : "request forbidden: no answer in time";

        /* In time. */
        guarded all;
        krpc_test_clock_stop();
        guarded_open(&all, 1, 3000, allowed);
        krpc_op *op = start(all.client, all.echo, "x", 0, NULL);
        krpc_decision *decision = next_question(&all);
        let_time_pass(op, 3000);
        CHECK(end_with(op, part) == expected);
        CHECK(krpc_decision_allow(decision) == KRPC_STATUS_GONE);
        krpc_decision_free(decision);

        /* A question that nobody took in time is passed over. */
        op = start(all.client, all.echo, "x", 0, NULL);
        let_time_pass(op, 3000);
        CHECK(end_with(op, part) == expected);
        CHECK(stats_of(all.queue).queued == 1);
        CHECK(take_all(all.queue) == 0 && stats_of(all.queue).stale == 1);
        guarded_close(&all);
        krpc_test_clock_run();

        /* Released without one. */
        guarded_open(&all, 1, KRPC_FOREVER, allowed);
        op = start(all.client, all.echo, "x", 0, NULL);
        krpc_event event = take_one(all.queue);
        krpc_event_release(&event);
        CHECK(event.decision == NULL);
        CHECK(end_with(op, part) == expected);

        /* No room; and the queue is closed. */
        op = start(all.client, all.echo, "x", 0, NULL);
        AWAIT(stats_of(all.queue).queued == 1);
        CHECK(end_with(start(all.client, all.echo, "x", 0, NULL), part) == expected);
        CHECK(stats_of(all.queue).full == 1);
        CHECK(krpc_queue_shutdown(all.queue) == KRPC_OK);
        CHECK(end_with(start(all.client, all.echo, "x", 0, NULL), part) == expected);

        /* What is still in it is released with the queue. */
        krpc_queue_free(all.queue);
        all.queue = NULL;
        CHECK(end_with(op, part) == expected);
        guarded_close(&all);
    }
}

/* The same queue asks, and brings what was allowed. */
static void one_queue_for_questions_and_requests(void)
{
    krpc_queue *queue = queue_of(8);
    krpc_service *service = krpc_service_new(KRPC_STR("Queued"), NULL);
    CHECK(krpc_service_add_queued_method(service, KRPC_STR("ask"), 0, queue, 1, NULL) == KRPC_OK);
    krpc_server_options *options = options_with("127.0.0.1:0", service);
    CHECK(krpc_server_options_set_acl_queue(options, queue, QUESTION, BOUND_MS, false, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);
    krpc_method *ask = krpc_client_method(client, KRPC_STR("Queued/ask"), 0, NULL);
    krpc_op *op = start_queued(client, ask, "x", queue, 2);

    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_DECISION && krpc_decision_allow(event.decision) == KRPC_OK);
    krpc_event_release(&event);
    event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_REQUEST);
    echo(NULL, event.request);
    event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_CALL && event.tag == 2 && event.status == KRPC_OK);
    krpc_event_release(&event);
    krpc_op_free(op);
    krpc_method_free(ask);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_queue_free(queue);
}

/* Questions outlive their server. */
static void an_answer_for_a_server_that_is_gone(void)
{
    guarded all;
    guarded_open(&all, 2, KRPC_FOREVER, true);
    krpc_op *first = start(all.client, all.echo, "x", 0, NULL);
    krpc_decision *decision = next_question(&all);
    krpc_op *second = start(all.client, all.echo, "x", 0, NULL);
    AWAIT(stats_of(all.queue).queued == 1);
    krpc_server_free(all.server);
    all.server = NULL;
    CHECK(end_with(first, "") == KRPC_STATUS_CONNECTION_LOST);
    CHECK(end_with(second, "") == KRPC_STATUS_CONNECTION_LOST);
    CHECK(krpc_decision_allow(decision) == KRPC_OK);
    krpc_decision_free(decision);
    guarded_close(&all);
}

int main(void)
{
    mistakes_are_refused();
    a_function_is_asked_at_once();
    a_question_in_the_queue_is_answered_once();
    without_an_answer_the_default_counts();
    one_queue_for_questions_and_requests();
    an_answer_for_a_server_that_is_gone();
    return end_of_net_test();
}
