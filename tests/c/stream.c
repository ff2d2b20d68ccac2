/* krpc_stream: modes, headers, trailers, ends, cancel, mistakes, and freeing in any order. */
#include "streams.h"

#include <stdatomic.h>

/* ---- modes --------------------------------------------------------------------------------------------------- */

static void messages_go_both_ways(const stage *all)
{
    krpc_stream *stream = open_stream(all, all->echo);
    CHECK(!krpc_stream_is_server(stream) && !krpc_stream_is_over(stream));
    CHECK_STR(krpc_stream_method(stream), "Echo");
    CHECK_STR(krpc_stream_service(stream), "Test");
    CHECK(krpc_stream_peer(stream).len == krpc_server_address(all->server, 0).len);
    CHECK(krpc_stream_request(stream) == NULL && krpc_metainfo_count(krpc_stream_metainfo(stream)) == 0);
    CHECK(send_text(stream, "a") == KRPC_OK);
    RECV_TEXT(stream, "a");
    CHECK(send_text(stream, "b") == KRPC_OK && send_text(stream, "c") == KRPC_OK);
    CHECK(krpc_stream_flush(stream, NULL) == KRPC_OK);
    RECV_TEXT(stream, "b");
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK && krpc_stream_close_send(stream, NULL) == KRPC_OK);
    RECV_TEXT(stream, "c");
    RECV_END(stream);
    RECV_END(stream);
    CHECK(send_text(stream, "late") == KRPC_STATUS_INVALID_STATE);
    AWAIT(krpc_stream_is_over(stream));
    CHECK(krpc_stream_status(stream) == KRPC_OK && krpc_stream_error(stream) == NULL);
    krpc_stream_stats stats = KRPC_STREAM_STATS_INIT;
    CHECK(krpc_stream_read_stats(stream, &stats) == KRPC_OK);
    CHECK(stats.messages_sent == 3 && stats.messages_received == 3);
    CHECK(stats.bytes_sent == stats.bytes_received && stats.bytes_sent > 3);
    krpc_stream_free(stream);
}

static void one_side_streams(const stage *all)
{
    krpc_stream *stream = open_stream(all, all->count);
    for (int i = 0; i < 5; i++)
        CHECK(send_text(stream, "x") == KRPC_OK);
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    RECV_TEXT(stream, "5");
    RECV_END(stream);
    krpc_stream_free(stream);

    stream = open_stream(all, all->repeat);
    CHECK(send_text(stream, "again") == KRPC_OK);
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    for (int i = 0; i < 3; i++)
        RECV_TEXT(stream, "again");
    RECV_END(stream);
    krpc_stream_free(stream);
}

static void *send_a_thousand(void *argument)
{
    const krpc_stream *stream = (const krpc_stream *)argument;
    krpc_message *messages[100];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 100; i++) {
            char text[16];
            snprintf(text, sizeof text, "%d", round * 100 + i);
            messages[i] = text_message(1, krpc_cstr(text));
        }
        CHECK(krpc_stream_send_many(stream, (const krpc_message *const *)messages, 100, NULL) == KRPC_OK);
        for (int i = 0; i < 100; i++)
            krpc_message_free(messages[i]);
    }
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    return NULL;
}

static void a_thousand_messages_keep_their_order(const stage *all)
{
    krpc_stream *stream = open_stream(all, all->echo);
    pthread_t sender;
    CHECK(pthread_create(&sender, NULL, send_a_thousand, stream) == 0);
    krpc_message *messages[64];
    size_t count = 0;
    int next = 0;
    do {
        CHECK(krpc_stream_recv_many(stream, messages, LEN(messages), &count, NULL) == KRPC_OK);
        for (size_t i = 0; i < count; i++) {
            char text[16];
            snprintf(text, sizeof text, "%d", next++);
            CHECK(is_text(messages[i], 1, krpc_cstr(text)));
            krpc_message_free(messages[i]);
        }
    } while (count > 0);
    CHECK(next == 1000);
    CHECK(pthread_join(sender, NULL) == 0);
    krpc_stream_free(stream);
}

/* ---- what goes beside the messages ------------------------------------------------------------------------------ */

