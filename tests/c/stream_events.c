/* Events of streams and counters of their methods: by callback and by queue, at both ends, for each way to end. */
#include "streams.h"

#include "hooks.h"

#include <stdatomic.h>

/* ---- what was seen ---------------------------------------------------------------------------------------------- */

typedef struct {
    krpc_stream_event event;
    char method[16];
    krpc_status error;
    size_t pairs;
} seen;

typedef struct {
    pthread_mutex_t mutex;
    seen all[64];
    size_t count;
    int destroyed;
} notes;

#define NOTES_INIT {PTHREAD_MUTEX_INITIALIZER, {{KRPC_STREAM_EVENT_INIT, {0}, 0, 0}}, 0, 0}

static seen seen_of(const krpc_stream_event *event)
{
    seen one;
    memset(&one, 0, sizeof one);
    one.event = *event;
    CHECK(event->method.len < sizeof one.method);
    memcpy(one.method, event->method.ptr, event->method.len);
    one.error = event->error == NULL ? KRPC_OK : krpc_error_status(event->error);
    one.pairs = krpc_metainfo_count(event->metainfo);
    return one;
}

static void note(void *user_data, const krpc_stream_event *event)
{
    notes *self = (notes *)user_data;
    CHECK(event->struct_size == sizeof *event && event->reserved == 0);
    pthread_mutex_lock(&self->mutex);
    CHECK(self->count < LEN(self->all));
    self->all[self->count++] = seen_of(event);
    pthread_mutex_unlock(&self->mutex);
}

static void let_go(void *user_data)
{
    ((notes *)user_data)->destroyed++;
}

static size_t noted(notes *self)
{
    pthread_mutex_lock(&self->mutex);
    size_t count = self->count;
    pthread_mutex_unlock(&self->mutex);
    return count;
}

static int of_kind(notes *self, int32_t kind)
{
    int count = 0;
    pthread_mutex_lock(&self->mutex);
    for (size_t i = 0; i < self->count; i++)
        count += self->all[i].event.kind == kind;
    pthread_mutex_unlock(&self->mutex);
    return count;
}

/* The stream is over. What had arrived may still be received. */
static int has_ended(notes *self)
{
    return of_kind(self, KRPC_STREAM_EVENT_KIND_END) == 1;
}

static const seen *the_end(notes *self)
{
    const seen *found = NULL;
    for (size_t i = 0; i < self->count; i++)
        if (self->all[i].event.kind == KRPC_STREAM_EVENT_KIND_END)
            found = &self->all[i];
    CHECK(found != NULL);
    return found;
}

static const seen *last(const notes *self)
{
    CHECK(self->count > 0);
    return &self->all[self->count - 1];
}

static void forget(notes *self)
{
    pthread_mutex_lock(&self->mutex);
    self->count = 0;
    pthread_mutex_unlock(&self->mutex);
}

/* ---- a stage that is watched at both ends ------------------------------------------------------------------------- */

static krpc_stream_observer to_notes(notes *self)
{
    krpc_stream_observer observer = KRPC_STREAM_OBSERVER_INIT;
    observer.callback = note;
    observer.user_data = self;
    observer.destroy = let_go;
    return observer;
}

static void open_watched(stage *all, const krpc_stream_observer *client, const krpc_stream_observer *server)
{
    static const rack empty = RACK_INIT;
    memset(all, 0, sizeof *all);
    all->kept = empty;
    krpc_service *service = krpc_service_new(KRPC_STR("Test"), NULL);
    add_stream(service, "Echo", KRPC_STREAMING_BIDIRECTIONAL, 0, echo_stream, NULL);
    add_stream(service, "Repeat", KRPC_STREAMING_SERVER, 0, repeat_stream, NULL);
    add_stream(service, "Keep", KRPC_STREAMING_BIDIRECTIONAL, KRPC_METHOD_FLAG_INLINE, rack_put, &all->kept);
    krpc_server_options *serving = options_with("127.0.0.1:0", service);
    if (server != NULL)
        CHECK(krpc_server_options_set_stream_observer(serving, server, NULL) == KRPC_OK);
    all->server = serve(serving);
    krpc_client_options *calling = options_to(krpc_server_address(all->server, 0));
    if (client != NULL)
        CHECK(krpc_client_options_set_stream_observer(calling, client, NULL) == KRPC_OK);
    all->client = krpc_client_build(calling, NULL);
    CHECK(all->client != NULL);
    all->echo = krpc_client_method(all->client, KRPC_STR("Test/Echo"), 0, NULL);
    all->repeat = krpc_client_method(all->client, KRPC_STR("Test/Repeat"), 0, NULL);
    all->keep = krpc_client_method(all->client, KRPC_STR("Test/Keep"), 0, NULL);
    all->missing = krpc_client_method(all->client, KRPC_STR("Test/Missing"), 0, NULL);
}

