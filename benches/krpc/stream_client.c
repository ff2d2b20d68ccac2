/* Messages over streams through the C ABI. Ping-pong: a message is under way in each stream; one thread takes the
 * answers from a queue, or each is answered in a callback on the I/O thread. One-way: a thread for each stream sends one message after the other; counted is what the server
 * says it has received, and the time goes on until it has said so. */
#define _GNU_SOURCE
#include "connect.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CREDIT = 8, TAKE = 256, STREAMS_MAX = 1000 };

static bench_client_args args;

static krpc_message *item(void)
{
    char *bytes = malloc((size_t)args.size);
    bench_check(bytes != NULL, "malloc");
    memset(bytes, 'x', (size_t)args.size);
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_i64(writer, 1, 1);
    krpc_writer_field_binary(writer, 2, KRPC_BYTES(bytes, (size_t)args.size));
    free(bytes);
    return krpc_writer_finish(writer, NULL);
}

static krpc_stream *open_stream(const krpc_method *streaming)
{
    krpc_error *error = NULL;
    krpc_stream *stream = NULL;
    krpc_client_open_stream(client, streaming, NULL, &stream, &error);
    check(error);
    return stream;
}

static void send_one(const krpc_stream *stream, const krpc_message *message)
{
    krpc_error *error = NULL;
    krpc_stream_send(stream, message, &error);
    check(error);
}

/* ---- ping-pong -------------------------------------------------------------------------------- */

typedef struct player {
    krpc_stream *stream;
    uint64_t sent_ns;
    size_t owed; /* credit for what has been taken */
} player;

static void renew(player *self, const krpc_queue *queue, uint64_t tag, size_t credit)
{
    krpc_error *error = NULL;
    krpc_stream_deliver(self->stream, queue, tag, credit, &error);
    check(error);
}

/* Answers what has come until the time is up; counts if latencies are wanted. */
static void play(player *players, const krpc_queue *queue, const krpc_message *message, uint64_t end,
                 bench_latencies *latencies)
{
    for (uint64_t now = bench_now_ns(); now < end;) {
        krpc_event events[TAKE];
        size_t count = 0;
        if (krpc_queue_take(queue, events, sizeof events[0], TAKE, 1000, &count) != KRPC_OK)
            bench_die("take", "failed");
        now = bench_now_ns();
        for (size_t i = 0; i < count; i++) {
            if (events[i].kind != KRPC_EVENT_KIND_STREAM_MESSAGE)
                bench_die("stream", events[i].error != NULL ? krpc_error_describe(events[i].error).ptr : "has ended");
            if (krpc_message_size(events[i].message) != krpc_message_size(message))
                bench_die("stream", "the answer has another size");
            player *player = &players[events[i].tag];
            if (latencies != NULL)
                bench_record(latencies, now - player->sent_ns);
            if (++player->owed == CREDIT / 2) {
                renew(player, queue, events[i].tag, player->owed);
                player->owed = 0;
            }
            player->sent_ns = now;
            send_one(player->stream, message);
        }
        krpc_event_release_many(events, sizeof events[0], count);
    }
}

static void ping_pong(const krpc_method *streaming, const krpc_message *message)
{
    static player players[STREAMS_MAX];
    static bench_latencies latencies;
    krpc_queue *queue = krpc_queue_new((CREDIT + 1) * (size_t)args.callers, NULL);
    for (int i = 0; i < args.callers; i++) {
        players[i].stream = open_stream(streaming);
        renew(&players[i], queue, (uint64_t)i, CREDIT);
        players[i].sent_ns = bench_now_ns();
        send_one(players[i].stream, message);
    }
    play(players, queue, message, bench_now_ns() + (uint64_t)(args.warmup * 1e9), NULL);
    bench_use used = bench_use_now();
    uint64_t begin = bench_now_ns();
    play(players, queue, message, begin + (uint64_t)(args.seconds * 1e9), &latencies);
    bench_use use_at_end = bench_use_now();
    double seconds = (double)(bench_now_ns() - begin) / 1e9;
    for (int i = 0; i < args.callers; i++) {
        krpc_stream_close_send(players[i].stream, NULL);
        krpc_stream_free(players[i].stream);
    }
    krpc_queue_free(queue);
    bench_print_client(&latencies, used, use_at_end, seconds, 0, 0);
}

/* ---- ping-pong in callbacks: on the I/O thread, a receive that starts the next one ---------------- */

typedef struct caller {
    krpc_stream *stream;
    uint64_t sent_ns;
} caller;

/* What the callbacks share. There is one I/O thread, so only it touches the latencies; the flags are the main one's. */
static struct {
    const krpc_message *message;
    bench_latencies latencies;
    _Atomic bool is_counted, is_stopping;
    _Atomic int under_way;
} calling;

static void listen_on(caller *self);

static void send_next(caller *self)
{
    size_t sent = 0;
    krpc_error *error = NULL;
    krpc_stream_try_send_many(self->stream, &calling.message, 1, &sent, &error);
    check(error);
    if (sent != 1)
        bench_die("stream", "no room for one message");
    self->sent_ns = bench_now_ns();
}

