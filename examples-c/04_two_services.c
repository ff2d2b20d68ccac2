/* Two services on one port, with a method of the same name, and a handler for all other calls.
 *
 *   04_two_services                   serves on a free port and calls itself
 *   04_two_services 127.0.0.1:8888    serves until it gets SIGINT or SIGTERM
 *
 *       service Chat { string Say(1: string text) }
 *       service Admin { string Say(1: string text), string Kick(1: string who) }
 */
#include <krpc.h>
#include <signal.h>
#include <stdio.h>

/* Answers with the string that it was registered with. */
static void on_call(void *user_data, krpc_request *request)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_string(writer, 0, krpc_cstr((const char *)user_data));
    krpc_message *result = krpc_writer_finish(writer, NULL);
    krpc_request_reply(request, result, NULL);
    krpc_message_free(result);
    krpc_request_free(request);
}

/* Gets what no service takes. A proxy would pass the bytes on; this one says what it saw. */
static void on_anything_else(void *user_data, krpc_request *request)
{
    (void)user_data;
    char line[100];
    krpc_str service = krpc_request_service(request), method = krpc_request_method(request);
    snprintf(line, sizeof line, "catch-all: %.*s/%.*s, %zu bytes", (int)service.len, service.ptr,
             (int)method.len, method.ptr, krpc_message_size(krpc_request_message(request)));
    on_call(line, request);
}

static krpc_server *start_server(krpc_str address, krpc_error **error)
{
    static char chat_say[] = "Chat's Say", admin_say[] = "Admin's Say", admin_kick[] = "Admin's Kick";

    krpc_service *chat = krpc_service_new(KRPC_STR("Chat"), NULL);
    krpc_service_add_method(chat, KRPC_STR("Say"), 0, on_call, chat_say, NULL, NULL);
    krpc_service *admin = krpc_service_new(KRPC_STR("Admin"), NULL);
    krpc_service_add_method(admin, KRPC_STR("Say"), 0, on_call, admin_say, NULL, NULL);
    krpc_service_add_method(admin, KRPC_STR("Kick"), 0, on_call, admin_kick, NULL, NULL);

    krpc_server_options *options = krpc_server_options_new();
    /* Framed and buffered clients name no service. Both have Say, so one must be the fallback. */
    krpc_server_options_add_service(options, chat, true, NULL);
    krpc_server_options_add_service(options, admin, false, NULL);
    krpc_server_options_set_catch_all(options, on_anything_else, NULL, NULL, NULL);
    if (krpc_server_options_add_address(options, address, error) != KRPC_OK) {
        krpc_server_options_free(options);
        return NULL;
    }
    return krpc_server_build(options, error);
}

static int call(const krpc_client *client, const char *method)
{
    krpc_reply *reply = NULL;
    krpc_status status = krpc_client_call_by_name(client, krpc_cstr(method), NULL, NULL, &reply);
    krpc_str text = krpc_error_describe(krpc_reply_error(reply));
    krpc_reader *reader = status == KRPC_OK ? krpc_reader_new(krpc_reply_message(reply), NULL) : NULL;
    if (krpc_reader_find(reader, 0, NULL))
        krpc_reader_string(reader, &text);
    printf("%-13s -> %.*s\n", method, (int)text.len, text.ptr);
    krpc_reader_free(reader);
    krpc_reply_free(reply);
    return status == KRPC_OK ? 0 : 1;
}

static int call_itself(const krpc_server *server)
{
    static const char *const methods[] = {"Chat/Say", "Admin/Say", "Admin/Kick", "Say", "Kick", "Chat/Sing", "Radio/Say"};
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("chat"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    int failed = 0;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        failed += call(client, methods[i]);
    krpc_client_free(client);
    return failed;
}

int main(int argc, char **argv)
{
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
    int failed = 0, signal_number = 0;
    if (argc > 1)
        sigwait(&ends, &signal_number);
    else
        failed = call_itself(server);

    krpc_server_stop(server, 5000, NULL, NULL);
    krpc_server_free(server);
    return failed == 0 && krpc_live_handles() == 0 ? 0 : 1;
}
