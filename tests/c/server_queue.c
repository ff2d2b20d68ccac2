/* A server by queue: answers one by one and many at once, no room, no answer, callers that leave, a stop. */
#include "async.h"

#include <stdatomic.h>

/* ---- a server of "Queued/ask" and "Queued/note" ----------------------------------------------------------- */

enum { ASK = 7, NOTE = 8 };

typedef struct {
    krpc_queue *queue;
    krpc_server *server;
    krpc_client *client;
} queued;

static void queued_open(queued *self, size_t capacity, size_t max_in_flight)
{
    self->queue = queue_of(capacity);
    krpc_service *service = krpc_service_new(KRPC_STR("Queued"), NULL);
    CHECK(krpc_service_add_queued_method(service, KRPC_STR("ask"), 0, self->queue, ASK, NULL) == KRPC_OK);
    CHECK(krpc_service_add_queued_method(service, KRPC_STR("note"), KRPC_METHOD_FLAG_ONEWAY, self->queue, NOTE,
                                         NULL) == KRPC_OK);
    krpc_server_options *options = options_with("127.0.0.1:0", service);
    if (max_in_flight > 0)
        CHECK(krpc_server_options_set_max_in_flight(options, max_in_flight, NULL) == KRPC_OK);
    self->server = serve(options);
    self->client = client_of(self->server);
}

static void queued_close(queued *self)
{
    krpc_client_free(self->client);
    krpc_server_free(self->server);
    krpc_queue_free(self->queue);
}

/* The next request; its event is left empty. */
static krpc_request *next_request(const queued *self)
{
    krpc_event event = take_one(self->queue);
    CHECK(event.kind == KRPC_EVENT_KIND_REQUEST && event.status == KRPC_OK && event.tag == ASK);
    CHECK(event.request != NULL && event.reply == NULL && event.decision == NULL);
    return event.request;
}

/* ---- mistakes ------------------------------------------------------------------------------------------------ */

