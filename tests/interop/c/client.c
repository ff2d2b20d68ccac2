#include "client.h"

#include <stdio.h>

#include "cases.h"
#include "common.h"
#include "flags.h"

/* Apache Thrift has no business statuses and no words for a handler that dies. */
#define APACHE_LACKS "biz,panic,second"
/* volo ends the connection of a handler that dies, sends statuses as exceptions where there is no header, and takes
 * calls for any service. Our volo server does not tell what metainfo it has seen. */
#define VOLO_LACKS "biz,panic,second,pool,metainfo,unknown-service"

/* The first one is that of Kitex and of ours. */
static const struct dialect dialects[] = {
    {"kitex", false, 6, "biz error: plain error", TRANS_CODE, "own code [biz error]", NULL, false, NULL},
    {"cpp", true, 0, "plain error", 0, "own code", "Invalid method name: 'Missing'", true, APACHE_LACKS},
    {"python", true, 6, "Internal error", TRANS_CODE, "own code", "Unknown function Missing", false, APACHE_LACKS},
    {"thriftpy2", true, 0, NULL, TRANS_CODE, "own code", "unknown method", false, APACHE_LACKS},
    {"volo", true, 6, "plain error", TRANS_CODE, "own code", "unknown method Missing", false, VOLO_LACKS},
};

const struct test_case all_cases[] = {
    {"wire", "the client really speaks the chosen transport, and the reply mirrors it", false, case_wire},
    {"echo", "strings and optional binaries come back", false, case_echo},
    {"types", "every Thrift type: full, least and extreme values", false, case_types},
    {"enum-unknown", "an enum number outside the IDL survives", false, case_enum_unknown},
    {"void", "a void method", false, case_void},
    {"oneway", "every oneway call arrives once", false, case_oneway},
    {"add", "several arguments", false, case_add},
    {"declared", "first declared exception", false, case_declared},
    {"declared2", "second declared exception", false, case_declared2},
    {"biz", "business status with extra; lost without TTHeader", false, case_biz},
    {"error", "plain handler error: exception type 6", false, case_error},
    {"trans", "handler's own exception type", false, case_trans},
    {"panic", "handler that dies: exception type 6", false, case_panic},
    {"unknown-method", "missing method: type 1 with a service name, 20 without", false, case_unknown_method},
    {"unknown-service", "missing service: type 20", false, case_unknown_service},
    {"second", "same method name in two services, chosen by service name", false, case_second},
    {"metainfo", "transient, persistent and backward values", false, case_metainfo},
    {"big", "1 MiB both ways", false, case_big},
    {"callers", "many threads, each gets its own answers (-c, -n)", false, case_callers},
    {"deadline", "call timeout; late replies do not meet later calls", false, case_deadline},
    {"refused", "nobody listens: CONNECT_FAILED, may be retried", false, case_refused},
    {"pool", "connections are used again, except after an exception", false, case_pool},
    {"close", "closing the client ends its calls", false, case_close},
    {"volume", "120 MB each way; a server that ends the connection meanwhile costs no more than one call", false,
     case_volume},
    {"protobuf", "a protobuf payload passes as bytes; TTHeader around frames only", true, case_protobuf},
    {"told", "the server sees the timeout", true, case_told},
    {"cancel", "a call is cancelled by its context", true, case_cancel},
    {"base", "a base.Base is seen by the server; Kitex only", true, case_base},
    {"limit", "64 MiB is refused by the limit of either side", true, case_limit},
    {"frozen", "prints FREEZE and THAW, then expects SIGSTOP and SIGCONT to the server and a line on stdin", true,
     case_frozen},
    {"roll", "prints CALLING, then expects servers to be replaced, and lines on stdin until one says over", true,
     case_roll},
    {"killed", "prints CALLING, then expects the server to be killed", true, case_killed},
    {"drain", "prints CALLING, then expects the server to be stopped with SIGTERM", true, case_drain},
    {"load", "the same while -c threads call all the time", true, case_load},
    {"restart", "prints RESTART, then expects a new server on the same port and a line on stdin", true, case_restart},
    {NULL, NULL, false, NULL},
};

bool has_header(const struct run *run)
{
    return run->target.transport == KRPC_TRANSPORT_TTHEADER || run->target.transport == KRPC_TRANSPORT_TTHEADER_FRAMED;
}

bool has_one_service(const struct run *run)
{
    return run->dialect->one_service;
}

bool is_framed(const struct run *run)
{
    return run->target.transport == KRPC_TRANSPORT_FRAMED || run->target.transport == KRPC_TRANSPORT_TTHEADER_FRAMED;
}

/* One, or several with commas between them. */
static bool add_addresses(krpc_client_options *options, const char *addresses, krpc_error **error)
{
    for (const char *from = addresses; from != NULL;) {
        const char *comma = strchr(from, ',');
        const krpc_str address = {from, comma == NULL ? strlen(from) : (size_t)(comma - from)};
        if (krpc_client_options_add_address(options, address, error) != KRPC_OK)
            return false;
        from = comma == NULL ? NULL : comma + 1;
    }
    return true;
}

krpc_client *new_client(struct scope *s, const struct target *target)
{
    krpc_error *error = NULL;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR(SERVER_NAME), &error);
    bool set = options != NULL && krpc_client_options_set_caller(options, KRPC_STR(CLIENT_NAME), &error) == KRPC_OK &&
               add_addresses(options, target->address, &error) &&
               krpc_client_options_set_checksum(options, target->checksum, &error) == KRPC_OK &&
               krpc_client_options_set_transport(options, target->transport, &error) == KRPC_OK &&
               krpc_client_options_set_multiplexed(options, target->multiplexed, &error) == KRPC_OK &&
               krpc_client_options_set_timeout_ms(options, target->timeout_ms, &error) == KRPC_OK &&
               krpc_client_options_set_connect_timeout_ms(options, 5000, &error) == KRPC_OK &&
               krpc_client_options_set_max_idle_connections(options, target->max_idle, &error) == KRPC_OK;
    krpc_client *client = NULL;
    if (set)
        client = krpc_client_build(options, &error); /* consumes the options, also on failure */
    else
        krpc_client_options_free(options);
    if (client == NULL)
        scope_fail_error(s, "no client", scope_error(s, error));
    return scope_client(s, client);
}

