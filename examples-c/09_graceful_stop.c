/* SIGTERM, the way it should end a service: nobody new is let in, who is inside is served, long work is told.
 *
 *   09_graceful_stop                   serves on a free port, calls itself and sends itself SIGTERM
 *   09_graceful_stop 127.0.0.1:8888    serves until it gets SIGINT or SIGTERM
 *
 *       service Work { string Short(), string Long() }
 */
#include <krpc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* ---- handlers ------------------------------------------------------------------------------------------ */

static void reply_with(krpc_request *request, const char *text)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_string(writer, 0, krpc_cstr(text));
    krpc_message *result = krpc_writer_finish(writer, NULL);
    krpc_request_reply(request, result, NULL);
    krpc_message_free(result);
    krpc_request_free(request);
}

static void on_short(void *user_data, krpc_request *request)
{
    (void)user_data;
    reply_with(request, "done");
}

/* Would take for ever, but looks now and then whether it should go on. */
static void on_long(void *user_data, krpc_request *request)
{
    (void)user_data;
    struct timespec step = {0, 1000000};
    while (!krpc_request_is_stopping(request) && !krpc_request_is_abandoned(request))
        nanosleep(&step, NULL);
    reply_with(request, "half done, the server stops");
}

/* ---- the server -------------------------------------------------------------------------------------------- */

static krpc_server *start_server(krpc_str address, krpc_error **error)
{
    krpc_service *service = krpc_service_new(KRPC_STR("Work"), NULL);
    krpc_service_add_method(service, KRPC_STR("Short"), 0, on_short, NULL, NULL, NULL);
    krpc_service_add_method(service, KRPC_STR("Long"), 0, on_long, NULL, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, service, false, NULL);
    if (krpc_server_options_add_address(options, address, error) != KRPC_OK) {
        krpc_server_options_free(options);
        return NULL;
    }
    return krpc_server_build(options, error);
}

/* ---- calls to it -------------------------------------------------------------------------------------------- */

static krpc_op *start(const krpc_client *client, const char *name)
{
    krpc_op *op = NULL;
    krpc_method *method = krpc_client_method(client, krpc_cstr(name), 0, NULL);
    krpc_client_start(client, method, NULL, NULL, NULL, &op, NULL);
    krpc_method_free(method);
    return op;
}

static krpc_status print_end(const char *name, krpc_op *op)
{
    krpc_op_wait(op, KRPC_FOREVER);
    krpc_reply *reply = krpc_op_take_reply(op);
    krpc_status status = krpc_reply_status(reply);
    krpc_str text = krpc_status_name(status);
    krpc_reader *reader = status == KRPC_OK ? krpc_reader_new(krpc_reply_message(reply), NULL) : NULL;
    if (krpc_reader_find(reader, 0, NULL))
        krpc_reader_string(reader, &text);
    printf("%s: %.*s\n", name, (int)text.len, text.ptr);
    krpc_reader_free(reader);
    krpc_reply_free(reply);
    krpc_op_free(op);
    return status;
}

static krpc_client *client_of(const krpc_server *server)
{
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("work"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    return krpc_client_build(options, NULL);
}

int main(int argc, char **argv)
{
    /* Blocked in all threads, they wait for sigwait: no handler, no race. The library's own threads block
     * them anyway. A program with an event loop would use signalfd, or its loop's way. */
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    krpc_error *error = NULL;
    krpc_server *server = start_server(krpc_cstr(argc > 1 ? argv[1] : "127.0.0.1:0"), &error);
    if (server == NULL) {
        krpc_str why = krpc_error_describe(error);
        fprintf(stderr, "%.*s\n", (int)why.len, why.ptr);
        krpc_error_free(error);
        return 1;
    }

    krpc_client *client = argc > 1 ? NULL : client_of(server);
    if (argc <= 1 && client == NULL) {
        krpc_server_free(server);
        return 1;
    }
    krpc_op *long_call = NULL;
    int failed = 0, signal_number = 0;
    if (client != NULL) {
        failed += print_end("Short", start(client, "Work/Short")) != KRPC_OK;
        long_call = start(client, "Work/Long");
        struct timespec step = {0, 1000000};
        while (long_call != NULL && krpc_server_in_flight(server) == 0 && !krpc_op_is_done(long_call))
            nanosleep(&step, NULL);
        kill(getpid(), SIGTERM);
    }
    sigwait(&ends, &signal_number);
    printf("got SIG%s, stopping\n", signal_number == SIGTERM ? "TERM" : "INT");
    fflush(stdout);

    /* Ten seconds at most: then what is left is cut off. `finished` counts connections, as `cut_off` does. */
    krpc_stopped stopped = KRPC_STOPPED_INIT;
    krpc_server_stop(server, 10000, &stopped, NULL);
    if (client != NULL) {
        failed += print_end("Long", long_call) != KRPC_OK;
        failed += print_end("Short, too late", start(client, "Work/Short")) != KRPC_STATUS_CONNECT_FAILED;
    }
    printf("cut off: %d\n", (int)stopped.cut_off);
    krpc_client_free(client);
    krpc_server_free(server);
    printf("%zu live handles\n", krpc_live_handles());
    return failed;
}
