#include "server.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "common.h"
#include "flags.h"
#include "handlers.h"

static krpc_server *start(const char *address, bool checksum, struct handlers *handlers, krpc_error **error)
{
    krpc_server_options *options = krpc_server_options_new();
    if (krpc_server_options_add_address(options, krpc_cstr(address), error) != KRPC_OK ||
        krpc_server_options_set_checksum(options, checksum, error) != KRPC_OK ||
        krpc_server_options_set_follow_caller_timeout(options, true, error) != KRPC_OK ||
        !add_services(options, handlers, error)) {
        krpc_server_options_free(options);
        return NULL;
    }
    return krpc_server_build(options, error);
}

/* Stops gracefully and says what happened. Returns the exit code. */
static int stop(krpc_server *server, int64_t grace_ms, struct handlers *handlers)
{
    krpc_stopped stopped = KRPC_STOPPED_INIT;
    krpc_error *error = NULL;
    if (krpc_server_stop(server, grace_ms, &stopped, &error) != KRPC_OK)
        return report_error("stop", error);
    /* The shared runtime ends with its last server, and waits for handlers that still run. */
    krpc_server_free(server);

    long long calls = atomic_load(&handlers->calls), failures = atomic_load(&handlers->failures);
    long destroyed = atomic_load(&handlers->destroyed);
    printf("STOPPED %lld calls, %" PRIu64 " connections finished, %" PRIu64 " cut off, %zu live handles\n", calls,
           stopped.finished, stopped.cut_off, krpc_live_handles());
    if (failures > 0)
        fprintf(stderr, "krpc-peer server: %lld answers failed\n", failures);
    if (destroyed != handlers->added)
        fprintf(stderr, "krpc-peer server: %ld of %ld methods destroyed\n", destroyed, handlers->added);
    bool clean = no_live_handles() && failures == 0 && destroyed == handlers->added && stopped.cut_off == 0;
    return clean ? 0 : EXIT_FAILED;
}

int server_main(int argc, char **argv)
{
    const char *listen = "127.0.0.1:0";
    int64_t grace_ms = 5000;
    bool verbose = false, checksum = false;
    const struct flag flags[] = {
        {"listen", "ADDRESS: 127.0.0.1:0, [::1]:0 or unix:/path", .text = &listen},
        {"exit-wait", "how long a graceful stop waits for running calls (5s)", .milliseconds = &grace_ms},
        {"checksum", "send and check CRC-32C of payloads", .set = &checksum},
        {"v", "print the library's log", .set = &verbose},
        {0},
    };
    if (!parse_flags("server", flags, argc, argv))
        return EXIT_USAGE;
    if (verbose)
        log_to_stderr();

    /* Blocked before the first thread starts, so that only sigwait sees them. */
    sigset_t stop_signals;
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    sigprocmask(SIG_BLOCK, &stop_signals, NULL);

    struct handlers handlers = {0};
    krpc_error *error = NULL;
    krpc_server *server = start(listen, checksum, &handlers, &error);
    if (server == NULL)
        return report_error("server", error);
    krpc_str address = krpc_server_address(server, 0);
    printf("LISTENING %.*s\n", (int)address.len, address.ptr);
    fflush(stdout);

    int signal_number;
    sigwait(&stop_signals, &signal_number);
    return stop(server, grace_ms, &handlers);
}
