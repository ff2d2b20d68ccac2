/* Calls through the C ABI that end in inline callbacks, each of which starts the next: the host has no thread
 * of its own on the way. */
#define _GNU_SOURCE
#include "connect.h"

#include <semaphore.h>

typedef struct caller {
    uint64_t started_ns;
    uint64_t calls;
} caller;

static struct {
    uint64_t limit; /* calls of each caller; with --calls */
    uint64_t begin, end;
    bool measuring;
    bench_use used;
    uint64_t begun_ns, ended_ns;
    bench_use use_at_end;
    int under_way;
    bench_latencies latencies;
    sem_t over;
} run;

static void ended(void *data, krpc_reply *reply);

static void start(caller *caller, uint64_t now)
{
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.callback = ended;
    completion.user_data = caller;
    completion.flags = KRPC_COMPLETION_FLAG_INLINE;
    caller->started_ns = now;
    krpc_error *error = NULL;
    if (krpc_client_start(client, method, args_struct, NULL, &completion, NULL, &error) != KRPC_OK)
        bench_die("start", krpc_error_describe(error).ptr);
}

/* The I/O thread is the only one that comes here. */
static void ended(void *data, krpc_reply *reply)
{
    caller *caller = data;
    if (krpc_reply_status(reply) != KRPC_OK)
        bench_die("call", krpc_error_describe(krpc_reply_error(reply)).ptr);
    if (krpc_message_size(krpc_reply_message(reply)) != BENCH_BODY_BYTES)
        bench_die("call", "the reply has another size");
    krpc_reply_free(reply);
    uint64_t now = bench_now_ns();
    if (!run.measuring && now >= run.begin) {
        run.measuring = true;
        run.begun_ns = now;
        run.used = bench_use_now();
    }
    if (run.measuring && run.ended_ns == 0)
        bench_record(&run.latencies, now - caller->started_ns);
    caller->calls++;
    if (now >= run.end && run.ended_ns == 0) {
        run.ended_ns = now;
        run.use_at_end = bench_use_now();
    }
    if (now < run.end && caller->calls != run.limit)
        start(caller, now);
    else if (--run.under_way == 0)
        sem_post(&run.over);
}

int main(int argc, char **argv)
{
    bench_client_args args = bench_client_arguments(argc, argv);
    connect_client(&args);
    bool counted = args.calls != 0;
    uint64_t now = bench_now_ns();
    run.limit = args.calls;
    run.begin = now + (uint64_t)(counted ? 0 : args.warmup * 1e9);
    run.end = counted ? UINT64_MAX : run.begin + (uint64_t)(args.seconds * 1e9);
    run.under_way = args.callers;
    sem_init(&run.over, 0, 0);
    caller *callers = calloc((size_t)args.callers, sizeof *callers);
    bench_check(callers != NULL, "calloc");
    for (int i = 0; i < args.callers; i++)
        start(&callers[i], bench_now_ns());
    while (sem_wait(&run.over) != 0)
        ;
    if (run.ended_ns == 0) {
        run.ended_ns = bench_now_ns();
        run.use_at_end = bench_use_now();
    }
    bench_print_client(&run.latencies, run.used, run.use_at_end, (double)(run.ended_ns - run.begun_ns) / 1e9,
                       (size_t)facts.request_bytes, (size_t)facts.reply_bytes);
    free(callers);
    disconnect();
    return 0;
}
