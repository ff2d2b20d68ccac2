/* krpc_stream_interceptor: what it sees, what it may change, and how it ends streams, at client, server and service. */
#include "streams.h"

#include <stdatomic.h>

/* ---- an interceptor that writes down what it is asked, and does what it is told ------------------------------------ */

enum { NEVER, OPEN, SEND, RECV, FINISH, END };

typedef struct {
    const char *name;    /* what it adds to messages, e.g. "a" */
    int rejects;         /* when */
    int32_t code;        /* with which number */
    char journal[128];   /* what it was asked, e.g. "o s r e" */
    krpc_status ended;   /* the error at the end */
    int destroyed;
    atomic_int ends;
    pthread_mutex_t mutex;
} spy;

static void spy_note(spy *self, char what)
{
    pthread_mutex_lock(&self->mutex);
    size_t len = strlen(self->journal);
    CHECK(len + 1 < sizeof self->journal);
    self->journal[len] = what;
    pthread_mutex_unlock(&self->mutex);
}

static void spy_init(spy *self, const char *name)
{
    memset(self, 0, sizeof *self);
    self->name = name;
    pthread_mutex_init(&self->mutex, NULL);
}

static void spy_reset(spy *self, int rejects, int32_t code)
{
    pthread_mutex_lock(&self->mutex);
    self->rejects = rejects;
    self->code = code;
    self->ended = KRPC_OK;
    memset(self->journal, 0, sizeof self->journal);
    atomic_store(&self->ends, 0);
    pthread_mutex_unlock(&self->mutex);
}

static void maybe_reject(spy *self, const krpc_stream_hook *hook, int moment)
{
    if (self->rejects == moment)
        CHECK(krpc_stream_hook_reject(hook, self->code, KRPC_STR("not this one"), NULL) == KRPC_OK);
}

static void on_open(void *user_data, const krpc_stream_hook *hook)
{
    spy *self = (spy *)user_data;
    spy_note(self, 'o');
    CHECK_STR(krpc_stream_hook_service(hook), "Test");
    CHECK(krpc_stream_hook_method(hook).len > 0 && krpc_stream_hook_stream(hook) != 0);
    CHECK((krpc_stream_hook_peer(hook).len > 0) == krpc_stream_hook_is_server(hook));
    CHECK(krpc_stream_hook_message(hook) == NULL && krpc_stream_hook_error(hook) == NULL);
    CHECK(krpc_stream_hook_state(hook) == NULL && krpc_stream_hook_set_state(hook, self) == KRPC_OK);
    char key[8];
    snprintf(key, sizeof key, "open-%s", self->name);
    int32_t kind = krpc_stream_hook_is_server(hook) ? KRPC_METAINFO_KIND_BACKWARD : KRPC_METAINFO_KIND_TRANSIENT;
    CHECK(krpc_stream_hook_set_metainfo(hook, kind, krpc_cstr(key), KRPC_STR("1"), NULL) == KRPC_OK);
    /* What makes no sense now. */
    krpc_message *message = text_message(1, KRPC_STR("x"));
    FAILS(KRPC_STATUS_INVALID_STATE, "no message", krpc_stream_hook_replace(hook, message, &error));
    krpc_message_free(message);
    REFUSED("kind", krpc_stream_hook_set_metainfo(hook, KRPC_METAINFO_KIND_UPSTREAM, KRPC_STR("k"), KRPC_STR("v"), &error));
    REFUSED("kind", krpc_stream_hook_set_metainfo(hook, 99, KRPC_STR("k"), KRPC_STR("v"), &error));
    REFUSED("key", krpc_stream_hook_set_metainfo(hook, kind, KRPC_STR(""), KRPC_STR("v"), &error));
    maybe_reject(self, hook, OPEN);
}

