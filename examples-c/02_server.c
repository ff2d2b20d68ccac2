/* A server: handlers that answer at once, later and from another thread, oneway methods, a graceful end.
 *
 *   02_server                   serves on a free port and calls itself
 *   02_server 127.0.0.1:8888    serves until it gets SIGINT or SIGTERM
 *
 *       service Chat {
 *           string Say(1: string text)      // answered by its handler
 *           string Ask(1: string text)      // answered by somebody else
 *           oneway void Note(1: string text)
 *       }
 */
#include <krpc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

/* ---- handlers ------------------------------------------------------------------------------------ */

/* A message with one string: field 1 of arguments, field 0 of results. */
static krpc_message *text_message(int16_t field, krpc_str text)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_string(writer, field, text);
    return krpc_writer_finish(writer, NULL);
}

/* Answers with `prefix` and the text that came. Every request is answered once, and freed. */
static void answer(krpc_request *request, const char *prefix)
{
    krpc_str text = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(krpc_request_message(request), NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_string(reader, &text);

    if (krpc_reader_end(reader, NULL) != KRPC_OK) {
        /* Type 7 tells the caller, in the words of Thrift, that its arguments make no sense. */
        krpc_request_fail(request, 7, KRPC_STR("malformed arguments"), NULL);
    } else {
        char line[100];
        snprintf(line, sizeof line, "%s%.*s", prefix, (int)text.len, text.ptr);
        krpc_message *result = text_message(0, krpc_cstr(line));
        krpc_request_set_backward(request, KRPC_STR("SERVED_BY"), KRPC_STR("02_server"), NULL);
        krpc_request_reply(request, result, NULL); /* fails only if the caller has gone */
        krpc_message_free(result);
    }
    krpc_reader_free(reader);
    krpc_request_free(request);
}

/* Runs on a thread of the library's pool, several at once: blocking is fine, shared state needs a lock. */
static void on_say(void *user_data, krpc_request *request)
{
    (void)user_data;
    answer(request, "you said: ");
}

static void *expert(void *request)
{
    answer((krpc_request *)request, "an expert says: ");
    return NULL;
}

/* A request is a handle like any other: it may leave its handler and be answered whenever. */
static void on_ask(void *user_data, krpc_request *request)
{
    (void)user_data;
    pthread_t thread;
    if (pthread_create(&thread, NULL, expert, request) == 0)
        pthread_detach(thread);
    else
        krpc_request_free(request); /* unanswered: the caller is told so */
}

/* State of a handler: freed by its destroy function, once no handler can run any more. */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int count;
} notes;

static void on_note(void *user_data, krpc_request *request)
{
    notes *self = (notes *)user_data;
    pthread_mutex_lock(&self->mutex);
    self->count++;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    krpc_request_free(request); /* oneway: there is nobody to answer */
}

static void forget_notes(void *user_data)
{
    notes *self = (notes *)user_data;
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
}

/* ---- the server ----------------------------------------------------------------------------------- */

static krpc_server *start_server(krpc_str address, notes *state, krpc_error **error)
{
    krpc_service *chat = krpc_service_new(KRPC_STR("Chat"), NULL);
    krpc_service_add_method(chat, KRPC_STR("Say"), 0, on_say, NULL, NULL, NULL);
    krpc_service_add_method(chat, KRPC_STR("Ask"), 0, on_ask, NULL, NULL, NULL);
    krpc_service_add_method(chat, KRPC_STR("Note"), KRPC_METHOD_FLAG_ONEWAY, on_note, state, forget_notes, NULL);

    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, chat, false, NULL); /* takes the service */
    if (krpc_server_options_add_address(options, address, error) != KRPC_OK) {
        krpc_server_options_free(options);
        return NULL;
    }
    return krpc_server_build(options, error); /* takes the options; listens when it returns */
}

/* ---- calls to it ------------------------------------------------------------------------------------- */

static int call(const krpc_client *client, const char *name, uint32_t flags)
{
    krpc_method *method = krpc_client_method(client, krpc_cstr(name), flags, NULL);
    krpc_message *args = text_message(1, KRPC_STR("hi"));
    krpc_reply *reply = NULL;
    krpc_status status = krpc_client_call(client, method, args, NULL, &reply);
    krpc_str text = {NULL, 0}, served_by = {NULL, 0};

    if (status != KRPC_OK) {
        text = krpc_error_describe(krpc_reply_error(reply));
        fprintf(stderr, "%s: %.*s\n", name, (int)text.len, text.ptr);
    } else if (krpc_reply_message(reply) == NULL) {
        printf("%s: sent\n", name);
    } else {
        krpc_reader *reader = krpc_reader_new(krpc_reply_message(reply), NULL);
        if (krpc_reader_find(reader, 0, NULL))
            krpc_reader_string(reader, &text);
        krpc_metainfo_get(krpc_reply_metainfo(reply), KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("SERVED_BY"),
                          &served_by);
        printf("%s: %.*s (%.*s)\n", name, (int)text.len, text.ptr, (int)served_by.len, served_by.ptr);
        krpc_reader_free(reader);
    }
    krpc_reply_free(reply);
    krpc_message_free(args);
    krpc_method_free(method);
    return status == KRPC_OK ? 0 : 1;
}

static int call_itself(const krpc_server *server, notes *state)
{
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("chat"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    int failed = call(client, "Chat/Say", 0) + call(client, "Chat/Ask", 0) +
                 call(client, "Chat/Note", KRPC_METHOD_FLAG_ONEWAY);
    krpc_client_free(client);

    /* Nothing tells a oneway caller that its call has arrived, or that it never will; here the server is at hand. */
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 5;
    pthread_mutex_lock(&state->mutex);
    while (failed == 0 && state->count == 0)
        failed = pthread_cond_timedwait(&state->changed, &state->mutex, &limit) != 0;
    printf("notes taken: %d\n", state->count);
    pthread_mutex_unlock(&state->mutex);
    return failed;
}

int main(int argc, char **argv)
{
    /* Blocked before any thread starts, these signals wait for sigwait. */
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    krpc_error *error = NULL;
    notes state = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    krpc_server *server = start_server(krpc_cstr(argc > 1 ? argv[1] : "127.0.0.1:0"), &state, &error);
    if (server == NULL) {
        krpc_str why = krpc_error_describe(error);
        fprintf(stderr, "%.*s\n", (int)why.len, why.ptr);
        krpc_error_free(error);
        return 1;
    }

    int failed = 0, signal_number = 0;
    if (argc > 1) {
        krpc_str address = krpc_server_address(server, 0);
        printf("listening on %.*s\n", (int)address.len, address.ptr);
        fflush(stdout);
        sigwait(&ends, &signal_number);
    } else {
        failed = call_itself(server, &state);
    }

    /* Requests that have arrived are answered, for up to five seconds. */
    krpc_stopped stopped = KRPC_STOPPED_INIT;
    krpc_server_stop(server, 5000, &stopped, NULL);
    krpc_server_free(server);
    printf("connections cut off: %d\n", (int)stopped.cut_off);
    return failed;
}
