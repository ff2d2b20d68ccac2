/* What the programs of the benchmarks share: the call, the clock, latencies, and the line of JSON. */
#ifndef BENCH_H
#define BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The call of every lane: Echo of tests/interop/idl/interop.thrift with one string. */
#define BENCH_SERVICE "Interop"
#define BENCH_METHOD "Echo"
#define BENCH_DESTINATION "interop.server"
#define BENCH_CALLER "bench"
#define BENCH_TEXT_BYTES 1024

_Noreturn static inline void bench_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static inline void bench_check(bool ok, const char *what)
{
    if (!ok)
        bench_die(what, strerror(errno));
}

static inline uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void bench_pause(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    nanosleep(&time, NULL);
}

static inline void bench_sleep_until(uint64_t ns)
{
    struct timespec until = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

/* ---- Thrift and sockets --------------------------------------------------------------------- */

static inline uint8_t *bench_put_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static inline uint8_t *bench_put_u32(uint8_t *at, size_t value)
{
    return bench_put_u16(bench_put_u16(at, value >> 16), value & 0xffff);
}

/* The args struct (field 1) or result struct (field 0) of Echo: a struct with one string. */
#define BENCH_BODY_BYTES (3 + 3 + 4 + BENCH_TEXT_BYTES + 2)

static inline uint8_t *bench_put_body(uint8_t *at, int field)
{
    *at++ = 12; /* struct */
    at = bench_put_u16(at, (size_t)field);
    *at++ = 11; /* string */
    at = bench_put_u32(bench_put_u16(at, 1), BENCH_TEXT_BYTES);
    memset(at, 'x', BENCH_TEXT_BYTES);
    at += BENCH_TEXT_BYTES;
    *at++ = 0;
    *at++ = 0;
    return at;
}

/* From "127.0.0.1:8888". */
static inline struct sockaddr_in bench_address(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host)
        bench_die("address", "not of the form 127.0.0.1:8888");
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        bench_die("address", "not of the form 127.0.0.1:8888");
    return address;
}

/* ---- what a process has used ---------------------------------------------------------------- */

typedef struct bench_use {
    double user_us, sys_us;
    long waits, preempted;
} bench_use;

static inline bench_use bench_use_now(void)
{
    struct rusage use;
    bench_check(getrusage(RUSAGE_SELF, &use) == 0, "getrusage");
    return (bench_use){
        .user_us = (double)use.ru_utime.tv_sec * 1e6 + (double)use.ru_utime.tv_usec,
        .sys_us = (double)use.ru_stime.tv_sec * 1e6 + (double)use.ru_stime.tv_usec,
        .waits = use.ru_nvcsw,
        .preempted = use.ru_nivcsw,
    };
}

/* Peak memory of this program; ru_maxrss would still hold that of the one that started it. */
static inline long bench_rss_kb(void)
{
    char line[256];
    long kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmHWM: %ld", &kb) == 1)
            break;
    if (status != NULL)
        fclose(status);
    return kb;
}

/* ---- latencies: 64 buckets per power of two, so within 1.6 % ---------------------------------- */

#define BENCH_BUCKETS (64 * 36)

typedef struct bench_latencies {
    uint64_t calls, max_ns;
    uint64_t counts[BENCH_BUCKETS];
} bench_latencies;

static inline void bench_record(bench_latencies *all, uint64_t ns)
{
    unsigned shift = ns < 64 ? 0 : 57u - (unsigned)__builtin_clzll(ns);
    size_t bucket = shift * 64 + (size_t)(ns >> shift);
    all->counts[bucket < BENCH_BUCKETS ? bucket : BENCH_BUCKETS - 1]++;
    all->calls++;
    if (ns > all->max_ns)
        all->max_ns = ns;
}

