/* Blocking calls through the C ABI, each caller on a thread of its own. */
#define _GNU_SOURCE
#include "connect.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WARMUP, MEASURE, STOP };

static _Atomic int phase;

typedef struct caller {
    pthread_t thread;
    uint64_t limit;
    bench_schedule schedule;
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
        if (caller->schedule.step != 0)
            started = bench_wait_due(&caller->schedule);
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
        if (args.rate > 0)
            callers[i].schedule = bench_schedule_of(&args, i, args.callers, begin);
        errno = pthread_create(&callers[i].thread, NULL, call, &callers[i]);
        bench_check(errno == 0, "pthread_create");
    }
    if (!counted) {
        bench_pause(args.warmup);
        used = bench_use_now();
        begin = bench_now_ns();
        atomic_store(&phase, MEASURE);
        bench_pause(args.seconds);
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
    disconnect();
    return 0;
}
