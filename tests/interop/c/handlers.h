/* The handlers of Interop and Second. What they do is written in ../idl/interop.thrift. */
#ifndef HANDLERS_H
#define HANDLERS_H

#include <krpc.h>
#include <stdatomic.h>

/* Shared by all handlers, which may run at once. */
struct handlers {
    atomic_llong fired;
    atomic_llong calls;
    /* Answers that failed for another reason than that the caller was gone. */
    atomic_llong failures;
    /* Methods that were added, and destroy functions that were called for them. */
    long added;
    atomic_long destroyed;
};

/* Adds both services to a server. False, with an owned error, if that fails. */
bool add_services(krpc_server_options *options, struct handlers *handlers, krpc_error **error);

#endif
