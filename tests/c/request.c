/* krpc_request: what a handler sees, every kind of answer, too many, too few, too late. */
#include "net.h"

/* ---- mistakes -------------------------------------------------------------------------------------- */

static void null_is_refused_everywhere(void)
{
    CHECK_STR(krpc_request_method(NULL), "");
    CHECK_STR(krpc_request_service(NULL), "");
    CHECK_STR(krpc_request_peer(NULL), "");
    CHECK(!krpc_request_is_oneway(NULL));
    krpc_peer_credentials who = KRPC_PEER_CREDENTIALS_INIT;
    REFUSED("request", krpc_request_peer_credentials(NULL, &who, &error));
    CHECK(krpc_request_message(NULL) == NULL && krpc_request_metainfo(NULL) == NULL);
    REFUSED("request", krpc_request_set_backward(NULL, KRPC_STR("k"), KRPC_STR("v"), &error));
    REFUSED("request", krpc_request_reply(NULL, NULL, &error));
    REFUSED("request", krpc_request_throw(NULL, 1, NULL, &error));
    REFUSED("request", krpc_request_fail_biz(NULL, 1, KRPC_STR(""), NULL, &error));
    REFUSED("request", krpc_request_fail(NULL, 6, KRPC_STR(""), &error));
    CHECK(krpc_request_reply(NULL, NULL, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_request_free(NULL);
}

/* A mistake is no answer: the request can still be answered. */
static void mistaken(void *user_data, krpc_request *request)
{
    (void)user_data;
    const krpc_message *wrong_type = (const krpc_message *)(const void *)request;
    REFUSED("key", krpc_request_set_backward(request, KRPC_STR(""), KRPC_STR("v"), &error));
    REFUSED("value", krpc_request_set_backward(request, KRPC_STR("k"), (krpc_str){NULL, 1}, &error));
    REFUSED("result", krpc_request_reply(request, wrong_type, &error));
    REFUSED("field_id", krpc_request_throw(request, 0, krpc_request_message(request), &error));
    REFUSED("exception", krpc_request_throw(request, 1, NULL, &error));
    REFUSED("code", krpc_request_fail_biz(request, 0, KRPC_STR(""), NULL, &error));
    REFUSED("message", krpc_request_fail_biz(request, 1, (krpc_str){NULL, 1}, NULL, &error));
    REFUSED("extra",
            krpc_request_fail_biz(request, 1, KRPC_STR(""), (const krpc_metainfo *)(const void *)request,
                                  &error));
    REFUSED("text", krpc_request_fail(request, 6, (krpc_str){NULL, 1}, &error));
    /* What is borrowed from the request is read only, and not the handler's to free. */
    REFUSED("metainfo", krpc_metainfo_set((krpc_metainfo *)(uintptr_t)krpc_request_metainfo(request),
                                          KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("k"), KRPC_STR("v"), &error));
    krpc_message_free((krpc_message *)(uintptr_t)krpc_request_message(request));
    krpc_metainfo_free((krpc_metainfo *)(uintptr_t)krpc_request_metainfo(request));
    CHECK(krpc_message_size(krpc_request_message(request)) > 0);
    echo(NULL, request);
}

static void mistakes_are_no_answers(void)
{
    krpc_server *server = serve_one("mistaken", 0, mistaken, NULL);
    krpc_client *client = client_of(server);
    CHECK_ECHO_OF(client, "Test/mistaken", "still");
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- what a handler sees ----------------------------------------------------------------------------- */

static int looked_for;

static void look(void *user_data, krpc_request *request)
{
    CHECK(user_data == &looked_for);
    krpc_str value;
    const krpc_metainfo *pairs = krpc_request_metainfo(request);
    CHECK_STR(krpc_request_method(request), "look");
    CHECK_STR(krpc_request_service(request), "Test");
    CHECK(krpc_request_peer(request).len > strlen("127.0.0.1:"));
    CHECK(!krpc_request_is_oneway(request));
    CHECK(is_text(krpc_request_message(request), 1, KRPC_STR("hello")));
    CHECK(krpc_message_encoding(krpc_request_message(request)) == KRPC_ENCODING_THRIFT_BINARY);
    /* The first service's transient pair is upstream here; persistent ones stay what they are. */
    CHECK(krpc_metainfo_count(pairs) == 2);
    CHECK(krpc_metainfo_get(pairs, KRPC_METAINFO_KIND_UPSTREAM, KRPC_STR("T"), &value) && equal(value, "t"));
    CHECK(krpc_metainfo_get(pairs, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("P"), &value) && equal(value, "p"));
    CHECK(krpc_request_set_backward(request, KRPC_STR("B"), KRPC_STR("old"), NULL) == KRPC_OK);
    CHECK(krpc_request_set_backward(request, KRPC_STR("B"), KRPC_STR("back"), NULL) == KRPC_OK);
    echo(NULL, request);
}

static void what_a_handler_sees(void)
{
    krpc_server *server = serve_one("look", 0, look, &looked_for);
    krpc_client *client = client_of(server);
    krpc_metainfo *pairs = krpc_metainfo_new();
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("T"), KRPC_STR("t"), NULL);
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("P"), KRPC_STR("p"), NULL);
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_UPSTREAM, KRPC_STR("U"), KRPC_STR("stays here"), NULL);
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.metainfo = pairs;
    krpc_message *request = text_message(1, KRPC_STR("hello"));
    krpc_reply *reply = NULL;
    CHECK(krpc_client_call_by_name(client, KRPC_STR("Test/look"), request, &options, &reply) == KRPC_OK);
    krpc_str value;
    CHECK(krpc_metainfo_count(krpc_reply_metainfo(reply)) == 1);
    CHECK(krpc_metainfo_get(krpc_reply_metainfo(reply), KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("B"), &value));
    CHECK_STR(value, "back");
    krpc_reply_free(reply);
    krpc_message_free(request);
    krpc_metainfo_free(pairs);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- answers ------------------------------------------------------------------------------------------ */

/* Answers in the way that the argument names. */
static void answer(void *user_data, krpc_request *request)
{
    (void)user_data;
    const krpc_message *args = krpc_request_message(request);
    krpc_message *exception = text_message(1, KRPC_STR("thrown"));
    krpc_metainfo *extra = krpc_metainfo_new();
    krpc_metainfo_set(extra, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("k"), KRPC_STR("<\"\xc3\xa9>"), NULL);
    krpc_metainfo_set(extra, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("not"), KRPC_STR("taken"), NULL);
    if (is_text(args, 1, KRPC_STR("void")))
        CHECK(krpc_request_reply(request, NULL, NULL) == KRPC_OK);
    else if (is_text(args, 1, KRPC_STR("throw")))
        CHECK(krpc_request_throw(request, 2, exception, NULL) == KRPC_OK);
    else if (is_text(args, 1, KRPC_STR("throw -1")))
        CHECK(krpc_request_throw(request, -1, exception, NULL) == KRPC_OK);
    else if (is_text(args, 1, KRPC_STR("biz")))
        CHECK(krpc_request_fail_biz(request, -7, KRPC_STR("no"), extra, NULL) == KRPC_OK);
    else if (is_text(args, 1, KRPC_STR("bare biz")))
        CHECK(krpc_request_fail_biz(request, INT32_MIN, (krpc_str){NULL, 0}, NULL, NULL) == KRPC_OK);
    else if (is_text(args, 1, KRPC_STR("fail 6")))
        CHECK(krpc_request_fail(request, 6, KRPC_STR("words"), NULL) == KRPC_OK);
    else if (is_text(args, 1, KRPC_STR("fail 7")))
        CHECK(krpc_request_fail(request, 7, KRPC_STR("words"), NULL) == KRPC_OK);
    else if (is_text(args, 1, KRPC_STR("fail 9001")))
        CHECK(krpc_request_fail(request, 9001, KRPC_STR("\xff"), NULL) == KRPC_OK);
    else
        CHECK(is_text(args, 1, KRPC_STR("nothing")));
    krpc_message_free(exception);
    krpc_metainfo_free(extra);
    krpc_request_free(request);
}

static void every_kind_of_answer(void)
{
    static const struct {
        const char *how;
        krpc_status status;
        const char *text;
        int32_t number; /* of the exception or status, or the field */
    } rows[] = {
        {"void", KRPC_OK, "", 0},
        {"throw", KRPC_STATUS_DECLARED_EXCEPTION, "field 2", 2},
        {"throw -1", KRPC_STATUS_DECLARED_EXCEPTION, "field -1", -1},
        {"biz", KRPC_STATUS_BIZ_STATUS, "no", -7},
        {"bare biz", KRPC_STATUS_BIZ_STATUS, "", INT32_MIN},
        {"fail 6", KRPC_STATUS_REMOTE_EXCEPTION, "biz error: words", 6},
        {"fail 7", KRPC_STATUS_REMOTE_EXCEPTION, "words", 7},
        {"fail 9001", KRPC_STATUS_REMOTE_EXCEPTION, " [biz error]", 9001},
        {"nothing", KRPC_STATUS_REMOTE_EXCEPTION, "biz error: handler gave no answer", 6},
    };
    krpc_server *server = serve_one("answer", 0, answer, NULL);
    krpc_client *client = client_of(server);
    for (size_t i = 0; i < LEN(rows); i++) {
        krpc_reply *reply = call(client, "Test/answer", rows[i].how, BOUND_MS);
        const krpc_error *error = krpc_reply_error(reply);
        int32_t number = 0;
        int16_t field = 0;
        krpc_str text;
        const krpc_message *exception = NULL;
        CHECK(krpc_reply_status(reply) == rows[i].status);
        CHECK(contains(krpc_error_text(error), rows[i].text) && !krpc_error_retryable(error));
        switch (rows[i].status) {
        case KRPC_STATUS_DECLARED_EXCEPTION:
            CHECK(krpc_error_declared_exception(error, &field, &exception) && field == rows[i].number);
            CHECK(is_text(exception, 1, KRPC_STR("thrown")));
            break;
        case KRPC_STATUS_BIZ_STATUS:
            CHECK(krpc_error_biz_status(error, &number, &text) && number == rows[i].number);
            CHECK_STR(text, rows[i].text);
            CHECK(krpc_error_biz_extra_count(error) == (rows[i].number == -7 ? 1 : 0));
            break;
        case KRPC_STATUS_REMOTE_EXCEPTION:
            CHECK(krpc_error_remote_exception(error, &number, &text) && number == rows[i].number);
            CHECK(contains(text, rows[i].text));
            break;
        default:
            CHECK(error == NULL && krpc_message_size(krpc_reply_message(reply)) == 1);
        }
        krpc_reply_free(reply);
    }
    krpc_client_free(client);

    /* Without TTHeader a business status has no place to travel in: an empty success is left. */
    krpc_client_options *options = options_to(krpc_server_address(server, 0));
    krpc_client_options_set_transport(options, KRPC_TRANSPORT_FRAMED, NULL);
    client = krpc_client_build(options, NULL);
    krpc_reply *reply = call(client, "answer", "biz", BOUND_MS);
    CHECK(krpc_reply_status(reply) == KRPC_OK && krpc_message_size(krpc_reply_message(reply)) == 1);
    krpc_reply_free(reply);
    krpc_client_free(client);
    krpc_server_free(server);
}

static void answer_again(void *user_data, krpc_request *request)
{
    (void)user_data;
    const krpc_message *args = krpc_request_message(request);
    krpc_message *result = text_message(0, KRPC_STR("first"));
    CHECK(krpc_request_reply(request, result, NULL) == KRPC_OK);
    FAILS(KRPC_STATUS_INVALID_STATE, "answered before", krpc_request_reply(request, result, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "answered before", krpc_request_throw(request, 1, args, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "answered before",
          krpc_request_fail_biz(request, 1, KRPC_STR(""), NULL, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "answered before", krpc_request_fail(request, 6, KRPC_STR(""), &error));
    /* Its parts live on until it is freed. */
    CHECK(is_text(args, 1, KRPC_STR("x")));
    krpc_message_free(result);
    krpc_request_free(request);
}

static void the_first_answer_counts(void)
{
    krpc_server *server = serve_one("again", 0, answer_again, NULL);
    krpc_client *client = client_of(server);
    for (int i = 0; i < 3; i++) {
        krpc_reply *reply = call(client, "Test/again", "x", BOUND_MS);
        CHECK(is_text(krpc_reply_message(reply), 0, KRPC_STR("first")));
        krpc_reply_free(reply);
    }
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- answers from elsewhere, and later ------------------------------------------------------------------ */

typedef struct {
    gate arrived;
    krpc_request *request;
} shelf;

#define SHELF_INIT {GATE_INIT, NULL}

/* Keeps the request; somebody else answers. */
static void keep(void *user_data, krpc_request *request)
{
    shelf *self = (shelf *)user_data;
    self->request = request;
    gate_open(&self->arrived);
}

static void answers_come_later_from_another_thread(void)
{
    static const uint32_t flags[] = {0, KRPC_METHOD_FLAG_INLINE};
    for (size_t i = 0; i < LEN(flags); i++) {
        shelf shelf = SHELF_INIT;
        krpc_server *server = serve_one("keep", flags[i], keep, &shelf);
        krpc_client *client = client_of(server);
        caller one;
        caller_start(&one, client, "Test/keep", "later");
        gate_pass(&shelf.arrived);
        CHECK(krpc_server_in_flight(server) == 1);
        CHECK_ECHO(client); /* others go on meanwhile */
        echo(NULL, shelf.request);
        CHECK(caller_end(&one) == KRPC_OK);
        AWAIT(krpc_server_in_flight(server) == 0);
        krpc_client_free(client);
        krpc_server_free(server);
    }
}

static void an_answer_after_the_server_is_gone(void)
{
    shelf shelf = SHELF_INIT;
    krpc_server *server = serve_one("keep", 0, keep, &shelf);
    krpc_client *client = client_of(server);
    caller one;
    caller_start(&one, client, "Test/keep", "too late");
    gate_pass(&shelf.arrived);
    krpc_server_free(server);
    CHECK(caller_end(&one) == KRPC_STATUS_CONNECTION_LOST);
    AWAIT(threads_named("krpc-") == 0);
    CHECK(is_text(krpc_request_message(shelf.request), 1, KRPC_STR("too late")));
    FAILS(KRPC_STATUS_GONE, "dropped", krpc_request_reply(shelf.request, NULL, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "before", krpc_request_reply(shelf.request, NULL, &error));
    krpc_request_free(shelf.request);
    krpc_client_free(client);
}

/* The client resets the connection: the request goes on, its answer does not arrive. */
static void an_answer_after_the_caller_is_gone(void)
{
    static const char bytes[] = "\x80\x01\x00\x01\x00\x00\x00\x04keep\x00\x00\x00\x01\x00";
    shelf shelf = SHELF_INIT;
    krpc_server *server = serve_one("keep", 0, keep, &shelf);
    int fd = raw_connect(krpc_server_address(server, 0));
    struct linger reset = {1, 0};
    raw_send(fd, bytes, sizeof bytes - 1);
    gate_pass(&shelf.arrived);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    /* Whether the server has noticed by now is a matter of time; either way nothing breaks. */
    krpc_status status = krpc_request_reply(shelf.request, NULL, NULL);
    CHECK(status == KRPC_OK || status == KRPC_STATUS_GONE);
    krpc_request_free(shelf.request);
    krpc_client *client = client_of(server);
    CHECK_ECHO(client);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- oneway ----------------------------------------------------------------------------------------------- */

static void take_oneway(void *user_data, krpc_request *request)
{
    CHECK(krpc_request_is_oneway(request));
    CHECK(krpc_request_reply(request, NULL, NULL) == KRPC_OK); /* accepted, and dropped */
    CHECK(krpc_request_reply(request, NULL, NULL) == KRPC_STATUS_INVALID_STATE);
    krpc_request_free(request);
    gate_pass((gate *)user_data);
}

static void oneway_calls_arrive_once(void)
{
    gate gate = GATE_INIT;
    gate_open(&gate);
    krpc_server *server = serve_one("fire", KRPC_METHOD_FLAG_ONEWAY, take_oneway, &gate);
    krpc_client *client = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/fire"), KRPC_METHOD_FLAG_ONEWAY, NULL);
    krpc_message *request = text_message(1, KRPC_STR("shot"));
    for (int i = 0; i < 20; i++) {
        krpc_reply *reply = NULL;
        CHECK(krpc_client_call(client, method, request, NULL, &reply) == KRPC_OK);
        CHECK(krpc_reply_message(reply) == NULL && krpc_reply_error(reply) == NULL);
        krpc_reply_free(reply);
    }
    gate_await(&gate, 0, 20);
    CHECK(gate.passed == 20);
    CHECK_ECHO(client);
    krpc_message_free(request);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- blocking functions in handlers ------------------------------------------------------------------------ */

typedef struct {
    krpc_server *server;
    krpc_runtime *runtime;
    krpc_client *client;
    krpc_status call, stop, shutdown;
} blocker;

/* Tries every function that blocks. */
static void block(void *user_data, krpc_request *request)
{
    blocker *self = (blocker *)user_data;
    krpc_reply *reply = NULL;
    krpc_message *args = text_message(1, KRPC_STR("from a handler"));
    self->call = krpc_client_call_by_name(self->client, KRPC_STR("Test/echo"), args, NULL, &reply);
    CHECK(krpc_reply_status(reply) == self->call);
    krpc_reply_free(reply);
    krpc_message_free(args);
    self->shutdown = krpc_runtime_shutdown(self->runtime, NULL);
    if (self->call == KRPC_STATUS_WOULD_DEADLOCK) /* where it may block it would wait for itself */
        self->stop = krpc_server_stop(self->server, KRPC_FOREVER, NULL, NULL);
    echo(NULL, request);
}

static void blocking_is_for_workers(void)
{
    static const struct {
        uint32_t flags;
        krpc_status call, stop, shutdown;
    } rows[] = {
        {0, KRPC_OK, KRPC_OK, KRPC_STATUS_WOULD_DEADLOCK},
        {KRPC_METHOD_FLAG_INLINE, KRPC_STATUS_WOULD_DEADLOCK, KRPC_STATUS_WOULD_DEADLOCK,
         KRPC_STATUS_WOULD_DEADLOCK},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        blocker self = {NULL, krpc_runtime_new(NULL, NULL), NULL, KRPC_OK, KRPC_OK, KRPC_OK};
        krpc_server_options *options =
            options_with("127.0.0.1:0", service_with("Test", "block", rows[i].flags, block, &self));
        krpc_server_options_set_runtime(options, self.runtime, NULL);
        self.server = serve(options);
        self.client = client_of(self.server);
        CHECK_ECHO_OF(self.client, "Test/block", "hello");
        CHECK(self.call == rows[i].call && self.stop == rows[i].stop && self.shutdown == rows[i].shutdown);
        krpc_client_free(self.client);
        krpc_server_free(self.server);
        krpc_runtime_free(self.runtime);
    }
}

int main(void)
{
    null_is_refused_everywhere();
    mistakes_are_no_answers();
    what_a_handler_sees();
    every_kind_of_answer();
    the_first_answer_counts();
    answers_come_later_from_another_thread();
    an_answer_after_the_server_is_gone();
    an_answer_after_the_caller_is_gone();
    oneway_calls_arrive_once();
    blocking_is_for_workers();
    return end_of_net_test();
}
