/* What a host may ask of streams besides: many messages for one completion, receive timeouts at a server, a stop that
   is heard of, and a handler for streams that no service takes. */
#include "streams.h"

#include "hooks.h"

#include <stdatomic.h>

/* ---- many messages, one completion ------------------------------------------------------------------------------------ */

static krpc_reply *op_reply(krpc_op *op)
{
    CHECK(op != NULL && krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    krpc_reply *reply = krpc_op_take_reply(op);
    CHECK(reply != NULL);
    krpc_op_free(op);
    return reply;
}

static uint64_t received_by(const krpc_stream *stream)
{
    krpc_stream_stats stats = KRPC_STREAM_STATS_INIT;
    CHECK(krpc_stream_read_stats(stream, &stats) == KRPC_OK);
    return stats.messages_received;
}

static void many_come_as_one_completion(stage *all)
{
    krpc_stream *stream = open_stream(all, all->keep), *served = rack_take(&all->kept);
    krpc_queue *queue = queue_of(4);
    krpc_completion completion = to_queue(queue, 3);
    krpc_op *op = NULL;
    for (int i = 0; i < 5; i++) {
        char text[2] = {(char)('0' + i), '\0'};
        CHECK(send_text(stream, text) == KRPC_OK);
    }
    AWAIT(received_by(served) == 5);
    CHECK(krpc_stream_start_recv_many(served, 3, &completion, NULL, NULL) == KRPC_OK);
    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM_CALL && event.tag == 3 && event.status == KRPC_OK && event.message == NULL);
    CHECK(krpc_reply_message_count(event.reply) == 3 && krpc_reply_message_at(event.reply, 3) == NULL);
    CHECK(krpc_reply_message(event.reply) == krpc_reply_message_at(event.reply, 0));
    CHECK(is_text(krpc_reply_message_at(event.reply, 0), 1, KRPC_STR("0")));
    CHECK(is_text(krpc_reply_message_at(event.reply, 2), 1, KRPC_STR("2")));
    krpc_message *kept = krpc_message_retain(krpc_reply_message_at(event.reply, 1));
    krpc_event_release(&event);
    CHECK(is_text(kept, 1, KRPC_STR("1")));
    krpc_message_free(kept);

    CHECK(krpc_stream_start_recv_many(served, 100, NULL, &op, NULL) == KRPC_OK);
    krpc_reply *reply = op_reply(op);
    CHECK(krpc_reply_message_count(reply) == 2);
    krpc_reply_free(reply);

    /* Nothing there: it waits; another is refused; cancelled it leaves its messages. */
    krpc_op *second = NULL;
    CHECK(krpc_stream_start_recv_many(served, 100, NULL, &op, NULL) == KRPC_OK && !krpc_op_is_done(op));
    CHECK(krpc_stream_start_recv_many(served, 100, NULL, &second, NULL) == KRPC_OK && op_end(second) == KRPC_STATUS_INVALID_STATE);
    CHECK(krpc_op_cancel(op) == KRPC_OK && op_end(op) == KRPC_STATUS_CANCELLED);
    CHECK(krpc_stream_start_recv_many(served, 100, &completion, NULL, NULL) == KRPC_OK);
    CHECK(send_text(stream, "late") == KRPC_OK);
    event = take_one(queue);
    CHECK(krpc_reply_message_count(event.reply) == 1);
    krpc_event_release(&event);

    /* The end is no message, and stays. */
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    for (int i = 0; i < 2; i++) {
        CHECK(krpc_stream_start_recv_many(served, 1, NULL, &op, NULL) == KRPC_OK);
        reply = op_reply(op);
        CHECK(krpc_reply_status(reply) == KRPC_OK && krpc_reply_message_count(reply) == 0);
        CHECK(krpc_reply_message(reply) == NULL && krpc_reply_message_at(reply, 0) == NULL);
        krpc_reply_free(reply);
    }
    krpc_stream_free(stream);
    krpc_stream_free(served);

    /* Freed with the stream. */
    stream = open_stream(all, all->keep), served = rack_take(&all->kept);
    CHECK(krpc_stream_start_recv_many(served, 1, NULL, &op, NULL) == KRPC_OK);
    krpc_stream_free(served);
    CHECK(op_end(op) == KRPC_STATUS_CLOSED);
    krpc_stream_free(stream);

    REFUSED("stream", krpc_stream_start_recv_many(NULL, 1, NULL, NULL, &error));
    stream = open_stream(all, all->echo);
    REFUSED("capacity", krpc_stream_start_recv_many(stream, 0, NULL, NULL, &error));
    krpc_stream_free(stream);
    CHECK(krpc_reply_message_count(NULL) == 0 && krpc_reply_message_at(NULL, 0) == NULL);
    CHECK(stats_of(queue).reserved == 0);
    krpc_queue_free(queue);
}

