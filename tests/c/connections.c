/* What guards connections: payload checksums, who calls, peers that vanish, how many there are. */
#include "net.h"

#include <netinet/tcp.h>
#include <stddef.h>

/* Each side may check, or not: whoever does not ignores the other's checksums. */
static void payloads_carry_checksums_if_asked(void)
{
    for (int which = 0; which < 4; which++) {
        krpc_server_options *options =
            options_with("127.0.0.1:0", service_with("Test", "other", 0, echo, NULL));
        CHECK(krpc_server_options_set_checksum(options, (which & 1) != 0, NULL) == KRPC_OK);
        krpc_server *server = serve(options);
        krpc_client_options *to = options_to(krpc_server_address(server, 0));
        CHECK(krpc_client_options_set_checksum(to, (which & 2) != 0, NULL) == KRPC_OK);
        krpc_client *client = krpc_client_build(to, NULL);
        CHECK_ECHO(client);
        CHECK_ECHO(client);
        krpc_client_free(client);
        krpc_server_free(server);
    }
    CHECK_STR(krpc_status_name(KRPC_STATUS_CHECKSUM_MISMATCH), "CHECKSUM_MISMATCH");
    CHECK(!krpc_status_retryable(KRPC_STATUS_CHECKSUM_MISMATCH));
}

/* ---- who calls -------------------------------------------------------------------------------------- */

static void shows_credentials(void *user_data, krpc_request *request)
{
    krpc_peer_credentials who = KRPC_PEER_CREDENTIALS_INIT;
    if (*(const int *)user_data) {
        CHECK(krpc_request_peer_credentials(request, &who, NULL) == KRPC_OK);
        CHECK(who.pid == (int32_t)getpid() && who.uid == geteuid() && who.gid == getegid());
        REFUSED("credentials", krpc_request_peer_credentials(request, NULL, &error));
        who.struct_size = 0;
        REFUSED("struct_size", krpc_request_peer_credentials(request, &who, &error));
    } else {
        FAILS(KRPC_STATUS_UNSUPPORTED, "unix socket", krpc_request_peer_credentials(request, &who, &error));
        CHECK(who.pid == 0 && who.uid == 0 && who.gid == 0);
    }
    echo(NULL, request);
}

static void a_unix_socket_tells_who_calls(void)
{
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/krpc-who-%ld.sock", (long)getpid());
    for (int is_unix = 0; is_unix < 2; is_unix++) {
        krpc_service *service = service_with("Test", "who", 0, shows_credentials, &is_unix);
        krpc_server *server = serve(options_with(is_unix ? path : "127.0.0.1:0", service));
        krpc_client *client = client_of(server);
        for (int i = 0; i < 3; i++)
            CHECK_ECHO_OF(client, "Test/who", "hello");
        krpc_client_free(client);
        krpc_server_free(server);
    }
}

/* ---- peers that vanish ------------------------------------------------------------------------------- */

/* TCP sockets of this process that have these options. */
static int sockets_with(int seconds, int user_timeout_ms)
{
    int found = 0;
    for (int fd = 3; fd < 256; fd++) {
        int time = 0, interval = 0, count = 0, timeout = 0, on = 0;
        socklen_t len = sizeof on;
        if (getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &time, &len) != 0)
            continue;
        CHECK(getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, &len) == 0);
        CHECK(getsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, &len) == 0);
        CHECK(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, &len) == 0);
        CHECK(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len) == 0);
        found += on != 0 && time == seconds && interval == 7 && count == 5 && timeout == user_timeout_ms;
    }
    return found;
}

