#include "scope.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct owned {
    struct owned *next;
    void *thing;
    void (*release)(void *thing);
};

static void *checked(void *memory)
{
    if (memory == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

static void own(struct scope *s, void *thing, void (*release)(void *thing))
{
    struct owned *entry = checked(malloc(sizeof *entry));
    entry->next = s->owned;
    entry->thing = thing;
    entry->release = release;
    s->owned = entry;
}

void scope_end(struct scope *s)
{
    while (s->owned != NULL) {
        struct owned *entry = s->owned;
        s->owned = entry->next;
        entry->release(entry->thing);
        free(entry);
    }
}

void *scope_alloc(struct scope *s, size_t size)
{
    void *memory = checked(calloc(1, size > 0 ? size : 1));
    own(s, memory, free);
    return memory;
}

/* Every handle has a free function of its own type; NULL is fine for all. */
#define TAKES(name)                                                    \
    static void release_##name(void *thing)                            \
    {                                                                  \
        krpc_##name##_free(thing);                                     \
    }                                                                  \
    krpc_##name *scope_##name(struct scope *s, krpc_##name *name)      \
    {                                                                  \
        own(s, name, release_##name);                                  \
        return name;                                                   \
    }

TAKES(message)
TAKES(reply)
TAKES(request)
TAKES(reader)
TAKES(metainfo)
TAKES(client)
TAKES(method)
TAKES(error)

bool scope_fail(struct scope *s, const char *format, ...)
{
    if (s->why[0] != '\0')
        return false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s->why, sizeof s->why, format, arguments);
    va_end(arguments);
    return false;
}

bool scope_fail_error(struct scope *s, const char *what, const krpc_error *error)
{
    krpc_str text = krpc_error_describe(error);
    return scope_fail(s, "%s: %.*s", what, (int)text.len, text.ptr);
}
