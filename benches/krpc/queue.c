/* Calls through the C ABI that nobody waits for: one thread starts them in batches, polls the queue's descriptor
 * and takes their ends in batches. The last line but one, on stderr, tells batches and wake-ups. */
#define _GNU_SOURCE
#include "connect.h"

#include <poll.h>

enum { BATCH = 64 };

typedef struct loop {
    krpc_queue *queue;
    int32_t fd;
    int callers;
    uint64_t left; /* calls to start; with --calls */
    bool is_counted;
    uint64_t started_ns[10000]; /* by tag */
    krpc_call calls[10000];
    uint64_t taken, takes;
    bench_schedule schedule; /* with --rate */
    uint64_t idle[10000];    /* tags without a call */
    size_t idle_count;
} loop;

static void start_all(loop *self, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        self->calls[i].method = method;
        self->calls[i].request = args_struct;
    }
    if (krpc_client_start_many(client, self->calls, sizeof(krpc_call), count, NULL, self->queue, NULL, NULL) != KRPC_OK)
        bench_die("start", "did not start all");
}

/* Starts the call of each tag in `calls`. */
static void start(loop *self, size_t count)
{
    if (self->is_counted && count > self->left)
        count = (size_t)self->left;
    if (count == 0)
        return;
    self->left -= self->is_counted ? count : 0;
    uint64_t now = bench_now_ns();
    for (size_t i = 0; i < count; i++)
        self->started_ns[self->calls[i].tag] = now;
    start_all(self, count);
}

/* With --rate: starts what is due, as far as callers are idle, and gives the time until more will be. */
static struct timespec start_due(loop *self)
{
    uint64_t now = bench_now_ns(), due = bench_due(&self->schedule);
    size_t count = 0;
    for (; due <= now && self->idle_count > 0; due = bench_due(&self->schedule)) {
        uint64_t tag = self->idle[--self->idle_count];
        self->started_ns[tag] = due;
        self->calls[count++].tag = tag;
        self->schedule.next++;
    }
    if (count > 0)
        start_all(self, count);
    uint64_t pause = self->idle_count == 0 || due > now + 1000000000u ? 1000000000u : due > now ? due - now : 0;
    return (struct timespec){.tv_sec = (time_t)(pause / 1000000000u), .tv_nsec = (long)(pause % 1000000000u)};
}

/* Waits for the descriptor and takes all that has come; returns how many. Starts as many again, or with --rate
 * what is due. */
static size_t turn(loop *self, bool goes_on, bench_latencies *latencies)
{
    bool is_open = self->schedule.step != 0;
    struct timespec pause = {.tv_sec = 10};
    if (is_open && goes_on)
        pause = start_due(self);
    struct pollfd watched = {self->fd, POLLIN, 0};
    int ready = ppoll(&watched, 1, &pause, NULL);
    bench_check(ready == 1 || (ready == 0 && is_open), "poll");
    size_t total = 0, count = 0;
    if (ready == 0)
        return 0;
    do {
        krpc_event events[BATCH];
        if (krpc_queue_take(self->queue, events, sizeof events[0], BATCH, 0, &count) != KRPC_OK)
            bench_die("take", "failed");
        uint64_t now = bench_now_ns();
        for (size_t i = 0; i < count; i++) {
            if (events[i].status != KRPC_OK)
                bench_die("call", krpc_error_describe(krpc_reply_error(events[i].reply)).ptr);
            if (krpc_message_size(krpc_reply_message(events[i].reply)) != BENCH_BODY_BYTES)
                bench_die("call", "the reply has another size");
            if (latencies != NULL)
                bench_record(latencies, now - self->started_ns[events[i].tag]);
            if (is_open)
                self->idle[self->idle_count++] = events[i].tag;
            else
                self->calls[i].tag = events[i].tag;
        }
        krpc_event_release_many(events, sizeof events[0], count);
        if (goes_on && !is_open)
            start(self, count);
        total += count;
        self->takes += count > 0;
    } while (count == BATCH);
    self->taken += total;
    return total;
}

static void run_until(loop *self, double seconds, bench_latencies *latencies)
{
    uint64_t end = bench_now_ns() + (uint64_t)(seconds * 1e9);
    while (bench_now_ns() < end)
        turn(self, true, latencies);
}

int main(int argc, char **argv)
{
    bench_client_args args = bench_client_arguments(argc, argv);
    connect_client(&args);
    static loop self;
    static bench_latencies latencies;
    self.callers = args.callers;
    self.is_counted = args.calls != 0;
    self.left = args.calls * (uint64_t)args.callers;
    self.queue = krpc_queue_new((size_t)args.callers, NULL);
    if (self.queue == NULL || krpc_queue_fd(self.queue, &self.fd, NULL) != KRPC_OK)
        bench_die("queue", "none");
    for (int i = 0; i < args.callers; i++)
        self.calls[i].tag = (uint64_t)i;

    bench_use used = bench_use_now();
    uint64_t begin = bench_now_ns(), all = self.left;
    size_t under_way = (size_t)args.callers;
    if (args.rate > 0) {
        self.schedule = bench_schedule_of(&args, 0, 1, begin);
        for (size_t i = 0; i < under_way; i++)
            self.idle[self.idle_count++] = i;
    } else {
        start(&self, under_way);
    }
    if (self.is_counted) {
        for (size_t ended = 0; ended < all;)
            ended += turn(&self, true, &latencies);
        under_way = 0;
    } else {
        run_until(&self, args.warmup, NULL);
        used = bench_use_now();
        begin = bench_now_ns();
        run_until(&self, args.seconds, &latencies);
    }
    bench_use end = bench_use_now();
    double seconds = (double)(bench_now_ns() - begin) / 1e9;
    under_way -= self.idle_count;
    while (under_way > 0)
        under_way -= turn(&self, false, NULL);

    krpc_queue_stats stats = KRPC_QUEUE_STATS_INIT;
    krpc_queue_read_stats(self.queue, &stats);
    fprintf(stderr, "%.1f events a take, %.3f wake-ups a call\n", (double)self.taken / (double)self.takes,
            (double)stats.wakes / (double)self.taken);
    bench_print_client(&latencies, used, end, seconds, (size_t)facts.request_bytes, (size_t)facts.reply_bytes);
    krpc_queue_free(self.queue);
    disconnect();
    return 0;
}