static void mistakes_are_refused(void)
{
    krpc_queue *queue = queue_of(1);
    krpc_service *service = krpc_service_new(KRPC_STR("S"), NULL);
    REFUSED("service", krpc_service_add_queued_method(NULL, KRPC_STR("m"), 0, queue, 0, &error));
    REFUSED("queue", krpc_service_add_queued_method(service, KRPC_STR("m"), 0, NULL, 0, &error));
    REFUSED("name", krpc_service_add_queued_method(service, KRPC_STR("\xff"), 0, queue, 0, &error));
    REFUSED("flags", krpc_service_add_queued_method(service, KRPC_STR("m"), 4, queue, 0, &error));
    CHECK(krpc_service_add_queued_method(service, KRPC_STR("m"), 0, queue, 0, NULL) == KRPC_OK);
    REFUSED("m", krpc_service_add_queued_method(service, KRPC_STR("m"), 0, queue, 0, &error));
    krpc_service_free(service);
    krpc_queue_free(queue);

    krpc_request *none = NULL;
    krpc_status status = KRPC_OK;
    CHECK(krpc_request_reply_many(NULL, NULL, 1, &status) == 0);
    CHECK(krpc_request_reply_many(NULL, NULL, 0, &status) == 0);
    CHECK(krpc_request_reply_many(&none, NULL, 1, NULL) == 0);
    CHECK(krpc_request_reply_many(&none, NULL, 1, &status) == 0 && status == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_request_caller_timeout_ms(NULL) == 0);
    CHECK(!krpc_request_is_abandoned(NULL) && !krpc_request_is_stopping(NULL));
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void requests_come_as_events(void)
{
    queued all;
    queued_open(&all, 4, 0);
    caller asker;
    caller_start(&asker, all.client, "Queued/ask", "hello");
    krpc_request *request = next_request(&all);
    CHECK_STR(krpc_request_method(request), "ask");
    CHECK_STR(krpc_request_service(request), "Queued");
    CHECK(is_text(krpc_request_message(request), 1, KRPC_STR("hello")));
    CHECK(krpc_server_in_flight(all.server) == 1);
    echo(NULL, request);
    CHECK(caller_end(&asker) == KRPC_OK);

    krpc_method *note = krpc_client_method(all.client, KRPC_STR("Queued/note"), KRPC_METHOD_FLAG_ONEWAY, NULL);
    CHECK(op_end(start(all.client, note, "x", 0, NULL)) == KRPC_OK);
    krpc_event event = take_one(all.queue);
    CHECK(event.tag == NOTE && krpc_request_is_oneway(event.request));
    krpc_event_release(&event);
    krpc_method_free(note);
    AWAIT(krpc_server_in_flight(all.server) == 0);
    queued_close(&all);
}

/* A handler that never answers: releasing its event does. */
static void an_event_that_is_released_is_answered(void)
{
    queued all;
    queued_open(&all, 4, 0);
    krpc_method *ask = krpc_client_method(all.client, KRPC_STR("Queued/ask"), 0, NULL);
    krpc_op *op = start(all.client, ask, "x", 0, NULL);
    krpc_event event = take_one(all.queue);
    krpc_event_release(&event);
    CHECK(event.request == NULL);
    CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    krpc_reply *reply = krpc_op_take_reply(op);
    krpc_str text;
    int32_t type_id;
    CHECK(krpc_error_remote_exception(krpc_reply_error(reply), &type_id, &text) && type_id == 6);
    CHECK_STR(text, "biz error: handler gave no answer");
    krpc_reply_free(reply);
    krpc_op_free(op);
    krpc_method_free(ask);
    queued_close(&all);
}

enum { MANY = 40 };

static void many_are_answered_at_once(void)
{
    queued all;
    queued_open(&all, MANY, 0);
    krpc_queue *ends = queue_of(MANY);
    krpc_method *ask = krpc_client_method(all.client, KRPC_STR("Queued/ask"), 0, NULL);
    krpc_call calls[MANY];
    krpc_message *texts[MANY];
    for (int i = 0; i < MANY; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        calls[i].method = ask;
        calls[i].request = texts[i] = text_message(1, krpc_cstr(text));
        calls[i].tag = (uint64_t)i;
    }
    CHECK(krpc_client_start_many(all.client, calls, sizeof(krpc_call), MANY, NULL, ends, NULL, NULL) == KRPC_OK);
    AWAIT(stats_of(all.queue).queued == MANY);

    krpc_event events[MANY];
    size_t count = 0;
    CHECK(krpc_queue_take(all.queue, events, sizeof events[0], MANY, 0, &count) == KRPC_OK && count == MANY);
    krpc_request *requests[MANY];
    const krpc_message *results[MANY];
    krpc_message *owned[MANY];
    for (int i = 0; i < MANY; i++) {
        krpc_str text = {NULL, 0};
        krpc_reader *reader = krpc_reader_new(krpc_request_message(events[i].request), NULL);
        CHECK(krpc_reader_find(reader, 1, NULL) && krpc_reader_string(reader, &text) == KRPC_OK);
        requests[i] = events[i].request;
        results[i] = owned[i] = text_message(0, text);
        krpc_reader_free(reader);
    }
    /* One was answered before, one has a result of a wrong kind, one is nothing, one gets an empty struct. */
    CHECK(krpc_request_reply(requests[3], owned[3], NULL) == KRPC_OK);
    results[4] = (const krpc_message *)(const void *)requests[4];
    requests[5] = NULL;
    results[6] = NULL;
    krpc_status statuses[MANY];
    CHECK(krpc_request_reply_many(requests, results, MANY, statuses) == MANY - 3);
    for (int i = 0; i < MANY; i++)
        CHECK(statuses[i] == (i == 3              ? KRPC_STATUS_INVALID_STATE
                              : i == 4 || i == 5 ? KRPC_STATUS_INVALID_ARGUMENT
                                                 : KRPC_OK));
    CHECK(krpc_request_reply_many(requests, NULL, 3, NULL) == 0);
    CHECK(krpc_request_reply_many(&events[5].request, NULL, 1, NULL) == 1);
    krpc_event_release_many(events, sizeof events[0], MANY); /* answers number 4: it gave no answer */

    int failed = 0, empty = 0;
    for (int i = 0; i < MANY; i++) {
        krpc_event ended = take_one(ends);
        char text[16];
        snprintf(text, sizeof text, "%d", (int)ended.tag);
        if (ended.status == KRPC_STATUS_REMOTE_EXCEPTION)
            failed++;
        else if (krpc_message_size(krpc_reply_message(ended.reply)) == 1)
            empty++;
        else
            CHECK(is_text(krpc_reply_message(ended.reply), 0, krpc_cstr(text)));
        krpc_event_release(&ended);
    }
    CHECK(failed == 1 && empty == 2);
    for (int i = 0; i < MANY; i++) {
        krpc_message_free(owned[i]);
        krpc_message_free(texts[i]);
    }
    krpc_method_free(ask);
    krpc_queue_free(ends);
    queued_close(&all);
}

/* ---- limits -------------------------------------------------------------------------------------------------------- */

static void what_finds_no_room_is_refused(void)
{
    queued all;
    queued_open(&all, 1, 0);
    caller asker;
    caller_start(&asker, all.client, "Queued/ask", "x");
    AWAIT(stats_of(all.queue).queued == 1);
    CALL_STATUS(all.client, "Queued/ask", KRPC_STATUS_REMOTE_EXCEPTION,
                "request over limit: the server's queue is full");
    CHECK(stats_of(all.queue).full == 1);
    echo(NULL, next_request(&all));
    CHECK(caller_end(&asker) == KRPC_OK);

    /* Nothing of a refused oneway call reaches anybody, and its connection goes on. */
    caller_start(&asker, all.client, "Queued/ask", "x");
    AWAIT(stats_of(all.queue).queued == 1);
    krpc_method *note = krpc_client_method(all.client, KRPC_STR("Queued/note"), KRPC_METHOD_FLAG_ONEWAY, NULL);
    CHECK(op_end(start(all.client, note, "x", 0, NULL)) == KRPC_OK);
    AWAIT(stats_of(all.queue).full == 2);
    krpc_method_free(note);
    echo(NULL, next_request(&all));
    CHECK(caller_end(&asker) == KRPC_OK);

    CHECK(krpc_queue_shutdown(all.queue) == KRPC_OK);
    CALL_STATUS(all.client, "Queued/ask", KRPC_STATUS_REMOTE_EXCEPTION,
                "request over limit: the server's queue is closed");
    CHECK_ECHO(all.client); /* another method, not by queue */
    queued_close(&all);
}

/* A request counts until it is freed, wherever it lies. */
static void the_limit_on_requests_in_flight_holds(void)
{
    queued all;
    queued_open(&all, 8, 2);
    caller first, second;
    caller_start(&first, all.client, "Queued/ask", "x");
    krpc_request *one = next_request(&all); /* before the second starts: it is the first's */
    caller_start(&second, all.client, "Queued/ask", "x");
    krpc_request *two = next_request(&all);
    CHECK(krpc_server_in_flight(all.server) == 2);
    CALL_STATUS(all.client, "Queued/ask", KRPC_STATUS_REMOTE_EXCEPTION,
                "request over limit: too many requests in flight");
    CHECK(krpc_request_reply(one, NULL, NULL) == KRPC_OK);
    CHECK(caller_end(&first) == KRPC_OK);
    CHECK(krpc_server_in_flight(all.server) == 2);
    krpc_request_free(one);
    CHECK(krpc_server_in_flight(all.server) == 1);
    krpc_request_free(two);
    CHECK(caller_end(&second) == KRPC_STATUS_REMOTE_EXCEPTION);
    CHECK_ECHO(all.client);
    queued_close(&all);
}

/* ---- callers that leave ---------------------------------------------------------------------------------------------- */

/* A call as bytes: framed, strict, method "ask", an empty struct. */
static const char raw_call[] = "\0\0\0\x10\x80\x01\0\x01\0\0\0\x03" "ask" "\0\0\0\x01\0";

static void a_late_answer_is_gone(void)
{
    queued all;
    queued_open(&all, 4, 0);
    int fd = raw_connect(krpc_server_address(all.server, 0));
    raw_send(fd, raw_call, sizeof raw_call - 1);
    krpc_request *request = next_request(&all);
    krpc_context *context = krpc_request_context(request);
    CHECK(!krpc_request_is_abandoned(request) && krpc_context_cause(context) == KRPC_CAUSE_NONE);

    /* It leaves without a word. */
    struct linger at_once = {1, 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    close(fd);
    AWAIT(krpc_request_is_abandoned(request));
    AWAIT(krpc_context_cause(context) == KRPC_CAUSE_CALLER_GONE);
    AWAIT(krpc_server_in_flight(all.server) == 1);
    krpc_error *error = NULL;
    krpc_status status = krpc_request_reply(request, NULL, &error);
    CHECK_ERROR(error, KRPC_STATUS_GONE, "no longer there");
    CHECK(status == KRPC_STATUS_GONE);
    CHECK(krpc_request_reply(request, NULL, NULL) == KRPC_STATUS_INVALID_STATE);
    krpc_request_free(request);
    CHECK(krpc_context_cause(context) == KRPC_CAUSE_CALLER_GONE); /* it outlives its request */
    krpc_context_free(context);

    /* One that leaves while its request waits in the queue. */
    fd = raw_connect(krpc_server_address(all.server, 0));
    raw_send(fd, raw_call, sizeof raw_call - 1);
    AWAIT(stats_of(all.queue).queued == 1);
    close(fd);
    request = next_request(&all);
    AWAIT(krpc_request_is_abandoned(request));
    context = krpc_request_context(request); /* made only now */
    CHECK(krpc_context_cause(context) == KRPC_CAUSE_CALLER_GONE);
    krpc_context_free(context);
    krpc_request_free(request);
    AWAIT(krpc_server_in_flight(all.server) == 0);
    queued_close(&all);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    const krpc_server *server;
    krpc_stopped stopped;
} stopper;

static void *stop(void *argument)
{
    stopper *self = (stopper *)argument;
    CHECK(krpc_server_stop(self->server, BOUND_MS, &self->stopped, NULL) == KRPC_OK);
    return NULL;
}

/* Whoever has a request hears that the server stops, and the answer is still sent. */
static void a_stop_waits_for_what_is_in_the_queue(void)
{
    queued all;
    queued_open(&all, 4, 0);
    caller first, second;
    caller_start(&first, all.client, "Queued/ask", "x");
    krpc_request *request = next_request(&all);
    caller_start(&second, all.client, "Queued/ask", "x");
    AWAIT(stats_of(all.queue).queued == 1);
    CHECK(!krpc_request_is_stopping(request));

    static const krpc_stopped nothing = KRPC_STOPPED_INIT;
    stopper self = {all.server, nothing};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, stop, &self) == 0);
    AWAIT(krpc_request_is_stopping(request));
    CHECK(!krpc_request_is_abandoned(request));
    echo(NULL, request);
    echo(NULL, next_request(&all));
    CHECK(caller_end(&first) == KRPC_OK && caller_end(&second) == KRPC_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(self.stopped.cut_off == 0 && self.stopped.finished >= 2);
    queued_close(&all);
}

/* Requests outlive their server and its runtime: answers are GONE. */
static void requests_outlive_their_server(void)
{
    queued all;
    queued_open(&all, 4, 0);
    caller first, second;
    caller_start(&first, all.client, "Queued/ask", "x");
    krpc_request *request = next_request(&all);
    caller_start(&second, all.client, "Queued/ask", "x");
    AWAIT(stats_of(all.queue).queued == 1);
    krpc_server_free(all.server);
    all.server = NULL;
    CHECK(caller_end(&first) == KRPC_STATUS_CONNECTION_LOST && caller_end(&second) == KRPC_STATUS_CONNECTION_LOST);
    AWAIT(krpc_request_reply(request, NULL, NULL) != KRPC_OK);
    krpc_request_free(request);
    request = next_request(&all);
    CHECK(is_text(krpc_request_message(request), 1, KRPC_STR("x")));
    CHECK(krpc_request_reply(request, NULL, NULL) == KRPC_STATUS_GONE);
    krpc_request_free(request);
    queued_close(&all);
}

int main(void)
{
    mistakes_are_refused();
    requests_come_as_events();
    an_event_that_is_released_is_answered();
    many_are_answered_at_once();
    what_finds_no_room_is_refused();
    the_limit_on_requests_in_flight_holds();
    a_late_answer_is_gone();
    a_stop_waits_for_what_is_in_the_queue();
    requests_outlive_their_server();
    return end_of_net_test();
}