/* ---- receive timeouts at a server ------------------------------------------------------------------------------------------ */

static void a_server_does_not_wait_for_ever(stage *all)
{
    /* Only that recv: the stream goes on. */
    krpc_stream *stream = open_stream(all, all->keep), *served = rack_take(&all->kept);
    krpc_op *op = NULL;
    krpc_test_clock_stop();
    CHECK(krpc_stream_set_recv_timeout_ms(served, 500, KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT, NULL) == KRPC_OK);
    CHECK(krpc_stream_start_recv(served, NULL, &op, NULL) == KRPC_OK);
    CHECK(send_text(served, "is it armed?") == KRPC_OK); /* the connection has seen the recv before this */
    RECV_TEXT(stream, "is it armed?");
    CHECK(krpc_test_clock_advance(499) == KRPC_OK);
    CHECK(send_text(served, "not yet") == KRPC_OK);
    RECV_TEXT(stream, "not yet");
    CHECK(!krpc_op_is_done(op));
    CHECK(krpc_test_clock_advance(1) == KRPC_OK);
    CHECK(op_end(op) == KRPC_STATUS_RECV_TIMEOUT);
    CHECK(send_text(stream, "late, but there") == KRPC_OK);
    RECV_TEXT(served, "late, but there");

    /* None any more. */
    CHECK(krpc_stream_set_recv_timeout_ms(served, 0, 0, NULL) == KRPC_OK);
    CHECK(krpc_stream_start_recv(served, NULL, &op, NULL) == KRPC_OK);
    CHECK(send_text(served, "again") == KRPC_OK);
    RECV_TEXT(stream, "again");
    CHECK(krpc_test_clock_advance(3600000) == KRPC_OK);
    CHECK(send_text(stream, "an hour later") == KRPC_OK);
    CHECK(op_end(op) == KRPC_OK);

    /* The whole stream: the client is told the number. */
    CHECK(krpc_stream_set_recv_timeout_ms(served, 50, 0, NULL) == KRPC_OK);
    CHECK(krpc_stream_start_recv(served, NULL, &op, NULL) == KRPC_OK);
    CHECK(send_text(served, "and now") == KRPC_OK);
    RECV_TEXT(stream, "and now");
    CHECK(krpc_test_clock_advance(50) == KRPC_OK);
    CHECK(op_end(op) == KRPC_STATUS_RECV_TIMEOUT);
    krpc_test_clock_run();
    krpc_message *message = NULL;
    krpc_error *error = NULL;
    int32_t code = 0;
    CHECK(krpc_stream_recv(stream, &message, &error) == KRPC_STATUS_CANCELLED);
    CHECK(krpc_error_stream_reason(error, &code, NULL, NULL) && code == 12014);
    krpc_error_free(error);
    REFUSED("flags", krpc_stream_set_recv_timeout_ms(served, 50, KRPC_STREAM_FLAG_TELL_TIMEOUT, &error));
    REFUSED("timeout_ms", krpc_stream_set_recv_timeout_ms(served, -1, 0, &error));
    REFUSED("stream", krpc_stream_set_recv_timeout_ms(NULL, 50, 0, &error));
    krpc_stream_free(stream);
    krpc_stream_free(served);

    /* The same at a client, whose other limits stay. */
    krpc_stream_options options = KRPC_STREAM_OPTIONS_INIT;
    options.timeout_ms = 3600000;
    stream = open_with(all, all->keep, &options), served = rack_take(&all->kept);
    CHECK(krpc_stream_set_recv_timeout_ms(stream, 20, KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT, NULL) == KRPC_OK);
    RECV_FAILS(KRPC_STATUS_RECV_TIMEOUT, "Recv timeout", stream);
    CHECK(krpc_stream_set_recv_timeout_ms(stream, KRPC_FOREVER, 0, NULL) == KRPC_OK);
    krpc_test_clock_stop();
    CHECK(send_text(stream, "seen") == KRPC_OK);
    RECV_TEXT(served, "seen");
    CHECK(krpc_test_clock_advance(3600000) == KRPC_OK);
    RECV_FAILS(KRPC_STATUS_TIMEOUT, "stream timeout", stream);
    krpc_test_clock_run();
    krpc_stream_free(stream);
    krpc_stream_free(served);
}

/* ---- a stop that is heard of --------------------------------------------------------------------------------------------------- */