static inline void bench_merge(bench_latencies *into, const bench_latencies *from)
{
    for (size_t i = 0; i < BENCH_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->calls += from->calls;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
}

static inline double bench_quantile_us(const bench_latencies *all, double share)
{
    uint64_t rank = (uint64_t)((double)all->calls * share), seen = 0;
    for (size_t i = 0; i < BENCH_BUCKETS; i++) {
        seen += all->counts[i];
        if (seen > rank) {
            size_t shift = i < 128 ? 0 : i / 64 - 1;
            return (double)((uint64_t)(i - shift * 64) << shift) / 1e3;
        }
    }
    return (double)all->max_ns / 1e3;
}

/* ---- the line of JSON ------------------------------------------------------------------------- */

static inline void bench_print_client(const bench_latencies *all, bench_use begin, bench_use end,
                                      double seconds, size_t request_bytes, size_t reply_bytes)
{
    if (all->calls == 0)
        bench_die("client", "no call ended in time");
    double calls = (double)all->calls;
    printf("{\"calls\":%llu,\"seconds\":%.6f", (unsigned long long)all->calls, seconds);
    printf(",\"cpu_user_us_per_call\":%.3f", (end.user_us - begin.user_us) / calls);
    printf(",\"cpu_sys_us_per_call\":%.3f", (end.sys_us - begin.sys_us) / calls);
    printf(",\"p50_us\":%.2f", bench_quantile_us(all, 0.5));
    printf(",\"p99_us\":%.2f", bench_quantile_us(all, 0.99));
    printf(",\"p999_us\":%.2f", bench_quantile_us(all, 0.999));
    printf(",\"max_us\":%.2f", (double)all->max_ns / 1e3);
    printf(",\"waits_per_call\":%.4f", (double)(end.waits - begin.waits) / calls);
    printf(",\"preempted_per_call\":%.4f", (double)(end.preempted - begin.preempted) / calls);
    printf(",\"rss_kb\":%ld", bench_rss_kb());
    printf(",\"request_bytes\":%zu,\"reply_bytes\":%zu}\n", request_bytes, reply_bytes);
}

/* Over the server's whole life, warm-up included. The names are those of the Kitex peer. */
static inline void bench_print_server(uint64_t calls)
{
    bench_use use = bench_use_now();
    fprintf(stderr, "{\"calls\":%llu", (unsigned long long)calls);
    fprintf(stderr, ",\"cpu_user_s\":%.6f,\"cpu_sys_s\":%.6f", use.user_us / 1e6, use.sys_us / 1e6);
    fprintf(stderr, ",\"waits\":%ld,\"preempted\":%ld", use.waits, use.preempted);
    fprintf(stderr, ",\"max_rss_kb\":%ld}\n", bench_rss_kb());
}

static inline void bench_print_listening(const char *address, size_t len)
{
    printf("LISTENING %.*s\n", (int)len, address);
    fflush(stdout);
}

/* ---- a client's arguments --------------------------------------------------------------------- */

typedef struct bench_client_args {
    const char *address, *transport;
    int callers;
    double seconds, warmup;
    uint64_t calls; /* per caller; 0: as many as the time allows */
    double rate;    /* calls per second of all callers; 0: each starts when its last one has ended */
    const char *shape, *style;
    int connections; /* that streams share; 0: one for each */
    int size;        /* payload of a stream's message in bytes */
} bench_client_args;

static inline bench_client_args bench_client_arguments(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"address", required_argument, NULL, 'a'}, {"callers", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'}, {"warmup", required_argument, NULL, 'w'},
        {"calls", required_argument, NULL, 'n'},   {"transport", required_argument, NULL, 't'},
        {"rate", required_argument, NULL, 'r'},    {"shape", required_argument, NULL, 'h'},
        {"size", required_argument, NULL, 'b'},    {"connections", required_argument, NULL, 'p'},
        {"style", required_argument, NULL, 'y'},   {NULL, 0, NULL, 0},
    };
    bench_client_args args = {.transport = "ttheader", .callers = 1, .seconds = 2, .warmup = 0.2,
                              .shape = "ping-pong", .style = "queue", .connections = 1, .size = BENCH_TEXT_BYTES};
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'a': args.address = optarg; break;
        case 'c': args.callers = atoi(optarg); break;
        case 's': args.seconds = atof(optarg); break;
        case 'w': args.warmup = atof(optarg); break;
        case 'n': args.calls = strtoull(optarg, NULL, 10); break;
        case 't': args.transport = optarg; break;
        case 'r': args.rate = atof(optarg); break;
        case 'h': args.shape = optarg; break;
        case 'y': args.style = optarg; break;
        case 'b': args.size = atoi(optarg); break;
        case 'p': args.connections = atoi(optarg); break;
        default: exit(2);
        }
    }
    if (args.address == NULL || args.callers < 1 || args.callers > 10000 || optind != argc) {
        fprintf(stderr,
                "usage: %s --address HOST:PORT [--callers N] [--seconds S] [--warmup S] [--calls N]"
                " [--transport ttheader|ttheader-framed|framed|buffered|mux] [--rate N]\n"
                "  --calls: each caller makes N calls without warm-up, for programs that count instructions\n"
                "  streams: [--shape ping-pong|one-way] [--style queue|callback] [--connections N] [--size BYTES];"
                " --callers is how many\n"
                "  --rate: N calls a second start at fixed times, and their latency counts from these\n",
                argv[0]);
        exit(2);
    }
    /* A sleep may end 50 us late otherwise. */
    if (args.rate > 0)
        prctl(PR_SET_TIMERSLACK, 1);
    return args;
}

/* ---- an open loop: calls are due at fixed times, however long the ones before them take --------- */

typedef struct bench_schedule {
    uint64_t begin_ns, next, step;
    double interval_ns;
} bench_schedule;

/* The share of one caller, who makes every `callers`th call. */
static inline bench_schedule bench_schedule_of(const bench_client_args *args, int caller, int callers, uint64_t begin_ns)
{
    return (bench_schedule){
        .begin_ns = begin_ns,
        .next = (uint64_t)caller,
        .step = (uint64_t)callers,
        .interval_ns = 1e9 / args->rate,
    };
}

/* When the next call is due. */
static inline uint64_t bench_due(const bench_schedule *self)
{
    return self->begin_ns + (uint64_t)((double)self->next * self->interval_ns);
}

/* Waits until the next call is due and says when that was: earlier than now if the caller is late. */
static inline uint64_t bench_wait_due(bench_schedule *self)
{
    uint64_t due = bench_due(self);
    if (due > bench_now_ns())
        bench_sleep_until(due);
    self->next += self->step;
    return due;
}

#endif
