/* Blocking calls through the C ABI, each caller on a thread of its own. */
#define _GNU_SOURCE
#include "../bench.h"

#include <krpc.h>
#include <pthread.h>
#include <stdatomic.h>

enum { WARMUP, MEASURE, STOP };

static _Atomic int phase;
static krpc_client *client;
static krpc_method *method;
static krpc_message *args_struct;
static krpc_facts facts = KRPC_FACTS_INIT;

typedef struct caller {
    pthread_t thread;
    uint64_t limit;
    bench_latencies latencies;
} caller;

static void *call(void *data)
{
    caller *caller = data;
    uint64_t started = bench_now_ns();
    for (uint64_t calls = 0; caller->limit == 0 || calls < caller->limit; calls++) {
        int now_in = atomic_load_explicit(&phase, memory_order_relaxed);
        if (now_in == STOP)
            break;
        krpc_reply *reply = NULL;
        if (krpc_client_call(client, method, args_struct, NULL, &reply) != KRPC_OK)
            bench_die("call", krpc_error_describe(krpc_reply_error(reply)).ptr);
        if (krpc_message_size(krpc_reply_message(reply)) != BENCH_BODY_BYTES)
            bench_die("call", "the reply has another size");
        krpc_reply_free(reply);
        uint64_t ended = bench_now_ns();
        if (now_in == MEASURE)
            bench_record(&caller->latencies, ended - started);
        started = ended;
    }
    return NULL;
}

static void check(krpc_error *error)
{
    if (error != NULL)
        bench_die("client", krpc_error_describe(error).ptr);
}

static int32_t transport(const char *name)
{
    static const struct {
        const char *name;
        int32_t number;
    } NAMES[] = {
        {"ttheader", KRPC_TRANSPORT_TTHEADER},
        {"ttheader-framed", KRPC_TRANSPORT_TTHEADER_FRAMED},
        {"framed", KRPC_TRANSPORT_FRAMED},
        {"buffered", KRPC_TRANSPORT_BUFFERED},
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcmp(name, NAMES[i].name) == 0)
            return NAMES[i].number;
    bench_die(name, "no such transport");
}

static void connect_client(const bench_client_args *args)
{
    krpc_error *error = NULL;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR(BENCH_DESTINATION), &error);
    check(error);
    krpc_client_options_set_caller(options, KRPC_STR(BENCH_CALLER), &error);
    check(error);
    krpc_client_options_add_address(options, krpc_cstr(args->address), &error);
    check(error);
    krpc_client_options_set_transport(options, transport(args->transport), &error);
    check(error);
    client = krpc_client_build(options, &error);
    check(error);
    method = krpc_client_method(client, KRPC_STR(BENCH_SERVICE "/" BENCH_METHOD), 0, &error);
    check(error);
    uint8_t body[BENCH_BODY_BYTES];
    bench_put_body(body, 1);
    args_struct = krpc_message_copy(KRPC_ENCODING_THRIFT_BINARY, KRPC_BYTES(body, sizeof body), &error);
    check(error);

    krpc_reply *reply = NULL;
    if (krpc_client_call(client, method, args_struct, NULL, &reply) != KRPC_OK)
        bench_die("call", krpc_error_describe(krpc_reply_error(reply)).ptr);
    krpc_reply_facts(reply, &facts);
    krpc_reply_free(reply);
}

static void pause_for(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    nanosleep(&time, NULL);
}

int main(int argc, char **argv)
{
    bench_client_args args = bench_client_arguments(argc, argv);
    connect_client(&args);

    bool counted = args.calls != 0;
    atomic_store(&phase, counted ? MEASURE : WARMUP);
    bench_use used = bench_use_now();
    uint64_t begin = bench_now_ns();
    caller *callers = calloc((size_t)args.callers, sizeof *callers);
    bench_check(callers != NULL, "calloc");
    for (int i = 0; i < args.callers; i++) {
        callers[i].limit = args.calls;
        errno = pthread_create(&callers[i].thread, NULL, call, &callers[i]);
        bench_check(errno == 0, "pthread_create");
    }
    if (!counted) {
        pause_for(args.warmup);
        used = bench_use_now();
        begin = bench_now_ns();
        atomic_store(&phase, MEASURE);
        pause_for(args.seconds);
        atomic_store(&phase, STOP);
    }
    bench_use end = bench_use_now();
    uint64_t ended = bench_now_ns();
    static bench_latencies all;
    for (int i = 0; i < args.callers; i++) {
        pthread_join(callers[i].thread, NULL);
        bench_merge(&all, &callers[i].latencies);
    }
    if (counted) {
        end = bench_use_now();
        ended = bench_now_ns();
    }
    bench_print_client(&all, used, end, (double)(ended - begin) / 1e9, (size_t)facts.request_bytes,
                       (size_t)facts.reply_bytes);
    free(callers);
    krpc_message_free(args_struct);
    krpc_method_free(method);
    krpc_client_free(client);
    return 0;
}