static void pairs_go_with_opening_header_and_trailer(stage *all)
{
    krpc_metainfo *sent = krpc_metainfo_new();
    krpc_metainfo_set(sent, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("T"), KRPC_STR("once"), NULL);
    krpc_metainfo_set(sent, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("P"), KRPC_STR("on"), NULL);
    krpc_stream_options options = KRPC_STREAM_OPTIONS_INIT;
    options.metainfo = sent;
    krpc_stream *stream = open_with(all, all->keep, &options);
    krpc_metainfo_free(sent);

    krpc_stream *served = rack_take(&all->kept);
    CHECK(krpc_stream_is_server(served));
    CHECK_STR(krpc_stream_method(served), "Keep");
    krpc_str value;
    CHECK(krpc_metainfo_get(krpc_stream_metainfo(served), KRPC_METAINFO_KIND_UPSTREAM, KRPC_STR("T"), &value));
    CHECK_STR(value, "once");
    CHECK(krpc_metainfo_get(krpc_stream_metainfo(served), KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("P"), &value));
    krpc_metainfo *opening = krpc_stream_header(served, NULL);
    CHECK(opening != NULL);
    krpc_metainfo_free(opening);

    krpc_metainfo *one = pair("one", "1"), *two = pair("two", "2"), *last = pair("last", "z"), *biz = pair("biz-status", "1");
    CHECK(krpc_stream_set_header(served, one, NULL) == KRPC_OK);
    CHECK(krpc_stream_send_header(served, two, NULL) == KRPC_OK);
    FAILS(KRPC_STATUS_INVALID_STATE, "header already sent", krpc_stream_set_header(served, one, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "header already sent", krpc_stream_send_header(served, NULL, &error));
    REFUSED("biz-status", krpc_stream_set_trailer(served, biz, &error));
    CHECK(krpc_stream_set_trailer(served, last, NULL) == KRPC_OK);

    for (int i = 0; i < 2; i++) {
        krpc_metainfo *header = krpc_stream_header(stream, NULL);
        CHECK(krpc_metainfo_get(header, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("one"), &value));
        CHECK_STR(value, "1");
        CHECK(krpc_metainfo_get(header, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("two"), NULL));
        krpc_metainfo_free(header);
    }
    CHECK(krpc_stream_finish(served, NULL) == KRPC_OK);
    FAILS(KRPC_STATUS_INVALID_STATE, "finished already", krpc_stream_finish(served, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "trailer already sent", krpc_stream_set_trailer(served, last, &error));
    CHECK(send_text(served, "late") != KRPC_OK);
    krpc_metainfo *trailer = krpc_stream_trailer(stream, NULL);
    CHECK(krpc_metainfo_get(trailer, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("last"), &value));
    CHECK_STR(value, "z");
    krpc_metainfo_free(trailer);
    RECV_END(stream);
    krpc_metainfo_free(one);
    krpc_metainfo_free(two);
    krpc_metainfo_free(last);
    krpc_metainfo_free(biz);
    krpc_stream_free(served);
    krpc_stream_free(stream);
}

/* ---- ends ----------------------------------------------------------------------------------------------------------- */

static void a_handler_can_end_with_an_error(stage *all)
{
    krpc_stream *stream = open_stream(all, all->keep), *served = rack_take(&all->kept);
    krpc_metainfo *extra = pair("k", "v");
    REFUSED("code", krpc_stream_finish_biz(served, 0, KRPC_STR("no"), NULL, &error));
    CHECK(send_text(served, "before") == KRPC_OK);
    CHECK(krpc_stream_finish_biz(served, 404, KRPC_STR("no such thing"), extra, NULL) == KRPC_OK);
    krpc_metainfo_free(extra);
    krpc_stream_free(served);
    RECV_TEXT(stream, "before");
    for (int i = 0; i < 2; i++) {
        krpc_message *message = NULL;
        krpc_error *error = NULL;
        int32_t code = 0;
        CHECK(krpc_stream_recv(stream, &message, &error) == KRPC_STATUS_BIZ_STATUS && message == NULL);
        CHECK(krpc_error_biz_status(error, &code, NULL) && code == 404 && krpc_error_biz_extra_count(error) == 1);
        krpc_error_free(error);
    }
    CHECK(krpc_stream_status(stream) == KRPC_STATUS_BIZ_STATUS);
    CHECK_ERROR(krpc_stream_error(stream), KRPC_STATUS_BIZ_STATUS, "no such thing");
    krpc_stream_free(stream);

    stream = open_stream(all, all->keep), served = rack_take(&all->kept);
    CHECK(krpc_stream_fail(served, 99, KRPC_STR("broken"), NULL) == KRPC_OK);
    krpc_stream_free(served);
    krpc_message *message = NULL;
    krpc_error *error = NULL;
    krpc_str text;
    int32_t type_id = 0;
    CHECK(krpc_stream_recv(stream, &message, &error) == KRPC_STATUS_REMOTE_EXCEPTION);
    CHECK(krpc_error_remote_exception(error, &type_id, &text) && type_id == 99);
    CHECK_STR(text, "broken");
    krpc_error_free(error);
    krpc_stream_free(stream);

    stream = open_stream(all, all->keep);
    krpc_stream_free(rack_take(&all->kept));
    RECV_FAILS(KRPC_STATUS_REMOTE_EXCEPTION, "handler gave no answer", stream);
    krpc_stream_free(stream);

    stream = open_stream(all, all->missing);
    RECV_FAILS(KRPC_STATUS_UNKNOWN_METHOD, "unknown method Missing", stream);
    krpc_stream_free(stream);
}

/* The other side sees the reason, and everything that waits ends. */
static void a_cancel_ends_both_sides(stage *all)
{
    krpc_stream *stream = open_stream(all, all->keep), *served = rack_take(&all->kept);
    krpc_context *context = krpc_stream_context(served);
    CHECK(krpc_context_cause(context) == KRPC_CAUSE_NONE && !krpc_context_is_stopping(context));
    CHECK(krpc_stream_cancel(stream, KRPC_STR("enough of this")) == KRPC_OK);
    krpc_message *message = NULL;
    krpc_error *error = NULL;
    krpc_str text, path;
    int32_t code = 0;
    CHECK(krpc_stream_recv(served, &message, &error) == KRPC_STATUS_CANCELLED);
    CHECK(krpc_error_stream_reason(error, &code, &text, &path) && code == 12007);
    CHECK_STR(text, "enough of this");
    CHECK(!krpc_error_biz_status(error, NULL, NULL));
    krpc_error_free(error);
    AWAIT(krpc_context_cause(context) == KRPC_CAUSE_CALLER_GONE);
    krpc_context_free(context);
    RECV_FAILS(KRPC_STATUS_CANCELLED, "enough of this", stream);
    CHECK(send_text(stream, "late") == KRPC_STATUS_CANCELLED);
    CHECK(krpc_stream_cancel(stream, KRPC_STR("again")) == KRPC_OK);
    RECV_FAILS(KRPC_STATUS_CANCELLED, "enough of this", stream);
    krpc_stream_free(stream);
    krpc_stream_free(served);

    stream = open_stream(all, all->keep), served = rack_take(&all->kept);
    CHECK(krpc_stream_cancel_with_code(served, 777, KRPC_STR("not today")) == KRPC_OK);
    CHECK(krpc_stream_recv(stream, &message, &error) == KRPC_STATUS_CANCELLED);
    CHECK(krpc_error_stream_reason(error, &code, &text, NULL) && code == 777);
    CHECK_STR(text, "not today");
    krpc_error_free(error);
    krpc_stream_free(served);
    krpc_stream_free(stream);

    /* Freed without an end: the other side is told as well. */
    stream = open_stream(all, all->keep), served = rack_take(&all->kept);
    krpc_stream_free(stream);
    RECV_FAILS(KRPC_STATUS_CANCELLED, "", served);
    krpc_stream_free(served);
}

static void a_parent_ends_its_streams(stage *all)
{
    krpc_context *parent = krpc_context_new(NULL, 0, NULL, NULL);
    krpc_stream_options options = KRPC_STREAM_OPTIONS_INIT;
    options.parent = parent;
    krpc_stream *stream = open_with(all, all->keep, &options), *served = rack_take(&all->kept);
    CHECK(krpc_context_cancel(parent) == KRPC_OK);
    RECV_FAILS(KRPC_STATUS_CANCELLED, "", stream);
    RECV_FAILS(KRPC_STATUS_CANCELLED, "", served);
    krpc_stream_free(stream);
    krpc_stream_free(served);
    CHECK(krpc_client_open_stream(all->client, all->keep, &options, &stream, NULL) == KRPC_STATUS_CANCELLED);
    CHECK(stream == NULL);
    krpc_context_free(parent);
}

static void times_run_out(stage *all)
{
    krpc_stream_options options = KRPC_STREAM_OPTIONS_INIT;
    options.timeout_ms = 20;
    krpc_stream *stream = open_with(all, all->keep, &options), *served = rack_take(&all->kept);
    RECV_FAILS(KRPC_STATUS_TIMEOUT, "stream timeout", stream);
    RECV_FAILS(KRPC_STATUS_CANCELLED, "stream timeout", served);
    krpc_stream_free(stream);
    krpc_stream_free(served);

    options.timeout_ms = 0;
    options.recv_timeout_ms = 20;
    stream = open_with(all, all->keep, &options), served = rack_take(&all->kept);
    RECV_FAILS(KRPC_STATUS_RECV_TIMEOUT, "Recv timeout", stream);
    RECV_FAILS(KRPC_STATUS_RECV_TIMEOUT, "Recv timeout", stream);
    RECV_FAILS(KRPC_STATUS_CANCELLED, "Recv timeout", served);
    krpc_stream_free(stream);
    krpc_stream_free(served);

    options.flags = KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT;
    stream = open_with(all, all->keep, &options), served = rack_take(&all->kept);
    RECV_FAILS(KRPC_STATUS_RECV_TIMEOUT, "Recv timeout", stream);
    CHECK(send_text(served, "late, but there") == KRPC_OK);
    krpc_message *message = NULL;
    krpc_status status = KRPC_STATUS_RECV_TIMEOUT;
    for (int tries = 0; status == KRPC_STATUS_RECV_TIMEOUT && tries < 1000; tries++)
        status = krpc_stream_recv(stream, &message, NULL);
    CHECK(status == KRPC_OK && is_text(message, 1, KRPC_STR("late, but there")));
    krpc_message_free(message);
    krpc_stream_free(stream);
    krpc_stream_free(served);
}

/* ---- operations --------------------------------------------------------------------------------------------------------- */

static krpc_reply *op_reply(krpc_op *op)
{
    CHECK(op != NULL && krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    krpc_reply *reply = krpc_op_take_reply(op);
    CHECK(reply != NULL && krpc_op_take_reply(op) == NULL);
    krpc_op_free(op);
    return reply;
}

static void operations_are_waited_for(stage *all)
{
    krpc_op *op = NULL;
    CHECK(krpc_client_start_open_stream(all->client, all->keep, NULL, NULL, &op, NULL) == KRPC_OK);
    krpc_reply *reply = op_reply(op);
    krpc_stream *stream = krpc_reply_take_stream(reply);
    CHECK(stream != NULL && krpc_reply_take_stream(reply) == NULL && krpc_reply_peer(reply).len > 0);
    krpc_reply_free(reply);
    krpc_stream *served = rack_take(&all->kept);

    krpc_op *recv = NULL, *trailer = NULL, *header = NULL;
    CHECK(krpc_stream_start_trailer(stream, NULL, &trailer, NULL) == KRPC_OK);
    CHECK(krpc_stream_start_header(stream, NULL, &header, NULL) == KRPC_OK);
    CHECK(krpc_stream_start_recv(stream, NULL, &recv, NULL) == KRPC_OK && !krpc_op_is_done(recv));
    /* At most one waits, in any style. */
    CHECK(krpc_stream_start_recv(stream, NULL, &op, NULL) == KRPC_OK);
    reply = op_reply(op);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_INVALID_STATE);
    krpc_reply_free(reply);
    RECV_FAILS(KRPC_STATUS_INVALID_STATE, "another recv is pending", stream);
    /* A recv that is cancelled leaves its message. */
    CHECK(krpc_op_cancel(recv) == KRPC_OK);
    CHECK(op_end(recv) == KRPC_STATUS_CANCELLED);
    krpc_metainfo *pairs = pair("h", "1");
    CHECK(krpc_stream_set_header(served, pairs, NULL) == KRPC_OK);
    krpc_metainfo_free(pairs);
    CHECK(send_text(served, "first") == KRPC_OK);
    RECV_TEXT(stream, "first");
    reply = op_reply(header);
    CHECK(krpc_metainfo_get(krpc_reply_metainfo(reply), KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("h"), NULL));
    krpc_reply_free(reply);

    krpc_message *message = text_message(1, KRPC_STR("second"));
    CHECK(krpc_stream_start_send(served, message, NULL, &op, NULL) == KRPC_OK);
    krpc_message_free(message);
    CHECK(op_end(op) == KRPC_OK);
    CHECK(krpc_stream_start_flush(served, NULL, &op, NULL) == KRPC_OK && op_end(op) == KRPC_OK);
    CHECK(krpc_stream_start_recv(stream, NULL, &op, NULL) == KRPC_OK);
    reply = op_reply(op);
    CHECK(krpc_reply_status(reply) == KRPC_OK && is_text(krpc_reply_message(reply), 1, KRPC_STR("second")));
    krpc_reply_free(reply);
    CHECK(krpc_stream_finish(served, NULL) == KRPC_OK);
    krpc_stream_free(served);
    CHECK(krpc_stream_start_recv(stream, NULL, &op, NULL) == KRPC_OK);
    reply = op_reply(op);
    CHECK(krpc_reply_status(reply) == KRPC_OK && krpc_reply_message(reply) == NULL);
    CHECK(krpc_reply_take_stream(reply) == NULL);
    krpc_reply_free(reply);
    CHECK(op_end(trailer) == KRPC_OK);
    krpc_stream_free(stream);
}

typedef struct {
    atomic_int called, destroyed;
    krpc_status status;
    krpc_stream *stream;
    char text[16];
} hearer;

static void heard(void *user_data, krpc_reply *reply)
{
    hearer *self = (hearer *)user_data;
    self->status = krpc_reply_status(reply);
    self->stream = krpc_reply_take_stream(reply);
    const krpc_message *message = krpc_reply_message(reply);
    self->text[0] = '\0';
    if (message != NULL)
        snprintf(self->text, sizeof self->text, "%zu", krpc_message_size(message));
    krpc_reply_free(reply);
    atomic_fetch_add(&self->called, 1);
}

static void let_go(void *user_data)
{
    atomic_fetch_add(&((hearer *)user_data)->destroyed, 1);
}

static krpc_completion to_hearer(hearer *self, uint32_t flags)
{
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.callback = heard;
    completion.user_data = self;
    completion.destroy = let_go;
    completion.flags = flags;
    return completion;
}

static void callbacks_hear_the_end(stage *all)
{
    static const uint32_t styles[] = {0, KRPC_COMPLETION_FLAG_INLINE};
    for (size_t i = 0; i < LEN(styles); i++) {
        hearer opened = {0}, received = {0}, sent = {0};
        krpc_completion completion = to_hearer(&opened, styles[i]);
        CHECK(krpc_client_start_open_stream(all->client, all->keep, NULL, &completion, NULL, NULL) == KRPC_OK);
        AWAIT(atomic_load(&opened.destroyed) == 1);
        CHECK(opened.called == 1 && opened.status == KRPC_OK && opened.stream != NULL);
        krpc_stream *stream = opened.stream, *served = rack_take(&all->kept);
        completion = to_hearer(&received, styles[i]);
        CHECK(krpc_stream_start_recv(stream, &completion, NULL, NULL) == KRPC_OK);
        krpc_message *message = text_message(1, KRPC_STR("x"));
        completion = to_hearer(&sent, styles[i]);
        CHECK(krpc_stream_start_send(served, message, &completion, NULL, NULL) == KRPC_OK);
        krpc_message_free(message);
        AWAIT(atomic_load(&sent.destroyed) == 1 && atomic_load(&received.destroyed) == 1);
        CHECK(sent.status == KRPC_OK && received.status == KRPC_OK && received.text[0] != '\0');

        /* Freed while it waits: it ends, once. */
        hearer cut = {0};
        completion = to_hearer(&cut, styles[i]);
        CHECK(krpc_stream_start_recv(stream, &completion, NULL, NULL) == KRPC_OK);
        krpc_stream_free(stream);
        AWAIT(atomic_load(&cut.destroyed) == 1);
        CHECK(cut.called == 1 && cut.status == KRPC_STATUS_CLOSED);
        krpc_stream_free(served);
    }
}

static void operations_end_with_their_stream(stage *all)
{
    krpc_stream *stream = open_stream(all, all->keep), *served = rack_take(&all->kept);
    krpc_op *recv = NULL, *header = NULL, *trailer = NULL, *dropped = NULL;
    CHECK(krpc_stream_start_recv(stream, NULL, &recv, NULL) == KRPC_OK);
    CHECK(krpc_stream_start_header(stream, NULL, &header, NULL) == KRPC_OK);
    CHECK(krpc_stream_start_trailer(stream, NULL, &trailer, NULL) == KRPC_OK);
    CHECK(krpc_stream_start_recv(served, NULL, &dropped, NULL) == KRPC_OK);
    krpc_op_free(dropped);
    krpc_stream_free(stream);
    CHECK(op_end(recv) == KRPC_STATUS_CLOSED && op_end(header) == KRPC_STATUS_CLOSED);
    CHECK(op_end(trailer) == KRPC_STATUS_CLOSED);
    RECV_FAILS(KRPC_STATUS_CANCELLED, "", served);
    krpc_stream_free(served);
}

/* A sender that meets a slow reader waits, and goes on when it reads. */
static void a_slow_reader_holds_its_sender(stage *all)
{
    krpc_stream *stream = open_stream(all, all->keep), *served = rack_take(&all->kept);
    static char block[64 << 10];
    memset(block, 'x', sizeof block);
    krpc_str text = {block, sizeof block};
    krpc_message *message = text_message(1, text);
    krpc_op *op = NULL;
    size_t sent = 0;
    for (;;) {
        CHECK(krpc_stream_start_send(stream, message, NULL, &op, NULL) == KRPC_OK);
        if (krpc_op_wait(op, 200) != KRPC_OK)
            break;
        CHECK(op_end(op) == KRPC_OK);
        CHECK(++sent < 2000);
    }
    krpc_op *second = NULL;
    CHECK(krpc_stream_start_send(stream, message, NULL, &second, NULL) == KRPC_OK);
    CHECK(op_end(second) == KRPC_STATUS_INVALID_STATE);
    FAILS(KRPC_STATUS_INVALID_STATE, "another send", krpc_stream_close_send(stream, &error));
    krpc_message *received = NULL;
    for (size_t i = 0; i < sent; i++) {
        CHECK(krpc_stream_recv(served, &received, NULL) == KRPC_OK && received != NULL);
        krpc_message_free(received);
    }
    CHECK(op_end(op) == KRPC_OK);
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    CHECK(krpc_stream_recv(served, &received, NULL) == KRPC_OK && received != NULL);
    krpc_message_free(received);
    RECV_END(served);
    krpc_message_free(message);
    krpc_stream_free(stream);
    krpc_stream_free(served);
}

/* ---- limits ------------------------------------------------------------------------------------------------------------- */

static void small_budgets_are_enough(void)
{
    krpc_stream_limits limits = KRPC_STREAM_LIMITS_INIT;
    limits.recv_bytes = limits.send_bytes = limits.recv_messages = limits.send_messages = 1;
    krpc_service *service = krpc_service_new(KRPC_STR("Test"), NULL);
    add_stream(service, "Echo", KRPC_STREAMING_BIDIRECTIONAL, 0, echo_stream, NULL);
    krpc_server_options *server_options = options_with("127.0.0.1:0", service);
    CHECK(krpc_server_options_set_stream_limits(server_options, &limits, NULL) == KRPC_OK);
    stage all;
    memset(&all, 0, sizeof all);
    all.server = serve(server_options);
    krpc_client_options *options = options_to(krpc_server_address(all.server, 0));
    CHECK(krpc_client_options_set_stream_limits(options, &limits, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_stream_connections(options, 0, NULL) == KRPC_OK);
    REFUSED("connections", krpc_client_options_set_stream_connections(options, 257, &error));
    limits.slow_reader_timeout_ms = -1;
    REFUSED("limits.slow_reader_timeout_ms", krpc_client_options_set_stream_limits(options, &limits, &error));
    REFUSED("options", krpc_server_options_set_stream_limits(NULL, NULL, &error));
    all.client = krpc_client_build(options, NULL);
    all.echo = krpc_client_method(all.client, KRPC_STR("Test/Echo"), 0, NULL);
    a_thousand_messages_keep_their_order(&all);
    stage_close(&all);
}

/* Where a stream that nobody reads keeps another waiting, it is reset. */
static void a_slow_reader_is_reset(void)
{
    rack kept = RACK_INIT;
    krpc_stream_limits limits = KRPC_STREAM_LIMITS_INIT;
    limits.recv_bytes = 64 << 10;
    limits.slow_reader_timeout_ms = 50;
    krpc_service *service = krpc_service_new(KRPC_STR("Test"), NULL);
    add_stream(service, "Keep", KRPC_STREAMING_BIDIRECTIONAL, KRPC_METHOD_FLAG_INLINE, rack_put, &kept);
    krpc_server_options *server_options = options_with("127.0.0.1:0", service);
    CHECK(krpc_server_options_set_stream_limits(server_options, &limits, NULL) == KRPC_OK);
    krpc_server *server = serve(server_options);
    krpc_client *client = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/Keep"), 0, NULL);
    krpc_stream *slow = NULL, *other = NULL;
    CHECK(krpc_client_open_stream(client, method, NULL, &slow, NULL) == KRPC_OK);
    krpc_stream *served = rack_take(&kept);
    CHECK(krpc_client_open_stream(client, method, NULL, &other, NULL) == KRPC_OK);
    krpc_stream *served_other = rack_take(&kept);
    static char block[64 << 10];
    memset(block, 'x', sizeof block);
    krpc_str text = {block, sizeof block};
    krpc_message *message = text_message(1, text);
    while (krpc_stream_send(slow, message, NULL) == KRPC_OK)
        CHECK(!krpc_stream_is_over(other));
    krpc_message_free(message);
    CHECK(krpc_stream_status(served) == KRPC_STATUS_SLOW_READER);
    CHECK(send_text(other, "still here") == KRPC_OK);
    RECV_TEXT(served_other, "still here");
    krpc_stream_free(slow);
    krpc_stream_free(other);
    krpc_stream_free(served);
    krpc_stream_free(served_other);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- mistakes ------------------------------------------------------------------------------------------------------------ */

static void mistakes_of_a_client(stage *all)
{
    krpc_stream *stream = (krpc_stream *)all;
    REFUSED("client", krpc_client_open_stream(NULL, all->echo, NULL, &stream, &error));
    CHECK(stream == NULL);
    REFUSED("method", krpc_client_open_stream(all->client, NULL, NULL, &stream, &error));
    REFUSED("method", krpc_client_open_stream(all->client, (krpc_method *)all->client, NULL, &stream, &error));
    krpc_method *oneway = krpc_client_method(all->client, KRPC_STR("Test/x"), KRPC_METHOD_FLAG_ONEWAY, NULL);
    REFUSED("oneway", krpc_client_open_stream(all->client, oneway, NULL, &stream, &error));
    krpc_method_free(oneway);
    krpc_stream_options options = KRPC_STREAM_OPTIONS_INIT;
    options.timeout_ms = -1;
    REFUSED("options.timeout_ms", krpc_client_open_stream(all->client, all->echo, &options, &stream, &error));
    options.timeout_ms = KRPC_FOREVER;
    options.recv_timeout_ms = -1;
    REFUSED("options.recv_timeout_ms", krpc_client_open_stream(all->client, all->echo, &options, &stream, &error));
    options.recv_timeout_ms = 0;
    options.flags = 64;
    REFUSED("options.flags", krpc_client_open_stream(all->client, all->echo, &options, &stream, &error));
    options.flags = 0;
    options.struct_size = 3;
    REFUSED("options", krpc_client_start_open_stream(all->client, all->echo, &options, NULL, NULL, &error));
    hearer unheard = {0};
    krpc_completion completion = to_hearer(&unheard, 0);
    REFUSED("client", krpc_client_start_open_stream(NULL, all->echo, NULL, &completion, NULL, &error));
    CHECK(unheard.destroyed == 1 && unheard.called == 0);

    /* NULL wherever a stream is expected. */
    krpc_message *message = text_message(1, KRPC_STR("x"));
    krpc_message *received = NULL;
    REFUSED("stream", krpc_stream_send(NULL, message, &error));
    REFUSED("stream", krpc_stream_recv(NULL, &received, &error));
    REFUSED("stream", krpc_stream_flush(NULL, &error));
    REFUSED("stream", krpc_stream_close_send(NULL, &error));
    REFUSED("stream", krpc_stream_finish(NULL, &error));
    REFUSED("stream", krpc_stream_fail(NULL, 6, KRPC_STR("x"), &error));
    completion = to_hearer(&unheard, 0);
    REFUSED("stream", krpc_stream_start_recv(NULL, &completion, NULL, &error));
    CHECK(unheard.destroyed == 2 && unheard.called == 0);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "stream", krpc_stream_header(NULL, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "stream", krpc_stream_trailer(NULL, &error));
    CHECK(krpc_stream_cancel(NULL, KRPC_STR("x")) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_stream_status(NULL) == KRPC_STATUS_INVALID_ARGUMENT && krpc_stream_error(NULL) == NULL);
    CHECK(!krpc_stream_is_over(NULL) && !krpc_stream_is_server(NULL) && krpc_stream_method(NULL).len == 0);
    CHECK(krpc_stream_context(NULL) == NULL && krpc_stream_metainfo(NULL) == NULL && krpc_stream_request(NULL) == NULL);
    CHECK(krpc_reply_take_stream(NULL) == NULL && !krpc_error_stream_reason(NULL, NULL, NULL, NULL));
    krpc_stream_free(NULL);

    /* Wrong in a stream that is fine. */
    stream = open_stream(all, all->echo);
    const krpc_message *none[1] = {NULL};
    size_t count = 7;
    REFUSED("message", krpc_stream_send(stream, NULL, &error));
    REFUSED("message", krpc_stream_send(stream, (krpc_message *)stream, &error));
    REFUSED("stream", krpc_stream_send((krpc_stream *)message, message, &error));
    REFUSED("messages", krpc_stream_send_many(stream, NULL, 2, &error));
    REFUSED("messages", krpc_stream_send_many(stream, none, 1, &error));
    REFUSED("messages", krpc_stream_try_send_many(stream, none, 1, &count, &error));
    CHECK(count == 0 && krpc_stream_send_many(stream, NULL, 0, NULL) == KRPC_OK);
    REFUSED("message", krpc_stream_recv(stream, NULL, &error));
    REFUSED("messages", krpc_stream_recv_many(stream, NULL, 1, &count, &error));
    REFUSED("capacity", krpc_stream_recv_many(stream, &received, 0, &count, &error));
    REFUSED("count", krpc_stream_recv_many(stream, &received, 1, NULL, &error));
    REFUSED("queue", krpc_stream_deliver(stream, NULL, 1, 1, &error));
    CHECK(krpc_stream_read_stats(stream, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    /* What only a server may do. */
    FAILS(KRPC_STATUS_INVALID_STATE, "server", krpc_stream_finish(stream, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "server", krpc_stream_fail(stream, 6, KRPC_STR("x"), &error));
    krpc_metainfo *pairs = pair("k", "v");
    FAILS(KRPC_STATUS_INVALID_STATE, "server", krpc_stream_set_header(stream, pairs, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "server", krpc_stream_set_trailer(stream, pairs, &error));
    krpc_metainfo_free(pairs);
    /* It is as good as before. */
    CHECK(krpc_stream_try_send_many(stream, (const krpc_message *const *)&message, 1, &count, NULL) == KRPC_OK);
    CHECK(count == 1);
    RECV_TEXT(stream, "x");
    krpc_stream_free(stream);
    krpc_message_free(message);
}

static void mistakes_of_a_server(stage *all)
{
    krpc_service *service = krpc_service_new(KRPC_STR("S"), NULL);
    hearer unused = {0};
    REFUSED("service", krpc_service_add_stream(NULL, KRPC_STR("a"), KRPC_STREAMING_CLIENT, 0, echo_stream, &unused, let_go, &error));
    REFUSED("handler", krpc_service_add_stream(service, KRPC_STR("a"), KRPC_STREAMING_CLIENT, 0, NULL, &unused, let_go, &error));
    REFUSED("mode", krpc_service_add_stream(service, KRPC_STR("a"), KRPC_STREAMING_NONE, 0, echo_stream, &unused, let_go, &error));
    REFUSED("flags", krpc_service_add_stream(service, KRPC_STR("a"), KRPC_STREAMING_CLIENT, KRPC_METHOD_FLAG_ONEWAY, echo_stream, &unused, let_go, &error));
    REFUSED("name", krpc_service_add_stream(service, KRPC_STR(""), KRPC_STREAMING_CLIENT, 0, echo_stream, &unused, let_go, &error));
    CHECK(unused.destroyed == 5);
    CHECK(krpc_service_add_stream(service, KRPC_STR("a"), KRPC_STREAMING_CLIENT, 0, echo_stream, &unused, let_go, NULL) == KRPC_OK);
    REFUSED("name", krpc_service_add_stream(service, KRPC_STR("a"), KRPC_STREAMING_CLIENT, 0, echo_stream, NULL, NULL, &error));
    REFUSED("queue", krpc_service_add_queued_stream(service, KRPC_STR("b"), KRPC_STREAMING_CLIENT, NULL, 1, &error));
    krpc_service_free(service);
    CHECK(unused.destroyed == 6);

    krpc_stream *stream = open_stream(all, all->keep), *served = rack_take(&all->kept);
    FAILS(KRPC_STATUS_INVALID_STATE, "finish", krpc_stream_close_send(served, &error));
    krpc_stream_free(served);
    krpc_stream_free(stream);
}

/* Blocking on the I/O thread is refused, and everything else works there. */
static void inline_handler(void *user_data, krpc_stream *stream)
{
    krpc_message *message = text_message(1, KRPC_STR("hi")), *received = NULL;
    FAILS(KRPC_STATUS_WOULD_DEADLOCK, "", krpc_stream_send(stream, message, &error));
    FAILS(KRPC_STATUS_WOULD_DEADLOCK, "", krpc_stream_recv(stream, &received, &error));
    CHECK(krpc_stream_try_send_many(stream, (const krpc_message *const *)&message, 1, NULL, NULL) == KRPC_OK);
    krpc_message_free(message);
    CHECK(krpc_stream_finish(stream, NULL) == KRPC_OK);
    krpc_stream_free(stream);
    atomic_fetch_add((atomic_int *)user_data, 1);
}

static void an_inline_handler_must_not_block(void)
{
    atomic_int ran = 0;
    krpc_service *service = krpc_service_new(KRPC_STR("Test"), NULL);
    add_stream(service, "Now", KRPC_STREAMING_BIDIRECTIONAL, KRPC_METHOD_FLAG_INLINE, inline_handler, &ran);
    krpc_server *server = serve(options_with("127.0.0.1:0", service));
    krpc_client *client = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Now"), 0, NULL);
    krpc_stream *stream = NULL;
    CHECK(krpc_client_open_stream(client, method, NULL, &stream, NULL) == KRPC_OK);
    RECV_TEXT(stream, "hi");
    RECV_END(stream);
    CHECK(atomic_load(&ran) == 1);
    krpc_stream_free(stream);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- orders of ends ---------------------------------------------------------------------------------------------------------- */

static void handles_are_freed_in_any_order(void)
{
    for (int order = 0; order < 4; order++) {
        stage all;
        stage_open(&all);
        krpc_stream *stream = open_stream(&all, all.keep), *served = rack_take(&all.kept);
        CHECK(send_text(stream, "a") == KRPC_OK);
        switch (order) {
        case 0: /* the client's handles first: the stream lives on */
            krpc_client_free(all.client);
            all.client = NULL;
            RECV_TEXT(served, "a");
            CHECK(send_text(served, "b") == KRPC_OK);
            RECV_TEXT(stream, "b");
            krpc_stream_free(stream);
            krpc_stream_free(served);
            break;
        case 1: /* the server first: both sides hear of it */
            krpc_server_free(all.server);
            all.server = NULL;
            AWAIT(krpc_stream_is_over(stream) && krpc_stream_is_over(served));
            CHECK(krpc_stream_status(stream) != KRPC_OK && krpc_stream_status(served) != KRPC_OK);
            krpc_stream_free(served);
            krpc_stream_free(stream);
            break;
        case 2: /* closed at once */
            CHECK(krpc_client_close(all.client, true) == KRPC_OK);
            AWAIT(krpc_stream_is_over(stream) && krpc_stream_is_over(served));
            krpc_stream_free(served);
            krpc_stream_free(stream);
            CHECK(krpc_client_open_stream(all.client, all.keep, NULL, &stream, NULL) == KRPC_STATUS_CLOSED);
            CHECK(stream == NULL);
            break;
        default: /* the streams last */
            stage_close(&all);
            krpc_stream_free(served);
            krpc_stream_free(stream);
            continue;
        }
        stage_close(&all);
    }
}

/* A handler learns that the server stops, and says a last word. */
static void *stop(void *argument)
{
    CHECK(krpc_server_stop((krpc_server *)argument, BOUND_MS, NULL, NULL) == KRPC_OK);
    return NULL;
}

static void a_stop_tells_handlers(void)
{
    stage all;
    stage_open(&all);
    krpc_stream *stream = open_stream(&all, all.keep), *served = rack_take(&all.kept);
    krpc_context *context = krpc_stream_context(served);
    pthread_t stopper;
    CHECK(pthread_create(&stopper, NULL, stop, all.server) == 0);
    AWAIT(krpc_context_is_stopping(context));
    CHECK(krpc_context_cause(context) == KRPC_CAUSE_NONE);
    krpc_context_free(context);
    CHECK(send_text(served, "last word") == KRPC_OK && krpc_stream_finish(served, NULL) == KRPC_OK);
    krpc_stream_free(served);
    RECV_TEXT(stream, "last word");
    RECV_END(stream);
    krpc_stream_free(stream);
    CHECK(pthread_join(stopper, NULL) == 0);
    stage_close(&all);
}

int main(void)
{
    stage all;
    stage_open(&all);
    messages_go_both_ways(&all);
    one_side_streams(&all);
    a_thousand_messages_keep_their_order(&all);
    pairs_go_with_opening_header_and_trailer(&all);
    a_handler_can_end_with_an_error(&all);
    a_cancel_ends_both_sides(&all);
    a_parent_ends_its_streams(&all);
    times_run_out(&all);
    operations_are_waited_for(&all);
    callbacks_hear_the_end(&all);
    operations_end_with_their_stream(&all);
    a_slow_reader_holds_its_sender(&all);
    mistakes_of_a_client(&all);
    mistakes_of_a_server(&all);
    stage_close(&all);
    small_budgets_are_enough();
    a_slow_reader_is_reset();
    an_inline_handler_must_not_block();
    handles_are_freed_in_any_order();
    a_stop_tells_handlers();
    return end_of_net_test();
}