static void *stop(void *argument)
{
    CHECK(krpc_server_stop((krpc_server *)argument, BOUND_MS, NULL, NULL) == KRPC_OK);
    return NULL;
}

static void wind_up(void *user_data, krpc_reply *reply)
{
    krpc_stream *served = (krpc_stream *)user_data;
    CHECK(krpc_reply_status(reply) == KRPC_OK);
    krpc_reply_free(reply);
    CHECK(send_text(served, "last word") == KRPC_OK && krpc_stream_finish(served, NULL) == KRPC_OK);
    krpc_stream_free(served);
}

static void a_stop_is_a_completion(void)
{
    stage all;
    stage_open(&all);
    krpc_queue *queue = queue_of(4);
    krpc_stream *by_callback = open_stream(&all, all.keep), *first = rack_take(&all.kept);
    krpc_stream *by_queue = open_stream(&all, all.keep), *second = rack_take(&all.kept);
    krpc_stream *ended = open_stream(&all, all.keep), *third = rack_take(&all.kept);
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.callback = wind_up;
    completion.user_data = first;
    CHECK(krpc_stream_start_stopping(first, &completion, NULL, NULL) == KRPC_OK);
    krpc_completion queued = to_queue(queue, 9);
    krpc_op *op = NULL, *another = NULL;
    CHECK(krpc_stream_start_stopping(second, &queued, NULL, NULL) == KRPC_OK);
    CHECK(krpc_stream_start_stopping(second, NULL, &another, NULL) == KRPC_OK && op_end(another) == KRPC_STATUS_INVALID_STATE);

    /* Cancelled or freed, it changes nothing, and another may be started. */
    for (int i = 0; i < 3; i++) {
        CHECK(krpc_stream_start_stopping(third, NULL, &op, NULL) == KRPC_OK && !krpc_op_is_done(op));
        if (i == 0) {
            krpc_op_free(op);
        } else {
            CHECK(krpc_op_cancel(op) == KRPC_OK && op_end(op) == KRPC_STATUS_CANCELLED);
        }
    }
    /* A stream that ends first; and one that is over. */
    CHECK(krpc_stream_start_stopping(third, NULL, &op, NULL) == KRPC_OK);
    CHECK(krpc_stream_cancel(ended, KRPC_STR("enough")) == KRPC_OK);
    CHECK(op_end(op) == KRPC_STATUS_CLOSED);
    CHECK(krpc_stream_start_stopping(third, NULL, &op, NULL) == KRPC_OK && op_end(op) == KRPC_STATUS_CLOSED);
    krpc_stream_free(third);
    krpc_stream_free(ended);
    /* Freed with its stream. */
    ended = open_stream(&all, all.keep), third = rack_take(&all.kept);
    CHECK(krpc_stream_start_stopping(third, NULL, &op, NULL) == KRPC_OK);
    krpc_stream_free(third);
    CHECK(op_end(op) == KRPC_STATUS_CLOSED);
    krpc_stream_free(ended);
    CHECK(krpc_stream_start_stopping(by_queue, NULL, &op, NULL) == KRPC_OK && op_end(op) == KRPC_STATUS_INVALID_STATE);
    REFUSED("stream", krpc_stream_start_stopping(NULL, NULL, NULL, &error));

    pthread_t stopper;
    CHECK(pthread_create(&stopper, NULL, stop, all.server) == 0);
    RECV_TEXT(by_callback, "last word");
    RECV_END(by_callback);
    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM_CALL && event.tag == 9 && event.status == KRPC_OK);
    krpc_event_release(&event);
    /* It stays so. */
    CHECK(krpc_stream_start_stopping(second, NULL, &op, NULL) == KRPC_OK && op_end(op) == KRPC_OK);
    CHECK(krpc_stream_finish(second, NULL) == KRPC_OK);
    krpc_stream_free(second);
    RECV_END(by_queue);
    CHECK(pthread_join(stopper, NULL) == 0);
    krpc_stream_free(by_callback);
    krpc_stream_free(by_queue);
    stage_close(&all);
    krpc_queue_free(queue);
}

/* ---- streams that no service takes ----------------------------------------------------------------------------------------------- */

static void take_any(void *user_data, krpc_stream *stream)
{
    krpc_str service = krpc_stream_service(stream), method = krpc_stream_method(stream);
    char names[64];
    CHECK(krpc_stream_mode(stream) == KRPC_STREAMING_NONE && krpc_stream_request(stream) == NULL);
    snprintf(names, sizeof names, "%.*s/%.*s", (int)service.len, service.ptr, (int)method.len, method.ptr);
    send_text(stream, names);
    echo_stream(NULL, stream);
    (void)user_data;
}

