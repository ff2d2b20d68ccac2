/* What blocking callers can reach at most: a thread, a socket and two system calls for each call under way. The
 * price of a sleep and a wake-up per call is in here, and nothing else. */
#define _GNU_SOURCE
#include "frame.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WARMUP, MEASURE, STOP };

static _Atomic int phase;
static frame request;
static struct sockaddr_in address;

typedef struct caller {
    pthread_t thread;
    uint64_t limit;
    size_t reply_bytes;
    bench_schedule schedule;
    bench_latencies latencies;
    uint8_t input[FRAME_BYTES_MAX];
} caller;

static void exchange(caller *caller, int fd)
{
    ssize_t sent = send(fd, request.bytes, request.len, MSG_NOSIGNAL);
    bench_check(sent == (ssize_t)request.len, "send");
    for (size_t len = 0, whole = 0; whole == 0; caller->reply_bytes = whole) {
        ssize_t got = recv(fd, caller->input + len, sizeof caller->input - len, 0);
        bench_check(got > 0, "recv");
        len += (size_t)got;
        whole = frame_whole(caller->input, len);
    }
}

static void *call(void *data)
{
    caller *caller = data;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    uint64_t started = bench_now_ns();
    for (uint64_t calls = 0; caller->limit == 0 || calls < caller->limit; calls++) {
        int now_in = atomic_load_explicit(&phase, memory_order_relaxed);
        if (now_in == STOP)
            break;
        if (caller->schedule.step != 0)
            started = bench_wait_due(&caller->schedule);
        exchange(caller, fd);
        uint64_t ended = bench_now_ns();
        if (now_in == MEASURE)
            bench_record(&caller->latencies, ended - started);
        started = ended;
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    bench_client_args args = bench_client_arguments(argc, argv);
    address = bench_address(args.address);
    frame_make(&request, false);
    caller *callers = calloc((size_t)args.callers, sizeof *callers);
    bench_check(callers != NULL, "calloc");
    uint64_t start = bench_now_ns();
    for (int i = 0; i < args.callers; i++) {
        if (args.rate > 0)
            callers[i].schedule = bench_schedule_of(&args, i, args.callers, start);
        errno = pthread_create(&callers[i].thread, NULL, call, &callers[i]);
        bench_check(errno == 0, "pthread_create");
    }
    bench_pause(args.warmup);
    bench_use used = bench_use_now();
    uint64_t begin = bench_now_ns();
    atomic_store(&phase, MEASURE);
    bench_pause(args.seconds);
    atomic_store(&phase, STOP);
    bench_use end = bench_use_now();
    double seconds = (double)(bench_now_ns() - begin) / 1e9;
    static bench_latencies all;
    for (int i = 0; i < args.callers; i++) {
        pthread_join(callers[i].thread, NULL);
        bench_merge(&all, &callers[i].latencies);
    }
    bench_print_client(&all, used, end, seconds, request.len, callers[0].reply_bytes);
    free(callers);
    return 0;
}
