/* Streams and their connections at the edges of their life: after a fork, idle, being made, and being closed. */
#include "hooks.h"
#include "process.h"
#include "streams.h"

#include <stddef.h>

/* ---- frames, by hand (ttstream.md §1) ---------------------------------------------------------------------------- */

enum { HEADER = '2', DATA = '3', TRAILER = '4', RST = '5' };

static size_t put_number(unsigned char *at, size_t bytes, size_t number)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)(number >> (8 * (bytes - 1 - i)));
    return bytes;
}

static size_t put_text(unsigned char *at, const char *text)
{
    size_t len = strlen(text);
    put_number(at, 2, len);
    memcpy(at + 2, text, len);
    return 2 + len;
}

/* A frame without a service if that is empty; `payload` zeros follow, which are so many structs without fields.
   Returns its length. */
static size_t frame(unsigned char *out, size_t id, char type, const char *service, const char *method, size_t payload)
{
    unsigned char *info = out + 14, *at = info;
    const char kind[2] = {type, 0};
    at += put_number(at, 2, 0x1000);
    if (service[0] != 0) {
        at += put_number(at, 3, 0x010001);
        at += put_text(at, "isn");
        at += put_text(at, service);
    }
    at += put_number(at, 3, 0x100002);
    at += put_number(at, 2, 9);
    at += put_text(at, method);
    at += put_number(at, 2, 27);
    at += put_text(at, kind);
    while ((at - info) % 4 != 0)
        *at++ = 0;
    size_t header = (size_t)(at - info);
    put_number(out, 4, 10 + header + payload);
    put_number(out + 4, 4, 0x10000002);
    put_number(out + 8, 4, id);
    put_number(out + 12, 2, header / 4);
    memset(at, 0, payload);
    return 14 + header + payload;
}

static void send_frame(int fd, size_t id, char type, const char *service, const char *method, size_t payload)
{
    static unsigned char bytes[70000];
    raw_send(fd, bytes, frame(bytes, id, type, service, method, payload));
}

/* Reads until the peer closes, which it must do without a reset; whether this text was in it. */
static int hears_before_the_end(int fd, const char *text)
{
    static char all[1 << 16];
    size_t len = 0;
    for (;;) {
        struct pollfd ready = {fd, POLLIN, 0};
        CHECK(poll(&ready, 1, BOUND_MS) == 1);
        ssize_t got = recv(fd, all + len, sizeof all - len, 0);
        CHECK(got >= 0);
        if (got == 0)
            return contains((krpc_str){all, len}, text);
        len += (size_t)got;
        CHECK(len < sizeof all);
    }
}

/* ---- after a fork ---------------------------------------------------------------------------------------------- */

typedef struct {
    stage all;
    krpc_stream *stream, *served;
} forked;

#define FORKED(expression) FAILS(KRPC_STATUS_FORKED, "was made before a fork", expression)
#define NOT_MADE_FORKED(expression) NOT_MADE(KRPC_STATUS_FORKED, "was made before a fork", expression)

