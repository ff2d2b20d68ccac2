/* krpc_stream with queues: streams that arrive there, ends of operations, messages by credit. */
#include "streams.h"

enum { STREAMS = 7, OPEN = 1, RECV = 2, SEND = 3, CHAT = 9 };

/* ---- a server that takes its streams from a queue ----------------------------------------------------------------- */

typedef struct {
    krpc_queue *queue;
    krpc_server *server;
    krpc_client *client;
    krpc_method *chat, *watch;
} hall;

static void hall_open(hall *self, size_t capacity)
{
    self->queue = queue_of(capacity);
    krpc_service *service = krpc_service_new(KRPC_STR("Test"), NULL);
    CHECK(krpc_service_add_queued_stream(service, KRPC_STR("Chat"), KRPC_STREAMING_BIDIRECTIONAL, self->queue,
                                         STREAMS, NULL) == KRPC_OK);
    CHECK(krpc_service_add_queued_stream(service, KRPC_STR("Watch"), KRPC_STREAMING_SERVER, self->queue,
                                         STREAMS + 1, NULL) == KRPC_OK);
    self->server = serve(options_with("127.0.0.1:0", service));
    self->client = client_of(self->server);
    self->chat = krpc_client_method(self->client, KRPC_STR("Test/Chat"), 0, NULL);
    self->watch = krpc_client_method(self->client, KRPC_STR("Test/Watch"), 0, NULL);
}

static void hall_close(hall *self)
{
    krpc_method_free(self->chat);
    krpc_method_free(self->watch);
    krpc_client_free(self->client);
    krpc_server_free(self->server);
    krpc_queue_free(self->queue);
}

static krpc_stream *hall_stream(const hall *self, const krpc_method *method)
{
    krpc_stream *stream = NULL;
    CHECK(krpc_client_open_stream(self->client, method, NULL, &stream, NULL) == KRPC_OK);
    return stream;
}

/* The stream that has arrived in the queue. */
static krpc_stream *arrived(const krpc_queue *queue, uint64_t tag)
{
    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM && event.tag == tag && event.status == KRPC_OK);
    CHECK(event.stream != NULL && event.reply == NULL && event.message == NULL && event.error == NULL);
    return event.stream;
}

/* The next event is a stream's message, this text, in its turn. */
static void check_message(const krpc_queue *queue, uint64_t tag, uint64_t sequence, const char *text)
{
    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM_MESSAGE && event.tag == tag && event.status == KRPC_OK);
    CHECK(event.sequence == sequence && event.error == NULL && event.stream == NULL && event.reply == NULL);
    CHECK(is_text(event.message, 1, krpc_cstr(text)));
    krpc_event_release(&event);
    CHECK(event.message == NULL);
}

static void check_end(const krpc_queue *queue, uint64_t tag, uint64_t sequence, krpc_status status)
{
    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM_END && event.tag == tag && event.status == (int32_t)status);
    CHECK(event.sequence == sequence && event.message == NULL);
    CHECK(krpc_error_status(event.error) == status);
    krpc_event_release(&event);
    CHECK(event.error == NULL);
}

/* ---- what arrives ----------------------------------------------------------------------------------------------------- */

