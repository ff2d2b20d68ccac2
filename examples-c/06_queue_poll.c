/* A program with an event loop of its own: one descriptor says that calls have ended.
 *
 *   06_queue_poll                   calls a server that it starts itself
 *   06_queue_poll 127.0.0.1:8888    calls yours
 *
 *       service Math { i64 Square(1: i64 number) }
 *
 * The loop here is poll(); for epoll, libuv, asyncio or GLib it is the same descriptor.
 */
#include <krpc.h>
#include <poll.h>
#include <stdio.h>

enum { CALLS = 100, BATCH = 16 };

/* ---- ends of calls ------------------------------------------------------------------------------- */

static int64_t number_in(const krpc_message *message, int16_t field)
{
    int64_t number = 0;
    krpc_reader *reader = krpc_reader_new(message, NULL);
    if (krpc_reader_find(reader, field, NULL))
        krpc_reader_i64(reader, &number);
    krpc_reader_free(reader);
    return number;
}

static krpc_message *number_message(int16_t field, int64_t number)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_i64(writer, field, number);
    return krpc_writer_finish(writer, NULL);
}

/* Takes whatever has come, in batches, without waiting; returns how many calls have ended. */
static int take_ends(const krpc_queue *queue, int64_t *sum)
{
    krpc_event events[BATCH];
    int ended = 0;
    size_t count;
    do {
        krpc_queue_take(queue, events, sizeof events[0], BATCH, 0, &count);
        for (size_t i = 0; i < count; i++) {
            /* The tag is what the call was started with; the event owns the reply. */
            if (events[i].status == KRPC_OK)
                *sum += number_in(krpc_reply_message(events[i].reply), 0) - (int64_t)(events[i].tag * events[i].tag);
            else
                *sum += 1;
        }
        krpc_event_release_many(events, sizeof events[0], count);
        ended += (int)count;
    } while (count == BATCH); /* fewer: the queue is empty, and its descriptor silent */
    return ended;
}

static int run(krpc_str address)
{
    krpc_error *error = NULL;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("math"), NULL);
    krpc_client_options_add_address(options, address, NULL);
    krpc_client_options_set_timeout_ms(options, 5000, NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Math/Square"), 0, NULL);
    krpc_queue *queue = krpc_queue_new(CALLS, NULL);
    int32_t fd = -1;
    krpc_queue_fd(queue, &fd, NULL);

    /* All calls with one crossing into the library. */
    krpc_call calls[CALLS];
    krpc_message *args[CALLS];
    for (int i = 0; i < CALLS; i++) {
        args[i] = number_message(1, i);
        calls[i].method = method;
        calls[i].request = args[i];
        calls[i].tag = (uint64_t)i;
    }
    size_t started = 0;
    if (krpc_client_start_many(client, calls, sizeof(krpc_call), CALLS, NULL, queue, &started, &error) != KRPC_OK) {
        krpc_str why = krpc_error_describe(error);
        fprintf(stderr, "%.*s\n", (int)why.len, why.ptr);
        krpc_error_free(error);
    }
    for (int i = 0; i < CALLS; i++)
        krpc_message_free(args[i]);

    /* The loop. Other descriptors would be watched beside this one. */
    int64_t sum = 0;
    int ended = 0;
    while (ended < (int)started) {
        struct pollfd watched = {fd, POLLIN, 0};
        if (poll(&watched, 1, 10000) != 1)
            break;
        ended += take_ends(queue, &sum);
    }
    printf("%d of %d ended, sum of all mistakes %d\n", ended, CALLS, (int)sum);

    krpc_queue_stats stats = KRPC_QUEUE_STATS_INIT;
    krpc_queue_read_stats(queue, &stats);
    printf("%s\n", stats.wakes <= CALLS ? "the loop was woken no more often than that" : "too many wake-ups");
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_queue_free(queue);
    return ended == CALLS && sum == 0 ? 0 : 1;
}

/* ---- a server to call ------------------------------------------------------------------------------- */

static void on_square(void *user_data, krpc_request *request)
{
    (void)user_data;
    int64_t number = number_in(krpc_request_message(request), 1);
    krpc_message *result = number_message(0, number * number);
    krpc_request_reply(request, result, NULL);
    krpc_message_free(result);
    krpc_request_free(request);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return run(krpc_cstr(argv[1]));

    krpc_service *service = krpc_service_new(KRPC_STR("Math"), NULL);
    krpc_service_add_method(service, KRPC_STR("Square"), 0, on_square, NULL, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    krpc_server *server = krpc_server_build(options, NULL);
    int failed = server == NULL ? 1 : run(krpc_server_address(server, 0));
    krpc_server_free(server);
    printf("%zu live handles\n", krpc_live_handles());
    return failed;
}