static void streams_are_forked(const krpc_stream *stream, krpc_message *message)
{
    krpc_message *received = NULL, *many[2] = {message, message};
    size_t count = 0;
    krpc_completion completion = KRPC_COMPLETION_INIT;
    krpc_stream_stats stats = KRPC_STREAM_STATS_INIT;
    FORKED(krpc_stream_send(stream, message, &error));
    FORKED(krpc_stream_send_many(stream, (const krpc_message *const *)many, 2, &error));
    FORKED(krpc_stream_try_send_many(stream, (const krpc_message *const *)many, 2, &count, &error));
    FORKED(krpc_stream_start_send(stream, message, &completion, NULL, &error));
    FORKED(krpc_stream_recv(stream, &received, &error));
    FORKED(krpc_stream_recv_many(stream, many, 2, &count, &error));
    FORKED(krpc_stream_start_recv(stream, &completion, NULL, &error));
    FORKED(krpc_stream_close_send(stream, &error));
    FORKED(krpc_stream_flush(stream, &error));
    FORKED(krpc_stream_start_flush(stream, &completion, NULL, &error));
    FORKED(krpc_stream_start_header(stream, &completion, NULL, &error));
    FORKED(krpc_stream_start_trailer(stream, &completion, NULL, &error));
    FORKED(krpc_stream_set_header(stream, NULL, &error));
    FORKED(krpc_stream_send_header(stream, NULL, &error));
    FORKED(krpc_stream_set_trailer(stream, NULL, &error));
    FORKED(krpc_stream_finish(stream, &error));
    FORKED(krpc_stream_fail(stream, 6, KRPC_STR("x"), &error));
    NOT_MADE_FORKED(krpc_stream_header(stream, &error));
    NOT_MADE_FORKED(krpc_stream_trailer(stream, &error));
    CHECK(received == NULL && count == 0);
    CHECK(krpc_stream_cancel(stream, KRPC_STR("x")) == KRPC_STATUS_FORKED);
    CHECK(krpc_stream_cancel_with_code(stream, 1, KRPC_STR("x")) == KRPC_STATUS_FORKED);
    CHECK(krpc_stream_status(stream) == KRPC_STATUS_FORKED);
    CHECK(krpc_stream_read_stats(stream, &stats) == KRPC_STATUS_FORKED);
    CHECK(krpc_stream_method(stream).len == 0 && krpc_stream_context(stream) == NULL);
    CHECK(krpc_stream_error(stream) == NULL && krpc_stream_request(stream) == NULL);
}

static void use_forked(const child *self, void *argument)
{
    (void)self;
    const forked *parent = (const forked *)argument;
    krpc_message *message = text_message(1, KRPC_STR("x"));
    streams_are_forked(parent->stream, message);
    streams_are_forked(parent->served, message);
    krpc_message_free(message);
    krpc_stream *none = NULL;
    FORKED(krpc_client_open_stream(parent->all.client, parent->all.echo, NULL, &none, &error));
    CHECK(none == NULL);

    /* New ones work beside them, and old ones can be freed. */
    stage fresh;
    stage_open(&fresh);
    krpc_stream *stream = open_stream(&fresh, fresh.echo);
    CHECK(send_text(stream, "in the child") == KRPC_OK);
    RECV_TEXT(stream, "in the child");
    krpc_stream_free(parent->stream);
    krpc_stream_free(parent->served);
    CHECK(send_text(stream, "again") == KRPC_OK);
    RECV_TEXT(stream, "again");
    krpc_stream_free(stream);
    stage_close(&fresh);
}

static void a_child_has_no_part_in_streams_of_its_parent(void)
{
    forked self;
    stage_open(&self.all);
    self.stream = open_stream(&self.all, self.all.keep);
    self.served = rack_take(&self.all.kept);
    CHECK(send_text(self.stream, "before") == KRPC_OK);
    in_child(use_forked, &self);
    /* The child has freed its copies and gone, and the parent's stream has not noticed. */
    RECV_TEXT(self.served, "before");
    CHECK(send_text(self.served, "after") == KRPC_OK);
    RECV_TEXT(self.stream, "after");
    CHECK(krpc_stream_finish(self.served, NULL) == KRPC_OK);
    RECV_END(self.stream);
    krpc_stream_free(self.stream);
    krpc_stream_free(self.served);
    stage_close(&self.all);
}

/* ---- idle connections -------------------------------------------------------------------------------------------- */

/* Whatever moving the clock woke on the only I/O thread has run: it answers others. */
static void settle(const stage *all)
{
    CHECK_ECHO(all->client);
}

static void advance(const stage *all, uint64_t milliseconds)
{
    CHECK(krpc_test_clock_advance(milliseconds) == KRPC_OK);
    settle(all);
}

