/* krpc_client and krpc_client_options: mistakes, connections, time, closing, many callers, dead peers. */
#include "net.h"

/* ---- mistakes ------------------------------------------------------------------------------------ */

static void options_check_what_they_get(void)
{
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "destination", krpc_client_options_new((krpc_str){NULL, 1}, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "UTF-8", krpc_client_options_new(KRPC_STR("\xff"), &error));

    krpc_client_options *options = krpc_client_options_new(KRPC_STR(""), NULL);
    static const char *const bad_addresses[] = {
        "", "127.0.0.1", ":80", "host:", "host:65536", "::1:80", "a b:1", "unix:", "[::1]", "host:-1", "h:1 ",
    };
    for (size_t i = 0; i < LEN(bad_addresses); i++)
        REFUSED("address",
                krpc_client_options_add_address(options, krpc_cstr(bad_addresses[i]), &error));
    REFUSED("address", krpc_client_options_add_address(options, (krpc_str){NULL, 3}, &error));
    REFUSED("caller", krpc_client_options_set_caller(options, KRPC_STR("\xc3"), &error));

    static const int32_t bad_transports[] = {0, 5, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < LEN(bad_transports); i++)
        REFUSED("transport", krpc_client_options_set_transport(options, bad_transports[i], &error));

    static const int64_t bad_times[] = {0, -1, INT64_MIN};
    for (size_t i = 0; i < LEN(bad_times); i++) {
        REFUSED("time_ms", krpc_client_options_set_tcp_keepalive(options, bad_times[i], 1, 1, &error));
        REFUSED("interval_ms", krpc_client_options_set_tcp_keepalive(options, 1, bad_times[i], 1, &error));
        REFUSED("timeout_ms", krpc_client_options_set_tcp_user_timeout_ms(options, bad_times[i], &error));
        REFUSED("timeout_ms", krpc_client_options_set_connect_timeout_ms(options, bad_times[i], &error));
        REFUSED("timeout_ms", krpc_client_options_set_idle_timeout_ms(options, bad_times[i], &error));
    }
    REFUSED("timeout_ms", krpc_client_options_set_timeout_ms(options, -1, &error));
    REFUSED("initial_ms", krpc_client_options_set_backoff_ms(options, -1, 1, &error));
    REFUSED("max_ms", krpc_client_options_set_backoff_ms(options, 0, -1, &error));
    REFUSED("max_ms", krpc_client_options_set_backoff_ms(options, 2, 1, &error));
    REFUSED("microseconds", krpc_client_options_set_spin_us(options, 1001, &error));
    REFUSED("count", krpc_client_options_set_tcp_keepalive(options, 1, 1, 0, &error));
    REFUSED("count", krpc_client_options_set_tcp_keepalive(options, 1, 1, 128, &error));
    REFUSED("bytes", krpc_client_options_set_max_frame_bytes(options, 0, &error));
    REFUSED("bytes", krpc_client_options_set_max_frame_bytes(options, 0x40000000, &error));

    /* What is within its limits is taken, and the error output may be NULL. */
    CHECK(krpc_client_options_set_timeout_ms(options, 0, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_timeout_ms(options, KRPC_FOREVER, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_backoff_ms(options, 0, 0, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_backoff_ms(options, 1, KRPC_FOREVER, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_connect_timeout_ms(options, KRPC_FOREVER, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_max_frame_bytes(options, 0x3FFFFFFF, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_max_idle_connections(options, SIZE_MAX, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_timeout_ms(options, -1, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_client_options_free(options);
    krpc_client_options_free(NULL);
}

static void null_is_refused_everywhere(void)
{
    REFUSED("options", krpc_client_options_add_address(NULL, KRPC_STR("a:1"), &error));
    REFUSED("options", krpc_client_options_set_caller(NULL, KRPC_STR("a"), &error));
    REFUSED("options", krpc_client_options_set_transport(NULL, 1, &error));
    REFUSED("options", krpc_client_options_set_timeout_ms(NULL, 1, &error));
    REFUSED("options", krpc_client_options_set_connect_timeout_ms(NULL, 1, &error));
    REFUSED("options", krpc_client_options_set_idle_timeout_ms(NULL, 1, &error));
    REFUSED("options", krpc_client_options_set_max_idle_connections(NULL, 1, &error));
    REFUSED("options", krpc_client_options_set_backoff_ms(NULL, 1, 1, &error));
    REFUSED("options", krpc_client_options_set_max_frame_bytes(NULL, 1, &error));
    REFUSED("options", krpc_client_options_set_min_idle_connections(NULL, 1, &error));
    REFUSED("client", krpc_client_warm_up(NULL, 1, 1, &error));
    REFUSED("options", krpc_client_options_set_spin_us(NULL, 1, &error));
    REFUSED("options", krpc_client_options_set_max_connections(NULL, 1, &error));
    REFUSED("options", krpc_client_options_set_checksum(NULL, true, &error));
    REFUSED("options", krpc_client_options_set_tcp_keepalive(NULL, 1, 1, 1, &error));
    REFUSED("options", krpc_client_options_set_tcp_user_timeout_ms(NULL, 1, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "options", krpc_client_build(NULL, &error));
    CHECK(krpc_client_build(NULL, NULL) == NULL);
    krpc_client_free(NULL);

    krpc_client *client = client_to(KRPC_STR("127.0.0.1:1"));
    krpc_method *method = krpc_client_method(client, KRPC_STR("S/m"), 0, NULL);
    krpc_reply *reply = (krpc_reply *)&client;
    CHECK(krpc_client_call(NULL, method, NULL, NULL, &reply) == KRPC_STATUS_INVALID_ARGUMENT && reply == NULL);
    CHECK(krpc_client_call(client, NULL, NULL, NULL, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_client_call_by_name(NULL, KRPC_STR("m"), NULL, NULL, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    static const char *const bad_names[] = {"", "/", "S/", "/m", "S/m/x"};
    for (size_t i = 0; i < LEN(bad_names); i++)
        CHECK(krpc_client_call_by_name(client, krpc_cstr(bad_names[i]), NULL, NULL, NULL) ==
              KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_client_close(NULL, false) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_client_read_stats(client, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    CHECK(krpc_client_read_stats(NULL, &stats) == KRPC_STATUS_INVALID_ARGUMENT);
    stats.struct_size = 0;
    CHECK(krpc_client_read_stats(client, &stats) == KRPC_STATUS_INVALID_ARGUMENT);

    /* Options of one call: a negative time, a size that can't be, a field of a version to come. */
    struct {
        krpc_call_options known;
        uint64_t unknown;
    } later = {KRPC_CALL_OPTIONS_INIT, 0};
    later.known.timeout_ms = -1;
    CHECK(krpc_client_call(client, method, NULL, &later.known, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    later.known.timeout_ms = 1;
    later.known.struct_size = 0;
    CHECK(krpc_client_call(client, method, NULL, &later.known, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    later.known.struct_size = sizeof later;
    later.unknown = 1;
    CHECK(krpc_client_call(client, method, NULL, &later.known, NULL) == KRPC_STATUS_UNSUPPORTED);

    /* A handle of another type is not a request. */
    CHECK(krpc_client_call(client, method, (const krpc_message *)(const void *)method, NULL, NULL) ==
          KRPC_STATUS_INVALID_ARGUMENT);
    krpc_method_free(method);
    krpc_client_free(client);
}

static void builders_are_consumed_on_failure_too(void)
{
    NOT_MADE(KRPC_STATUS_NO_ADDRESS, "address",
             krpc_client_build(krpc_client_options_new(KRPC_STR("d"), NULL), &error));
    CHECK(krpc_live_handles() == 0);
}

/* ---- calls ----------------------------------------------------------------------------------------- */

static void every_transport_carries_calls(void)
{
    krpc_server *server = serve_one("other", 0, echo, NULL);
    for (int32_t transport = KRPC_TRANSPORT_TTHEADER_FRAMED; transport <= KRPC_TRANSPORT_BUFFERED; transport++) {
        krpc_client_options *options = options_to(krpc_server_address(server, 0));
        krpc_client_options_set_transport(options, transport, NULL);
        krpc_client *client = krpc_client_build(options, NULL);
        CHECK_ECHO(client);
        CHECK_ECHO_OF(client, "echo", "");
        krpc_client_free(client);
    }
    krpc_server_free(server);
}

static void connections_are_kept_and_counted(void)
{
    krpc_server *server = serve_one("other", 0, echo, NULL);
    krpc_client *client = client_of(server);
    for (int i = 0; i < 10; i++)
        CHECK_ECHO(client);
    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    CHECK(krpc_client_read_stats(client, &stats) == KRPC_OK);
    CHECK(stats.dialled == 1 && stats.reused == 9 && stats.found_dead == 0 && stats.idle == 1);
    krpc_client_close(client, false);
    CHECK(krpc_client_read_stats(client, &stats) == KRPC_OK && stats.idle == 0);
    krpc_client_free(client);

    /* Without room for idle ones every call makes its own. */
    krpc_client_options *options = options_to(krpc_server_address(server, 0));
    krpc_client_options_set_max_idle_connections(options, 0, NULL);
    client = krpc_client_build(options, NULL);
    for (int i = 0; i < 3; i++)
        CHECK_ECHO(client);
    CHECK(krpc_client_read_stats(client, &stats) == KRPC_OK);
    CHECK(stats.dialled == 3 && stats.reused == 0 && stats.idle == 0);
    krpc_client_free(client);
    krpc_server_free(server);
}

enum { CALLERS = 64, CALLS = 200 };

typedef struct {
    const krpc_client *client;
    int number;
    int calls;
} hammer;

static void *hammer_main(void *argument)
{
    const hammer *self = (const hammer *)argument;
    for (int i = 0; i < self->calls; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d of %d", i, self->number);
        CHECK_ECHO_OF(self->client, i % 2 == 0 ? "Test/echo" : "Test/quick", text);
    }
    return NULL;
}

static void many_threads_share_a_client(void)
{
    krpc_server *server = serve_one("quick", KRPC_METHOD_FLAG_INLINE, echo, NULL);
    krpc_client *client = client_of(server);
    pthread_t threads[CALLERS];
    hammer hammers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        hammers[i].client = client;
        hammers[i].number = i;
        hammers[i].calls = under_valgrind() ? CALLS / 10 : CALLS;
        CHECK(pthread_create(&threads[i], NULL, hammer_main, &hammers[i]) == 0);
    }
    for (int i = 0; i < CALLERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    krpc_client_read_stats(client, &stats);
    CHECK(stats.dialled <= CALLERS && stats.idle <= CALLERS);
    CHECK(stats.dialled + stats.reused == (uint64_t)(CALLERS * hammers[0].calls));
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- what can't be reached --------------------------------------------------------------------------- */

static void addresses_that_cannot_be_reached(void)
{
    /* A port that was just free. */
    char refusing[32];
    close(raw_listen(1, refusing));
    krpc_client *client = client_to(krpc_cstr(refusing));
    krpc_reply *reply = call(client, "S/m", "x", 0);
    const krpc_error *error = krpc_reply_error(reply);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_CONNECT_FAILED);
    CHECK(krpc_error_phase(error) == KRPC_PHASE_CONNECT && krpc_error_retryable(error));
    CHECK_STR(krpc_error_peer(error), refusing);
    CHECK_STR(krpc_error_method(error), "S/m");
    krpc_reply_free(reply);
    krpc_client_free(client);

    client = client_to(KRPC_STR("no-such-host.invalid:1"));
    CALL_STATUS(client, "S/m", KRPC_STATUS_RESOLVE_FAILED, "no-such-host.invalid");
    krpc_client_free(client);

    client = client_to(KRPC_STR("unix:/nonexistent/socket"));
    CALL_STATUS(client, "S/m", KRPC_STATUS_CONNECT_FAILED, "");
    krpc_client_free(client);

    /* Dead addresses are passed over. */
    krpc_server *server = serve_one("other", 0, echo, NULL);
    krpc_client_options *options = options_to(krpc_cstr(refusing));
    krpc_client_options_add_address(options, KRPC_STR("no-such-host.invalid:1"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    client = krpc_client_build(options, NULL);
    for (int i = 0; i < 6; i++)
        CHECK_ECHO(client);
    krpc_client_free(client);
    krpc_server_free(server);
}

static void connect_timeout(void)
{
    /* With its queue full, the system leaves further connections unanswered. */
    char text[32];
    int listener = raw_listen(0, text), fillers[8];
    struct sockaddr_in address = loopback(port_of(krpc_cstr(text)));
    for (size_t i = 0; i < LEN(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    krpc_client_options *options = options_to(krpc_cstr(text));
    krpc_client_options_set_connect_timeout_ms(options, 30, NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    CALL_STATUS(client, "S/m", KRPC_STATUS_CONNECT_TIMEOUT, "30ms");

    /* The call's own time may be shorter. */
    krpc_reply *reply = call(client, "S/m", "x", 5);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_TIMEOUT);
    CHECK(krpc_error_phase(krpc_reply_error(reply)) == KRPC_PHASE_CONNECT);
    CHECK(krpc_error_status(krpc_error_cause(krpc_reply_error(reply))) == KRPC_STATUS_CONNECT_TIMEOUT);
    krpc_reply_free(reply);
    krpc_client_free(client);
    for (size_t i = 0; i < LEN(fillers); i++)
        close(fillers[i]);
    close(listener);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

static void a_call_ends_with_its_time(void)
{
    gate gate = GATE_INIT;
    krpc_server *server = serve_one("wait", 0, echo_behind_gate, &gate);
    krpc_client_options *options = options_to(krpc_server_address(server, 0));
    krpc_client_options_set_timeout_ms(options, 20, NULL);
    krpc_client *client = krpc_client_build(options, NULL);

    /* The client's time, the call's own. */
    static const int64_t times[] = {0, 10};
    for (size_t i = 0; i < LEN(times); i++) {
        krpc_reply *reply = call(client, "Test/wait", "late", times[i]);
        const krpc_error *error = krpc_reply_error(reply);
        krpc_facts facts = KRPC_FACTS_INIT;
        CHECK(krpc_reply_status(reply) == KRPC_STATUS_TIMEOUT && !krpc_error_retryable(error));
        CHECK(krpc_error_phase(error) == KRPC_PHASE_WAIT && krpc_reply_message(reply) == NULL);
        CHECK(contains(krpc_error_text(error), times[i] == 0 ? "20ms" : "10ms"));
        CHECK(krpc_reply_facts(reply, &facts) == KRPC_OK);
        CHECK(facts.elapsed_us >= 10000 && facts.request_bytes > 0 && facts.reply_bytes == 0);
        krpc_reply_free(reply);
    }

    /* Late replies never meet a later call: their connections are gone. */
    gate_await(&gate, 2, 0);
    gate_open(&gate);
    gate_await(&gate, 0, 2);
    CHECK_ECHO(client);
    CHECK(krpc_server_stop(server, BOUND_MS, NULL, NULL) == KRPC_OK);
    krpc_client_free(client);
    krpc_server_free(server);
}

static void take_signal(int signal)
{
    (void)signal;
}

/* A signal of the host interrupts the wait, and neither ends the call nor lengthens it. */
static void signals_do_not_end_a_call(void)
{
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = take_signal; /* without SA_RESTART */
    sigaction(SIGUSR1, &action, &before);
    gate gate = GATE_INIT;
    krpc_server *server = serve_one("wait", 0, echo_behind_gate, &gate);
    krpc_client *client = client_of(server);
    caller one;
    caller_start(&one, client, "Test/wait", "again");
    gate_await(&gate, 1, 0);
    for (int i = 0; i < 20; i++)
        pthread_kill(one.thread, SIGUSR1);
    gate_open(&gate);
    CHECK(caller_end(&one) == KRPC_OK);
    krpc_client_free(client);
    krpc_server_free(server);
    sigaction(SIGUSR1, &before, NULL);
}

/* ---- closing -------------------------------------------------------------------------------------------- */

static void a_closed_client_refuses_calls(void)
{
    gate gate = GATE_INIT;
    krpc_server *server = serve_one("wait", 0, echo_behind_gate, &gate);
    krpc_client *client = client_of(server);
    caller one;
    caller_start(&one, client, "Test/wait", "under way");
    gate_await(&gate, 1, 0);
    CHECK(krpc_client_close(client, false) == KRPC_OK);
    CHECK(krpc_client_close(client, false) == KRPC_OK);
    CALL_STATUS(client, "Test/echo", KRPC_STATUS_CLOSED, "closed");

    /* The call under way ends by itself. */
    gate_open(&gate);
    CHECK(caller_end(&one) == KRPC_OK);
    krpc_client_free(client);
    krpc_server_free(server);
}

static void cut_off_wakes_blocked_calls(void)
{
    char text[32];
    int listener = raw_listen(8, text), peers[3];
    krpc_client *client = client_to(krpc_cstr(text));
    caller callers[3];
    for (size_t i = 0; i < LEN(callers); i++) {
        caller_start(&callers[i], client, "S/m", "no answer will come");
        peers[i] = accept(listener, NULL, NULL);
        char byte;
        CHECK(recv(peers[i], &byte, 1, 0) == 1); /* it has been sent, so it waits */
    }
    CHECK(krpc_client_close(client, true) == KRPC_OK);
    for (size_t i = 0; i < LEN(callers); i++) {
        CHECK(caller_end(&callers[i]) == KRPC_STATUS_CLOSED);
        close(peers[i]);
    }
    CHECK(krpc_client_close(client, true) == KRPC_OK);
    CALL_STATUS(client, "S/m", KRPC_STATUS_CLOSED, "closed");
    krpc_client_free(client);
    close(listener);
}

/* ---- peers that misbehave --------------------------------------------------------------------------------- */

/* Takes one connection and its request, says `bytes`, and closes. */
typedef struct {
    int listener;
    const char *bytes;
    size_t len;
} liar;

static void *liar_main(void *argument)
{
    const liar *self = (const liar *)argument;
    char request[512];
    int fd = accept(self->listener, NULL, NULL);
    CHECK(recv(fd, request, sizeof request, 0) > 0);
    raw_send(fd, self->bytes, self->len);
    close(fd);
    return NULL;
}

static void replies_of_liars(void)
{
#define SAYS(bytes, status) {bytes, sizeof bytes - 1, status}
    static const struct {
        const char *bytes;
        size_t len;
        krpc_status status;
    } lies[] = {
        SAYS("", KRPC_STATUS_CONNECTION_LOST),
        SAYS("\x80", KRPC_STATUS_CONNECTION_LOST),
        SAYS("HTTP/1.1 400 Bad Request\r\n\r\n", KRPC_STATUS_BAD_PAYLOAD),
        SAYS("\x7f\xff\xff\xff\x80\x01\x00\x02", KRPC_STATUS_FRAME_TOO_LARGE),
        SAYS("\xff\xff\xff\xff\x10\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00", KRPC_STATUS_FRAME_TOO_LARGE),
        /* Replies to another method, with another number, and one that is a call. */
        SAYS("\x80\x01\x00\x02\x00\x00\x00\x01z\x00\x00\x00\x01\x00", KRPC_STATUS_WRONG_METHOD),
        SAYS("\x80\x01\x00\x02\x00\x00\x00\x01m\x00\x00\x00\x09\x00", KRPC_STATUS_OUT_OF_SEQUENCE),
        SAYS("\x80\x01\x00\x01\x00\x00\x00\x01m\x00\x00\x00\x01\x00", KRPC_STATUS_BAD_MESSAGE),
        /* A string of 2 GB in a message that is shorter. */
        SAYS("\x80\x01\x00\x02\x00\x00\x00\x01m\x00\x00\x00\x01\x0b\x00\x00\x7f\xff\xff\xff",
             KRPC_STATUS_FRAME_TOO_LARGE),
    };
#undef SAYS
    for (size_t i = 0; i < LEN(lies); i++) {
        char text[32];
        liar self = {raw_listen(1, text), lies[i].bytes, lies[i].len};
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, liar_main, &self) == 0);
        krpc_client_options *options = options_to(krpc_cstr(text));
        krpc_client_options_set_transport(options, KRPC_TRANSPORT_BUFFERED, NULL);
        krpc_client *client = krpc_client_build(options, NULL);
        CALL_STATUS(client, "S/m", lies[i].status, "S/m");
        pthread_join(thread, NULL);
        krpc_client_free(client);
        close(self.listener);
    }
}

static void a_reply_above_the_limit(void)
{
    krpc_server *server = serve_one("other", 0, echo, NULL);
    krpc_client_options *options = options_to(krpc_server_address(server, 0));
    krpc_client_options_set_max_frame_bytes(options, 200, NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    CHECK_ECHO(client);
    char large[400];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    krpc_reply *reply = call(client, "Test/echo", large, BOUND_MS);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_FRAME_TOO_LARGE);
    krpc_reply_free(reply);
    CHECK_ECHO(client); /* on another connection */
    krpc_client_free(client);
    krpc_server_free(server);
}

/* Ends its side, then closes with bytes unread: the client's next write finds a broken pipe. */
static void *hang_up(void *argument)
{
    int fd = accept(*(int *)argument, NULL, NULL);
    char byte;
    CHECK(recv(fd, &byte, 1, 0) == 1);
    shutdown(fd, SHUT_WR);
    close(fd);
    return NULL;
}

/* SIGPIPE is at its default here, which would end the process. */
static void a_broken_pipe_is_an_error(void)
{
    char text[32];
    int listener = raw_listen(1, text);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, hang_up, &listener) == 0);
    krpc_client *client = client_to(krpc_cstr(text));
    const size_t size = 32 << 20;
    char *large = (char *)calloc(1, size);
    krpc_message *request = krpc_message_wrap(KRPC_ENCODING_RAW, KRPC_BYTES(large, size), large, free, NULL);
    krpc_reply *reply = NULL;
    krpc_status status = krpc_client_call_by_name(client, KRPC_STR("S/m"), request, NULL, &reply);
    CHECK(status == KRPC_STATUS_CONNECTION_LOST);
    krpc_reply_free(reply);
    krpc_message_free(request);
    pthread_join(thread, NULL);
    krpc_client_free(client);
    close(listener);
}

/* A server in a process of its own, which is killed. This process only calls, so it has no thread but
   its own. Runs first: a process that forks should have no threads. */
static void blocking_calls_need_no_threads(void)
{
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        krpc_server *server = serve_one("other", 0, echo, NULL);
        krpc_str address = krpc_server_address(server, 0);
        if (write(ready[1], address.ptr, address.len) > 0)
            pause();
        _exit(0);
    }
    char text[64];
    ssize_t len = read(ready[0], text, sizeof text - 1);
    CHECK(len > 0);
    text[len] = '\0';
    krpc_client *client = client_to(krpc_cstr(text));
    for (int i = 0; i < 3; i++)
        CHECK_ECHO(client);
    CHECK(threads_named("") == 1);

    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    for (int i = 0; i < 3; i++) {
        krpc_reply *reply = call(client, "Test/echo", "anyone?", 0);
        krpc_status status = krpc_reply_status(reply);
        CHECK(status == KRPC_STATUS_CONNECT_FAILED || status == KRPC_STATUS_CONNECTION_LOST);
        krpc_reply_free(reply);
    }
    CHECK(threads_named("") == 1);
    krpc_client_free(client);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    CHECK(threads_named("") == 1);
    blocking_calls_need_no_threads();
    options_check_what_they_get();
    null_is_refused_everywhere();
    builders_are_consumed_on_failure_too();
    every_transport_carries_calls();
    connections_are_kept_and_counted();
    many_threads_share_a_client();
    addresses_that_cannot_be_reached();
    connect_timeout();
    a_call_ends_with_its_time();
    signals_do_not_end_a_call();
    a_closed_client_refuses_calls();
    cut_off_wakes_blocked_calls();
    replies_of_liars();
    a_reply_above_the_limit();
    a_broken_pipe_is_an_error();
    return end_of_net_test();
}
