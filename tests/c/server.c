/* krpc_server and krpc_server_options: mistakes, addresses, routing, limits, time, hostile bytes, the end. */
#include "hooks.h"
#include "net.h"

/* ---- mistakes ------------------------------------------------------------------------------------- */

static void options_check_what_they_get(void)
{
    krpc_server_options *options = krpc_server_options_new();
    static const char *const bad_addresses[] = {"", "127.0.0.1", ":80", "[::1]", "host:99999", "unix:"};
    for (size_t i = 0; i < LEN(bad_addresses); i++)
        REFUSED("address", krpc_server_options_add_address(options, krpc_cstr(bad_addresses[i]), &error));
    REFUSED("address", krpc_server_options_add_address(options, (krpc_str){NULL, 1}, &error));
    REFUSED("service", krpc_server_options_add_service(options, NULL, false, &error));
    REFUSED("handler", krpc_server_options_set_catch_all(options, NULL, NULL, NULL, &error));
    REFUSED("runtime", krpc_server_options_set_runtime(options, NULL, &error));
    REFUSED("count", krpc_server_options_set_tcp_keepalive(options, 1, 1, 0, &error));
    REFUSED("count", krpc_server_options_set_tcp_keepalive(options, 1, 1, 128, &error));
    REFUSED("bytes", krpc_server_options_set_max_frame_bytes(options, 0, &error));
    REFUSED("bytes", krpc_server_options_set_max_frame_bytes(options, 0x40000000, &error));
    static const int64_t bad_times[] = {0, -1, INT64_MIN};
    for (size_t i = 0; i < LEN(bad_times); i++) {
        REFUSED("time_ms", krpc_server_options_set_tcp_keepalive(options, bad_times[i], 1, 1, &error));
        REFUSED("interval_ms", krpc_server_options_set_tcp_keepalive(options, 1, bad_times[i], 1, &error));
        REFUSED("timeout_ms", krpc_server_options_set_tcp_user_timeout_ms(options, bad_times[i], &error));
        REFUSED("timeout_ms", krpc_server_options_set_read_timeout_ms(options, bad_times[i], &error));
        REFUSED("timeout_ms", krpc_server_options_set_write_timeout_ms(options, bad_times[i], &error));
        REFUSED("timeout_ms", krpc_server_options_set_idle_timeout_ms(options, bad_times[i], &error));
    }
    CHECK(krpc_server_options_set_max_frame_bytes(options, 0x3FFFFFFF, NULL) == KRPC_OK);
    CHECK(krpc_server_options_set_idle_timeout_ms(options, INT64_MAX, NULL) == KRPC_OK);
    krpc_server_options_free(options);
}

static void null_is_refused_everywhere(void)
{
    REFUSED("options", krpc_server_options_add_address(NULL, KRPC_STR("a:1"), &error));
    REFUSED("options", krpc_server_options_set_catch_all(NULL, echo, NULL, NULL, &error));
    REFUSED("options", krpc_server_options_set_require_service_name(NULL, true, &error));
    REFUSED("options", krpc_server_options_set_runtime(NULL, NULL, &error));
    REFUSED("options", krpc_server_options_set_max_in_flight(NULL, 1, &error));
    REFUSED("options", krpc_server_options_set_max_connections(NULL, 1, &error));
    REFUSED("options", krpc_server_options_set_max_frame_bytes(NULL, 1, &error));
    REFUSED("options", krpc_server_options_set_checksum(NULL, true, &error));
    REFUSED("options", krpc_server_options_set_tcp_keepalive(NULL, 1, 1, 1, &error));
    REFUSED("options", krpc_server_options_set_tcp_user_timeout_ms(NULL, 1, &error));
    REFUSED("options", krpc_server_options_set_allow_old_style(NULL, true, &error));
    REFUSED("options", krpc_server_options_set_read_timeout_ms(NULL, 1, &error));
    REFUSED("options", krpc_server_options_set_write_timeout_ms(NULL, 1, &error));
    REFUSED("options", krpc_server_options_set_idle_timeout_ms(NULL, 1, &error));
    krpc_server_options_free(NULL);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "options", krpc_server_build(NULL, &error));
    CHECK(krpc_server_build(NULL, NULL) == NULL);
    CHECK_STR(krpc_server_address(NULL, 0), "");
    CHECK(krpc_server_in_flight(NULL) == 0);
    REFUSED("server", krpc_server_stop(NULL, 0, NULL, &error));
    krpc_server_free(NULL);

    krpc_server *server = serve_one("other", 0, echo, NULL);
    krpc_stopped stopped = {0, 0, 0};
    CHECK_STR(krpc_server_address(server, 1), "");
    CHECK_STR(krpc_server_address(server, SIZE_MAX), "");
    REFUSED("grace_ms", krpc_server_stop(server, -1, NULL, &error));
    krpc_client *client = client_of(server);
    CHECK_ECHO(client); /* it goes on */
    REFUSED("stopped", krpc_server_stop(server, 0, &stopped, &error));
    krpc_client_free(client);
    krpc_server_free(server);
}

