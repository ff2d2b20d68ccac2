/* The cases of the client. Each checks one behaviour; false, with the reason in the scope, if it is not as
 * expected. Where a transport cannot carry something, the case checks that it does not. */
#ifndef CASES_H
#define CASES_H

#include "client.h"

struct test_case {
    const char *name;
    const char *about;
    /* Somebody has to do something to the server meanwhile; `all` leaves the case out. */
    bool needs_help;
    bool (*run)(struct scope *s, struct run *run);
};

/* Ends with a case without name. */
extern const struct test_case all_cases[];

/* cases_values.c: what comes back is what was sent. */
bool case_wire(struct scope *s, struct run *run);
bool case_echo(struct scope *s, struct run *run);
bool case_types(struct scope *s, struct run *run);
bool case_enum_unknown(struct scope *s, struct run *run);
bool case_void(struct scope *s, struct run *run);
bool case_oneway(struct scope *s, struct run *run);
bool case_add(struct scope *s, struct run *run);
bool case_second(struct scope *s, struct run *run);
bool case_metainfo(struct scope *s, struct run *run);
bool case_big(struct scope *s, struct run *run);

/* cases_errors.c: how the peer says no. */
bool case_declared(struct scope *s, struct run *run);
bool case_declared2(struct scope *s, struct run *run);
bool case_biz(struct scope *s, struct run *run);
bool case_error(struct scope *s, struct run *run);
bool case_trans(struct scope *s, struct run *run);
bool case_panic(struct scope *s, struct run *run);
bool case_unknown_method(struct scope *s, struct run *run);
bool case_unknown_service(struct scope *s, struct run *run);

/* cases_connections.c: connections, time and many threads. */
bool case_callers(struct scope *s, struct run *run);
bool case_deadline(struct scope *s, struct run *run);
bool case_refused(struct scope *s, struct run *run);
bool case_pool(struct scope *s, struct run *run);
bool case_close(struct scope *s, struct run *run);
bool case_volume(struct scope *s, struct run *run);

/* cases_robust.c: servers that stand still or are replaced, messages that are too large, and the like. */
bool case_protobuf(struct scope *s, struct run *run);
bool case_told(struct scope *s, struct run *run);
bool case_cancel(struct scope *s, struct run *run);
bool case_limit(struct scope *s, struct run *run);
bool case_frozen(struct scope *s, struct run *run);
bool case_roll(struct scope *s, struct run *run);
bool case_base(struct scope *s, struct run *run);

/* cases_help.c: the server goes away. */
bool case_killed(struct scope *s, struct run *run);
bool case_drain(struct scope *s, struct run *run);
bool case_load(struct scope *s, struct run *run);
bool case_restart(struct scope *s, struct run *run);

#endif