static int by_sequence(const void *left, const void *right)
{
    uint64_t a = ((const seen *)left)->event.sequence, b = ((const seen *)right)->event.sequence;
    return (a > b) - (a < b);
}

/* What holds for all events of one stream; those of two threads may cross on their way here. */
static void check_order(notes *self, const char *method, uint32_t is_server)
{
    uint64_t messages[2] = {0, 0};
    qsort(self->all, self->count, sizeof self->all[0], by_sequence);
    for (size_t i = 0; i < self->count; i++) {
        const krpc_stream_event *event = &self->all[i].event;
        CHECK(event->stream == self->all[0].event.stream && event->stream != 0);
        CHECK(event->sequence == i && event->time_ns > 0 && event->is_server == is_server);
        CHECK(strcmp(self->all[i].method, method) == 0 && event->peer.len > 0);
        if (event->kind == KRPC_STREAM_EVENT_KIND_SEND || event->kind == KRPC_STREAM_EVENT_KIND_RECV) {
            CHECK(event->message == messages[event->kind == KRPC_STREAM_EVENT_KIND_SEND]++);
            CHECK(event->bytes > 0);
        }
    }
}

static void check_totals(const krpc_stream_event *event, uint64_t sent, uint64_t received)
{
    CHECK(event->messages_sent == sent && event->messages_received == received);
    CHECK((event->bytes_sent > 0) == (sent > 0) && (event->bytes_received > 0) == (received > 0));
}