static void servers_that_cannot_start(void)
{
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "no service", krpc_server_build(options, &error));

    options = options_with("127.0.0.1:0", service_with("A", "m", 0, echo, NULL));
    krpc_server_options_add_service(options, service_with("B", "m", 0, echo, NULL), false, NULL);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "method name [m] is conflicted", krpc_server_build(options, &error));

    options = options_with("127.0.0.1:0", service_with("A", "m", 0, echo, NULL));
    krpc_server_options_add_service(options, service_with("A", "n", 0, echo, NULL), false, NULL);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "twice", krpc_server_build(options, &error));

    options = krpc_server_options_new();
    krpc_server_options_add_service(options, service_with("A", "m", 0, echo, NULL), true, NULL);
    krpc_server_options_add_service(options, service_with("B", "n", 0, echo, NULL), true, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "fallback", krpc_server_build(options, &error));

    options = options_with("no-such-host.invalid:0", service_with("A", "m", 0, echo, NULL));
    NOT_MADE(KRPC_STATUS_RESOLVE_FAILED, "no-such-host.invalid", krpc_server_build(options, &error));

    char taken[32];
    int listener = raw_listen(1, taken);
    options = options_with(taken, service_with("A", "m", 0, echo, NULL));
    NOT_MADE(KRPC_STATUS_LISTEN_FAILED, taken, krpc_server_build(options, &error));
    close(listener);

    options = options_with("unix:/nonexistent/socket", service_with("A", "m", 0, echo, NULL));
    NOT_MADE(KRPC_STATUS_LISTEN_FAILED, "/nonexistent/socket", krpc_server_build(options, &error));
    AWAIT(threads_named("krpc-") == 0);
}

/* ---- addresses -------------------------------------------------------------------------------------- */

static void addresses_are_readable_and_served(void)
{
    krpc_server_options *options = options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
    int with_ipv6 = access("/proc/net/if_inet6", R_OK) == 0;
    krpc_server_options_add_address(options, KRPC_STR("localhost:0"), NULL);
    if (with_ipv6)
        krpc_server_options_add_address(options, KRPC_STR("[::1]:0"), NULL);
    krpc_server *server = serve(options);
    for (size_t i = 0; i < (with_ipv6 ? 3 : 2); i++) {
        krpc_str address = krpc_server_address(server, i);
        CHECK(port_of(address) != 0);
        CHECK(contains(address, i == 2 ? "[::1]:" : ":"));
        krpc_client *client = client_to(address);
        CHECK_ECHO(client);
        krpc_client_free(client);
    }
    krpc_server_free(server);
}

static void a_path(char *text, size_t size)
{
    snprintf(text, size, "unix:/tmp/krpc-test-%ld.sock", (long)getpid());
    unlink(text + strlen("unix:"));
}