static void streams_arrive_in_a_queue(void)
{
    hall all;
    hall_open(&all, 16);
    krpc_stream *stream = hall_stream(&all, all.chat);
    krpc_stream *served = arrived(all.queue, STREAMS);
    CHECK(krpc_stream_deliver(served, all.queue, CHAT, 2, NULL) == KRPC_OK);
    CHECK(send_text(stream, "a") == KRPC_OK && send_text(stream, "b") == KRPC_OK && send_text(stream, "c") == KRPC_OK);
    check_message(all.queue, CHAT, 0, "a");
    check_message(all.queue, CHAT, 1, "b");
    /* Without credit nothing comes, nor can it be received otherwise. */
    CHECK(krpc_stream_flush(stream, NULL) == KRPC_OK);
    CHECK(take_all(all.queue) == 0);
    FAILS(KRPC_STATUS_INVALID_STATE, "another queue or tag", krpc_stream_deliver(served, all.queue, CHAT + 1, 1, &error));
    FAILS(KRPC_STATUS_QUEUE_FULL, "", krpc_stream_deliver(served, all.queue, CHAT, 1000, &error));
    CHECK(krpc_stream_deliver(served, all.queue, CHAT, 3, NULL) == KRPC_OK);
    check_message(all.queue, CHAT, 2, "c");
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    check_end(all.queue, CHAT, 3, KRPC_OK);
    CHECK(stats_of(all.queue).reserved == 0);
    CHECK(krpc_stream_finish(served, NULL) == KRPC_OK);
    krpc_stream_free(served);
    RECV_END(stream);
    krpc_stream_free(stream);

    stream = hall_stream(&all, all.watch);
    CHECK(send_text(stream, "tell me") == KRPC_OK && krpc_stream_close_send(stream, NULL) == KRPC_OK);
    served = arrived(all.queue, STREAMS + 1);
    CHECK(is_text(krpc_stream_request(served), 1, KRPC_STR("tell me")));
    CHECK(send_text(served, "so") == KRPC_OK && krpc_stream_finish(served, NULL) == KRPC_OK);
    krpc_stream_free(served);
    RECV_TEXT(stream, "so");
    RECV_END(stream);
    krpc_stream_free(stream);

    /* A stream in an event that is released was not answered. */
    stream = hall_stream(&all, all.chat);
    krpc_event event = take_one(all.queue);
    krpc_event_release(&event);
    CHECK(event.stream == NULL);
    RECV_FAILS(KRPC_STATUS_REMOTE_EXCEPTION, "handler gave no answer", stream);
    krpc_stream_free(stream);
    hall_close(&all);
}

static void a_full_queue_refuses_streams(void)
{
    hall all;
    hall_open(&all, 1);
    krpc_stream *first = hall_stream(&all, all.chat);
    AWAIT(stats_of(all.queue).queued == 1);
    krpc_stream *second = hall_stream(&all, all.chat);
    RECV_FAILS(KRPC_STATUS_REMOTE_EXCEPTION, "request over limit", second);
    krpc_stream_free(second);
    /* What nobody takes ends with the queue. */
    krpc_queue_free(all.queue);
    all.queue = NULL;
    RECV_FAILS(KRPC_STATUS_REMOTE_EXCEPTION, "handler gave no answer", first);
    krpc_stream_free(first);
    hall_close(&all);
}

/* ---- operations ------------------------------------------------------------------------------------------------------------ */

static void operations_end_in_a_queue(stage *all)
{
    krpc_queue *queue = queue_of(4);
    krpc_completion completion = to_queue(queue, OPEN);
    CHECK(krpc_client_start_open_stream(all->client, all->keep, NULL, &completion, NULL, NULL) == KRPC_OK);
    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM_CALL && event.tag == OPEN && event.status == KRPC_OK);
    CHECK(event.stream == NULL && event.message == NULL);
    krpc_stream *stream = krpc_reply_take_stream(event.reply), *served = rack_take(&all->kept);
    CHECK(stream != NULL);
    krpc_event_release(&event);

    completion.tag = RECV;
    CHECK(krpc_stream_start_recv(stream, &completion, NULL, NULL) == KRPC_OK);
    completion.tag = SEND;
    krpc_message *message = text_message(1, KRPC_STR("x"));
    CHECK(krpc_stream_start_send(served, message, &completion, NULL, NULL) == KRPC_OK);
    krpc_message_free(message);
    for (int seen = 0, i = 0; i < 2; i++) {
        event = take_one(queue);
        CHECK(event.kind == KRPC_EVENT_KIND_STREAM_CALL && event.status == KRPC_OK);
        CHECK((krpc_reply_message(event.reply) != NULL) == (event.tag == RECV));
        seen |= (int)event.tag;
        CHECK(i == 0 || seen == (RECV | SEND));
        krpc_event_release(&event);
    }

    /* By tag, and by freeing the stream. */
    completion.tag = RECV;
    CHECK(krpc_stream_start_recv(stream, &completion, NULL, NULL) == KRPC_OK);
    CHECK(krpc_queue_cancel(queue, RECV) == 1);
    event = take_one(queue);
    CHECK(event.tag == RECV && event.status == KRPC_STATUS_CANCELLED && event.reply != NULL);
    krpc_event_release(&event);
    CHECK(krpc_stream_start_recv(stream, &completion, NULL, NULL) == KRPC_OK);
    krpc_stream_free(stream);
    event = take_one(queue);
    CHECK(event.tag == RECV && event.status == KRPC_STATUS_CLOSED);
    krpc_event_release(&event);
    krpc_stream_free(served);

    /* An operation that finds no room has not started. */
    krpc_queue *small = queue_of(1);
    completion = to_queue(small, RECV);
    stream = open_stream(all, all->keep), served = rack_take(&all->kept);
    CHECK(krpc_stream_start_recv(stream, &completion, NULL, NULL) == KRPC_OK);
    FAILS(KRPC_STATUS_QUEUE_FULL, "", krpc_stream_start_header(stream, &completion, NULL, &error));
    /* The queue ends: what waits there does too. */
    CHECK(krpc_queue_shutdown(small) == KRPC_OK);
    event = take_one(small);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM_CALL && event.status == KRPC_STATUS_CLOSED);
    krpc_event_release(&event);
    FAILS(KRPC_STATUS_CLOSED, "", krpc_stream_start_recv(stream, &completion, NULL, &error));
    krpc_stream_free(stream);
    krpc_stream_free(served);
    krpc_queue_free(small);
    krpc_queue_free(queue);
}