/* One echo at a time, so that the order of events is certain. */
static void both_ends_are_seen(void)
{
    notes client = NOTES_INIT, server = NOTES_INIT;
    krpc_stream_observer at_client = to_notes(&client), at_server = to_notes(&server);
    stage all;
    open_watched(&all, &at_client, &at_server);
    krpc_stream *stream = open_stream(&all, all.echo);
    for (int i = 0; i < 3; i++) {
        CHECK(send_text(stream, "hello") == KRPC_OK);
        RECV_TEXT(stream, "hello");
    }
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    RECV_END(stream);
    AWAIT(has_ended(&client) && has_ended(&server));
    check_order(&client, "Echo", 0);
    check_order(&server, "Echo", 1);
    CHECK(client.count == 9 && of_kind(&client, KRPC_STREAM_EVENT_KIND_HEADER) == 1);
    CHECK(server.count == 8 && client.all[0].event.kind == KRPC_STREAM_EVENT_KIND_START);
    CHECK(server.all[0].event.kind == KRPC_STREAM_EVENT_KIND_START);
    CHECK(of_kind(&client, KRPC_STREAM_EVENT_KIND_SEND) == 3 && of_kind(&client, KRPC_STREAM_EVENT_KIND_RECV) == 3);
    CHECK(of_kind(&server, KRPC_STREAM_EVENT_KIND_SEND) == 3 && of_kind(&server, KRPC_STREAM_EVENT_KIND_RECV) == 3);
    check_totals(&the_end(&client)->event, 3, 3);
    check_totals(&the_end(&server)->event, 3, 3);
    CHECK(the_end(&client)->event.status == KRPC_OK && the_end(&client)->error == KRPC_OK);
    CHECK(the_end(&server)->event.status == KRPC_OK && the_end(&server)->error == KRPC_OK);
    /* What follows the end is a fact about the stream, not an event of it. */
    RECV_END(stream);
    CHECK(noted(&client) == 9);
    krpc_stream_free(stream);

    /* One way only; the server's first receive is that of its request. */
    forget(&client), forget(&server);
    stream = open_stream(&all, all.repeat);
    CHECK(send_text(stream, "x") == KRPC_OK && krpc_stream_close_send(stream, NULL) == KRPC_OK);
    for (int i = 0; i < 3; i++)
        RECV_TEXT(stream, "x");
    RECV_END(stream);
    AWAIT(has_ended(&client) && has_ended(&server));
    check_totals(&the_end(&server)->event, 3, 1);
    CHECK(the_end(&client)->event.messages_sent == 1 && of_kind(&client, KRPC_STREAM_EVENT_KIND_RECV) == 3);
    krpc_stream_free(stream);

    krpc_stream_counters counters = KRPC_STREAM_COUNTERS_INIT;
    CHECK(krpc_client_stream_method_count(all.client) == 2 && krpc_server_stream_method_count(all.server) == 2);
    CHECK(krpc_client_stream_counters(all.client, 0, &counters) == KRPC_OK);
    CHECK_STR(counters.service, "Test");
    CHECK_STR(counters.method, "Echo");
    CHECK(counters.started == 1 && counters.ended == 1 && counters.failed == 0 && counters.refused == 0);
    CHECK(counters.messages_sent == 3 && counters.messages_received == 3 && counters.bytes_sent == counters.bytes_received);
    CHECK(krpc_server_stream_counters(all.server, 1, &counters) == KRPC_OK);
    CHECK_STR(counters.method, "Repeat");
    CHECK(counters.messages_sent == 3 && counters.messages_received == 1 && counters.bytes_sent == 3 * counters.bytes_received);
    CHECK(krpc_client_dropped_stream_events(all.client) == 0 && krpc_server_dropped_stream_events(all.server) == 0);
    CHECK(client.destroyed == 0);
    stage_close(&all);
    AWAIT(client.destroyed == 1 && server.destroyed == 1);
}

