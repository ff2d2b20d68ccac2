#include "common.h"

#include <stdio.h>
#include <time.h>

int report_error(const char *what, krpc_error *error)
{
    krpc_str text = krpc_error_describe(error);
    fprintf(stderr, "krpc-peer: %s: %.*s\n", what, (int)text.len, text.ptr);
    krpc_error_free(error);
    return EXIT_FAILED;
}

static void print_line(void *user_data, krpc_log_level level, krpc_str target, krpc_str text)
{
    (void)user_data;
    fprintf(stderr, "log %d %.*s: %.*s\n", (int)level, (int)target.len, target.ptr, (int)text.len, text.ptr);
}

void log_to_stderr(void)
{
    krpc_log_set(KRPC_LOG_LEVEL_DEBUG, print_line, NULL, NULL, NULL);
}

bool no_live_handles(void)
{
    if (krpc_live_handles() == 0)
        return true;
    krpc_message *report = krpc_runtime_report(KRPC_REPORT_FORMAT_TEXT, NULL);
    krpc_bytes text = krpc_message_bytes(report);
    fprintf(stderr, "%.*s\n", (int)text.len, (const char *)text.ptr);
    krpc_message_free(report);
    return false;
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_ms(int64_t ms)
{
    const struct timespec pause = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000L};
    nanosleep(&pause, NULL);
}
