/* The floor of multiplexing: one thread, two connections that share the calls under way; everything that a read
 * brings is answered by new requests in one write. Looks at lengths only. */
#define _GNU_SOURCE
#include "batch.h"

#include <sys/epoll.h>

enum { CONNECTIONS = 2, MAX_CALLS = 4096 };

static frame request;
static batch conns[CONNECTIONS];

int main(int argc, char **argv)
{
    bench_client_args args = bench_client_arguments(argc, argv);
    struct sockaddr_in address = bench_address(args.address);
    static uint64_t started[MAX_CALLS];
    bench_check(args.callers <= MAX_CALLS, "callers");
    frame_make(&request, false);
    request.bytes[7] = 1; /* the answer may overtake others */
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < CONNECTIONS; i++) {
        int fd = conns[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bench_check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &conns[i]};
        bench_check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    }

    static bench_latencies latencies;
    uint64_t now = bench_now_ns(), begin = now + (uint64_t)(args.warmup * 1e9);
    uint64_t end = begin + (uint64_t)(args.seconds * 1e9);
    bench_use used = {0};
    bool measuring = false;
    size_t reply_bytes = 0;
    for (int i = 0; i < args.callers; i++) {
        uint8_t seq[4];
        bench_put_u32(seq, (size_t)i + 1);
        started[i] = now;
        batch_put(&conns[i % CONNECTIONS], &request, seq);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        batch_write(&conns[i]);
    while (now < end) {
        struct epoll_event events[CONNECTIONS];
        int count = epoll_wait(epoll, events, CONNECTIONS, -1);
        bench_check(count >= 0, "epoll_wait");
        for (int i = 0; i < count; i++) {
            batch *conn = events[i].data.ptr;
            if (batch_read(conn) == 0)
                bench_die("recv", "the server has ended");
            now = bench_now_ns();
            if (!measuring && now >= begin) {
                measuring = true;
                begin = now;
                used = bench_use_now();
            }
            size_t at = 0;
            for (size_t whole; (whole = frame_whole(conn->in + at, conn->in_len - at)) != 0; at += whole) {
                const uint8_t *seq = conn->in + at + FRAME_SEQ_AT;
                size_t call = ((size_t)seq[2] << 8 | seq[3]) - 1;
                if (measuring)
                    bench_record(&latencies, now - started[call]);
                started[call] = now;
                reply_bytes = whole;
                batch_put(conn, &request, seq);
            }
            conn->in_len -= at;
            memmove(conn->in, conn->in + at, conn->in_len);
            batch_write(conn);
        }
    }
    double seconds = (double)(now - begin) / 1e9;
    bench_print_client(&latencies, used, bench_use_now(), seconds, request.len, reply_bytes);
    return 0;
}