static void each_end_is_told_as_it_is(void)
{
    notes client = NOTES_INIT, server = NOTES_INIT;
    krpc_stream_observer at_client = to_notes(&client), at_server = to_notes(&server);
    stage all;
    open_watched(&all, &at_client, &at_server);

    /* An exception. */
    krpc_stream *stream = open_stream(&all, all.keep), *served = rack_take(&all.kept);
    krpc_metainfo *pairs = pair("k", "v");
    CHECK(krpc_stream_set_trailer(served, pairs, NULL) == KRPC_OK);
    krpc_metainfo_free(pairs);
    CHECK(krpc_stream_fail(served, 99, KRPC_STR("broken"), NULL) == KRPC_OK);
    RECV_FAILS(KRPC_STATUS_REMOTE_EXCEPTION, "broken", stream);
    AWAIT(has_ended(&server));
    AWAIT(of_kind(&client, KRPC_STREAM_EVENT_KIND_END) == 1);
    CHECK(the_end(&server)->event.status == KRPC_STATUS_REMOTE_EXCEPTION);
    CHECK(of_kind(&client, KRPC_STREAM_EVENT_KIND_RECV) == 1); /* with its error */
    for (size_t i = 0; i < client.count; i++) {
        if (client.all[i].event.kind == KRPC_STREAM_EVENT_KIND_END)
            CHECK(client.all[i].error == KRPC_STATUS_REMOTE_EXCEPTION && client.all[i].pairs == 1);
        if (client.all[i].event.kind == KRPC_STREAM_EVENT_KIND_RECV)
            CHECK(client.all[i].event.status == KRPC_STATUS_REMOTE_EXCEPTION);
    }
    CHECK(send_text(stream, "late") == KRPC_STATUS_REMOTE_EXCEPTION);
    CHECK(last(&client)->event.kind == KRPC_STREAM_EVENT_KIND_SEND);
    CHECK(last(&client)->event.status == KRPC_STATUS_REMOTE_EXCEPTION);
    krpc_stream_free(stream);
    krpc_stream_free(served);

    /* A business status is no failure. */
    forget(&client), forget(&server);
    stream = open_stream(&all, all.keep), served = rack_take(&all.kept);
    CHECK(krpc_stream_finish_biz(served, 404, KRPC_STR("no such thing"), NULL, NULL) == KRPC_OK);
    AWAIT(has_ended(&client) && has_ended(&server));
    CHECK(the_end(&client)->event.status == KRPC_OK && the_end(&client)->error == KRPC_STATUS_BIZ_STATUS);
    CHECK(the_end(&server)->event.status == KRPC_OK && the_end(&server)->error == KRPC_STATUS_BIZ_STATUS);
    krpc_stream_free(stream);
    krpc_stream_free(served);

    /* A cancel. */
    forget(&client), forget(&server);
    stream = open_stream(&all, all.keep), served = rack_take(&all.kept);
    CHECK(krpc_stream_cancel(stream, KRPC_STR("enough")) == KRPC_OK);
    AWAIT(has_ended(&client) && has_ended(&server));
    CHECK(the_end(&client)->event.status == KRPC_STATUS_CANCELLED && the_end(&server)->event.status == KRPC_STATUS_CANCELLED);
    krpc_stream_free(stream);
    krpc_stream_free(served);

    /* Given up by its owners. */
    forget(&client), forget(&server);
    stream = open_stream(&all, all.keep), served = rack_take(&all.kept);
    krpc_stream_free(served);
    AWAIT(has_ended(&client) && has_ended(&server));
    CHECK(the_end(&server)->event.status != KRPC_OK && the_end(&client)->event.status == KRPC_STATUS_REMOTE_EXCEPTION);
    krpc_stream_free(stream);

    /* A method that the server does not have is no event there. */
    forget(&client), forget(&server);
    stream = open_stream(&all, all.missing);
    AWAIT(has_ended(&client));
    CHECK(the_end(&client)->event.status == KRPC_STATUS_UNKNOWN_METHOD && noted(&server) == 0);
    krpc_stream_free(stream);

    krpc_stream_counters counters = KRPC_STREAM_COUNTERS_INIT;
    CHECK(krpc_client_stream_counters(all.client, 0, &counters) == KRPC_OK);
    CHECK_STR(counters.method, "Keep");
    CHECK(counters.started == 4 && counters.ended == 4 && counters.failed == 3 && counters.refused == 0);
    CHECK(counters.send_errors == 1 && counters.recv_errors == 1);
    stage_close(&all);
}

/* Nobody there: the end is the only event. */
static void an_opening_that_fails_has_only_an_end(void)
{
    notes client = NOTES_INIT;
    krpc_stream_observer observer = to_notes(&client);
    char address[32];
    close(raw_listen(1, address));
    krpc_client_options *options = options_to(krpc_cstr(address));
    CHECK(krpc_client_options_set_stream_observer(options, &observer, NULL) == KRPC_OK);
    krpc_client *unheard = krpc_client_build(options, NULL);
    krpc_method *method = krpc_client_method(unheard, KRPC_STR("Test/Keep"), 0, NULL);
    krpc_stream *stream = NULL;
    FAILS(KRPC_STATUS_CONNECT_FAILED, "Test/Keep", krpc_client_open_stream(unheard, method, NULL, &stream, &error));
    CHECK(stream == NULL && noted(&client) == 1 && last(&client)->event.kind == KRPC_STREAM_EVENT_KIND_END);
    CHECK(the_end(&client)->error == KRPC_STATUS_CONNECT_FAILED && last(&client)->event.sequence == 0);
    krpc_stream_counters counters = KRPC_STREAM_COUNTERS_INIT;
    CHECK(krpc_client_stream_counters(unheard, 0, &counters) == KRPC_OK);
    CHECK(counters.started == 0 && counters.refused == 1 && counters.ended == 0 && counters.failed == 0);
    krpc_method_free(method);
    krpc_client_free(unheard);
}

