/* Streams of tests/interop/idl/streams.thrift through the C ABI: Bidi gives each message back, Sink counts them. */
#define _GNU_SOURCE
#include "serve.h"

#include <stdatomic.h>

enum { BATCH = 1024 };

static _Atomic uint64_t messages;

/* ---- Bidi: on the I/O thread, a receive that starts the next one ------------------------------- */

typedef struct echo {
    krpc_stream *stream;
    uint64_t count;
} echo;

static void receive(echo *self);

static void finish(echo *self)
{
    atomic_fetch_add(&messages, self->count);
    krpc_stream_finish(self->stream, NULL);
    krpc_stream_free(self->stream);
    free(self);
}

static void received(void *user_data, krpc_reply *reply)
{
    echo *self = user_data;
    const krpc_message *message = krpc_reply_message(reply);
    if (message == NULL) {
        krpc_reply_free(reply);
        finish(self);
        return;
    }
    size_t sent = 0;
    krpc_status status = krpc_stream_try_send_many(self->stream, &message, 1, &sent, NULL);
    krpc_reply_free(reply);
    /* A client that waits for each answer cannot fill the budget. */
    if (status == KRPC_OK && sent != 1)
        bench_die("echo", "no room for an answer");
    self->count++;
    receive(self);
}

static void receive(echo *self)
{
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.callback = received;
    completion.user_data = self;
    completion.flags = KRPC_COMPLETION_FLAG_INLINE;
    if (krpc_stream_start_recv(self->stream, &completion, NULL, NULL) != KRPC_OK)
        bench_die("echo", "cannot receive");
}

static void bidi(void *user_data, krpc_stream *stream)
{
    (void)user_data;
    echo *self = calloc(1, sizeof *self);
    bench_check(self != NULL, "calloc");
    self->stream = stream;
    receive(self);
}

/* ---- Sink: on a thread of the pool ------------------------------------------------------------ */

static void sink(void *user_data, krpc_stream *stream)
{
    (void)user_data;
    krpc_message *some[BATCH];
    size_t count = 0;
    int64_t sum = 0;
    while (krpc_stream_recv_many(stream, some, BATCH, &count, NULL) == KRPC_OK && count > 0) {
        for (size_t i = 0; i < count; i++)
            krpc_message_free(some[i]);
        sum += (int64_t)count;
    }
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_i64(writer, 1, sum);
    krpc_message *answer = krpc_writer_finish(writer, NULL);
    krpc_stream_send(stream, answer, NULL);
    krpc_message_free(answer);
    krpc_stream_finish(stream, NULL);
    krpc_stream_free(stream);
    atomic_fetch_add(&messages, (uint64_t)sum);
}

/* ---- main ------------------------------------------------------------------------------------- */

int main(void)
{
    sigset_t signals;
    hold_sigterm(&signals);

    krpc_error *error = NULL;
    krpc_service *service = krpc_service_new(KRPC_STR("Streams"), &error);
    check(error);
    krpc_service_add_stream(service, KRPC_STR("Bidi"), KRPC_STREAMING_BIDIRECTIONAL, KRPC_METHOD_FLAG_INLINE, bidi, NULL,
                            NULL, &error);
    check(error);
    krpc_service_add_stream(service, KRPC_STR("Sink"), KRPC_STREAMING_CLIENT, 0, sink, NULL, NULL, &error);
    check(error);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server *server = serve(options, service);
    await_sigterm(&signals);
    krpc_server_stop(server, 1000, NULL, NULL);
    bench_print_server(atomic_load(&messages));
    krpc_server_free(server);
    return 0;
}