/* The message's text with the name behind it. */
static void extend(spy *self, const krpc_stream_hook *hook)
{
    CHECK(krpc_stream_hook_state(hook) == self);
    krpc_str text = {NULL, 0};
    char longer[64];
    krpc_reader *reader = krpc_reader_new(krpc_stream_hook_message(hook), NULL);
    CHECK(krpc_reader_find(reader, 1, NULL) && krpc_reader_string(reader, &text) == KRPC_OK);
    snprintf(longer, sizeof longer, "%.*s%s", (int)text.len, text.ptr, self->name);
    krpc_reader_free(reader);
    krpc_message *message = text_message(1, krpc_cstr(longer));
    CHECK(krpc_stream_hook_replace(hook, message, NULL) == KRPC_OK);
    krpc_message_free(message);
    REFUSED("message", krpc_stream_hook_replace(hook, NULL, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "no pairs",
          krpc_stream_hook_set_metainfo(hook, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("k"), KRPC_STR("v"), &error));
}

static void on_send(void *user_data, const krpc_stream_hook *hook)
{
    spy_note((spy *)user_data, 's');
    extend((spy *)user_data, hook);
    maybe_reject((spy *)user_data, hook, SEND);
}

static void on_recv(void *user_data, const krpc_stream_hook *hook)
{
    spy_note((spy *)user_data, 'r');
    extend((spy *)user_data, hook);
    maybe_reject((spy *)user_data, hook, RECV);
}

static void on_finish(void *user_data, const krpc_stream_hook *hook)
{
    spy *self = (spy *)user_data;
    spy_note(self, 'f');
    CHECK(krpc_stream_hook_is_server(hook));
    char key[8];
    snprintf(key, sizeof key, "last-%s", self->name);
    CHECK(krpc_stream_hook_set_metainfo(hook, KRPC_METAINFO_KIND_BACKWARD, krpc_cstr(key), KRPC_STR("1"), NULL) == KRPC_OK);
    REFUSED("kind", krpc_stream_hook_set_metainfo(hook, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("k"), KRPC_STR("v"), &error));
    maybe_reject(self, hook, FINISH);
}

static void on_end(void *user_data, const krpc_stream_hook *hook)
{
    spy *self = (spy *)user_data;
    spy_note(self, 'e');
    CHECK(krpc_stream_hook_state(hook) == self);
    FAILS(KRPC_STATUS_INVALID_STATE, "over", krpc_stream_hook_reject(hook, 0, KRPC_STR("late"), &error));
    const krpc_error *error = krpc_stream_hook_error(hook);
    self->ended = error == NULL ? KRPC_OK : krpc_error_status(error);
    atomic_fetch_add(&self->ends, 1);
}

static void let_go(void *user_data)
{
    ((spy *)user_data)->destroyed++;
}

static krpc_stream_interceptor interceptor_of(spy *self)
{
    krpc_stream_interceptor interceptor = KRPC_STREAM_INTERCEPTOR_INIT;
    interceptor.open = on_open;
    interceptor.send = on_send;
    interceptor.recv = on_recv;
    interceptor.finish = on_finish;
    interceptor.end = on_end;
    interceptor.user_data = self;
    interceptor.destroy = let_go;
    return interceptor;
}

/* ---- a stage with two at the client, one at the server and one at the service --------------------------------------- */

typedef struct {
    stage stage;
    spy a, b; /* client: a around b */
    spy c, d; /* server around service */
} crowd;

static void crowd_open(crowd *all)
{
    static const rack empty = RACK_INIT;
    memset(&all->stage, 0, sizeof all->stage);
    all->stage.kept = empty;
    spy_init(&all->a, "a"), spy_init(&all->b, "b"), spy_init(&all->c, "c"), spy_init(&all->d, "d");
    krpc_stream_interceptor a = interceptor_of(&all->a), b = interceptor_of(&all->b);
    krpc_stream_interceptor c = interceptor_of(&all->c), d = interceptor_of(&all->d);
    krpc_service *service = krpc_service_new(KRPC_STR("Test"), NULL);
    add_stream(service, "Echo", KRPC_STREAMING_BIDIRECTIONAL, 0, echo_stream, NULL);
    add_stream(service, "Repeat", KRPC_STREAMING_SERVER, 0, repeat_stream, NULL);
    add_stream(service, "Keep", KRPC_STREAMING_BIDIRECTIONAL, KRPC_METHOD_FLAG_INLINE, rack_put, &all->stage.kept);
    CHECK(krpc_service_add_stream_interceptor(service, &d, NULL) == KRPC_OK);
    krpc_server_options *serving = options_with("127.0.0.1:0", service);
    CHECK(krpc_server_options_add_stream_interceptor(serving, &c, NULL) == KRPC_OK);
    all->stage.server = serve(serving);
    krpc_client_options *calling = options_to(krpc_server_address(all->stage.server, 0));
    CHECK(krpc_client_options_add_stream_interceptor(calling, &a, NULL) == KRPC_OK);
    CHECK(krpc_client_options_add_stream_interceptor(calling, &b, NULL) == KRPC_OK);
    all->stage.client = krpc_client_build(calling, NULL);
    CHECK(all->stage.client != NULL);
    all->stage.echo = krpc_client_method(all->stage.client, KRPC_STR("Test/Echo"), 0, NULL);
    all->stage.repeat = krpc_client_method(all->stage.client, KRPC_STR("Test/Repeat"), 0, NULL);
    all->stage.keep = krpc_client_method(all->stage.client, KRPC_STR("Test/Keep"), 0, NULL);
}

static void crowd_close(crowd *all)
{
    stage_close(&all->stage);
    AWAIT(all->a.destroyed == 1 && all->b.destroyed == 1 && all->c.destroyed == 1 && all->d.destroyed == 1);
}

static void crowd_reset(crowd *all)
{
    spy_reset(&all->a, NEVER, 0), spy_reset(&all->b, NEVER, 0);
    spy_reset(&all->c, NEVER, 0), spy_reset(&all->d, NEVER, 0);
}

/* All that were let in have heard of the end, once. */
static void await_ends(crowd *all)
{
    AWAIT(atomic_load(&all->a.ends) == 1 && atomic_load(&all->b.ends) == 1);
    AWAIT(atomic_load(&all->c.ends) == 1 && atomic_load(&all->d.ends) == 1);
}

static int has_pair(const krpc_metainfo *pairs, int32_t kind, const char *key)
{
    return krpc_metainfo_get(pairs, kind, krpc_cstr(key), NULL);
}

static void they_stand_around_each_other(crowd *all)
{
    krpc_stream *stream = open_stream(&all->stage, all->stage.keep), *served = rack_take(&all->stage.kept);
    CHECK(has_pair(krpc_stream_metainfo(served), KRPC_METAINFO_KIND_UPSTREAM, "open-a"));
    CHECK(has_pair(krpc_stream_metainfo(served), KRPC_METAINFO_KIND_UPSTREAM, "open-b"));
    CHECK(send_text(stream, "x") == KRPC_OK);
    RECV_TEXT(served, "xabdc"); /* out: a then b; in: the service's before the server's */
    CHECK(send_text(served, "y") == KRPC_OK);
    RECV_TEXT(stream, "ycdba");
    krpc_metainfo *header = krpc_stream_header(stream, NULL);
    CHECK(has_pair(header, KRPC_METAINFO_KIND_BACKWARD, "open-c") && has_pair(header, KRPC_METAINFO_KIND_BACKWARD, "open-d"));
    krpc_metainfo_free(header);
    CHECK(krpc_stream_finish(served, NULL) == KRPC_OK);
    krpc_metainfo *trailer = krpc_stream_trailer(stream, NULL);
    CHECK(has_pair(trailer, KRPC_METAINFO_KIND_BACKWARD, "last-c") && has_pair(trailer, KRPC_METAINFO_KIND_BACKWARD, "last-d"));
    krpc_metainfo_free(trailer);
    RECV_END(stream);
    await_ends(all);
    CHECK(strcmp(all->a.journal, "osre") == 0 && strcmp(all->b.journal, "osre") == 0);
    CHECK(strcmp(all->c.journal, "orsfe") == 0 && strcmp(all->d.journal, "orsfe") == 0);
    CHECK(all->a.ended == KRPC_OK && all->d.ended == KRPC_OK);
    krpc_stream_free(served);
    krpc_stream_free(stream);

    /* The request of a method that streams only its answers passes too. */
    crowd_reset(all);
    stream = open_stream(&all->stage, all->stage.repeat);
    CHECK(send_text(stream, "x") == KRPC_OK && krpc_stream_close_send(stream, NULL) == KRPC_OK);
    for (int i = 0; i < 3; i++)
        RECV_TEXT(stream, "xabdccdba");
    RECV_END(stream);
    await_ends(all);
    CHECK(strcmp(all->c.journal, "orsssfe") == 0);
    krpc_stream_free(stream);
}

/* Operations, batches and deliveries pass as well. */
static void every_way_passes(crowd *all)
{
    crowd_reset(all);
    krpc_stream *stream = open_stream(&all->stage, all->stage.keep), *served = rack_take(&all->stage.kept);
    krpc_message *message = text_message(1, KRPC_STR("x"));
    const krpc_message *two[2] = {message, message};
    size_t sent = 0;
    krpc_op *op = NULL, *recv = NULL;
    CHECK(krpc_stream_start_recv(served, NULL, &recv, NULL) == KRPC_OK); /* waits, on the I/O thread */
    CHECK(krpc_stream_send_many(stream, two, 2, NULL) == KRPC_OK);
    CHECK(krpc_stream_try_send_many(stream, two, 2, &sent, NULL) == KRPC_OK && sent == 2);
    CHECK(krpc_stream_start_send(stream, message, NULL, &op, NULL) == KRPC_OK && op_end(op) == KRPC_OK);
    krpc_message_free(message);
    CHECK(krpc_op_wait(recv, BOUND_MS) == KRPC_OK);
    krpc_reply *reply = krpc_op_take_reply(recv);
    CHECK(is_text(krpc_reply_message(reply), 1, KRPC_STR("xabdc")));
    krpc_reply_free(reply);
    krpc_op_free(recv);
    krpc_queue *queue = queue_of(16);
    CHECK(krpc_stream_deliver(served, queue, 1, 8, NULL) == KRPC_OK);
    for (int i = 0; i < 4; i++) {
        krpc_event event = take_one(queue);
        CHECK(is_text(event.message, 1, KRPC_STR("xabdc")));
        krpc_event_release(&event);
    }
    krpc_stream_free(stream);
    krpc_stream_free(served);
    krpc_queue_free(queue);
    await_ends(all);
}

/* ---- rejections -------------------------------------------------------------------------------------------------------- */

/* The error of a failed receive has this number and text. */
static void check_reason(const krpc_stream *stream, krpc_status status, int32_t code, const char *words)
{
    krpc_message *message = NULL;
    krpc_error *error = NULL;
    int32_t found = 0;
    krpc_str text = {NULL, 0};
    CHECK(krpc_stream_recv(stream, &message, &error) == status && message == NULL);
    if (status == KRPC_STATUS_REMOTE_EXCEPTION)
        CHECK(krpc_error_remote_exception(error, &found, &text));
    else
        CHECK(krpc_error_stream_reason(error, &found, &text, NULL));
    CHECK(found == code);
    CHECK_STR(text, words);
    krpc_error_free(error);
}

static void a_client_rejects(crowd *all)
{
    /* Before anything is sent; who was asked before hears of the end. */
    crowd_reset(all);
    spy_reset(&all->b, OPEN, 0);
    krpc_stream *stream = (krpc_stream *)all;
    krpc_op *op = NULL;
    FAILS(KRPC_STATUS_CANCELLED, "not this one", krpc_client_open_stream(all->stage.client, all->stage.keep, NULL, &stream, &error));
    CHECK(stream == NULL && strcmp(all->a.journal, "oe") == 0 && strcmp(all->b.journal, "o") == 0);
    CHECK(all->a.ended == KRPC_STATUS_CANCELLED);
    CHECK(krpc_client_start_open_stream(all->stage.client, all->stage.keep, NULL, NULL, &op, NULL) == KRPC_OK);
    CHECK(op_end(op) == KRPC_STATUS_CANCELLED);
    CHECK(strcmp(all->c.journal, "") == 0);

    /* A message on its way out. */
    crowd_reset(all);
    spy_reset(&all->b, SEND, 777);
    stream = open_stream(&all->stage, all->stage.keep);
    krpc_stream *served = rack_take(&all->stage.kept);
    CHECK(send_text(stream, "x") == KRPC_STATUS_CANCELLED);
    check_reason(served, KRPC_STATUS_CANCELLED, 777, "not this one");
    check_reason(stream, KRPC_STATUS_CANCELLED, 777, "not this one");
    CHECK(send_text(stream, "x") == KRPC_STATUS_CANCELLED);
    CHECK(strcmp(all->b.journal, "os") == 0 || strcmp(all->b.journal, "ose") == 0); /* not asked again */
    await_ends(all);
    CHECK(all->a.ended == KRPC_STATUS_CANCELLED && all->d.ended == KRPC_STATUS_CANCELLED);
    krpc_stream_free(stream);
    krpc_stream_free(served);

    /* One that has come; those before it are received. */
    crowd_reset(all);
    stream = open_stream(&all->stage, all->stage.keep), served = rack_take(&all->stage.kept);
    CHECK(send_text(served, "1") == KRPC_OK);
    RECV_TEXT(stream, "1cdba");
    spy_reset(&all->a, RECV, 0);
    CHECK(send_text(served, "2") == KRPC_OK && send_text(served, "3") == KRPC_OK);
    check_reason(stream, KRPC_STATUS_CANCELLED, 12007, "not this one");
    check_reason(stream, KRPC_STATUS_CANCELLED, 12007, "not this one");
    check_reason(served, KRPC_STATUS_CANCELLED, 12007, "not this one");
    await_ends(all);
    krpc_stream_free(stream);
    krpc_stream_free(served);
}

static void a_server_rejects(crowd *all)
{
    /* Before the handler. */
    static const int32_t codes[][2] = {{0, 6}, {1234, 1234}};
    for (size_t i = 0; i < LEN(codes); i++) {
        crowd_reset(all);
        spy_reset(&all->d, OPEN, codes[i][0]);
        krpc_stream *stream = open_stream(&all->stage, all->stage.keep);
        check_reason(stream, KRPC_STATUS_REMOTE_EXCEPTION, codes[i][1], "not this one");
        AWAIT(atomic_load(&all->a.ends) == 1 && atomic_load(&all->b.ends) == 1);
        CHECK(strcmp(all->c.journal, "oe") == 0 && strcmp(all->d.journal, "o") == 0);
        CHECK(all->stage.kept.arrived == all->stage.kept.taken);
        krpc_stream_free(stream);
    }

    /* A message that the handler sends, or is about to receive. */
    static const int moments[] = {SEND, RECV};
    for (size_t i = 0; i < LEN(moments); i++) {
        crowd_reset(all);
        spy_reset(&all->c, moments[i], 99);
        krpc_stream *stream = open_stream(&all->stage, all->stage.keep), *served = rack_take(&all->stage.kept);
        CHECK(send_text(stream, "x") == KRPC_OK);
        if (moments[i] == SEND)
            CHECK(send_text(served, "y") == KRPC_STATUS_CANCELLED);
        check_reason(served, KRPC_STATUS_CANCELLED, 99, "not this one");
        check_reason(stream, KRPC_STATUS_REMOTE_EXCEPTION, 99, "not this one");
        FAILS(KRPC_STATUS_INVALID_STATE, "finished already", krpc_stream_finish(served, &error));
        await_ends(all);
        CHECK(all->d.ended == KRPC_STATUS_CANCELLED && all->a.ended == KRPC_STATUS_REMOTE_EXCEPTION);
        krpc_stream_free(stream);
        krpc_stream_free(served);
    }

    /* How the handler has ended. */
    crowd_reset(all);
    spy_reset(&all->d, FINISH, 55);
    krpc_stream *stream = open_stream(&all->stage, all->stage.keep), *served = rack_take(&all->stage.kept);
    CHECK(krpc_stream_finish(served, NULL) == KRPC_OK);
    check_reason(stream, KRPC_STATUS_REMOTE_EXCEPTION, 55, "not this one");
    await_ends(all);
    CHECK(all->c.ended == KRPC_STATUS_REMOTE_EXCEPTION);
    krpc_stream_free(stream);
    krpc_stream_free(served);
}

/* An opening that fails later: the interceptors that let it pass hear of its end. */
static void a_failed_opening_ends_them(void)
{
    spy alone;
    spy_init(&alone, "a");
    krpc_stream_interceptor interceptor = interceptor_of(&alone);
    char address[32];
    close(raw_listen(1, address));
    krpc_client_options *options = options_to(krpc_cstr(address));
    CHECK(krpc_client_options_add_stream_interceptor(options, &interceptor, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/Keep"), 0, NULL);
    krpc_stream *stream = NULL;
    FAILS(KRPC_STATUS_CONNECT_FAILED, "", krpc_client_open_stream(client, method, NULL, &stream, &error));
    CHECK(strcmp(alone.journal, "oe") == 0 && alone.ended == KRPC_STATUS_CONNECT_FAILED);
    krpc_method_free(method);
    krpc_client_free(client);
    AWAIT(alone.destroyed == 1);
}

/* ---- META: a peer that speaks the bytes itself -------------------------------------------------------------------------- */

typedef struct {
    int listener;
} proxy;

static void read_all(int fd, uint8_t *bytes, size_t count)
{
    for (size_t got = 0; got < count;) {
        ssize_t some = recv(fd, bytes + got, count - got, 0);
        CHECK(some > 0);
        got += (size_t)some;
    }
}

/* A frame of ttstream.md §13 with this stream's id. */
static void send_frame(int fd, const char *hex, const uint8_t id[4])
{
    uint8_t frame[128];
    size_t len = strlen(hex) / 2;
    CHECK(len <= sizeof frame);
    for (size_t i = 0; i < len; i++) {
        unsigned value = 0;
        CHECK(sscanf(hex + 2 * i, "%2x", &value) == 1);
        frame[i] = (uint8_t)value;
    }
    memcpy(frame + 8, id, 4);
    raw_send(fd, frame, len);
}

/* For each of two streams: HEADER, META, TRAILER. */
static void *serve_meta(void *argument)
{
    int fd = accept(((proxy *)argument)->listener, NULL, NULL);
    CHECK(fd >= 0);
    for (int round = 0; round < 2; round++) {
        uint8_t head[12], rest[256];
        read_all(fd, head, sizeof head);
        size_t len = (size_t)head[2] << 8 | head[3];
        CHECK(len - 8 <= sizeof rest);
        read_all(fd, rest, len - 8);
        send_frame(fd, "0000001e1000000200000001000510001000020009000442696469001b0001320000", head + 8);
        send_frame(fd, "000000361000000200000001000b10000100010003726970000d31302e302e302e313a383838381000020009000442696469001b000131000000", head + 8);
        send_frame(fd, "0000001e1000000200000001000510001000020009000442696469001b0001340000", head + 8);
        if (round == 0) /* the client's TRAILER */
            read_all(fd, rest, 34);
    }
    raw_until_closed(fd);
    close(fd);
    return NULL;
}

static atomic_int metas;

static void on_meta(void *user_data, const krpc_stream_hook *hook)
{
    krpc_str value;
    CHECK(krpc_metainfo_get(krpc_stream_hook_metainfo(hook), KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("rip"), &value));
    CHECK_STR(value, "10.0.0.1:8888");
    CHECK(krpc_message_encoding(krpc_stream_hook_message(hook)) == KRPC_ENCODING_RAW);
    CHECK(krpc_message_size(krpc_stream_hook_message(hook)) == 0);
    if (atomic_fetch_add(&metas, 1) == 1)
        CHECK(krpc_stream_hook_reject(hook, 4321, KRPC_STR("no proxies"), NULL) == KRPC_OK);
    (void)user_data;
}

static void note_meta(void *user_data, const krpc_stream_event *event)
{
    if (event->kind == KRPC_STREAM_EVENT_KIND_META) {
        CHECK(krpc_metainfo_count(event->metainfo) == 1 && event->bytes == 0 && event->is_server == 0);
        atomic_fetch_add((atomic_int *)user_data, 1);
    }
}

static void meta_frames_reach_the_host(void)
{
    char address[32];
    proxy peer = {raw_listen(1, address)};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, serve_meta, &peer) == 0);
    atomic_int seen = 0;
    krpc_stream_interceptor interceptor = KRPC_STREAM_INTERCEPTOR_INIT;
    interceptor.meta = on_meta;
    krpc_stream_observer observer = KRPC_STREAM_OBSERVER_INIT;
    observer.callback = note_meta;
    observer.user_data = &seen;
    krpc_client_options *options = options_to(krpc_cstr(address));
    CHECK(krpc_client_options_add_stream_interceptor(options, &interceptor, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_stream_observer(options, &observer, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/Bidi"), 0, NULL);
    krpc_stream *stream = NULL;
    CHECK(krpc_client_open_stream(client, method, NULL, &stream, NULL) == KRPC_OK);
    RECV_END(stream);
    CHECK(atomic_load(&metas) == 1 && atomic_load(&seen) == 1);
    krpc_stream_free(stream);
    /* One that is refused ends its stream, not the connection. */
    CHECK(krpc_client_open_stream(client, method, NULL, &stream, NULL) == KRPC_OK);
    check_reason(stream, KRPC_STATUS_CANCELLED, 4321, "no proxies");
    krpc_stream_free(stream);
    CHECK(atomic_load(&metas) == 2 && atomic_load(&seen) == 1);
    krpc_method_free(method);
    krpc_client_free(client);
    CHECK(pthread_join(thread, NULL) == 0);
    close(peer.listener);
}

/* ---- mistakes ------------------------------------------------------------------------------------------------------------- */

static void mistakes(void)
{
    spy unused;
    spy_init(&unused, "x");
    krpc_stream_interceptor interceptor = interceptor_of(&unused), none = KRPC_STREAM_INTERCEPTOR_INIT;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("x"), NULL);
    REFUSED("options", krpc_client_options_add_stream_interceptor(NULL, &interceptor, &error));
    REFUSED("options", krpc_server_options_add_stream_interceptor(NULL, &interceptor, &error));
    REFUSED("service", krpc_service_add_stream_interceptor(NULL, &interceptor, &error));
    CHECK(unused.destroyed == 3);
    REFUSED("interceptor", krpc_client_options_add_stream_interceptor(options, NULL, &error));
    none.user_data = &unused;
    none.destroy = let_go;
    REFUSED("has no function", krpc_client_options_add_stream_interceptor(options, &none, &error));
    CHECK(unused.destroyed == 4);
    interceptor.struct_size = 1;
    REFUSED("interceptor", krpc_client_options_add_stream_interceptor(options, &interceptor, &error));
    CHECK(unused.destroyed == 4);
    interceptor.struct_size = sizeof interceptor;
    CHECK(krpc_client_options_add_stream_interceptor(options, &interceptor, NULL) == KRPC_OK);
    krpc_client_options_free(options);
    CHECK(unused.destroyed == 5);

    /* NULL and handles of another type wherever a hook is expected. */
    krpc_message *message = text_message(1, KRPC_STR("x"));
    CHECK(krpc_stream_hook_service(NULL).len == 0 && krpc_stream_hook_method(NULL).len == 0 && krpc_stream_hook_peer(NULL).len == 0);
    CHECK(krpc_stream_hook_stream(NULL) == 0 && !krpc_stream_hook_is_server(NULL) && krpc_stream_hook_state(NULL) == NULL);
    CHECK(krpc_stream_hook_message(NULL) == NULL && krpc_stream_hook_metainfo(NULL) == NULL && krpc_stream_hook_error(NULL) == NULL);
    CHECK(krpc_stream_hook_set_state(NULL, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    REFUSED("hook", krpc_stream_hook_replace(NULL, message, &error));
    REFUSED("hook", krpc_stream_hook_replace((const krpc_stream_hook *)message, message, &error));
    REFUSED("hook", krpc_stream_hook_set_metainfo(NULL, 1, KRPC_STR("k"), KRPC_STR("v"), &error));
    REFUSED("hook", krpc_stream_hook_reject(NULL, 0, KRPC_STR("x"), &error));
    krpc_message_free(message);
}

int main(void)
{
    crowd all;
    crowd_open(&all);
    they_stand_around_each_other(&all);
    every_way_passes(&all);
    a_client_rejects(&all);
    a_server_rejects(&all);
    crowd_close(&all);
    a_failed_opening_ends_them();
    meta_frames_reach_the_host();
    mistakes();
    return end_of_net_test();
}
