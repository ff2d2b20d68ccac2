/* Watching streams: their events, in a queue, and what each method has carried; and an interceptor that stands in
 * the way of a message.
 *
 *       struct Reading { 1: i64 celsius }    struct Stored { 1: i64 count }
 *       service Meter { Stored Upload(1: Reading r) (streaming.mode="client") }
 *
 * The observer has no part in the stream: it hears what happens, when, and how large it was. The interceptor has: here
 * it refuses readings that can't be true, before the handler sees them.
 */
#include <krpc.h>
#include <stdio.h>

enum { CAPACITY = 64, ABSOLUTE_ZERO = -273 };

static krpc_message *number(int64_t value)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_i64(writer, 1, value);
    return krpc_writer_finish(writer, NULL);
}

static int64_t number_in(const krpc_message *message)
{
    int64_t value = 0;
    krpc_reader *reader = krpc_reader_new(message, NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_i64(reader, &value);
    krpc_reader_free(reader);
    return value;
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

static void on_upload(void *user_data, krpc_stream *stream)
{
    (void)user_data;
    krpc_message *reading = NULL;
    int64_t count = 0;
    while (krpc_stream_recv(stream, &reading, NULL) == KRPC_OK && reading != NULL) {
        krpc_message_free(reading);
        count++;
    }
    krpc_message *stored = number(count);
    krpc_stream_send(stream, stored, NULL);
    krpc_message_free(stored);
    krpc_stream_finish(stream, NULL); /* does nothing where the interceptor has ended it */
    krpc_stream_free(stream);
}

/* May run on an I/O thread: it must not block. */
static void check_reading(void *user_data, const krpc_stream_hook *hook)
{
    (void)user_data;
    if (number_in(krpc_stream_hook_message(hook)) < ABSOLUTE_ZERO)
        krpc_stream_hook_reject(hook, 1001, KRPC_STR("colder than anything"), NULL);
}

static krpc_server *start_server(void)
{
    krpc_stream_interceptor checks = KRPC_STREAM_INTERCEPTOR_INIT;
    checks.recv = check_reading;
    krpc_stream_observer counts = KRPC_STREAM_OBSERVER_INIT; /* no callback, no queue: only the counters */
    krpc_service *meter = krpc_service_new(KRPC_STR("Meter"), NULL);
    krpc_service_add_stream(meter, KRPC_STR("Upload"), KRPC_STREAMING_CLIENT, 0, on_upload, NULL, NULL, NULL);
    krpc_service_add_stream_interceptor(meter, &checks, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, meter, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    krpc_server_options_set_stream_observer(options, &counts, NULL);
    return krpc_server_build(options, NULL);
}

/* ---- the client --------------------------------------------------------------------------------------------------- */

/* Returns how many messages were sent, or tried: none if the stream could not be opened. */
static int upload(const krpc_client *client, const krpc_method *method, const int64_t *readings, int count)
{
    krpc_stream *stream = NULL;
    krpc_error *error = NULL;
    krpc_message *stored = NULL, *none = NULL;
    if (krpc_client_open_stream(client, method, NULL, &stream, &error) != KRPC_OK) {
        krpc_str why = krpc_error_describe(error);
        fprintf(stderr, "%.*s\n", (int)why.len, why.ptr);
        krpc_error_free(error);
        return 0;
    }
    for (int i = 0; i < count; i++) {
        krpc_message *reading = number(readings[i]);
        krpc_stream_send(stream, reading, NULL);
        krpc_message_free(reading);
    }
    krpc_stream_close_send(stream, NULL);
    if (krpc_stream_recv(stream, &stored, &error) == KRPC_OK && stored != NULL) {
        printf("stored %d readings\n", (int)number_in(stored));
        krpc_stream_recv(stream, &none, NULL); /* to the end: a stream that is freed before is cancelled */
    } else {
        krpc_str text = {NULL, 0};
        int32_t type_id = 0;
        krpc_error_remote_exception(error, &type_id, &text);
        printf("refused, number %d: %.*s\n", (int)type_id, (int)text.len, text.ptr);
    }
    krpc_message_free(stored);
    krpc_error_free(error);
    krpc_stream_free(stream); /* its end is in the queue by now, or soon */
    return count;
}

static void print(const krpc_stream_event *event)
{
    static const char *const names[] = {"", "start", "send", "recv", "end"};
    printf("  %-5s %.*s/%.*s", names[event->kind], (int)event->service.len, event->service.ptr, (int)event->method.len,
           event->method.ptr);
    if (event->kind == KRPC_STREAM_EVENT_KIND_SEND)
        printf(", message %d, %d bytes", (int)event->message, (int)event->bytes);
    if (event->kind == KRPC_STREAM_EVENT_KIND_END)
        printf(", status %d", (int)event->status);
    printf("\n");
}

/* Prints the events of one stream: its start, `sends` messages, and its end, which is all that an opening has that
   failed. A sender and the thread of the connection
   tell of what they do each for itself, so the end may be told a moment before the last send: it is kept until then.
   Their time, `time_ns`, is of no use on paper. */
static void print_events(const krpc_queue *queue, int sends)
{
    krpc_stream_record *end = NULL;
    krpc_stream_event seen = KRPC_STREAM_EVENT_INIT;
    while (sends > 0 || end == NULL) {
        krpc_event event;
        size_t count = 0;
        krpc_queue_take(queue, &event, sizeof event, 1, KRPC_FOREVER, &count);
        krpc_stream_record_read(event.record, &seen);
        if (seen.kind == KRPC_STREAM_EVENT_KIND_END) {
            end = event.record;
            event.record = NULL; /* ours now */
        } else {
            print(&seen);
            sends -= seen.kind == KRPC_STREAM_EVENT_KIND_SEND;
        }
        krpc_event_release(&event); /* and with it what `seen` shows */
    }
    krpc_stream_record_read(end, &seen);
    print(&seen);
    krpc_stream_record_free(end);
}

int main(void)
{
    krpc_server *server = start_server();
    if (server == NULL)
        return 1;
    /* Beginnings, messages sent, ends. They take half of the queue at most; what finds no room is counted. */
    krpc_queue *queue = krpc_queue_new(CAPACITY, NULL);
    krpc_stream_observer observer = KRPC_STREAM_OBSERVER_INIT;
    observer.queue = queue;
    observer.kinds = 1u << KRPC_STREAM_EVENT_KIND_START | 1u << KRPC_STREAM_EVENT_KIND_SEND |
                     1u << KRPC_STREAM_EVENT_KIND_END;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("meter"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    krpc_client_options_set_stream_observer(options, &observer, NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Meter/Upload"), 0, NULL);

    static const int64_t good[] = {18, 19, 21}, bad[] = {18, -300};
    if (client != NULL) {
        print_events(queue, upload(client, method, good, 3));
        print_events(queue, upload(client, method, bad, 2));
    }

    krpc_server_stop(server, 5000, NULL, NULL); /* so that the handlers have ended */
    krpc_stream_counters counters = KRPC_STREAM_COUNTERS_INIT;
    krpc_server_stream_counters(server, 0, &counters);
    printf("the server: %d streams, %d failed, %d messages and %d bytes received, %d refused\n", (int)counters.started,
           (int)counters.failed, (int)counters.messages_received, (int)counters.bytes_received, (int)counters.recv_errors);
    printf("%d events dropped\n", (int)krpc_client_dropped_stream_events(client));

    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_queue_free(queue);
    printf("%zu live handles\n", krpc_live_handles());
    return 0;
}
