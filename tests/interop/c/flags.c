#include "flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct flag *find(const struct flag *flags, const char *name)
{
    for (; flags->name != NULL; flags++)
        if (strcmp(flags->name, name) == 0)
            return flags;
    return NULL;
}

static bool parse_milliseconds(const char *text, int64_t *out)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);
    if (end == text || number < 0)
        return false;
    if (strcmp(end, "ms") == 0)
        *out = number;
    else if (strcmp(end, "s") == 0)
        *out = number * 1000;
    else
        return false;
    return true;
}

static bool take(const struct flag *flag, const char *value)
{
    if (flag->text != NULL) {
        *flag->text = value;
        return true;
    }
    if (flag->milliseconds != NULL)
        return parse_milliseconds(value, flag->milliseconds);
    char *end = NULL;
    *flag->number = strtol(value, &end, 10);
    return end != value && *end == '\0';
}

bool parse_flags(const char *command, const struct flag *flags, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const char *name = argv[i];
        const struct flag *flag = name[0] == '-' ? find(flags, name + (name[1] == '-' ? 2 : 1)) : NULL;
        if (flag != NULL && flag->set != NULL) {
            *flag->set = true;
            continue;
        }
        if (flag != NULL && i + 1 < argc && take(flag, argv[i + 1])) {
            i++;
            continue;
        }
        fprintf(stderr, "krpc-peer %s: wrong argument %s\n", command, name);
        for (; flags->name != NULL; flags++)
            fprintf(stderr, "  -%-12s %s\n", flags->name, flags->about);
        return false;
    }
    return true;
}