/* An opened stream that nobody takes is gone with its event. */
static void an_opened_stream_that_nobody_takes_is_cancelled(stage *all)
{
    krpc_queue *queue = queue_of(1);
    krpc_completion completion = to_queue(queue, OPEN);
    CHECK(krpc_client_start_open_stream(all->client, all->keep, NULL, &completion, NULL, NULL) == KRPC_OK);
    krpc_stream *served = rack_take(&all->kept);
    AWAIT(stats_of(queue).queued == 1);
    krpc_queue_free(queue);
    RECV_FAILS(KRPC_STATUS_CANCELLED, "", served);
    krpc_stream_free(served);
}

/* ---- credit -------------------------------------------------------------------------------------------------------------------- */

static void a_thousand_messages_by_credit(const stage *all)
{
    enum { TOTAL = 1000, STEP = 32 };
    krpc_queue *queue = queue_of(2 * STEP + 1);
    krpc_stream *stream = open_stream(all, all->echo);
    CHECK(krpc_stream_deliver(stream, queue, CHAT, 2 * STEP, NULL) == KRPC_OK);
    krpc_message *message = text_message(1, KRPC_STR("tick"));
    const krpc_message *batch[STEP];
    for (int i = 0; i < STEP; i++)
        batch[i] = message;
    size_t sent = 0, received = 0, unrenewed = 0;
    int ended = 0;
    while (!ended) {
        size_t more = 0, left = TOTAL - sent < STEP ? TOTAL - sent : STEP;
        if (left > 0) {
            CHECK(krpc_stream_try_send_many(stream, batch, left, &more, NULL) == KRPC_OK);
            sent += more;
            if (sent == TOTAL)
                CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
        }
        krpc_event events[STEP];
        size_t count = 0;
        CHECK(krpc_queue_take(queue, events, sizeof events[0], STEP, sent == TOTAL ? BOUND_MS : 0, &count) == KRPC_OK);
        for (size_t i = 0; i < count; i++) {
            CHECK(events[i].sequence == received);
            if (events[i].kind == KRPC_EVENT_KIND_STREAM_END) {
                CHECK(events[i].status == KRPC_OK && i + 1 == count);
                ended = 1;
                continue;
            }
            CHECK(events[i].kind == KRPC_EVENT_KIND_STREAM_MESSAGE && events[i].message != NULL);
            received++;
            unrenewed++;
        }
        krpc_event_release_many(events, sizeof events[0], count);
        if (unrenewed >= STEP && !ended) {
            CHECK(krpc_stream_deliver(stream, queue, CHAT, unrenewed, NULL) == KRPC_OK);
            unrenewed = 0;
        }
    }
    CHECK(received == TOTAL);
    krpc_message_free(message);
    krpc_stream_free(stream);
    CHECK(stats_of(queue).reserved == 0);
    krpc_queue_free(queue);
}

