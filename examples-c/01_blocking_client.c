/* A client: calls a method, sends pairs beside the call, and reads the answer.
 *
 *   01_blocking_client                   calls a server that it starts itself
 *   01_blocking_client 127.0.0.1:8888    calls yours, e.g. one made with Kitex from this IDL:
 *
 *       service Chat { string Say(1: string text) }
 */
#include <krpc.h>
#include <stdio.h>

/* ---- the client ------------------------------------------------------------------------------- */

static int report(const char *what, const krpc_error *error)
{
    krpc_str why = krpc_error_describe(error);
    fprintf(stderr, "%s: %.*s\n", what, (int)why.len, why.ptr);
    return 1;
}

/* Without an IDL, the message of a call is the struct of its arguments: field 1 is `text`. */
static krpc_message *say_args(krpc_str text, krpc_error **error)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_string(writer, 1, text);
    return krpc_writer_finish(writer, error); /* reports the first step that failed, so one check will do */
}

/* ... and the message of its reply is the struct of its results: field 0 is the return value. */
static krpc_status print_answer(const krpc_message *result, krpc_error **error)
{
    krpc_str answer = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(result, error);
    if (reader == NULL)
        return KRPC_STATUS_MALFORMED;
    if (krpc_reader_find(reader, 0, NULL))
        krpc_reader_string(reader, &answer); /* a view of the reply's bytes: nothing is copied */
    krpc_status status = krpc_reader_end(reader, error);
    if (status == KRPC_OK)
        printf("%.*s\n", (int)answer.len, answer.ptr);
    krpc_reader_free(reader);
    return status;
}

static int say(const krpc_client *client, const krpc_method *method, krpc_str text)
{
    krpc_error *error = NULL;
    krpc_reply *reply = NULL;
    krpc_metainfo *pairs = krpc_metainfo_new();
    krpc_message *args = say_args(text, &error);
    int failed = 1;

    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = 1000; /* for everything, connecting included */
    options.metainfo = pairs;
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("USER_ID"), KRPC_STR("42"), NULL);

    if (args == NULL)
        report("arguments", error);
    else if (krpc_client_call(client, method, args, &options, &reply) != KRPC_OK)
        report("call", krpc_reply_error(reply));
    else if (print_answer(krpc_reply_message(reply), &error) != KRPC_OK)
        report("answer", error);
    else
        failed = 0;

    krpc_reply_free(reply);
    krpc_message_free(args);
    krpc_metainfo_free(pairs);
    krpc_error_free(error);
    return failed;
}

static int run(krpc_str address)
{
    krpc_error *error = NULL;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("chat"), NULL);
    krpc_client *client = NULL;
    krpc_method *method = NULL;

    /* Building consumes the options; an address that was refused has not been added. */
    if (krpc_client_options_add_address(options, address, &error) == KRPC_OK)
        client = krpc_client_build(options, &error);
    else
        krpc_client_options_free(options);
    if (client != NULL)
        method = krpc_client_method(client, KRPC_STR("Chat/Say"), 0, &error);

    int failed = method == NULL ? report("client", error) : 0;
    if (!failed)
        failed = say(client, method, KRPC_STR("hello")) || say(client, method, KRPC_STR("hello again"));

    if (!failed) {
        krpc_client_stats stats = KRPC_CLIENT_STATS_INIT;
        krpc_client_read_stats(client, &stats);
        printf("%d connection, used again %d time\n", (int)stats.dialled, (int)stats.reused);
    }
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_error_free(error);
    return failed;
}

/* ---- a server to call; 02_server.c explains it --------------------------------------------------- */

static void on_say(void *user_data, krpc_request *request)
{
    (void)user_data;
    char answer[100];
    krpc_str text = {NULL, 0}, user = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(krpc_request_message(request), NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_string(reader, &text);
    krpc_metainfo_get(krpc_request_metainfo(request), KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("USER_ID"), &user);
    snprintf(answer, sizeof answer, "user %.*s said: %.*s", (int)user.len, user.ptr, (int)text.len, text.ptr);

    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_string(writer, 0, krpc_cstr(answer));
    krpc_message *result = krpc_writer_finish(writer, NULL);
    krpc_request_reply(request, result, NULL);
    krpc_message_free(result);
    krpc_reader_free(reader);
    krpc_request_free(request);
}

static krpc_server *start_server(krpc_error **error)
{
    krpc_service *service = krpc_service_new(KRPC_STR("Chat"), NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_service_add_method(service, KRPC_STR("Say"), 0, on_say, NULL, NULL, NULL);
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    return krpc_server_build(options, error);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return run(krpc_cstr(argv[1]));

    krpc_error *error = NULL;
    krpc_server *server = start_server(&error);
    int failed = server == NULL ? report("server", error) : run(krpc_server_address(server, 0));
    krpc_server_free(server);
    krpc_error_free(error);

    /* Everything is freed: a check that costs nothing in a program's tests. */
    printf("%zu live handles\n", krpc_live_handles());
    return failed;
}
