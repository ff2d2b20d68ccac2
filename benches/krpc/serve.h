/* What the servers through the C ABI share: from options to an address that is printed, until SIGTERM. */
#ifndef SERVE_H
#define SERVE_H

#include "../bench.h"

#include <krpc.h>
#include <signal.h>

static void check(krpc_error *error)
{
    if (error != NULL)
        bench_die("server", krpc_error_describe(error).ptr);
}

/* SIGTERM waits until `await_sigterm`. Before the first thread is made, which inherits that. */
static void hold_sigterm(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigprocmask(SIG_BLOCK, signals, NULL);
}

static void await_sigterm(const sigset_t *signals)
{
    int signal;
    sigwait(signals, &signal);
}

/* Serves one service on a port of the system's choice and says which. Consumes options and service. */
static krpc_server *serve(krpc_server_options *options, krpc_service *service)
{
    krpc_error *error = NULL;
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), &error);
    check(error);
    krpc_server_options_add_service(options, service, false, &error);
    check(error);
    krpc_server *server = krpc_server_build(options, &error);
    check(error);
    krpc_str address = krpc_server_address(server, 0);
    bench_print_listening(address.ptr, address.len);
    return server;
}

#endif
