/* What it costs to cross the ABI: the cheapest functions, in nanoseconds, as one line of JSON.
 * Each number is the best of many short batches, so a busy machine hardly changes it. */
#define _GNU_SOURCE
#include "bench.h"

#include <krpc.h>

enum { BATCHES = 200, CALLS = 20000 };

static volatile size_t sink;

#define BEST(name, statement)                                                       \
    do {                                                                            \
        double best = 1e9;                                                          \
        for (int batch = 0; batch < BATCHES; batch++) {                             \
            uint64_t begin = bench_now_ns();                                        \
            for (int i = 0; i < CALLS; i++) {                                       \
                statement;                                                          \
            }                                                                       \
            double ns = (double)(bench_now_ns() - begin) / CALLS;                   \
            best = ns < best ? ns : best;                                           \
        }                                                                           \
        printf("%s\"%s\":%.2f", separator, name, best);                             \
        separator = ",";                                                            \
    } while (0)

int main(void)
{
    static const uint8_t BYTES[1024];
    const char *separator = "{";
    krpc_error *error = NULL;
    krpc_message *message = krpc_message_copy(KRPC_ENCODING_RAW, KRPC_BYTES(BYTES, 16), NULL);
    krpc_message_copy(KRPC_ENCODING_RAW, KRPC_BYTES(NULL, 1), &error);
    if (message == NULL || error == NULL)
        bench_die("message", "behaves in an unexpected way");

    BEST("no_handle", sink += krpc_abi_version());
    BEST("message_size", sink += krpc_message_size(message));
    BEST("message_bytes", sink += krpc_message_bytes(message).len);
    BEST("error_status", sink += (size_t)krpc_error_status(error));
    BEST("message_retain_free", krpc_message_free(krpc_message_retain(message)));
    krpc_bytes small = KRPC_BYTES(BYTES, 16), large = KRPC_BYTES(BYTES, sizeof BYTES);
    BEST("message_wrap_free", krpc_message_free(krpc_message_wrap(KRPC_ENCODING_RAW, large, NULL, NULL, NULL)));
    BEST("message_copy_16_free", krpc_message_free(krpc_message_copy(KRPC_ENCODING_RAW, small, NULL)));
    BEST("message_copy_1024_free", krpc_message_free(krpc_message_copy(KRPC_ENCODING_RAW, large, NULL)));
    puts("}");
    krpc_error_free(error);
    krpc_message_free(message);
    return 0;
}