static void sockets_get_the_options_that_were_set(void)
{
    krpc_server_options *serving = options_with("127.0.0.1:0", service_with("Test", "other", 0, echo, NULL));
    CHECK(krpc_server_options_set_tcp_keepalive(serving, 41000, 7000, 5, NULL) == KRPC_OK);
    CHECK(krpc_server_options_set_tcp_user_timeout_ms(serving, 71000, NULL) == KRPC_OK);
    krpc_server *server = serve(serving);
    krpc_client_options *to = options_to(krpc_server_address(server, 0));
    CHECK(krpc_client_options_set_tcp_keepalive(to, 51000, 6001, 5, NULL) == KRPC_OK); /* rounded up */
    CHECK(krpc_client_options_set_tcp_user_timeout_ms(to, 72000, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(to, NULL);
    CHECK_ECHO(client);
    CHECK(sockets_with(41, 71000) == 2); /* the one that listens, and what it accepted */
    CHECK(sockets_with(51, 72000) == 1);
    krpc_client_free(client);
    krpc_server_free(server);
}

/* ---- a limit on connections ----------------------------------------------------------------------------- */

static uint64_t stat_of(const krpc_client *client, size_t offset)
{
    krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
    CHECK(krpc_client_read_stats(client, &stats) == KRPC_OK);
    uint64_t value;
    memcpy(&value, (const char *)&stats + offset, sizeof value);
    return value;
}

#define STAT(client, field) stat_of((client), offsetof(krpc_client_stats, field))

static void calls_wait_for_their_turn_at_a_connection(void)
{
    gate g = GATE_INIT;
    krpc_server *server = serve_one("wait", 0, echo_behind_gate, &g);
    krpc_client_options *to = options_to(krpc_server_address(server, 0));
    CHECK(krpc_client_options_set_max_connections(to, 2, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(to, NULL);
    caller callers[5];
    for (int i = 0; i < 5; i++)
        caller_start(&callers[i], client, "Test/wait", "x");
    AWAIT(STAT(client, waited) == 3);
    gate_await(&g, 2, 0);
    CHECK(STAT(client, busy) == 2 && STAT(client, dialled) == 2 && STAT(client, idle) == 0);

    /* One that can't wait for long says which limit it met. */
    krpc_reply *reply = call(client, "Test/echo", "x", 20);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_OVERLOAD);
    CHECK(contains(krpc_error_describe(krpc_reply_error(reply)), "all 2 are in use (max_connections)"));
    krpc_reply_free(reply);
    CHECK(STAT(client, refused) == 1);

    gate_open(&g);
    for (int i = 0; i < 5; i++)
        CHECK(caller_end(&callers[i]) == KRPC_OK);
    CHECK(STAT(client, busy) == 0 && STAT(client, idle) == 2 && STAT(client, dialled) == 2);
    CHECK(STAT(client, dropped_replies) == 0);
    krpc_client_free(client);
    krpc_server_free(server);
}

#define REFUSED_PLAIN(call) CHECK((call) == KRPC_STATUS_INVALID_ARGUMENT)

static void connections_are_made_before_they_are_needed(void)
{
    krpc_server *server = serve_one("other", 0, echo, NULL);
    krpc_client_options *to = options_to(krpc_server_address(server, 0));
    CHECK(krpc_client_options_set_min_idle_connections(to, 2, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_idle_timeout_ms(to, 1, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(to, NULL);
    REFUSED("connections", krpc_client_warm_up(client, 0, 1, &error));
    REFUSED("timeout_ms", krpc_client_warm_up(client, 1, 0, &error));
    CHECK(krpc_client_warm_up(client, 2, BOUND_MS, NULL) == KRPC_OK);
    CHECK(STAT(client, dialled) == 2 && STAT(client, idle) == 2 && STAT(client, busy) == 0);
    poll(NULL, 0, 5); /* longer than the idle timeout */
    CHECK_ECHO(client);
    CHECK(STAT(client, dialled) == 2 && STAT(client, reused) == 1);
    krpc_client_free(client);
    krpc_server_free(server);

    client = client_to(KRPC_STR("unix:/nonexistent/socket"));
    FAILS(KRPC_STATUS_CONNECT_FAILED, "1 of 1 addresses could not be connected: unix:/nonexistent/socket: No such",
          krpc_client_warm_up(client, 3, BOUND_MS, &error));
    krpc_client_free(client);

    to = options_to(KRPC_STR("127.0.0.1:1"));
    CHECK(krpc_client_options_set_max_idle_connections(to, 1, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_min_idle_connections(to, 2, NULL) == KRPC_OK);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "min_idle", krpc_client_build(to, &error));
}

/* ---- addresses that can't be reached ---------------------------------------------------------------------- */

static void an_address_that_is_down_is_left_alone(void)
{
    krpc_server *server = serve_one("other", 0, echo, NULL);
    krpc_client_options *to = options_to(KRPC_STR("unix:/nonexistent/socket"));
    krpc_str address = krpc_server_address(server, 0);
    CHECK(krpc_client_options_add_address(to, address, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_backoff_ms(to, 3600000, KRPC_FOREVER, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(to, NULL);
    for (int i = 0; i < 10; i++)
        CHECK_ECHO(client);
    CHECK(STAT(client, dials_failed) == 1 && STAT(client, dialled) == 1 && STAT(client, held_back) == 0);
    FAILS(KRPC_STATUS_CONNECT_FAILED, " ms ago, not dialled since", krpc_client_warm_up(client, 1, BOUND_MS, &error));
    CHECK(STAT(client, held_back) == 1 && STAT(client, dials_failed) == 1);
    krpc_client_free(client);
    krpc_server_free(server);
}

static void a_server_counts_its_connections(void)
{
    krpc_server_options *options = options_with("127.0.0.1:0", service_with("Test", "other", 0, echo, NULL));
    CHECK(krpc_server_options_set_max_connections(options, 2, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    krpc_client *clients[3];
    for (size_t i = 0; i < LEN(clients); i++) {
        clients[i] = client_of(server);
        if (i < 2)
            CHECK_ECHO(clients[i]);
        else
            CALL_STATUS(clients[i], "Test/other", KRPC_STATUS_CONNECTION_LOST, "");
    }
    /* A request is in flight until its handler has freed it, a moment after the reply. */
    AWAIT(krpc_server_in_flight(server) == 0);
    krpc_server_stats stats = KRPC_SERVER_STATS_INIT;
    CHECK(krpc_server_read_stats(server, &stats) == KRPC_OK);
    CHECK(stats.accepted == 2 && stats.open == 2 && stats.refused == 1);
    CHECK(stats.in_flight == 0 && stats.passed_over == 0);
    REFUSED_PLAIN(krpc_server_read_stats(NULL, &stats));
    REFUSED_PLAIN(krpc_server_read_stats(server, NULL));
    for (size_t i = 0; i < LEN(clients); i++)
        krpc_client_free(clients[i]);
    krpc_server_free(server);
}

/* ---- callers that spin ----------------------------------------------------------------------------------- */

static void a_caller_that_spins_gets_the_same(void)
{
    gate g = GATE_INIT;
    krpc_server *server = serve_one("wait", 0, echo_behind_gate, &g);
    krpc_client_options *to = options_to(krpc_server_address(server, 0));
    CHECK(krpc_client_options_set_spin_us(to, 1000, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(to, NULL);
    for (int i = 0; i < 50; i++)
        CHECK_ECHO(client);
    /* Time, and a close that cuts off, end such a call as any other. */
    CALL_STATUS(client, "Test/none", KRPC_STATUS_UNKNOWN_METHOD, "none");
    krpc_reply *reply = call(client, "Test/wait", "x", 20);
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_TIMEOUT);
    krpc_reply_free(reply);
    caller waiting;
    caller_start(&waiting, client, "Test/wait", "x");
    gate_await(&g, 2, 0);
    CHECK(krpc_client_close(client, true) == KRPC_OK);
    CHECK(caller_end(&waiting) == KRPC_STATUS_CLOSED);
    gate_open(&g);
    krpc_client_free(client);
    krpc_server_free(server);
}

int main(void)
{
    payloads_carry_checksums_if_asked();
    a_unix_socket_tells_who_calls();
    sockets_get_the_options_that_were_set();
    calls_wait_for_their_turn_at_a_connection();
    connections_are_made_before_they_are_needed();
    an_address_that_is_down_is_left_alone();
    a_server_counts_its_connections();
    a_caller_that_spins_gets_the_same();
    return end_of_net_test();
}