static void unix_sockets(void)
{
    char text[64];
    a_path(text, sizeof text);
    const char *path = text + strlen("unix:");
    krpc_server *server = serve(options_with(text, service_with("Test", "m", 0, echo, NULL)));
    CHECK_STR(krpc_server_address(server, 0), text);
    krpc_client *client = client_to(krpc_cstr(text));
    CHECK_ECHO(client);

    /* A path that somebody listens on is left alone. */
    krpc_server_options *second = options_with(text, service_with("Test", "m", 0, echo, NULL));
    NOT_MADE(KRPC_STATUS_LISTEN_FAILED, path, krpc_server_build(second, &error));
    CHECK_ECHO(client);
    krpc_client_free(client);
    CHECK(krpc_server_stop(server, BOUND_MS, NULL, NULL) == KRPC_OK);
    CHECK(access(path, F_OK) != 0);
    krpc_server_free(server);

    /* A path that a dead process left behind is replaced. */
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
    server = serve(options_with(text, service_with("Test", "m", 0, echo, NULL)));
    client = client_to(krpc_cstr(text));
    CHECK_ECHO(client);
    krpc_client_free(client);
    krpc_server_free(server);
    CHECK(access(path, F_OK) != 0);

    /* A start that fails at another address leaves none behind. */
    second = options_with(text, service_with("Test", "m", 0, echo, NULL));
    krpc_server_options_add_address(second, KRPC_STR("unix:/nonexistent/socket"), NULL);
    NOT_MADE(KRPC_STATUS_LISTEN_FAILED, "/nonexistent/socket", krpc_server_build(second, &error));
    CHECK(access(path, F_OK) != 0);

    /* What is no socket is somebody's file. */
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs("precious", file) >= 0 && fclose(file) == 0);
    second = options_with(text, service_with("Test", "m", 0, echo, NULL));
    NOT_MADE(KRPC_STATUS_LISTEN_FAILED, path, krpc_server_build(second, &error));
    CHECK(access(path, F_OK) == 0);
    unlink(path);
}

/* ---- routing ----------------------------------------------------------------------------------------- */

/* Answers with what it was registered as. */
static void say_who(void *user_data, krpc_request *request)
{
    krpc_message *result = text_message(0, krpc_cstr((const char *)user_data));
    krpc_request_reply(request, result, NULL);
    krpc_message_free(result);
    krpc_request_free(request);
}

/* Answers with the names that the caller used. */
static void say_names(void *user_data, krpc_request *request)
{
    (void)user_data;
    char text[64];
    krpc_str service = krpc_request_service(request), method = krpc_request_method(request);
    snprintf(text, sizeof text, "%.*s|%.*s", (int)service.len, service.len > 0 ? service.ptr : "",
             (int)method.len, method.ptr);
    say_who(text, request);
}

static void check_who(const krpc_client *client, const char *method, const char *expected)
{
    krpc_reply *reply = call(client, method, "x", BOUND_MS);
    if (krpc_reply_error(reply) != NULL)
        CHECK_STR(krpc_error_text(krpc_reply_error(reply)), expected);
    else
        CHECK(is_text(krpc_reply_message(reply), 0, krpc_cstr(expected)));
    krpc_reply_free(reply);
}

static char A[] = "A", B[] = "B", A_ONLY[] = "A's own";

static krpc_server_options *two_services(void)
{
    krpc_service *a = service_with("A", "both", 0, say_who, A);
    CHECK(krpc_service_add_method(a, KRPC_STR("own"), 0, say_who, A_ONLY, NULL, NULL) == KRPC_OK);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    krpc_server_options_add_service(options, service_with("B", "both", 0, say_who, B), false, NULL);
    krpc_server_options_add_service(options, a, true, NULL);
    return options;
}

static void calls_find_their_service(void)
{
    static const struct {
        const char *method, *without_catch_all, *with_catch_all, *strict;
    } rows[] = {
        {"A/both", "A", "A", "A"},
        {"B/both", "B", "B", "B"},
        {"both", "A", "A", "unknown service , method both"},
        {"own", "A's own", "A's own", "unknown service , method own"},
        {"C/own", "A's own", "A's own", "unknown service C, method own"},
        {"C/both", "unknown service C, method both", "C|both", "unknown service C, method both"},
        {"B/own", "unknown method own (service B)", "B|own", "unknown method own (service B)"},
        {"none", "unknown service , method none", "|none", "unknown service , method none"},
    };
    for (int variant = 0; variant < 3; variant++) {
        krpc_server_options *options = two_services();
        if (variant == 1)
            CHECK(krpc_server_options_set_catch_all(options, say_names, NULL, NULL, NULL) == KRPC_OK);
        if (variant == 2)
            CHECK(krpc_server_options_set_require_service_name(options, true, NULL) == KRPC_OK);
        krpc_server *server = serve(options);
        krpc_client *client = client_of(server);
        for (size_t i = 0; i < LEN(rows); i++)
            check_who(client, rows[i].method,
                      variant == 0   ? rows[i].without_catch_all
                      : variant == 1 ? rows[i].with_catch_all
                                     : rows[i].strict);
        krpc_client_free(client);
        krpc_server_free(server);
    }
}

