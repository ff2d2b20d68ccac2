/* The floor: one thread, epoll, and a ready-made answer to every frame that is complete by its length.
 * The only work is to copy the sequence id, so that real clients take the answer as well. With --batch all
 * answers of a read leave in one write. */
#define _GNU_SOURCE
#include "batch.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

enum { MAX_EVENTS = 256 };

typedef struct conn {
    int fd;
    size_t len;
    uint8_t input[FRAME_BYTES_MAX];
    batch *batch; /* NULL: one answer, one write */
} conn;

static frame answer;
static uint64_t calls;

/* Requests of a connection come one at a time, so an answer always fits into the socket. */
static void reply(int fd, const uint8_t *request)
{
    memcpy(answer.bytes + FRAME_SEQ_AT, request + FRAME_SEQ_AT, 4);
    memcpy(answer.bytes + answer.payload_seq_at, request + FRAME_SEQ_AT, 4);
    ssize_t sent = send(fd, answer.bytes, answer.len, MSG_NOSIGNAL);
    bench_check(sent == (ssize_t)answer.len || errno == EPIPE || errno == ECONNRESET, "send");
    calls++;
}

static bool serve_batch(batch *batch)
{
    if (batch_read(batch) == 0)
        return false;
    size_t at = 0;
    for (size_t whole; (whole = frame_whole(batch->in + at, batch->in_len - at)) != 0; at += whole) {
        batch_put(batch, &answer, batch->in + at + FRAME_SEQ_AT);
        calls++;
    }
    batch->in_len -= at;
    memmove(batch->in, batch->in + at, batch->in_len);
    batch_write(batch);
    return true;
}

/* False once the peer has ended. */
static bool serve(conn *conn)
{
    if (conn->batch != NULL)
        return serve_batch(conn->batch);
    ssize_t got = recv(conn->fd, conn->input + conn->len, sizeof conn->input - conn->len, 0);
    if (got <= 0)
        return false;
    conn->len += (size_t)got;
    for (size_t whole; (whole = frame_whole(conn->input, conn->len)) != 0;) {
        reply(conn->fd, conn->input);
        conn->len -= whole;
        memmove(conn->input, conn->input + whole, conn->len);
    }
    return true;
}

static void watch(int epoll, int fd, void *data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
    bench_check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

int main(int argc, char **argv)
{
    bool in_batches = argc > 1 && strcmp(argv[1], "--batch") == 0;
    struct sockaddr_in address = bench_address("127.0.0.1:0");
    socklen_t address_len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_check(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    bench_check(listen(listener, 1024) == 0, "listen");
    bench_check(getsockname(listener, (struct sockaddr *)&address, &address_len) == 0, "getsockname");

    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int stop = signalfd(-1, &signals, SFD_CLOEXEC);
    bench_check(stop >= 0, "signalfd");

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, listener, &listener);
    watch(epoll, stop, &stop);
    frame_make(&answer, true);

    char text[64];
    int len = snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
    bench_print_listening(text, (size_t)len);

    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int count = epoll_wait(epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            void *data = events[i].data.ptr;
            if (data == &stop) {
                bench_print_server(calls);
                return 0;
            }
            if (data == &listener) {
                conn *fresh = calloc(1, sizeof *fresh);
                bench_check(fresh != NULL, "calloc");
                fresh->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | (in_batches ? 0 : SOCK_NONBLOCK));
                bench_check(fresh->fd >= 0, "accept");
                setsockopt(fresh->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
                if (in_batches) {
                    fresh->batch = calloc(1, sizeof *fresh->batch);
                    bench_check(fresh->batch != NULL, "calloc");
                    fresh->batch->fd = fresh->fd;
                }
                watch(epoll, fresh->fd, fresh);
                continue;
            }
            conn *conn = data;
            if (!serve(conn)) {
                close(conn->fd);
                free(conn->batch);
                free(conn);
            }
        }
    }
}