static void answered(void *user_data, krpc_reply *reply)
{
    caller *self = user_data;
    const krpc_message *answer = krpc_reply_message(reply);
    if (answer == NULL)
        bench_die("stream", "has ended");
    if (krpc_message_size(answer) != krpc_message_size(calling.message))
        bench_die("stream", "the answer has another size");
    krpc_reply_free(reply);
    if (atomic_load_explicit(&calling.is_counted, memory_order_relaxed))
        bench_record(&calling.latencies, bench_now_ns() - self->sent_ns);
    if (atomic_load_explicit(&calling.is_stopping, memory_order_relaxed)) {
        atomic_fetch_sub(&calling.under_way, 1);
        return;
    }
    send_next(self);
    listen_on(self);
}

static void listen_on(caller *self)
{
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.callback = answered;
    completion.user_data = self;
    completion.flags = KRPC_COMPLETION_FLAG_INLINE;
    krpc_error *error = NULL;
    krpc_stream_start_recv(self->stream, &completion, NULL, &error);
    check(error);
}

static void ping_pong_in_callbacks(const krpc_method *streaming, const krpc_message *message)
{
    static caller callers[STREAMS_MAX];
    calling.message = message;
    atomic_store(&calling.under_way, args.callers);
    for (int i = 0; i < args.callers; i++)
        callers[i].stream = open_stream(streaming);
    for (int i = 0; i < args.callers; i++) {
        send_next(&callers[i]);
        listen_on(&callers[i]);
    }
    bench_pause(args.warmup);
    bench_use used = bench_use_now();
    uint64_t begin = bench_now_ns();
    atomic_store(&calling.is_counted, true);
    bench_pause(args.seconds);
    atomic_store(&calling.is_counted, false);
    bench_use use_at_end = bench_use_now();
    double seconds = (double)(bench_now_ns() - begin) / 1e9;
    atomic_store(&calling.is_stopping, true);
    while (atomic_load(&calling.under_way) > 0)
        bench_pause(0.001);
    for (int i = 0; i < args.callers; i++) {
        krpc_stream_close_send(callers[i].stream, NULL);
        krpc_stream_free(callers[i].stream);
    }
    bench_print_client(&calling.latencies, used, use_at_end, seconds, 0, 0);
}

/* ---- one-way ---------------------------------------------------------------------------------- */

static _Atomic bool is_over;

typedef struct sender {
    pthread_t thread;
    const krpc_method *streaming;
    const krpc_message *message;
    int64_t received; /* by the server */
} sender;

static void *send_all(void *data)
{
    sender *self = data;
    krpc_stream *stream = open_stream(self->streaming);
    while (!atomic_load_explicit(&is_over, memory_order_relaxed))
        send_one(stream, self->message);
    krpc_error *error = NULL;
    krpc_stream_close_send(stream, &error);
    check(error);
    krpc_message *answer = NULL;
    krpc_stream_recv(stream, &answer, &error);
    check(error);
    krpc_reader *reader = krpc_reader_new(answer, &error);
    check(error);
    if (!krpc_reader_find(reader, 1, NULL) || krpc_reader_i64(reader, &self->received) != KRPC_OK)
        bench_die("server", "did not say what it has received");
    krpc_reader_free(reader);
    krpc_message_free(answer);
    krpc_stream_free(stream);
    return NULL;
}

static void one_way(const krpc_method *streaming, const krpc_message *message)
{
    static sender senders[STREAMS_MAX];
    static bench_latencies latencies; /* nobody answers a message: only the count matters */
    bench_use used = bench_use_now();
    uint64_t begin = bench_now_ns();
    for (int i = 0; i < args.callers; i++) {
        senders[i].streaming = streaming;
        senders[i].message = message;
        errno = pthread_create(&senders[i].thread, NULL, send_all, &senders[i]);
        bench_check(errno == 0, "pthread_create");
    }
    bench_pause(args.seconds);
    atomic_store(&is_over, true);
    for (int i = 0; i < args.callers; i++) {
        pthread_join(senders[i].thread, NULL);
        latencies.calls += (uint64_t)senders[i].received;
    }
    double seconds = (double)(bench_now_ns() - begin) / 1e9;
    bench_print_client(&latencies, used, bench_use_now(), seconds, 0, 0);
}

int main(int argc, char **argv)
{
    args = bench_client_arguments(argc, argv);
    bool is_one_way = strcmp(args.shape, "one-way") == 0;
    bool is_in_callbacks = strcmp(args.style, "callback") == 0;
    if (args.callers > STREAMS_MAX || args.size < 1 || (!is_one_way && strcmp(args.shape, "ping-pong") != 0) ||
        (!is_in_callbacks && strcmp(args.style, "queue") != 0) || (is_one_way && is_in_callbacks))
        bench_die("arguments", "at most 1000 streams, a size, and ping-pong, by queue or callback, or one-way");
    krpc_error *error = NULL;
    krpc_client_options *options = client_options(&args);
    krpc_client_options_set_stream_connections(options, (size_t)args.connections, &error);
    check(error);
    client = krpc_client_build(options, &error);
    check(error);
    method = krpc_client_method(client, is_one_way ? KRPC_STR("Streams/Sink") : KRPC_STR("Streams/Bidi"), 0, &error);
    check(error);
    krpc_message *message = item();
    void (*measure)(const krpc_method *, const krpc_message *) = is_in_callbacks ? ping_pong_in_callbacks : ping_pong;
    (is_one_way ? one_way : measure)(method, message);
    krpc_message_free(message);
    disconnect();
    return 0;
}