/* ---- limits ------------------------------------------------------------------------------------------- */

static void requests_in_flight_are_limited(void)
{
    gate gate = GATE_INIT;
    krpc_server_options *options =
        options_with("127.0.0.1:0", service_with("Test", "wait", 0, echo_behind_gate, &gate));
    krpc_server_options_set_max_in_flight(options, 2, NULL);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);
    caller callers[2];
    for (size_t i = 0; i < LEN(callers); i++)
        caller_start(&callers[i], client, "Test/wait", "x");
    gate_await(&gate, 2, 0);
    CHECK(krpc_server_in_flight(server) == 2);
    CALL_STATUS(client, "Test/echo", KRPC_STATUS_REMOTE_EXCEPTION, "request over limit");
    gate_open(&gate);
    for (size_t i = 0; i < LEN(callers); i++)
        CHECK(caller_end(&callers[i]) == KRPC_OK);
    AWAIT(krpc_server_in_flight(server) == 0);
    CHECK_ECHO(client);
    krpc_client_free(client);
    krpc_server_free(server);
}

static void connections_are_limited(void)
{
    krpc_server_options *options = options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
    krpc_server_options_set_max_connections(options, 1, NULL);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server), *second = client_of(server);
    CHECK_ECHO(client); /* its connection stays open */
    CALL_STATUS(second, "Test/echo", KRPC_STATUS_CONNECTION_LOST, "");
    CHECK_ECHO(client);
    krpc_client_free(client);
    /* The place is free once the server has seen the end. */
    krpc_status status = KRPC_STATUS_CONNECTION_LOST;
    for (int i = 0; i < BOUND_MS && status != KRPC_OK; i++) {
        krpc_reply *reply = call(second, "Test/echo", "x", BOUND_MS);
        status = krpc_reply_status(reply);
        krpc_reply_free(reply);
    }
    CHECK(status == KRPC_OK);
    krpc_client_free(second);
    krpc_server_free(server);
}

static void requests_are_limited_in_size(void)
{
    krpc_server_options *options = options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
    krpc_server_options_set_max_frame_bytes(options, 300, NULL);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);
    char large[400];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    krpc_reply *reply = call(client, "Test/echo", large, BOUND_MS);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_CONNECTION_LOST);
    krpc_reply_free(reply);
    CHECK_ECHO(client);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* The same for a peer that closes when a time is up. What we sent has perhaps not been seen yet, so that the
   time begins later than here: the clock, which stands, is moved until it is over. */
static ssize_t raw_until_late(int fd, uint64_t timeout_ms)
{
    struct pollfd ready = {fd, POLLIN, 0};
    while (poll(&ready, 1, 1) == 0)
        CHECK(krpc_test_clock_advance(timeout_ms) == KRPC_OK);
    return raw_until_closed(fd);
}

static void slow_peers_are_dropped(void)
{
    krpc_test_clock_stop();
    krpc_server_options *options = options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
    krpc_server_options_set_read_timeout_ms(options, 3000, NULL);
    krpc_server_options_set_idle_timeout_ms(options, 6000, NULL);
    krpc_server *server = serve(options);
    static const char *const starts[] = {"", "\x80\x01", "\x80\x01\x01\x01\x7f", "PRI *"};
    for (size_t i = 0; i < LEN(starts); i++) {
        int fd = raw_connect(krpc_server_address(server, 0));
        raw_send(fd, starts[i], strlen(starts[i]));
        CHECK(raw_until_late(fd, i == 0 ? 6000 : 3000) == 0);
        close(fd);
    }
    krpc_server_free(server);
    krpc_test_clock_run();
}

