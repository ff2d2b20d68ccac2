/* What every C test uses: a check stops the program with the place of the failure. */
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

/* A `krpc_str` is exactly this text. */
#define CHECK_STR(text, expected) check_str((text), (expected), __FILE__, __LINE__)

/* An owned error has this status, and this text somewhere in it; frees it. */
#define CHECK_ERROR(error, status, part) check_error((error), (status), (part), __FILE__, __LINE__)

static inline int equal(krpc_str text, const char *expected)
{
    return text.len == strlen(expected) && (text.len == 0 || memcmp(text.ptr, expected, text.len) == 0);
}

static inline int bytes_equal(krpc_bytes bytes, const char *expected)
{
    return bytes.len == strlen(expected) && (bytes.len == 0 || memcmp(bytes.ptr, expected, bytes.len) == 0);
}

static inline int contains(krpc_str text, const char *part)
{
    size_t len = strlen(part);
    for (size_t at = 0; at + len <= text.len; at++)
        if (len == 0 || memcmp(text.ptr + at, part, len) == 0)
            return 1;
    return 0;
}

static inline void check_str(krpc_str text, const char *expected, const char *file, int line)
{
    if (!equal(text, expected)) {
        fprintf(stderr, "%s:%d: \"%.*s\", not \"%s\"\n", file, line, (int)text.len, text.ptr, expected);
        exit(1);
    }
}

static inline void check_error(krpc_error *error, krpc_status status, const char *part, const char *file,
                               int line)
{
    krpc_str text = krpc_error_describe(error);
    if (krpc_error_status(error) != status || !contains(text, part)) {
        fprintf(stderr, "%s:%d: \"%.*s\", not status %d and \"%s\"\n", file, line, (int)text.len, text.ptr,
                (int)status, part);
        exit(1);
    }
    krpc_error_free(error);
}

/* The last line of main: every handle that the test got must be free. */
static inline int end_of_test(void)
{
    if (krpc_live_handles() != 0) {
        krpc_message *report = krpc_runtime_report(KRPC_REPORT_FORMAT_TEXT, NULL);
        krpc_bytes text = krpc_message_bytes(report);
        fprintf(stderr, "%.*s\n", (int)text.len, (const char *)text.ptr);
        return 1;
    }
    return 0;
}

#endif