/* Events have the library's time, and the kinds that were asked for. */
static void events_follow_the_clock(void)
{
    notes client = NOTES_INIT;
    krpc_stream_observer observer = to_notes(&client);
    observer.kinds = 1u << KRPC_STREAM_EVENT_KIND_SEND;
    stage all;
    open_watched(&all, &observer, NULL);
    krpc_stream *stream = open_stream(&all, all.keep), *served = rack_take(&all.kept);
    krpc_test_clock_stop();
    CHECK(send_text(stream, "a") == KRPC_OK);
    CHECK(krpc_test_clock_advance(1234) == KRPC_OK);
    CHECK(send_text(stream, "b") == KRPC_OK);
    krpc_test_clock_run();
    CHECK(noted(&client) == 2);
    CHECK(client.all[1].event.time_ns - client.all[0].event.time_ns == 1234 * 1000000);
    CHECK(client.all[0].event.sequence == 1 && client.all[1].event.sequence == 2);
    krpc_stream_free(stream);
    krpc_stream_free(served);
    stage_close(&all);
}

/* ---- by queue ---------------------------------------------------------------------------------------------------- */

static void a_queue_takes_its_share_and_counts_the_rest(void)
{
    krpc_queue *queue = queue_of(8);
    krpc_stream_observer observer = KRPC_STREAM_OBSERVER_INIT;
    observer.queue = queue;
    observer.tag = 77;
    stage all;
    open_watched(&all, &observer, NULL);
    krpc_stream *stream = open_stream(&all, all.keep), *served = rack_take(&all.kept);
    for (int i = 0; i < 9; i++)
        CHECK(send_text(stream, "x") == KRPC_OK);
    /* START and three sends are there; the others found no room, and left half of it to completions. */
    CHECK(krpc_client_dropped_stream_events(all.client) == 6 && stats_of(queue).queued == 4);
    krpc_stream_record *kept = NULL;
    for (uint64_t i = 0; i < 4; i++) {
        krpc_event event = take_one(queue);
        krpc_stream_event read = KRPC_STREAM_EVENT_INIT;
        CHECK(event.kind == KRPC_EVENT_KIND_STREAM_RECORD && event.tag == 77 && event.sequence == i);
        CHECK(event.record != NULL && event.reply == NULL && event.stream == NULL && event.error == NULL);
        CHECK(krpc_stream_record_read(event.record, &read) == KRPC_OK);
        CHECK(read.kind == (i == 0 ? KRPC_STREAM_EVENT_KIND_START : KRPC_STREAM_EVENT_KIND_SEND));
        CHECK(read.sequence == i && read.struct_size == sizeof read && read.status == event.status);
        CHECK_STR(read.method, "Keep");
        if (i == 3) {
            kept = event.record;
            event.record = NULL;
        }
        krpc_event_release(&event);
        CHECK(event.record == NULL);
    }
    /* There is room again. The number shows that some are missing. */
    CHECK(send_text(stream, "y") == KRPC_OK);
    krpc_event event = take_one(queue);
    CHECK(event.sequence == 10);
    krpc_event_release(&event);
    CHECK(krpc_stream_cancel(stream, KRPC_STR("enough")) == KRPC_OK);
    event = take_one(queue);
    CHECK(event.sequence == 11 && event.status == KRPC_STATUS_CANCELLED);
    krpc_event_release(&event);
    krpc_stream_free(stream);
    krpc_stream_free(served);

    /* A queue that is closed takes nothing; the stream does not mind. */
    krpc_queue_shutdown(queue);
    uint64_t dropped = krpc_client_dropped_stream_events(all.client);
    stream = open_stream(&all, all.keep), served = rack_take(&all.kept);
    CHECK(krpc_client_dropped_stream_events(all.client) == dropped + 1);
    krpc_stream_free(stream);
    krpc_stream_free(served);
    stage_close(&all);
    krpc_queue_free(queue);
    /* A record outlives all of them. */
    krpc_stream_event read = KRPC_STREAM_EVENT_INIT;
    CHECK(krpc_stream_record_read(kept, &read) == KRPC_OK && read.message == 2);
    CHECK_STR(read.service, "Test");
    krpc_stream_record_free(kept);
}

