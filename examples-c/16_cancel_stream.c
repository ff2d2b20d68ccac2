/* A client that has seen enough says why, and the server's handler learns it at once, whatever it is doing.
 *
 *       struct Tick { 1: i64 number }
 *       service Clock { Tick Watch(1: Tick from) (streaming.mode="bidirectional") }
 */
#include <krpc.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

/* ---- the server ------------------------------------------------------------------------------------------------ */

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int ended;
    krpc_status status;
    krpc_cause cause;
    int32_t code;
    char reason[64];
} ending;

/* Sends until the stream ends. Freeing it without an answer is right here: nobody waits for one. */
static void on_watch(void *user_data, krpc_stream *stream)
{
    ending *self = (ending *)user_data;
    krpc_context *context = krpc_stream_context(stream);
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_i64(writer, 1, 1);
    krpc_message *tick = krpc_writer_finish(writer, NULL);
    krpc_error *error = NULL;
    krpc_status status;
    do {
        status = krpc_stream_send(stream, tick, &error); /* waits while the client is behind; a cancel ends that */
    } while (status == KRPC_OK);
    krpc_message_free(tick);

    krpc_str text = {NULL, 0};
    pthread_mutex_lock(&self->mutex);
    self->status = status;
    self->cause = krpc_context_cause(context); /* calls made in this context have ended for the same cause */
    krpc_error_stream_reason(error, &self->code, &text, NULL);
    snprintf(self->reason, sizeof self->reason, "%.*s", (int)text.len, text.ptr);
    self->ended = 1;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    krpc_error_free(error);
    krpc_context_free(context);
    krpc_stream_free(stream);
}

/* ---- the client ------------------------------------------------------------------------------------------------ */

static int watch(const krpc_client *client)
{
    krpc_stream *stream = NULL;
    krpc_method *method = krpc_client_method(client, KRPC_STR("Clock/Watch"), 0, NULL);
    krpc_status status = krpc_client_open_stream(client, method, NULL, &stream, NULL);
    krpc_method_free(method);
    int received = 0;
    krpc_message *tick = NULL;
    while (received < 3 && status == KRPC_OK) {
        status = krpc_stream_recv(stream, &tick, NULL);
        received += tick != NULL;
        krpc_message_free(tick);
    }
    printf("client: %d ticks are enough\n", received);
    krpc_stream_cancel(stream, KRPC_STR("seen enough"));

    /* What had arrived before can still be received; then comes the end, and stays. */
    krpc_error *error = NULL;
    do {
        krpc_error_free(error);
        error = NULL;
        status = krpc_stream_recv(stream, &tick, &error);
        krpc_message_free(tick);
    } while (status == KRPC_OK);
    krpc_str name = krpc_status_name((int32_t)status);
    printf("client: the end is %.*s\n", (int)name.len, name.ptr);
    krpc_error_free(error);
    krpc_stream_free(stream);
    return received == 3 && status == KRPC_STATUS_CANCELLED ? 0 : 1;
}

int main(void)
{
    ending seen = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, KRPC_OK, KRPC_CAUSE_NONE, 0, ""};
    krpc_service *service = krpc_service_new(KRPC_STR("Clock"), NULL);
    krpc_service_add_stream(service, KRPC_STR("Watch"), KRPC_STREAMING_BIDIRECTIONAL, 0, on_watch, &seen, NULL, NULL);
    krpc_server_options *server_options = krpc_server_options_new();
    krpc_server_options_add_service(server_options, service, false, NULL);
    krpc_server_options_add_address(server_options, KRPC_STR("127.0.0.1:0"), NULL);
    krpc_server *server = krpc_server_build(server_options, NULL);
    if (server == NULL)
        return 1;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("clock"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    int failed = watch(client);

    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 5; /* a handler that was never called never ends */
    pthread_mutex_lock(&seen.mutex);
    while (!seen.ended && pthread_cond_timedwait(&seen.changed, &seen.mutex, &limit) == 0) {
    }
    pthread_mutex_unlock(&seen.mutex);
    krpc_str name = krpc_status_name((int32_t)seen.status);
    printf("server: %.*s, code %d, \"%s\"\n", (int)name.len, name.ptr, (int)seen.code, seen.reason);
    printf("server: the context %s\n", seen.cause == KRPC_CAUSE_CALLER_GONE ? "knows that the caller has gone" : "knows nothing");
    krpc_client_free(client);
    krpc_server_free(server);
    printf("%zu live handles\n", krpc_live_handles());
    return failed;
}
