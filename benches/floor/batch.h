/* A socket's bytes in and out, for peers that answer all of a read with one write. */
#ifndef BATCH_H
#define BATCH_H

#include "frame.h"

enum { BATCH_BYTES = 512 << 10 };

typedef struct batch {
    int fd;
    size_t in_len, out_len;
    uint8_t in[BATCH_BYTES], out[BATCH_BYTES];
} batch;

/* Bytes read; 0 once the peer has ended. */
static inline size_t batch_read(batch *self)
{
    ssize_t got = recv(self->fd, self->in + self->in_len, sizeof self->in - self->in_len, 0);
    if (got <= 0)
        return 0;
    self->in_len += (size_t)got;
    return (size_t)got;
}

static inline void batch_put(batch *self, const frame *frame, const uint8_t *seq)
{
    if (self->out_len + frame->len > sizeof self->out)
        bench_die("batch", "more calls under way than this benchmark expects");
    uint8_t *at = self->out + self->out_len;
    memcpy(at, frame->bytes, frame->len);
    memcpy(at + FRAME_SEQ_AT, seq, 4);
    memcpy(at + frame->payload_seq_at, seq, 4);
    self->out_len += frame->len;
}

/* Blocks if the peer does not read: both sides of this benchmark do. */
static inline void batch_write(batch *self)
{
    for (size_t sent = 0; sent < self->out_len;) {
        ssize_t wrote = send(self->fd, self->out + sent, self->out_len - sent, MSG_NOSIGNAL);
        if (wrote < 0 && (errno == EPIPE || errno == ECONNRESET))
            break;
        bench_check(wrote > 0, "send");
        sent += (size_t)wrote;
    }
    self->out_len = 0;
}

#endif
