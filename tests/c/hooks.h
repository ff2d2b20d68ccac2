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
};

krpc_status krpc_test_panic(krpc_error **error);
krpc_status krpc_test_fail_nth(int32_t point, uint64_t nth, uint64_t *passed);

#endif
