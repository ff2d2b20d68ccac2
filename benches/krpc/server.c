/* Echo through the C ABI. The handler gives the string back without reading it, as the floor does. */
#define _GNU_SOURCE
#include "serve.h"

#include <stdatomic.h>

static _Atomic uint64_t calls;

/* The args struct is {1: Req}, the result struct {0: Res}: only the field id differs. */
static void echo(void *user_data, krpc_request *request)
{
    static const uint8_t RESULT_FIELD[] = {12, 0, 0};
    (void)user_data;
    krpc_bytes args = krpc_message_bytes(krpc_request_message(request));
    if (args.len < sizeof RESULT_FIELD || args.ptr[0] != RESULT_FIELD[0])
        bench_die("handler", "the args struct has no struct in front");
    krpc_bytes segments[] = {
        KRPC_BYTES(RESULT_FIELD, sizeof RESULT_FIELD),
        KRPC_BYTES(args.ptr + sizeof RESULT_FIELD, args.len - sizeof RESULT_FIELD),
    };
    krpc_message *result = krpc_message_from_segments(KRPC_ENCODING_THRIFT_BINARY, segments, 2, NULL);
    krpc_request_reply(request, result, NULL);
    krpc_message_free(result);
    krpc_request_free(request);
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"handler", required_argument, NULL, 'h'},
        {"io-threads", required_argument, NULL, 'i'},
        {"workers", required_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    uint32_t flags = KRPC_METHOD_FLAG_INLINE;
    krpc_runtime_options threads = KRPC_RUNTIME_OPTIONS_INIT;
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'h': flags = strcmp(optarg, "pool") == 0 ? 0 : KRPC_METHOD_FLAG_INLINE; break;
        case 'i': threads.io_threads = (uint32_t)atoi(optarg); break;
        case 'w': threads.worker_threads = (uint32_t)atoi(optarg); break;
        default:
            fprintf(stderr, "usage: %s [--handler inline|pool] [--io-threads N] [--workers N]\n", argv[0]);
            return 2;
        }
    }
    sigset_t signals;
    hold_sigterm(&signals);

    krpc_error *error = NULL;
    krpc_runtime *runtime = krpc_runtime_new(&threads, &error);
    check(error);
    krpc_service *service = krpc_service_new(KRPC_STR(BENCH_SERVICE), &error);
    check(error);
    krpc_service_add_method(service, KRPC_STR(BENCH_METHOD), flags, echo, NULL, NULL, &error);
    check(error);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_set_runtime(options, runtime, &error);
    check(error);
    krpc_server *server = serve(options, service);
    await_sigterm(&signals);
    bench_print_server(atomic_load(&calls));
    krpc_server_stop(server, 0, NULL, NULL);
    krpc_server_free(server);
    krpc_runtime_free(runtime);
    return 0;
}