/* A host whose events are of the first size, and have no place for a record: it gets what it knows and can release it,
   and nothing is written or read behind its events. */
static void an_older_host_takes_from_the_queue(void)
{
    enum { OLD = offsetof(krpc_event, record) };
    uint64_t places[3 * OLD / 8]; /* for their alignment */
    unsigned char(*events)[OLD] = (unsigned char(*)[OLD])(void *)places;
    krpc_queue *queue = queue_of(8);
    krpc_stream_observer observer = KRPC_STREAM_OBSERVER_INIT;
    observer.queue = queue;
    observer.tag = 77;
    stage all;
    open_watched(&all, &observer, NULL);
    krpc_stream *stream = open_stream(&all, all.keep), *served = rack_take(&all.kept);
    CHECK(send_text(stream, "x") == KRPC_OK);
    memset(places, 0xff, sizeof places);
    size_t count = 0;
    CHECK(krpc_queue_take(queue, (krpc_event *)(void *)events, OLD, 2, 0, &count) == KRPC_OK && count == 2);
    for (size_t i = 0; i < OLD; i++)
        CHECK(events[2][i] == 0xff);
    krpc_event first;
    memset(&first, 0, sizeof first);
    memcpy(&first, events[0], OLD);
    CHECK(first.kind == KRPC_EVENT_KIND_STREAM_CALL && first.tag == 77 && first.reply == NULL && first.record == NULL);
    krpc_event_release((krpc_event *)(void *)events[0]);
    krpc_event_release_many((krpc_event *)(void *)events[1], OLD, 1);
    krpc_stream_free(stream);
    krpc_stream_free(served);
    stage_close(&all);
    krpc_queue_free(queue);
}

/* Operations and batches are seen as well, whatever the way to wait. */
static void every_way_to_send_and_receive_is_seen(void)
{
    notes client = NOTES_INIT;
    krpc_stream_observer observer = to_notes(&client);
    stage all;
    open_watched(&all, &observer, NULL);
    krpc_stream *stream = open_stream(&all, all.echo);
    krpc_message *message = text_message(1, KRPC_STR("x"));
    const krpc_message *three[3] = {message, message, message};
    size_t sent = 0, count = 0;
    krpc_op *op = NULL;
    CHECK(krpc_stream_send_many(stream, three, 3, NULL) == KRPC_OK);
    CHECK(krpc_stream_try_send_many(stream, three, 3, &sent, NULL) == KRPC_OK && sent == 3);
    CHECK(krpc_stream_start_send(stream, message, NULL, &op, NULL) == KRPC_OK && op_end(op) == KRPC_OK);
    krpc_message_free(message);
    CHECK(of_kind(&client, KRPC_STREAM_EVENT_KIND_SEND) == 7);
    krpc_message *received[2];
    CHECK(krpc_stream_recv_many(stream, received, 2, &count, NULL) == KRPC_OK && count > 0);
    for (size_t i = 0; i < count; i++)
        krpc_message_free(received[i]);
    CHECK((size_t)of_kind(&client, KRPC_STREAM_EVENT_KIND_RECV) == count);
    CHECK(krpc_stream_start_recv(stream, NULL, &op, NULL) == KRPC_OK && op_end(op) == KRPC_OK);
    krpc_queue *queue = queue_of(16);
    CHECK(krpc_stream_deliver(stream, queue, 1, 8, NULL) == KRPC_OK);
    for (size_t left = 7 - count - 1; left > 0; left--) {
        krpc_event event = take_one(queue);
        CHECK(event.kind == KRPC_EVENT_KIND_STREAM_MESSAGE);
        krpc_event_release(&event);
    }
    AWAIT(of_kind(&client, KRPC_STREAM_EVENT_KIND_RECV) == 7);
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM_END && event.status == KRPC_OK);
    krpc_event_release(&event);
    AWAIT(has_ended(&client));
    check_order(&client, "Echo", 0);
    krpc_stream_free(stream);
    krpc_queue_free(queue);
    stage_close(&all);
}

