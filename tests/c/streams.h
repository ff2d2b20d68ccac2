/* What the tests of streams share: a server of some streaming methods, a client of it, and short words for
   sending and receiving texts. */
#ifndef STREAMS_H
#define STREAMS_H

#include "async.h"

/* ---- texts ------------------------------------------------------------------------------------------------- */

static inline krpc_status send_text(const krpc_stream *stream, const char *text)
{
    krpc_message *message = text_message(1, krpc_cstr(text));
    krpc_status status = krpc_stream_send(stream, message, NULL);
    krpc_message_free(message);
    return status;
}

/* The next message is this text. */
#define RECV_TEXT(stream, text)                                                            \
    do {                                                                                   \
        krpc_message *received = NULL;                                                     \
        krpc_error *recv_error = NULL;                                                     \
        krpc_status recv_status = krpc_stream_recv((stream), &received, &recv_error);      \
        CHECK_STR(krpc_error_describe(recv_error), "");                                    \
        CHECK(recv_status == KRPC_OK && received != NULL);                                 \
        CHECK(is_text(received, 1, krpc_cstr(text)));                                      \
        krpc_message_free(received);                                                       \
    } while (0)

/* The peer has said everything. */
#define RECV_END(stream)                                                                   \
    do {                                                                                   \
        krpc_message *received = NULL;                                                     \
        CHECK(krpc_stream_recv((stream), &received, NULL) == KRPC_OK && received == NULL); \
    } while (0)

/* Receiving fails like this. */
#define RECV_FAILS(status, part, stream)                                                   \
    do {                                                                                   \
        krpc_message *received = NULL;                                                     \
        FAILS((status), (part), krpc_stream_recv((stream), &received, &error));            \
        CHECK(received == NULL);                                                           \
    } while (0)

/* One pair, of the kind that headers and trailers have. */
static inline krpc_metainfo *pair(const char *key, const char *value)
{
    krpc_metainfo *pairs = krpc_metainfo_new();
    CHECK(krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_BACKWARD, krpc_cstr(key), krpc_cstr(value), NULL) == KRPC_OK);
    return pairs;
}

/* ---- a shelf for streams: a handler puts them there, the test takes them off --------------------------------- */

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    krpc_stream *streams[16];
    int arrived;
    int taken;
} rack;

#define RACK_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {NULL}, 0, 0}

static inline void rack_put(void *user_data, krpc_stream *stream)
{
    rack *self = (rack *)user_data;
    pthread_mutex_lock(&self->mutex);
    CHECK(self->arrived - self->taken < 16);
    self->streams[self->arrived++ % 16] = stream;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

/* The oldest stream, waited for. */
static inline krpc_stream *rack_take(rack *self)
{
    struct timespec until = bound();
    pthread_mutex_lock(&self->mutex);
    while (self->taken == self->arrived)
        CHECK(pthread_cond_timedwait(&self->changed, &self->mutex, &until) == 0);
    krpc_stream *stream = self->streams[self->taken++ % 16];
    pthread_mutex_unlock(&self->mutex);
    return stream;
}

/* ---- handlers --------------------------------------------------------------------------------------------------- */

/* Sends back what comes; ends well when the client has said everything. */
static inline void echo_stream(void *user_data, krpc_stream *stream)
{
    (void)user_data;
    krpc_message *message = NULL;
    while (krpc_stream_recv(stream, &message, NULL) == KRPC_OK && message != NULL) {
        krpc_status status = krpc_stream_send(stream, message, NULL);
        krpc_message_free(message);
        if (status != KRPC_OK)
            break;
    }
    krpc_stream_finish(stream, NULL);
    krpc_stream_free(stream);
}

/* Counts what comes, and answers once. */
static inline void count_stream(void *user_data, krpc_stream *stream)
{
    (void)user_data;
    krpc_message *message = NULL;
    int count = 0;
    char text[16];
    while (krpc_stream_recv(stream, &message, NULL) == KRPC_OK && message != NULL) {
        krpc_message_free(message);
        count++;
    }
    snprintf(text, sizeof text, "%d", count);
    send_text(stream, text);
    krpc_stream_finish(stream, NULL);
    krpc_stream_free(stream);
}

/* Sends the request three times. */
static inline void repeat_stream(void *user_data, krpc_stream *stream)
{
    (void)user_data;
    const krpc_message *request = krpc_stream_request(stream);
    CHECK(request != NULL);
    for (int i = 0; i < 3; i++)
        krpc_stream_send(stream, request, NULL);
    krpc_stream_finish(stream, NULL);
    krpc_stream_free(stream);
}

/* ---- a stage: a server of "Test/Echo", "Count", "Repeat", and "Keep", whose streams the test takes -------------- */

typedef struct {
    rack kept;
    krpc_server *server;
    krpc_client *client;
    krpc_method *echo, *count, *repeat, *keep, *missing;
} stage;

static inline void add_stream(krpc_service *service, const char *name, int32_t mode, uint32_t flags,
                              krpc_stream_handler_fn handler, void *user_data)
{
    CHECK(krpc_service_add_stream(service, krpc_cstr(name), mode, flags, handler, user_data, NULL, NULL) == KRPC_OK);
}

static inline void stage_open(stage *self)
{
    static const rack empty = RACK_INIT;
    self->kept = empty;
    krpc_service *service = krpc_service_new(KRPC_STR("Test"), NULL);
    add_stream(service, "Echo", KRPC_STREAMING_BIDIRECTIONAL, 0, echo_stream, NULL);
    add_stream(service, "Count", KRPC_STREAMING_CLIENT, 0, count_stream, NULL);
    add_stream(service, "Repeat", KRPC_STREAMING_SERVER, 0, repeat_stream, NULL);
    add_stream(service, "Keep", KRPC_STREAMING_BIDIRECTIONAL, KRPC_METHOD_FLAG_INLINE, rack_put, &self->kept);
    self->server = serve(options_with("127.0.0.1:0", service));
    self->client = client_of(self->server);
    self->echo = krpc_client_method(self->client, KRPC_STR("Test/Echo"), 0, NULL);
    self->count = krpc_client_method(self->client, KRPC_STR("Test/Count"), 0, NULL);
    self->repeat = krpc_client_method(self->client, KRPC_STR("Test/Repeat"), 0, NULL);
    self->keep = krpc_client_method(self->client, KRPC_STR("Test/Keep"), 0, NULL);
    self->missing = krpc_client_method(self->client, KRPC_STR("Test/Missing"), 0, NULL);
}

static inline void stage_close(stage *self)
{
    krpc_method_free(self->echo);
    krpc_method_free(self->count);
    krpc_method_free(self->repeat);
    krpc_method_free(self->keep);
    krpc_method_free(self->missing);
    krpc_client_free(self->client);
    krpc_server_free(self->server);
}

static inline krpc_stream *open_with(const stage *self, const krpc_method *method, const krpc_stream_options *options)
{
    krpc_error *error = NULL;
    krpc_stream *stream = NULL;
    krpc_status status = krpc_client_open_stream(self->client, method, options, &stream, &error);
    CHECK_STR(krpc_error_describe(error), "");
    CHECK(status == KRPC_OK && stream != NULL);
    return stream;
}

static inline krpc_stream *open_stream(const stage *self, const krpc_method *method)
{
    return open_with(self, method, NULL);
}

#endif
