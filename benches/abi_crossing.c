/* What it costs to cross the ABI: the cheapest functions, in nanoseconds, as one line of JSON.
 * Each number is the best of many short batches, so a busy machine hardly changes it. */
#define _GNU_SOURCE
#include "bench.h"

#include <krpc.h>

enum { BATCHES = 200, CALLS = 20000 };

static volatile size_t sink;

#define BEST(name, statement)                                                       \
    do {                                                                            \
        double best = 1e9;                                                          \
        for (int batch = 0; batch < BATCHES; batch++) {                             \
            uint64_t begin = bench_now_ns();                                        \
            for (int i = 0; i < CALLS; i++) {                                       \
                statement;                                                          \
            }                                                                       \
            double ns = (double)(bench_now_ns() - begin) / CALLS;                   \
            best = ns < best ? ns : best;                                           \
        }                                                                           \
        printf("%s\"%s\":%.2f", separator, name, best);                             \
        separator = ",";                                                            \
    } while (0)

/* ---- events ------------------------------------------------------------------------------------- */

enum { EVENTS = 64, ROUNDS = 2000 };

static void on_call(void *user_data, krpc_request *request)
{
    (void)user_data;
    krpc_request_reply(request, NULL, NULL);
    krpc_request_free(request);
}

/* Take and release of one event in batches of 64, which are all there: the best batch. */
static void take_and_release(const char *name)
{
    krpc_service *service = krpc_service_new(KRPC_STR("S"), NULL);
    krpc_service_add_method(service, KRPC_STR("m"), KRPC_METHOD_FLAG_INLINE, on_call, NULL, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    krpc_server *server = krpc_server_build(options, NULL);
    krpc_client_options *to = krpc_client_options_new(KRPC_STR("S"), NULL);
    krpc_client_options_add_address(to, krpc_server_address(server, 0), NULL);
    krpc_client *client = krpc_client_build(to, NULL);
    krpc_method *method = krpc_client_method(client, KRPC_STR("S/m"), 0, NULL);
    krpc_queue *queue = krpc_queue_new(EVENTS, NULL);
    krpc_call calls[EVENTS];
    for (int i = 0; i < EVENTS; i++)
        calls[i] = (krpc_call){method, NULL, (uint64_t)i};

    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        if (krpc_client_start_many(client, calls, sizeof(krpc_call), EVENTS, NULL, queue, NULL, NULL) != KRPC_OK)
            bench_die("start", "did not start all");
        krpc_queue_stats stats = KRPC_QUEUE_STATS_INIT;
        for (; stats.queued < EVENTS; krpc_queue_read_stats(queue, &stats))
            usleep(20);
        krpc_event events[EVENTS];
        size_t count = 0;
        uint64_t begin = bench_now_ns();
        krpc_queue_take(queue, events, sizeof events[0], EVENTS, 0, &count);
        krpc_event_release_many(events, sizeof events[0], count);
        double ns = (double)(bench_now_ns() - begin) / EVENTS;
        if (count != EVENTS || events[0].status != KRPC_OK)
            bench_die("take", "not what was started");
        best = ns < best ? ns : best;
    }
    printf(",\"%s\":%.2f", name, best);
    krpc_queue_free(queue);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
}

int main(void)
{
    static const uint8_t BYTES[1024];
    const char *separator = "{";
    krpc_error *error = NULL;
    krpc_message *message = krpc_message_copy(KRPC_ENCODING_RAW, KRPC_BYTES(BYTES, 16), NULL);
    krpc_message_copy(KRPC_ENCODING_RAW, KRPC_BYTES(NULL, 1), &error);
    if (message == NULL || error == NULL)
        bench_die("message", "behaves in an unexpected way");

    BEST("no_handle", sink += krpc_abi_version());
    BEST("message_size", sink += krpc_message_size(message));
    BEST("message_bytes", sink += krpc_message_bytes(message).len);
    BEST("error_status", sink += (size_t)krpc_error_status(error));
    BEST("message_retain_free", krpc_message_free(krpc_message_retain(message)));
    krpc_bytes small = KRPC_BYTES(BYTES, 16), large = KRPC_BYTES(BYTES, sizeof BYTES);
    BEST("message_wrap_free", krpc_message_free(krpc_message_wrap(KRPC_ENCODING_RAW, large, NULL, NULL, NULL)));
    BEST("message_copy_16_free", krpc_message_free(krpc_message_copy(KRPC_ENCODING_RAW, small, NULL)));
    BEST("message_copy_1024_free", krpc_message_free(krpc_message_copy(KRPC_ENCODING_RAW, large, NULL)));
    take_and_release("event_take_release");
    puts("}");
    krpc_error_free(error);
    krpc_message_free(message);
    return 0;
}