/* ---- mistakes ------------------------------------------------------------------------------------------------------ */

static void mistakes(void)
{
    notes unused = NOTES_INIT;
    krpc_queue *queue = queue_of(4);
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("x"), NULL);
    krpc_server_options *serving = krpc_server_options_new();
    krpc_stream_observer observer = to_notes(&unused);
    REFUSED("options", krpc_client_options_set_stream_observer(NULL, &observer, &error));
    REFUSED("options", krpc_server_options_set_stream_observer(NULL, &observer, &error));
    REFUSED("observer", krpc_client_options_set_stream_observer(options, NULL, &error));
    REFUSED("observer", krpc_server_options_set_stream_observer(serving, NULL, &error));
    observer.queue = queue;
    REFUSED("choose one", krpc_client_options_set_stream_observer(options, &observer, &error));
    observer.queue = NULL;
    observer.kinds = 1;
    REFUSED("observer.kinds", krpc_client_options_set_stream_observer(options, &observer, &error));
    observer.kinds = 1u << 31;
    REFUSED("observer.kinds", krpc_client_options_set_stream_observer(options, &observer, &error));
    observer.kinds = 0;
    observer.reserved = 1;
    REFUSED("observer.reserved", krpc_client_options_set_stream_observer(options, &observer, &error));
    CHECK(unused.destroyed == 6);
    observer.reserved = 0;
    observer.struct_size = 3;
    REFUSED("observer", krpc_client_options_set_stream_observer(options, &observer, &error));
    observer = to_notes(&unused);
    observer.callback = NULL;
    observer.queue = (krpc_queue *)options;
    REFUSED("observer.queue", krpc_client_options_set_stream_observer(options, &observer, &error));
    CHECK(unused.destroyed == 7);
    /* A later one replaces an earlier one. */
    observer = to_notes(&unused);
    CHECK(krpc_client_options_set_stream_observer(options, &observer, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_stream_observer(options, &observer, NULL) == KRPC_OK && unused.destroyed == 8);
    krpc_client_options_free(options);
    CHECK(unused.destroyed == 9);
    krpc_server_options_free(serving);
    krpc_queue_free(queue);

    krpc_stream_event event = KRPC_STREAM_EVENT_INIT;
    krpc_stream_counters counters = KRPC_STREAM_COUNTERS_INIT;
    CHECK(krpc_stream_record_read(NULL, &event) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_stream_record_free(NULL);
    CHECK(krpc_client_stream_method_count(NULL) == 0 && krpc_server_stream_method_count(NULL) == 0);
    CHECK(krpc_client_stream_counters(NULL, 0, &counters) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_server_stream_counters(NULL, 0, &counters) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_client_dropped_stream_events(NULL) == 0 && krpc_server_dropped_stream_events(NULL) == 0);

    /* Counters without events; none without an observer. */
    krpc_stream_observer counting = KRPC_STREAM_OBSERVER_INIT;
    stage all;
    open_watched(&all, &counting, NULL);
    CHECK(krpc_server_stream_method_count(all.server) == 0);
    CHECK(krpc_server_stream_counters(all.server, 0, &counters) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_client_stream_counters(all.client, 0, &counters) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_stream *stream = open_stream(&all, all.echo);
    CHECK(send_text(stream, "x") == KRPC_OK);
    CHECK(krpc_client_stream_counters(all.client, 0, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_client_stream_counters(all.client, 0, &counters) == KRPC_OK && counters.messages_sent == 1);
    krpc_stream_free(stream);
    stage_close(&all);
}

int main(void)
{
    both_ends_are_seen();
    each_end_is_told_as_it_is();
    an_opening_that_fails_has_only_an_end();
    events_follow_the_clock();
    a_queue_takes_its_share_and_counts_the_rest();
    an_older_host_takes_from_the_queue();
    every_way_to_send_and_receive_is_seen();
    mistakes();
    return end_of_net_test();
}
