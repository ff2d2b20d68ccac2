/* A call in JSON: an IDL, read at run time, makes messages of JSON and JSON of replies.
 *
 *   10_json_call                     starts a server of its own and calls that
 *   10_json_call 127.0.0.1:8888      calls a server of examples-c/chat.thrift
 */
#include <krpc.h>
#include <stdio.h>

static void print(const char *before, krpc_str text)
{
    printf("%s%.*s\n", before, (int)text.len, text.ptr);
}

static krpc_str text_of(const krpc_message *message)
{
    krpc_bytes bytes = krpc_message_bytes(message);
    krpc_str text = {(const char *)bytes.ptr, bytes.len};
    return text;
}

static int begins(krpc_str text, const char *with)
{
    return text.len >= strlen(with) && memcmp(text.ptr, with, strlen(with)) == 0;
}

/* A handler that answers in JSON, too. */
static void on_request(void *user_data, krpc_request *request)
{
    (void)user_data;
    krpc_message *json = krpc_request_to_json(request, NULL, NULL);
    if (json == NULL) {
        /* Not what the IDL says: the caller is told so. */
    } else if (begins(text_of(json), "{\"text\":\"\"")) {
        krpc_str why = KRPC_STR("{\"why\":\"nothing to say\",\"code\":7}");
        krpc_request_throw_json(request, KRPC_STR("refused"), why, NULL, NULL);
    } else {
        krpc_request_reply_json(request, text_of(json), NULL, NULL);
    }
    krpc_message_free(json);
    krpc_request_free(request);
}

static krpc_server *start_server(const krpc_idl *idl)
{
    krpc_service *chat = krpc_service_from_idl(idl, KRPC_STR("Chat"), NULL);
    krpc_service_add_method(chat, KRPC_STR("Say"), 0, on_request, NULL, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, chat, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    return krpc_server_build(options, NULL);
}

static void say(const krpc_client *client, const krpc_method *method, const char *text)
{
    krpc_error *error = NULL;
    print("-> ", krpc_cstr(text));
    krpc_message *request =
        krpc_message_from_json(krpc_cstr(text), krpc_method_request_shape(method), NULL, &error);
    if (request == NULL) { /* the text says where */
        print("<- not sent: ", krpc_error_text(error));
        krpc_error_free(error);
        return;
    }

    krpc_reply *reply = NULL;
    krpc_status status = krpc_client_call(client, method, request, NULL, &reply);
    krpc_message *json = NULL;
    if (status == KRPC_OK) {
        json = krpc_message_to_json(krpc_reply_message(reply), krpc_method_result_shape(method), NULL, &error);
        print("<- ", text_of(json));
    } else if (status == KRPC_STATUS_DECLARED_EXCEPTION) {
        krpc_str name;
        json = krpc_error_exception_to_json(krpc_reply_error(reply), method, NULL, &name, &error);
        printf("<- %.*s ", (int)name.len, name.ptr);
        print("", text_of(json));
    } else {
        print("<- ", krpc_error_describe(krpc_reply_error(reply)));
    }
    if (error != NULL)
        print("<- ", krpc_error_text(error));
    krpc_error_free(error);
    krpc_message_free(json);
    krpc_reply_free(reply);
    krpc_message_free(request);
}

int main(int argc, char **argv)
{
    krpc_error *error = NULL;
    krpc_idl *idl = krpc_idl_parse_file(KRPC_STR("examples-c/chat.thrift"), NULL, 0, &error);
    if (idl == NULL) { /* every mistake, with file, line and column */
        print("", krpc_error_text(error));
        krpc_error_free(error);
        return 1;
    }

    krpc_server *server = argc > 1 ? NULL : start_server(idl);
    krpc_str address = argc > 1 ? krpc_cstr(argv[1]) : krpc_server_address(server, 0);
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("chat"), NULL);
    krpc_client_options_add_address(options, address, NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_method *method = krpc_client_method_from_idl(client, idl, KRPC_STR("Chat/Say"), 0, NULL);

    say(client, method, "{\"text\": \"hi\", \"at_ms\": 9007199254740993, \"mood\": \"HAPPY\", \"tags\": [\"a\", \"b\"]}");
    say(client, method, "{\"text\": \"\"}"); /* refused, with an exception of the IDL */
    say(client, method, "{\"text\": \"hi\", \"tags\": [\"a\"");
    say(client, method, "{\"text\": \"hi\", \"mood\": \"HAPY\"}");

    /* A name that the IDL does not have. */
    if (krpc_client_method_from_idl(client, idl, KRPC_STR("Chat/Cuont"), 0, &error) == NULL)
        print("", krpc_error_text(error));
    krpc_error_free(error);

    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_idl_free(idl);
    return 0;
}
