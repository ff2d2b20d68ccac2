/* What every C test uses: CHECK stops the program with the place of the failure. */
#ifndef CHECK_H
#define CHECK_H

#include <krpc.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

static inline int equal(krpc_str text, const char *expected)
{
    return text.len == strlen(expected) && (text.len == 0 || memcmp(text.ptr, expected, text.len) == 0);
}

static inline int bytes_equal(krpc_bytes bytes, const char *expected)
{
    return bytes.len == strlen(expected) && (bytes.len == 0 || memcmp(bytes.ptr, expected, bytes.len) == 0);
}

#endif
