/* Command lines as Go's flag package reads them, so that both peers are called alike: -name value. */
#ifndef FLAGS_H
#define FLAGS_H

#include <stdbool.h>
#include <stdint.h>

struct flag {
    const char *name;
    const char *about;
    /* Where the value goes: one of them is set. */
    const char **text;
    long *number;
    int64_t *milliseconds; /* written as 250ms or 10s */
    bool *set;             /* takes no value */
};

/* Reads all arguments. On a mistake, or -h, prints the flags to stderr and returns false. `flags` ends with a
 * flag without name. */
bool parse_flags(const char *command, const struct flag *flags, int argc, char **argv);

#endif