static int has_ended(int fd)
{
    char byte = 0;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void drop_what_came(int fd)
{
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
}

/* A client ends a connection that has had no stream for its idle timeout. */
static void a_client_ends_idle_connections_of_streams(const stage *all)
{
    char text[32];
    int listener = raw_listen(8, text);
    krpc_client_options *options = options_to(krpc_cstr(text));
    CHECK(krpc_client_options_set_idle_timeout_ms(options, 30000, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_stream *stream = NULL;
    CHECK(krpc_client_open_stream(client, all->keep, NULL, &stream, NULL) == KRPC_OK);
    int fd = accept(listener, NULL, NULL);
    CHECK(krpc_stream_flush(stream, NULL) == KRPC_OK);
    advance(all, 100000); /* it has a stream */
    drop_what_came(fd);
    CHECK(!has_ended(fd));
    krpc_stream_free(stream);
    /* RST and TRAILER have left, so the clock of an idle connection runs. */
    AWAIT(readable(fd, 0));
    settle(all);
    advance(all, 29999);
    drop_what_came(fd);
    CHECK(!has_ended(fd));
    advance(all, 1);
    CHECK(raw_until_closed(fd) == 0);
    close(fd);

    /* The next stream makes another. */
    CHECK(krpc_client_open_stream(client, all->keep, NULL, &stream, NULL) == KRPC_OK);
    fd = accept(listener, NULL, NULL);
    krpc_stream_free(stream);
    krpc_client_free(client);
    close(fd);
    close(listener);
}

static void a_server_ends_idle_connections_of_streams(const stage *all)
{
    krpc_service *service = krpc_service_new(KRPC_STR("Test"), NULL);
    add_stream(service, "Echo", KRPC_STREAMING_BIDIRECTIONAL, 0, echo_stream, NULL);
    krpc_server_options *options = options_with("127.0.0.1:0", service);
    CHECK(krpc_server_options_set_idle_timeout_ms(options, 60000, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    int busy = raw_connect(krpc_server_address(server, 0)), idle = raw_connect(krpc_server_address(server, 0));
    send_frame(busy, 1, HEADER, "Test", "Echo", 0);
    send_frame(busy, 1, DATA, "", "Echo", 1);
    send_frame(idle, 1, HEADER, "Test", "Echo", 0);
    send_frame(idle, 1, TRAILER, "", "Echo", 0);
    /* HEADER and the echo; HEADER and TRAILER. */
    AWAIT(readable(busy, 0) && readable(idle, 0));
    settle(all);
    advance(all, 59999);
    drop_what_came(busy);
    drop_what_came(idle);
    CHECK(!has_ended(busy) && !has_ended(idle));
    advance(all, 1);
    CHECK(raw_until_closed(idle) == 0);
    advance(all, 3600 * 1000);
    CHECK(!has_ended(busy));
    close(busy);
    close(idle);
    krpc_server_free(server);
}

/* ---- connections that are being made ------------------------------------------------------------------------------ */

static krpc_op *start_open(const deaf *peer, const stage *all, const krpc_stream_options *options)
{
    krpc_op *op = NULL;
    CHECK(krpc_client_start_open_stream(peer->client, all->keep, options, NULL, &op, NULL) == KRPC_OK);
    return op;
}

static void open_ends(krpc_op *op, krpc_status status, const char *part)
{
    CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    krpc_reply *reply = krpc_op_take_reply(op);
    krpc_str said = krpc_error_describe(krpc_reply_error(reply));
    CHECK(krpc_reply_status(reply) == status && contains(said, part));
    krpc_reply_free(reply);
    krpc_op_free(op);
}

/* The clock stands, so nothing but a cancel can end them. */
static void an_opening_can_be_cancelled_while_it_dials(const stage *all)
{
    deaf peer;
    deaf_open(&peer);
    krpc_context *work = krpc_context_new(NULL, 0, NULL, NULL);
    krpc_stream_options in_context = KRPC_STREAM_OPTIONS_INIT, timed = KRPC_STREAM_OPTIONS_INIT;
    in_context.parent = work;
    timed.timeout_ms = 1000;
    krpc_op *first = start_open(&peer, all, NULL), *second = start_open(&peer, all, &in_context);
    krpc_op *third = start_open(&peer, all, &timed), *last = start_open(&peer, all, NULL);
    settle(all);
    CHECK(krpc_op_cancel(first) == KRPC_OK);
    open_ends(first, KRPC_STATUS_CANCELLED, "cancelled");
    CHECK(krpc_context_cancel(work) == KRPC_OK);
    open_ends(second, KRPC_STATUS_CANCELLED, "cancelled");
    CHECK(!krpc_op_is_done(third) && !krpc_op_is_done(last));
    advance(all, 1000);
    open_ends(third, KRPC_STATUS_TIMEOUT, "no connection within the stream's timeout");
    CHECK(!krpc_op_is_done(last));
    advance(all, 1000);
    open_ends(last, KRPC_STATUS_CONNECT_TIMEOUT, "no connection within the connect timeout");
    /* One that is cancelled before it starts to wait. */
    CHECK(krpc_client_start_open_stream(peer.client, all->keep, &in_context, NULL, &first, NULL) == KRPC_OK);
    open_ends(first, KRPC_STATUS_CANCELLED, "cancelled");
    krpc_context_free(work);
    deaf_close(&peer);
}

/* ---- the last words before a close ---------------------------------------------------------------------------------- */

/* Sends messages that nobody takes until no buffer on the way has room. */
static void fill(int fd, size_t id)
{
    static unsigned char bytes[70000];
    size_t len = frame(bytes, id, DATA, "", "Keep", 65536), at = 0;
    for (int stuck = 0; stuck < 50;) {
        ssize_t sent = send(fd, bytes + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            at = (at + (size_t)sent) % len;
            stuck = 0;
        } else {
            stuck++;
            poll(NULL, 0, 2);
        }
    }
}

/* With bytes in its socket that nobody has read, a close would reset the peer. */
static void a_client_says_why_before_it_closes(const stage *all)
{
    char text[32];
    int listener = raw_listen(8, text);
    krpc_client *client = client_to(krpc_cstr(text));
    krpc_stream *stream = NULL;
    CHECK(krpc_client_open_stream(client, all->keep, NULL, &stream, NULL) == KRPC_OK);
    int fd = accept(listener, NULL, NULL);
    fill(fd, 1);
    CHECK(krpc_stream_cancel(stream, KRPC_STR("I have had enough")) == KRPC_OK);
    CHECK(krpc_client_close(client, true) == KRPC_OK);
    krpc_stream_free(stream);
    /* Its end, and no error of the socket. */
    CHECK(hears_before_the_end(fd, "I have had enough") == 1);
    close(fd);
    close(listener);
    krpc_client_free(client);
}

static void a_server_says_why_before_it_closes(void)
{
    stage all;
    stage_open(&all);
    int fd = raw_connect(krpc_server_address(all.server, 0));
    send_frame(fd, 1, HEADER, "Test", "Keep", 0);
    krpc_stream *served = rack_take(&all.kept);
    fill(fd, 1);
    CHECK(krpc_stream_cancel(served, KRPC_STR("I have had enough")) == KRPC_OK);
    krpc_stream_free(served);
    CHECK(krpc_server_stop(all.server, 0, NULL, NULL) == KRPC_OK);
    CHECK(hears_before_the_end(fd, "I have had enough") == 1);
    close(fd);
    stage_close(&all);
}

/* ---- what connections have seen ------------------------------------------------------------------------------------ */

static krpc_client_stream_stats of_client(const krpc_client *client)
{
    krpc_client_stream_stats stats = KRPC_CLIENT_STREAM_STATS_INIT;
    CHECK(krpc_client_read_stream_stats(client, &stats) == KRPC_OK);
    return stats;
}

static krpc_server_stream_stats of_server(const krpc_server *server)
{
    krpc_server_stream_stats stats = KRPC_SERVER_STREAM_STATS_INIT;
    CHECK(krpc_server_read_stream_stats(server, &stats) == KRPC_OK);
    return stats;
}

static void what_connections_have_seen_is_counted(void)
{
    stage all;
    stage_open(&all);
    CHECK(of_client(all.client).dialled == 0 && of_server(all.server).opened == 0);
    krpc_stream *first = open_stream(&all, all.keep), *second = open_stream(&all, all.keep);
    krpc_stream *served[2] = {rack_take(&all.kept), rack_take(&all.kept)};
    krpc_client_stream_stats client = of_client(all.client);
    CHECK(client.dialled + client.reused == 2 && client.connections == client.dialled && client.streams == 2);
    AWAIT(of_client(all.client).opened == 2 && of_server(all.server).opened == 2);
    CHECK(krpc_stream_cancel(first, KRPC_STR("enough")) == KRPC_OK);
    krpc_stream_free(first);
    krpc_stream_free(second);
    AWAIT(of_client(all.client).resets_sent == 2 && of_server(all.server).resets_received == 2);
    CHECK(of_server(all.server).resets_sent == 0 && of_client(all.client).resets_received == 0);
    krpc_stream_free(served[0]);
    krpc_stream_free(served[1]);
    AWAIT(of_client(all.client).streams == 0);
    CHECK(of_client(all.client).frames_sent >= 2 && of_server(all.server).frames_received >= 4);
    stage_close(&all);
}

/* A frame of a stream that nobody has opened, and a second header. */
static void what_breaks_the_rules_is_counted(void)
{
    stage all;
    stage_open(&all);
    int fd = raw_connect(krpc_server_address(all.server, 0));
    send_frame(fd, 1, HEADER, "Test", "Keep", 0);
    krpc_stream *broken = rack_take(&all.kept);
    send_frame(fd, 5, DATA, "", "Keep", 1);
    AWAIT(of_server(all.server).unknown_frames == 1);
    CHECK(of_server(all.server).illegal_frames == 0);
    send_frame(fd, 1, HEADER, "Test", "Keep", 0);
    AWAIT(of_server(all.server).illegal_frames == 1 && of_server(all.server).resets_sent == 1);
    krpc_stream_free(broken);
    close(fd);

    /* A struct of an earlier version has less room; none, or one of no size, is refused. */
    krpc_server_stream_stats less = KRPC_SERVER_STREAM_STATS_INIT;
    less.struct_size = offsetof(krpc_server_stream_stats, refused);
    less.refused = 99;
    CHECK(krpc_server_read_stream_stats(all.server, &less) == KRPC_OK && less.opened == 1 && less.refused == 99);
    less.struct_size = 0;
    CHECK(krpc_server_read_stream_stats(all.server, &less) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_server_read_stream_stats(all.server, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_server_read_stream_stats(NULL, &less) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_client_read_stream_stats(all.client, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_client_stream_stats client = of_client(all.client);
    CHECK(client.dialled == 0 && krpc_client_read_stream_stats(NULL, &client) == KRPC_STATUS_INVALID_ARGUMENT);

    /* They outlive the stop. */
    CHECK(krpc_server_stop(all.server, BOUND_MS, NULL, NULL) == KRPC_OK);
    CHECK(of_server(all.server).opened == 1 && of_server(all.server).illegal_frames == 1);
    stage_close(&all);
}

int main(void)
{
    what_connections_have_seen_is_counted();
    what_breaks_the_rules_is_counted();
    a_child_has_no_part_in_streams_of_its_parent();
    a_server_says_why_before_it_closes();
    stage all;
    stage_open(&all);
    a_client_says_why_before_it_closes(&all);
    krpc_test_clock_stop();
    a_client_ends_idle_connections_of_streams(&all);
    a_server_ends_idle_connections_of_streams(&all);
    an_opening_can_be_cancelled_while_it_dials(&all);
    krpc_test_clock_run();
    stage_close(&all);
    return end_of_net_test();
}
