/* The floor: one thread, epoll, one request in flight on each connection; looks at lengths only. With --rate it
 * starts calls at fixed times, on whichever connection is idle. */
#define _GNU_SOURCE
#include "frame.h"

#include <sys/epoll.h>

enum { MAX_EVENTS = 256 };

typedef struct conn {
    int fd;
    size_t len;
    uint64_t started;
    uint64_t calls;
    uint8_t input[FRAME_BYTES_MAX];
} conn;

static frame request;

/* With --rate. */
static bench_schedule schedule;
static conn *idle[10000];
static size_t idle_count;

static void start(conn *conn, uint64_t now)
{
    conn->started = now;
    ssize_t sent = send(conn->fd, request.bytes, request.len, MSG_NOSIGNAL);
    bench_check(sent == (ssize_t)request.len, "send");
}

/* Bytes of the reply, or 0 if it is not all there. */
static size_t receive(conn *conn)
{
    ssize_t got = recv(conn->fd, conn->input + conn->len, sizeof conn->input - conn->len, 0);
    if (got == 0)
        bench_die("recv", "the server has ended");
    bench_check(got > 0 || errno == EAGAIN, "recv");
    conn->len += got > 0 ? (size_t)got : 0;
    size_t whole = frame_whole(conn->input, conn->len);
    if (whole != 0) {
        if (whole != conn->len)
            bench_die("recv", "bytes after the reply");
        conn->len = 0;
    }
    return whole;
}

/* Starts what is due, as far as connections are idle, and gives the time until more will be. */
static struct timespec start_due(void)
{
    uint64_t now = bench_now_ns(), due = bench_due(&schedule);
    for (; due <= now && idle_count > 0; due = bench_due(&schedule)) {
        start(idle[--idle_count], due);
        schedule.next++;
    }
    uint64_t pause = idle_count == 0 || due > now + 1000000000u ? 1000000000u : due > now ? due - now : 0;
    return (struct timespec){.tv_sec = (time_t)(pause / 1000000000u), .tv_nsec = (long)(pause % 1000000000u)};
}

int main(int argc, char **argv)
{
    bench_client_args args = bench_client_arguments(argc, argv);
    struct sockaddr_in address = bench_address(args.address);
    conn *conns = calloc((size_t)args.callers, sizeof *conns);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    bench_check(conns != NULL && epoll >= 0, "start");
    frame_make(&request, false);
    for (int i = 0; i < args.callers; i++) {
        int fd = conns[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bench_check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &conns[i]};
        bench_check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    }

    static bench_latencies latencies;
    uint64_t now = bench_now_ns(), begin = now + (uint64_t)(args.calls ? 0 : args.warmup * 1e9);
    uint64_t end = args.calls ? UINT64_MAX : begin + (uint64_t)(args.seconds * 1e9);
    bench_use used = {0};
    bool measuring = false;
    size_t reply_bytes = 0;
    int under_way = args.callers;
    bool is_open = args.rate > 0;
    if (is_open)
        schedule = bench_schedule_of(&args, 0, 1, now);
    for (int i = 0; i < args.callers; i++) {
        if (is_open)
            idle[idle_count++] = &conns[i];
        else
            start(&conns[i], bench_now_ns());
    }
    while (now < end && under_way > 0) {
        struct epoll_event events[MAX_EVENTS];
        struct timespec pause = {0};
        if (is_open)
            pause = start_due();
        int count = epoll_pwait2(epoll, events, MAX_EVENTS, is_open ? &pause : NULL, NULL);
        bench_check(count >= 0, "epoll_wait");
        for (int i = 0; i < count; i++) {
            conn *conn = events[i].data.ptr;
            size_t got = receive(conn);
            if (got == 0)
                continue;
            reply_bytes = got;
            now = bench_now_ns();
            if (!measuring && now >= begin) {
                measuring = true;
                begin = now;
                used = bench_use_now();
            }
            if (measuring)
                bench_record(&latencies, now - conn->started);
            if (++conn->calls == args.calls)
                under_way--;
            else if (is_open)
                idle[idle_count++] = conn;
            else
                start(conn, now);
        }
    }
    double seconds = (double)(now - begin) / 1e9;
    bench_print_client(&latencies, used, bench_use_now(), seconds, request.len, reply_bytes);
    return 0;
}