static void a_failure_is_delivered_once(stage *all)
{
    krpc_queue *queue = queue_of(8);
    krpc_stream *stream = open_stream(all, all->keep), *served = rack_take(&all->kept);
    CHECK(krpc_stream_deliver(stream, queue, CHAT, 0, NULL) == KRPC_OK); /* only the end is of interest */
    CHECK(krpc_stream_finish_biz(served, 5, KRPC_STR("no"), NULL, NULL) == KRPC_OK);
    krpc_stream_free(served);
    check_end(queue, CHAT, 0, KRPC_STATUS_BIZ_STATUS);
    CHECK(krpc_stream_deliver(stream, queue, CHAT, 1, NULL) == KRPC_OK || stats_of(queue).queued == 0);
    CHECK(take_all(queue) == 0);
    krpc_stream_free(stream);
    CHECK(stats_of(queue).reserved == 0);
    krpc_queue_free(queue);
}

/* What a freed stream has put into the queue is skipped, and its places are free again. */
static void a_freed_stream_is_silent(stage *all)
{
    krpc_queue *queue = queue_of(8);
    krpc_stream *stream = open_stream(all, all->keep), *served = rack_take(&all->kept);
    CHECK(krpc_stream_deliver(stream, queue, CHAT, 4, NULL) == KRPC_OK);
    CHECK(stats_of(queue).reserved == 5);
    CHECK(send_text(served, "a") == KRPC_OK);
    AWAIT(stats_of(queue).queued == 1);
    krpc_stream_free(stream);
    CHECK(take_all(queue) == 0 && stats_of(queue).reserved == 0);
    krpc_stream_free(served);

    /* The queue goes first. */
    stream = open_stream(all, all->keep), served = rack_take(&all->kept);
    CHECK(krpc_stream_deliver(stream, queue, CHAT, 4, NULL) == KRPC_OK);
    krpc_queue_free(queue);
    CHECK(send_text(served, "a") == KRPC_OK && krpc_stream_finish(served, NULL) == KRPC_OK);
    krpc_stream_free(served);
    krpc_stream_free(stream);
}

static void a_receive_timeout_is_told_and_the_stream_goes_on(stage *all)
{
    krpc_queue *queue = queue_of(64);
    krpc_stream_options options = KRPC_STREAM_OPTIONS_INIT;
    options.recv_timeout_ms = 20;
    options.flags = KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT;
    krpc_stream *stream = open_with(all, all->keep, &options), *served = rack_take(&all->kept);
    CHECK(krpc_stream_deliver(stream, queue, CHAT, 60, NULL) == KRPC_OK);
    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM_MESSAGE && event.message == NULL && event.sequence == 0);
    CHECK(event.status == KRPC_STATUS_RECV_TIMEOUT && krpc_error_status(event.error) == KRPC_STATUS_RECV_TIMEOUT);
    krpc_event_release(&event);
    CHECK(krpc_stream_finish(served, NULL) == KRPC_OK);
    krpc_stream_free(served);
    do {
        event = take_one(queue);
        krpc_event_release(&event);
    } while (event.kind == KRPC_EVENT_KIND_STREAM_MESSAGE);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM_END && event.status == KRPC_OK);
    krpc_stream_free(stream);
    krpc_queue_free(queue);
}

int main(void)
{
    streams_arrive_in_a_queue();
    a_full_queue_refuses_streams();
    stage all;
    stage_open(&all);
    operations_end_in_a_queue(&all);
    an_opened_stream_that_nobody_takes_is_cancelled(&all);
    a_thousand_messages_by_credit(&all);
    a_failure_is_delivered_once(&all);
    a_freed_stream_is_silent(&all);
    a_receive_timeout_is_told_and_the_stream_goes_on(&all);
    stage_close(&all);
    return end_of_net_test();
}