/* A client that asks for much and reads nothing. */
static void deaf_peers_are_dropped(void)
{
    static const char head[] = "\x80\x01\x00\x01\x00\x00\x00\x04" "echo" "\x00\x00\x00\x01\x0b\x00\x01\x02\x00\x00\x00";
    const size_t size = 32 << 20;
    char *text = (char *)calloc(1, size + 1); /* and the STOP of the struct */
    krpc_server_options *options = options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
    krpc_server_options_set_write_timeout_ms(options, 50, NULL);
    krpc_server *server = serve(options);
    int fd = raw_connect(krpc_server_address(server, 0));
    raw_send(fd, head, sizeof head - 1);
    raw_send(fd, text, size + 1);
    /* The connection ends by itself: stop finds it gone or waits for that, without cutting it off. */
    krpc_stopped stopped = KRPC_STOPPED_INIT;
    CHECK(krpc_server_stop(server, BOUND_MS, &stopped, NULL) == KRPC_OK && stopped.cut_off == 0);
    close(fd);
    free(text);
    krpc_server_free(server);
}

/* ---- hostile bytes -------------------------------------------------------------------------------------- */

static long resident_kb(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    CHECK(statm != NULL && fscanf(statm, "%*s %ld", &pages) == 1);
    fclose(statm);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void hostile_bytes_end_their_connection_only(void)
{
#define BYTES(text) {text, sizeof text - 1}
    static const struct {
        const char *ptr;
        size_t len;
    } hostile[] = {
        BYTES("\x00\x00\x00\x00\x00\x00\x00\x00"),
        BYTES("\xff\xff\xff\xff\xff\xff\xff\xff"),
        BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        /* 4 GB and 2 GB: framed, TTHeader, a name, a string. */
        BYTES("\xff\xff\xff\xff\x80\x01\x00\x01\x00\x00\x00\x04"),
        BYTES("\x7f\xff\xff\xff\x80\x01\x00\x01\x00\x00\x00\x04"),
        BYTES("\xff\xff\xff\xff\x10\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00"),
        BYTES("\x00\x00\x00\x20\x10\x00\x00\x00\x00\x00\x00\x01\xff\xff\x00\x00\x00\x00"),
        BYTES("\x80\x01\x00\x01\xff\xff\xff\xff" "echo\x00\x00\x00\x01\x00"),
        BYTES("\x80\x01\x00\x01\x7f\xff\xff\xff" "echo\x00\x00\x00\x01\x00"),
        BYTES("\x80\x01\x00\x01\x00\x00\x00\x04" "echo\x00\x00\x00\x01\x0b\x00\x01\xff\xff\xff\xff"),
        BYTES("\x80\x01\x00\x01\x00\x00\x00\x04" "echo\x00\x00\x00\x01\x0b\x00\x01\x7f\xff\xff\xff"),
        /* A list of 2 billion structs; a type that is none; a reply; no name. */
        BYTES("\x80\x01\x00\x01\x00\x00\x00\x04" "echo\x00\x00\x00\x01\x0f\x00\x01\x0c\x7f\xff\xff\xff"),
        BYTES("\x80\x01\x00\x01\x00\x00\x00\x04" "echo\x00\x00\x00\x01\x63\x00\x01"),
        BYTES("\x80\x01\x00\x02\x00\x00\x00\x04" "echo\x00\x00\x00\x01\x00"),
        BYTES("\x80\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00"),
    };
#undef BYTES
    krpc_server_options *options = options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
    krpc_test_clock_stop(); /* what is only half a lie ends with the time to read it */
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);
    CHECK_ECHO(client);
    long before = resident_kb();
    for (size_t i = 0; i < LEN(hostile); i++) {
        int fds[8];
        for (size_t j = 0; j < LEN(fds); j++) {
            fds[j] = raw_connect(krpc_server_address(server, 0));
            raw_send(fds[j], hostile[i].ptr, hostile[i].len);
        }
        CHECK_ECHO(client);
        for (size_t j = 0; j < LEN(fds); j++) {
            CHECK(raw_until_late(fds[j], 5000) <= 0); /* no answer, whatever the manner */
            close(fds[j]);
        }
    }
    CHECK(resident_kb() - before < 32 << 10);
    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    CHECK_ECHO(client);
    CHECK(krpc_client_read_stats(client, &stats) == KRPC_OK);
    CHECK(stats.dialled == 1 && stats.found_dead == 0);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_test_clock_run();
}

