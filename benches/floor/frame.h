/* The bytes that libkrpc sends for Echo over TTHeader, made by hand. */
#ifndef FRAME_H
#define FRAME_H

#include "../bench.h"

#define FRAME_BYTES_MAX (BENCH_BODY_BYTES + 256)
#define FRAME_SEQ_AT 8

/* A prebuilt frame, and where the sequence id stands in its payload. */
typedef struct frame {
    uint8_t bytes[FRAME_BYTES_MAX];
    size_t len, payload_seq_at;
} frame;

static inline uint8_t *frame_text(uint8_t *at, const char *text)
{
    at = bench_put_u16(at, strlen(text));
    memcpy(at, text, strlen(text));
    return at + strlen(text);
}

static inline uint8_t *frame_int_key(uint8_t *at, size_t key, const char *value)
{
    return frame_text(bench_put_u16(at, key), value);
}

static inline void frame_make(frame *frame, bool reply)
{
    uint8_t *info = frame->bytes + 14, *at = info;
    memset(frame->bytes, 0, sizeof frame->bytes);
    frame->bytes[4] = 0x10; /* magic */
    bench_put_u32(frame->bytes + FRAME_SEQ_AT, 1);
    *at++ = 0; /* Thrift Binary */
    *at++ = 0; /* no transforms */
    if (reply) {
        *at++ = 0x10;
        at = frame_int_key(bench_put_u16(at, 1), 22, "2");
    } else {
        *at++ = 0x01;
        at = frame_text(frame_text(bench_put_u16(at, 1), "isn"), BENCH_SERVICE);
        *at++ = 0x10;
        at = frame_int_key(bench_put_u16(at, 5), 1, "unframed");
        at = frame_int_key(at, 3, BENCH_CALLER);
        at = frame_int_key(at, 6, BENCH_DESTINATION);
        at = frame_int_key(at, 9, BENCH_METHOD);
        at = frame_int_key(at, 22, "1");
    }
    at += (size_t)(info - at) & 3; /* padding */
    bench_put_u16(frame->bytes + 12, (size_t)(at - info) / 4);

    at = bench_put_u32(at, reply ? 0x80010002 : 0x80010001);
    at = bench_put_u32(at, strlen(BENCH_METHOD));
    memcpy(at, BENCH_METHOD, strlen(BENCH_METHOD));
    at += strlen(BENCH_METHOD);
    frame->payload_seq_at = (size_t)(at - frame->bytes);
    at = bench_put_body(bench_put_u32(at, 1), reply ? 0 : 1);
    frame->len = (size_t)(at - frame->bytes);
    bench_put_u32(frame->bytes, frame->len - 4);
}

/* Length of the frame at the start of `bytes`; 0 if it is not all there. */
static inline size_t frame_whole(const uint8_t *bytes, size_t len)
{
    if (len < 4)
        return 0;
    size_t whole = 4 + ((size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3]);
    if (whole > FRAME_BYTES_MAX)
        bench_die("frame", "longer than any of this benchmark");
    return whole <= len ? whole : 0;
}

#endif
