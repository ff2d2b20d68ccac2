/* A server from an IDL: one handler for all methods, which reads and answers in JSON.
 *
 *   11_idl_server                   serves on a free port and calls itself
 *   11_idl_server 127.0.0.1:8888    serves until it gets SIGINT or SIGTERM
 */
#include <krpc.h>
#include <signal.h>
#include <stdio.h>

static int is(krpc_str text, const char *expected)
{
    return text.len == strlen(expected) && memcmp(text.ptr, expected, text.len) == 0;
}

static krpc_str text_of(const krpc_message *message)
{
    krpc_bytes bytes = krpc_message_bytes(message);
    krpc_str text = {(const char *)bytes.ptr, bytes.len};
    return text;
}

/* Every method of the service. What is oneway, what the arguments are: the IDL says it. */
static void on_any(void *user_data, krpc_request *request)
{
    (void)user_data;
    krpc_error *error = NULL;
    krpc_message *json = krpc_request_to_json(request, NULL, &error);
    if (json == NULL) {
        /* The arguments don't fit the IDL. Freed without an answer, the request tells its caller so. */
        krpc_error_free(error);
        krpc_request_free(request);
        return;
    }

    krpc_str method = krpc_request_method(request), arguments = text_of(json);
    krpc_status status = KRPC_OK;
    if (is(method, "Say")) {
        status = krpc_request_reply_json(request, arguments, NULL, &error); /* as it came */
    } else if (is(method, "Count")) {
        char count[24]; /* several arguments are an object: {"text":"…","start":1} */
        snprintf(count, sizeof count, "%zu", arguments.len);
        status = krpc_request_reply_json(request, krpc_cstr(count), NULL, &error);
    }
    if (status != KRPC_OK) { /* our own JSON was wrong: there still is a request to answer */
        krpc_request_fail(request, 6, krpc_error_text(error), NULL);
        krpc_error_free(error);
    }
    krpc_message_free(json);
    krpc_request_free(request);
}

static void call(const krpc_client *client, const krpc_idl *idl, const char *name, const char *text)
{
    krpc_method *method = krpc_client_method_from_idl(client, idl, krpc_cstr(name), 0, NULL);
    krpc_message *request = krpc_message_from_json(krpc_cstr(text), krpc_method_request_shape(method), NULL, NULL);
    krpc_reply *reply = NULL;
    krpc_status status = krpc_client_call(client, method, request, NULL, &reply);
    if (status != KRPC_OK) {
        krpc_str why = krpc_error_text(krpc_reply_error(reply));
        printf("%s: %.*s\n", name, (int)why.len, why.ptr);
    } else if (krpc_method_result_shape(method) == NULL) {
        printf("%s: sent\n", name);
    } else {
        krpc_message *json =
            krpc_message_to_json(krpc_reply_message(reply), krpc_method_result_shape(method), NULL, NULL);
        krpc_str result = text_of(json);
        printf("%s: %.*s\n", name, (int)result.len, result.ptr);
        krpc_message_free(json);
    }
    krpc_reply_free(reply);
    krpc_message_free(request);
    krpc_method_free(method);
}

/* A caller with other ideas of the arguments. */
static void call_wrongly(const krpc_client *client)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_struct_begin(writer, 1);
    krpc_writer_field_i32(writer, 1, 7); /* the IDL says: 1: required string text */
    krpc_writer_struct_end(writer);
    krpc_message *request = krpc_writer_finish(writer, NULL);
    krpc_reply *reply = NULL;
    krpc_client_call_by_name(client, KRPC_STR("Chat/Say"), request, NULL, &reply);
    krpc_str why = krpc_error_text(krpc_reply_error(reply));
    printf("wrong arguments: %.*s\n", (int)why.len, why.ptr);
    krpc_reply_free(reply);
    krpc_message_free(request);
}

static void call_itself(const krpc_server *server, const krpc_idl *idl)
{
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("chat"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    call(client, idl, "Chat/Say", "{\"text\":\"hi\",\"mood\":2}");
    call(client, idl, "Chat/Count", "{\"text\":\"abc\",\"start\":1}");
    call(client, idl, "Chat/Note", "remember this");
    call_wrongly(client);
    krpc_client_free(client);
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
    krpc_idl *idl = krpc_idl_parse_file(KRPC_STR("examples-c/chat.thrift"), NULL, 0, &error);
    krpc_service *chat = idl == NULL ? NULL : krpc_service_from_idl(idl, KRPC_STR("Chat"), &error);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server *server = NULL;
    if (chat != NULL) {
        krpc_service_add_other_methods(chat, 0, on_any, NULL, NULL, NULL);
        krpc_server_options_add_service(options, chat, false, NULL);
        krpc_server_options_add_address(options, krpc_cstr(argc > 1 ? argv[1] : "127.0.0.1:0"), NULL);
        server = krpc_server_build(options, &error);
    } else {
        krpc_server_options_free(options);
    }
    if (server == NULL) {
        krpc_str why = krpc_error_text(error);
        fprintf(stderr, "%.*s\n", (int)why.len, why.ptr);
        krpc_error_free(error);
        krpc_idl_free(idl);
        return 1;
    }

    for (size_t i = 0; i < krpc_idl_method_count(idl, KRPC_STR("Chat")); i++) {
        krpc_method_info info = KRPC_METHOD_INFO_INIT;
        krpc_idl_method_at(idl, KRPC_STR("Chat"), i, &info, NULL);
        printf("serving %.*s: %.*s -> %.*s%s\n", (int)info.name.len, info.name.ptr,
               info.argument_count == 1 ? (int)info.request.len : 7,
               info.argument_count == 1 ? info.request.ptr : "several", (int)info.result.len, info.result.ptr,
               info.oneway ? " (oneway)" : "");
    }
    int signal_number = 0;
    if (argc > 1) {
        fflush(stdout);
        sigwait(&ends, &signal_number);
    } else {
        call_itself(server, idl);
    }
    krpc_server_stop(server, 5000, NULL, NULL);
    krpc_server_free(server);
    krpc_idl_free(idl);
    return 0;
}