static void let_go(void *user_data)
{
    atomic_fetch_add((atomic_int *)user_data, 1);
}

static void check_caught(const krpc_client *client, const char *name, const char *seen)
{
    krpc_method *method = krpc_client_method(client, krpc_cstr(name), 0, NULL);
    krpc_stream *stream = NULL;
    CHECK(krpc_client_open_stream(client, method, NULL, &stream, NULL) == KRPC_OK);
    if (seen != NULL)
        RECV_TEXT(stream, seen);
    CHECK(send_text(stream, "x") == KRPC_OK);
    RECV_TEXT(stream, "x");
    krpc_stream_free(stream);
    krpc_method_free(method);
}

static void the_rest_is_caught(void)
{
    atomic_int destroyed = 0;
    krpc_service *service = krpc_service_new(KRPC_STR("Test"), NULL);
    add_stream(service, "Echo", KRPC_STREAMING_BIDIRECTIONAL, 0, echo_stream, NULL);
    krpc_server_options *options = options_with("127.0.0.1:0", service);
    REFUSED("handler", krpc_server_options_set_stream_catch_all(options, 0, NULL, &destroyed, let_go, &error));
    REFUSED("flags", krpc_server_options_set_stream_catch_all(options, 8, take_any, &destroyed, let_go, &error));
    REFUSED("options", krpc_server_options_set_stream_catch_all(NULL, 0, take_any, &destroyed, let_go, &error));
    CHECK(atomic_load(&destroyed) == 3);
    CHECK(krpc_server_options_set_stream_catch_all(options, 0, take_any, &destroyed, let_go, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);
    check_caught(client, "Test/Echo", NULL); /* its own handler */
    check_caught(client, "Test/Other", "Test/Other");
    check_caught(client, "Nobody/Knows", "Nobody/Knows");
    check_caught(client, "Alone", "/Alone");
    /* A call is not a stream. */
    CALL_STATUS(client, "Test/Other", KRPC_STATUS_UNKNOWN_METHOD, "unknown method");
    krpc_client_free(client);
    krpc_server_free(server);
    AWAIT(atomic_load(&destroyed) == 4);

    /* By queue, and without any service. */
    krpc_queue *queue = queue_of(1);
    options = krpc_server_options_new();
    CHECK(krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL) == KRPC_OK);
    REFUSED("queue", krpc_server_options_set_queued_stream_catch_all(options, NULL, 1, &error));
    CHECK(krpc_server_options_set_queued_stream_catch_all(options, queue, 6, NULL) == KRPC_OK);
    server = serve(options);
    client = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("A/B"), 0, NULL);
    krpc_stream *stream = NULL;
    CHECK(krpc_client_open_stream(client, method, NULL, &stream, NULL) == KRPC_OK);
    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM && event.tag == 6);
    CHECK_STR(krpc_stream_service(event.stream), "A");
    CHECK(krpc_stream_finish(event.stream, NULL) == KRPC_OK);
    krpc_event_release(&event);
    RECV_END(stream);
    krpc_stream_free(stream);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_queue_free(queue);
}

/* ---- a runtime that has ended ---------------------------------------------------------------------------------------------------- */

static void a_runtime_that_ended_opens_nothing(void)
{
    krpc_runtime *runtime = krpc_runtime_new(NULL, NULL);
    char address[32];
    int listener = raw_listen(1, address);
    krpc_client_options *options = options_to(krpc_cstr(address));
    CHECK(krpc_client_options_set_runtime(options, runtime, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_method *method = krpc_client_method(client, KRPC_STR("A/B"), 0, NULL);
    krpc_stream *stream = NULL;
    CHECK(krpc_client_open_stream(client, method, NULL, &stream, NULL) == KRPC_OK);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    krpc_stream_free(stream);
    for (int i = 0; i < 2; i++) {
        CHECK(krpc_client_open_stream(client, method, NULL, &stream, NULL) != KRPC_OK && stream == NULL);
        krpc_op *op = NULL;
        if (krpc_client_start_open_stream(client, method, NULL, NULL, &op, NULL) == KRPC_OK)
            CHECK(op_end(op) != KRPC_OK);
    }
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_runtime_free(runtime);
    close(listener);
}

int main(void)
{
    stage all;
    stage_open(&all);
    many_come_as_one_completion(&all);
    a_server_does_not_wait_for_ever(&all);
    stage_close(&all);
    a_stop_is_a_completion();
    the_rest_is_caught();
    a_runtime_that_ended_opens_nothing();
    return end_of_net_test();
}