/* A client that goes away while a large answer is being written: with SIGPIPE at its default. */
static void a_peer_that_hangs_up_is_no_signal(void)
{
    static const char head[] = "\x80\x01\x00\x01\x00\x00\x00\x04" "echo" "\x00\x00\x00\x01\x0b\x00\x01\x00\x80\x00\x00";
    const size_t size = 8 << 20;
    char *text = (char *)calloc(1, size + 1);
    krpc_server *server = serve_one("m", 0, echo, NULL);
    for (int i = 0; i < 4; i++) {
        char byte;
        int fd = raw_connect(krpc_server_address(server, 0));
        raw_send(fd, head, sizeof head - 1);
        raw_send(fd, text, size + 1);
        CHECK(recv(fd, &byte, 1, 0) == 1); /* the answer has begun */
        close(fd);
    }
    free(text);
    krpc_client *client = client_of(server);
    CHECK_ECHO(client);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- the end ----------------------------------------------------------------------------------------------- */

typedef struct {
    const krpc_client *client;
    gate *gate;
} late_opener;

/* Opens the gate once the server accepts no more, which a new client can tell. */
static void *open_when_refused(void *argument)
{
    const late_opener *self = (const late_opener *)argument;
    krpc_status status = KRPC_OK;
    for (int i = 0; i < BOUND_MS && status == KRPC_OK; i++) {
        krpc_reply *reply = call(self->client, "Test/echo", "x", BOUND_MS);
        status = krpc_reply_status(reply);
        krpc_reply_free(reply);
    }
    CHECK(status == KRPC_STATUS_CONNECT_FAILED || status == KRPC_STATUS_CONNECTION_LOST);
    gate_open(self->gate);
    return NULL;
}

static void stop_lets_requests_finish(void)
{
    gate gate = GATE_INIT;
    krpc_server *server = serve_one("wait", 0, echo_behind_gate, &gate);
    krpc_client_options *fresh = options_to(krpc_server_address(server, 0));
    krpc_client_options_set_max_idle_connections(fresh, 0, NULL);
    krpc_client *client = client_of(server), *late = krpc_client_build(fresh, NULL);
    caller one;
    caller_start(&one, client, "Test/wait", "x");
    gate_await(&gate, 1, 0);
    int idle = raw_connect(krpc_server_address(server, 0));

    /* The stop waits for the request, which waits for the listener to be closed. */
    late_opener after = {late, &gate};
    pthread_t opener;
    CHECK(pthread_create(&opener, NULL, open_when_refused, &after) == 0);
    krpc_stopped stopped = KRPC_STOPPED_INIT;
    CHECK(krpc_server_stop(server, KRPC_FOREVER, &stopped, NULL) == KRPC_OK);
    CHECK(stopped.cut_off == 0 && stopped.finished >= 1);
    pthread_join(opener, NULL);
    CHECK(caller_end(&one) == KRPC_OK);
    CHECK(raw_until_closed(idle) <= 0);
    close(idle);
    CHECK(krpc_server_stop(server, 0, &stopped, NULL) == KRPC_OK);
    CHECK(stopped.finished == 0 && stopped.cut_off == 0);
    krpc_client_free(late);
    krpc_client_free(client);
    krpc_server_free(server);
}

static void stop_cuts_off_what_is_left(void)
{
    static const int64_t graces[] = {0, 1, 50};
    for (size_t i = 0; i < LEN(graces); i++) {
        gate gate = GATE_INIT;
        krpc_server *server = serve_one("wait", 0, echo_behind_gate, &gate);
        krpc_client *client = client_of(server);
        caller one;
        caller_start(&one, client, "Test/wait", "x");
        gate_await(&gate, 1, 0);
        krpc_stopped stopped = KRPC_STOPPED_INIT;
        CHECK(krpc_server_stop(server, graces[i], &stopped, NULL) == KRPC_OK);
        CHECK(stopped.cut_off == 1 && stopped.finished == 0);
        CHECK(caller_end(&one) == KRPC_STATUS_CONNECTION_LOST);
        gate_open(&gate);
        gate_await(&gate, 0, 1);
        krpc_client_free(client);
        krpc_server_free(server);
    }
}

/* Freed while a handler runs, without a stop. Freeing must not wait for the handler, which waits for
   something that happens only afterwards. */
static void free_does_not_wait_for_handlers(void)
{
    gate gate = GATE_INIT;
    krpc_server *server = serve_one("wait", 0, echo_behind_gate, &gate);
    krpc_client *client = client_of(server);
    caller one;
    caller_start(&one, client, "Test/wait", "x");
    gate_await(&gate, 1, 0);
    krpc_server_free(server);
    CHECK(caller_end(&one) == KRPC_STATUS_CONNECTION_LOST);
    gate_open(&gate);
    gate_await(&gate, 0, 1);
    krpc_client_free(client);
    AWAIT(threads_named("krpc-") == 0);
}

typedef struct {
    gate gate;
    int running;
    int destroyed;
} guarded;

static void run_guarded(void *user_data, krpc_request *request)
{
    guarded *self = (guarded *)user_data;
    __atomic_add_fetch(&self->running, 1, __ATOMIC_SEQ_CST);
    gate_pass(&self->gate);
    krpc_request_free(request);
    CHECK(__atomic_load_n(&self->destroyed, __ATOMIC_SEQ_CST) == 0);
    __atomic_sub_fetch(&self->running, 1, __ATOMIC_SEQ_CST);
}

static void destroy_guarded(void *user_data)
{
    guarded *self = (guarded *)user_data;
    CHECK(__atomic_load_n(&self->running, __ATOMIC_SEQ_CST) == 0);
    __atomic_add_fetch(&self->destroyed, 1, __ATOMIC_SEQ_CST);
}

static void destroy_runs_once_after_the_last_handler(void)
{
    guarded method = {GATE_INIT, 0, 0}, rest = {GATE_INIT, 0, 0};
    krpc_service *service = krpc_service_new(KRPC_STR("Test"), NULL);
    CHECK(krpc_service_add_method(service, KRPC_STR("m"), 0, run_guarded, &method, destroy_guarded, NULL) ==
          KRPC_OK);
    krpc_server_options *options = options_with("127.0.0.1:0", service);
    CHECK(krpc_server_options_set_catch_all(options, run_guarded, &rest, destroy_guarded, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);
    caller callers[4];
    for (size_t i = 0; i < LEN(callers); i++)
        caller_start(&callers[i], client, i % 2 == 0 ? "Test/m" : "Else/m2", "x");
    gate_await(&method.gate, 2, 0);
    gate_await(&rest.gate, 2, 0);
    krpc_server_free(server);
    for (size_t i = 0; i < LEN(callers); i++)
        CHECK(caller_end(&callers[i]) == KRPC_STATUS_CONNECTION_LOST);
    CHECK(__atomic_load_n(&method.destroyed, __ATOMIC_SEQ_CST) == 0);
    gate_open(&method.gate);
    gate_open(&rest.gate);
    AWAIT(__atomic_load_n(&method.destroyed, __ATOMIC_SEQ_CST) == 1);
    AWAIT(__atomic_load_n(&rest.destroyed, __ATOMIC_SEQ_CST) == 1);
    krpc_client_free(client);
    AWAIT(threads_named("krpc-") == 0);
    CHECK(method.destroyed == 1 && rest.destroyed == 1);
}

int main(void)
{
    options_check_what_they_get();
    null_is_refused_everywhere();
    servers_that_cannot_start();
    addresses_are_readable_and_served();
    unix_sockets();
    calls_find_their_service();
    requests_in_flight_are_limited();
    connections_are_limited();
    requests_are_limited_in_size();
    slow_peers_are_dropped();
    deaf_peers_are_dropped();
    hostile_bytes_end_their_connection_only();
    a_peer_that_hangs_up_is_no_signal();
    stop_lets_requests_finish();
    stop_cuts_off_what_is_left();
    free_does_not_wait_for_handlers();
    destroy_runs_once_after_the_last_handler();
    return end_of_net_test();
}