static int32_t transport_of(const char *name)
{
    static const struct {
        const char *name;
        int32_t transport;
    } transports[] = {
        {"framed", KRPC_TRANSPORT_FRAMED},
        {"buffered", KRPC_TRANSPORT_BUFFERED},
        {"ttheader", KRPC_TRANSPORT_TTHEADER},
        {"ttheader-framed", KRPC_TRANSPORT_TTHEADER_FRAMED},
        {"mux", KRPC_TRANSPORT_TTHEADER_FRAMED},
    };
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++)
        if (strcmp(transports[i].name, name) == 0)
            return transports[i].transport;
    return 0;
}

static const struct dialect *dialect_of(const char *name)
{
    for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++)
        if (strcmp(dialects[i].name, name) == 0)
            return &dialects[i];
    return NULL;
}

/* Whether `name` is in a comma-separated list. */
static bool is_listed(const char *name, const char *list)
{
    size_t len = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',') != NULL ? strchr(at, ',') + 1 : NULL)
        if (strcspn(at, ",") == len && strncmp(at, name, len) == 0)
            return true;
    return false;
}

/* "all" leaves out what needs help, and what the server does not have. */
static bool is_chosen(const struct test_case *test, const struct dialect *dialect, const char *names)
{
    bool is_common = !test->needs_help && !is_listed(test->name, dialect->lacks);
    return is_listed(test->name, names) || (is_common && is_listed("all", names));
}

/* One line per case, whatever the text holds. */
static void print_failure(const char *name, const char *why)
{
    printf("FAIL %s: ", name);
    for (; *why != '\0'; why++) {
        if (*why == '\n')
            fputs("\\n", stdout);
        else
            putchar(*why);
    }
    putchar('\n');
}

static void run_cases(struct run *run, const char *names, int *passed, int *failed)
{
    for (const struct test_case *test = all_cases; test->name != NULL; test++) {
        if (!is_chosen(test, run->dialect, names))
            continue;
        struct scope s = SCOPE_INIT;
        /* A reason is a failure even if the case did not see it. */
        if (test->run(&s, run) && s.why[0] == '\0') {
            printf("ok %s\n", test->name);
            ++*passed;
        } else {
            print_failure(test->name, s.why);
            ++*failed;
        }
        scope_end(&s);
        fflush(stdout);
    }
}

static int list_cases(void)
{
    for (const struct test_case *test = all_cases; test->name != NULL; test++)
        printf("%-16s %s\n", test->name, test->about);
    return 0;
}

int client_main(int argc, char **argv)
{
    const char *address = NULL, *transport = "ttheader-framed", *names = "all", *server = dialects[0].name;
    bool list = false, verbose = false;
    struct run run = {{NULL, 0, 10000, 10, 0, false}, NULL, dialects, 200, 50, false};
    const struct flag flags[] = {
        {"addr", "the server's ADDRESS: 127.0.0.1:8888, [::1]:8888 or unix:/path; several with commas", .text = &address},
        {"transport", "framed, buffered, ttheader, ttheader-framed (the default) or mux", .text = &transport},
        {"case", "NAME,NAME…, or all: every case that needs no help", .text = &names},
        {"n", "calls of each caller in the case callers (50)", .number = &run.calls},
        {"c", "threads in the cases callers and load (200)", .number = &run.callers},
        {"timeout", "of a call (10s)", .milliseconds = &run.target.timeout_ms},
        {"server", "whose answers to expect: kitex (the default, also ours), cpp, python, thriftpy2 or volo", .text = &server},
        {"checksum", "send and check CRC-32C of payloads", .set = &run.target.checksum},
        {"strict", "also expect texts that only a Kitex server sends", .set = &run.strict},
        {"list", "list the cases", .set = &list},
        {"v", "print the library's log", .set = &verbose},
        {0},
    };
    if (!parse_flags("client", flags, argc, argv))
        return EXIT_USAGE;
    if (list)
        return list_cases();
    if (verbose)
        log_to_stderr();
    run.target.address = address;
    run.target.transport = transport_of(transport);
    run.target.multiplexed = strcmp(transport, "mux") == 0 ? 2 : 0;
    run.dialect = dialect_of(server);
    if (address == NULL || run.dialect == NULL || run.target.transport == 0 || run.callers < 1 || run.calls < 1) {
        fputs("krpc-peer client: -addr, -transport, -server, -c or -n is missing or wrong\n", stderr);
        return EXIT_USAGE;
    }

    struct scope s = SCOPE_INIT;
    int passed = 0, failed = 0;
    run.client = new_client(&s, &run.target);
    if (run.client == NULL) {
        fprintf(stderr, "krpc-peer client: %s\n", s.why);
        scope_end(&s);
        return EXIT_FAILED;
    }
    run_cases(&run, names, &passed, &failed);
    scope_end(&s);
    if (passed + failed == 0) {
        fprintf(stderr, "krpc-peer client: no such case: %s\n", names);
        return EXIT_USAGE;
    }
    if (!no_live_handles()) {
        puts("FAIL live-handles: see above");
        failed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 ? EXIT_FAILED : 0;
}
