/* A server that sends more than the client can take: it is held back, and memory stays small.
 *
 *       struct Order { 1: i64 rows }    struct Row { 1: i64 number, 2: binary content }
 *       service Export { Row Read(1: Order o) (streaming.mode="server") }
 *
 * The client receives by credit: at most so many rows are in its queue at once. The rest waits in the budgets of
 * the stream, and where these are full the server's send waits.
 */
#include <krpc.h>
#include <pthread.h>
#include <stdio.h>

enum { ROWS = 20000, ROW_BYTES = 1024, CREDIT = 64, BATCH = 32 };

static int64_t number_in(const krpc_message *message)
{
    int64_t number = -1;
    krpc_reader *reader = krpc_reader_new(message, NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_i64(reader, &number);
    krpc_reader_free(reader);
    return number;
}

/* ---- the server -------------------------------------------------------------------------------------------- */

typedef struct {
    pthread_mutex_t mutex;
    int64_t sent;
} progress;

static int64_t sent_so_far(progress *self)
{
    pthread_mutex_lock(&self->mutex);
    int64_t sent = self->sent;
    pthread_mutex_unlock(&self->mutex);
    return sent;
}

static void on_read(void *user_data, krpc_stream *stream)
{
    progress *self = (progress *)user_data;
    static const char content[ROW_BYTES] = {0};
    int64_t rows = number_in(krpc_stream_request(stream));
    krpc_status status = KRPC_OK;
    for (int64_t i = 0; i < rows && status == KRPC_OK; i++) {
        krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
        krpc_writer_field_i64(writer, 1, i);
        krpc_writer_field_binary(writer, 2, KRPC_BYTES(content, sizeof content));
        krpc_message *row = krpc_writer_finish(writer, NULL);
        status = krpc_stream_send(stream, row, NULL); /* waits while the client is behind */
        krpc_message_free(row);
        pthread_mutex_lock(&self->mutex);
        self->sent = i + 1;
        pthread_mutex_unlock(&self->mutex);
    }
    krpc_stream_finish(stream, NULL);
    krpc_stream_free(stream);
}

static krpc_server *start_server(progress *all)
{
    krpc_service *service = krpc_service_new(KRPC_STR("Export"), NULL);
    krpc_service_add_stream(service, KRPC_STR("Read"), KRPC_STREAMING_SERVER, 0, on_read, all, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    return krpc_server_build(options, NULL);
}

/* ---- the client -------------------------------------------------------------------------------------------- */

/* Sends the order, and nothing after it. */
static krpc_stream *order(const krpc_client *client, int64_t rows)
{
    krpc_stream *stream = NULL;
    krpc_method *method = krpc_client_method(client, KRPC_STR("Export/Read"), 0, NULL);
    if (krpc_client_open_stream(client, method, NULL, &stream, NULL) == KRPC_OK) {
        krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
        krpc_writer_field_i64(writer, 1, rows);
        krpc_message *message = krpc_writer_finish(writer, NULL);
        krpc_stream_send(stream, message, NULL);
        krpc_stream_close_send(stream, NULL);
        krpc_message_free(message);
    }
    krpc_method_free(method);
    return stream;
}

static int read_all(krpc_stream *stream, const krpc_queue *queue, progress *server)
{
    int64_t next = 0, most_ahead = 0;
    size_t used = 0, count = 0;
    int in_order = 1, ended = 0;
    krpc_status status = KRPC_OK;
    krpc_event events[BATCH];
    krpc_stream_deliver(stream, queue, 1, CREDIT, NULL);
    while (!ended) {
        krpc_queue_take(queue, events, sizeof events[0], BATCH, KRPC_FOREVER, &count);
        for (size_t i = 0; i < count; i++) {
            if (events[i].kind == KRPC_EVENT_KIND_STREAM_END) {
                status = (krpc_status)events[i].status;
                ended = 1;
                break;
            }
            in_order = in_order && number_in(events[i].message) == next++;
            used++;
        }
        krpc_event_release_many(events, sizeof events[0], count);
        int64_t ahead = sent_so_far(server) - next;
        if (ahead > most_ahead)
            most_ahead = ahead;
        /* Credit is renewed in steps, not for every row. */
        if (used >= CREDIT / 2) {
            krpc_stream_deliver(stream, queue, 1, used, NULL);
            used = 0;
        }
    }
    printf("%d rows, %s, status %d\n", (int)next, in_order ? "in order" : "out of order", (int)status);
    printf("%s\n", most_ahead < ROWS / 2 ? "the server never was far ahead" : "the server was not held back");
    return next == ROWS && in_order ? 0 : 1;
}

int main(void)
{
    progress all = {PTHREAD_MUTEX_INITIALIZER, 0};
    krpc_server *server = start_server(&all);
    if (server == NULL)
        return 1;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("export"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_queue *queue = krpc_queue_new(CREDIT + 1, NULL); /* one more for the end */
    krpc_stream *stream = order(client, ROWS);
    int failed = stream == NULL ? 1 : read_all(stream, queue, &all);

    krpc_stream_free(stream);
    krpc_queue_free(queue);
    krpc_client_free(client);
    krpc_server_free(server);
    printf("%zu live handles\n", krpc_live_handles());
    return failed;
}
