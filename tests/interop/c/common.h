/* What both subcommands use. */
#ifndef COMMON_H
#define COMMON_H

#include <krpc.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Prints an owned error after `what`, frees it, and returns EXIT_FAILED. */
int report_error(const char *what, krpc_error *error);

/* Sends the library's log to stderr. */
void log_to_stderr(void);

/* Whether the program has freed all it owned; if not, says what is left on stderr. */
bool no_live_handles(void);

int64_t now_ms(void);
void sleep_ms(int64_t ms);

#endif
