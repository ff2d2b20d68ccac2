/* A scope owns what one piece of work needs, a case or the handling of a request: handles and memory. All of
 * it is freed at its end, so that the work may return wherever it likes. It also keeps why the work failed. */
#ifndef SCOPE_H
#define SCOPE_H

#include <krpc.h>

struct scope {
    struct owned *owned;
    char why[800];
};

#define SCOPE_INIT {NULL, ""}

/* Frees all, newest first. */
void scope_end(struct scope *s);

/* Memory that is zeroed. Ends the program if there is none. */
void *scope_alloc(struct scope *s, size_t size);

/* Take an owned handle, which may be NULL, and return it. */
krpc_message *scope_message(struct scope *s, krpc_message *message);
krpc_reply *scope_reply(struct scope *s, krpc_reply *reply);
krpc_request *scope_request(struct scope *s, krpc_request *request);
krpc_reader *scope_reader(struct scope *s, krpc_reader *reader);
krpc_metainfo *scope_metainfo(struct scope *s, krpc_metainfo *metainfo);
krpc_client *scope_client(struct scope *s, krpc_client *client);
krpc_method *scope_method(struct scope *s, krpc_method *method);
krpc_error *scope_error(struct scope *s, krpc_error *error);

/* Keeps the reason, unless there is one, and returns false. */
bool scope_fail(struct scope *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same with all that an error says. */
bool scope_fail_error(struct scope *s, const char *what, const krpc_error *error);

#endif
