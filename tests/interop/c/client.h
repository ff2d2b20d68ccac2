/* The subcommand `client`, and what its cases have in common. */
#ifndef CLIENT_H
#define CLIENT_H

#include "contract.h"

/* Returns the program's exit code. */
int client_main(int argc, char **argv);

/* How to reach the server. */
struct target {
    const char *address;
    int32_t transport; /* a krpc_transport */
    int64_t timeout_ms;
    size_t max_idle;    /* connections kept by the pool */
    size_t multiplexed; /* connections that all calls share; 0: each has its own */
    bool checksum;
};

/* What differs between the servers, where the transport is the same. */
struct dialect {
    const char *name;
    /* It has Interop alone. */
    bool one_service;
    /* Answers to Fail; no error_text: the server ends the connection instead. */
    int32_t error_type;
    const char *error_text;
    int32_t trans_type;
    const char *trans_text;
    /* Exception of type 1 for an unknown method; unused if there are service names. */
    const char *missing_text;
    /* Ends a framed connection once it has received 100 MiB of strings. */
    bool tires;
    /* Cases that it cannot pass, comma-separated, or NULL. */
    const char *lacks;
};

/* A client process's view of a server: one client for all cases, so that a connection left in a bad state by
 * one case shows in the next. */
struct run {
    struct target target;
    krpc_client *client;
    const struct dialect *dialect;
    long callers, calls; /* of the cases callers and load */
    bool strict;         /* also expect texts that only a Kitex server sends */
};

/* A client of the server, owned by the scope. NULL, with the reason in the scope, if that fails. */
krpc_client *new_client(struct scope *s, const struct target *target);

/* Whether service names, metainfo and business statuses travel. */
bool has_header(const struct run *run);
bool is_framed(const struct run *run);
bool has_one_service(const struct run *run);

/* ---- Calls -------------------------------------------------------------------------------- */

/* Call a method ("Service/Method") and return the reply, whatever the outcome. It is owned by the scope. */
const krpc_reply *call(struct scope *s, const krpc_client *client, const char *method, const krpc_message *args);
const krpc_reply *call_with(struct scope *s, const krpc_client *client, const char *method,
                            const krpc_message *args, const krpc_call_options *options);

/* The reply's message if the call went well, else NULL and the reason in the scope. */
const krpc_message *result_of(struct scope *s, const krpc_reply *reply);

/* Methods as functions. False, with the reason in the scope, if the call failed. */
bool call_echo(struct scope *s, const krpc_client *client, const char *method, const struct note *in,
               struct note *out);
bool call_add(struct scope *s, const krpc_client *client, int64_t a, int64_t b, int64_t *sum);
bool call_fire_count(struct scope *s, const krpc_client *client, int64_t *count);

/* The client still works after an error. */
bool alive(struct scope *s, const struct run *run);

/* ---- Expectations: false, with the reason in the scope, if they are not met ---------------- */

bool want_status(struct scope *s, const krpc_reply *reply, krpc_status status);
bool want_exception(struct scope *s, const krpc_reply *reply, int32_t type_id, const char *text);
bool want_str(struct scope *s, const char *what, krpc_str got, krpc_str want);
bool want_number(struct scope *s, const char *what, int64_t got, int64_t want);
bool want_note(struct scope *s, const struct note *got, const struct note *want);

#endif
