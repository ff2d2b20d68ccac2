/* The hooks of a library that was built for tests (feature `test-hooks`): src/capi/test_hooks.rs. */
#ifndef HOOKS_H
#define HOOKS_H

#include <krpc.h>

/* src/base/fault.rs has their meaning. */
enum {
    FAULT_READ = 1,
    FAULT_WRITE = 2,
    FAULT_CONNECT = 3,
    FAULT_ACCEPT = 4,
    FAULT_SPAWN = 5,
    PANIC_CLIENT_TASK = 6,
    PANIC_SERVER_TASK = 7,
    PANIC_HANDLER = 8,
    PANIC_DRIVER_TASK = 9,
    PANIC_BLOCKING_CALL = 10,
    FAULT_QUEUE_SLOT = 11,
    FAULT_CONNECTION_SLOT = 12,
    FAULT_REQUEST_SLOT = 13,
};

/* src/base/fault/hold.rs has their meaning. */
enum {
    HOLD_NOBODY = 0,
    HOLD_CLIENTS = 1,
    HOLD_SERVERS = 2,
};

krpc_status krpc_test_panic(krpc_error **error);
krpc_status krpc_test_fail_nth(int32_t point, uint64_t nth, uint64_t *passed);

/* Every limit in the library goes by a clock that stands and is moved. Stop it before what is to follow it to the
   millisecond: a thread that sleeps already hears of it within 20. */
void krpc_test_clock_stop(void);
krpc_status krpc_test_clock_advance(uint64_t milliseconds);
void krpc_test_clock_run(void);
size_t krpc_test_clock_sleepers(void);
krpc_status krpc_test_hold(int32_t sides);

#endif
