/* Every way in which a call can fail, and what the caller learns about it.
 *
 *   03_errors                   calls a server that it starts itself
 *   03_errors 127.0.0.1:8888    calls yours, which serves this IDL:
 *
 *       exception TooLong { 1: i32 limit }
 *       service Chat { string Say(1: string text) throws (1: TooLong err) }
 */
#include <krpc.h>
#include <stdio.h>
#include <time.h>

/* ---- the caller -------------------------------------------------------------------------------------- */

/* The one line for logs. Only the port, which is another one each time, is left out of this output. */
static void print_description(const krpc_error *error)
{
    krpc_str line = krpc_error_describe(error), peer = krpc_error_peer(error);
    for (size_t at = 0; at < line.len; at++) {
        if (peer.len > 0 && peer.len <= line.len - at && memcmp(line.ptr + at, peer.ptr, peer.len) == 0) {
            printf("SERVER");
            at += peer.len - 1;
        } else {
            putchar(line.ptr[at]);
        }
    }
    putchar('\n');
}

/* What a program decides by: the status, whether to try again, and what the peer said. */
static void print_details(const krpc_error *error)
{
    int32_t number;
    int16_t field;
    krpc_str text, key, value;
    const krpc_message *exception;

    if (krpc_error_retryable(error))
        printf("    safe to try again: nothing has been sent\n");
    if (krpc_error_remote_exception(error, &number, &text))
        printf("    the peer's exception: type %d, \"%.*s\"\n", number, (int)text.len, text.ptr);
    if (krpc_error_biz_status(error, &number, &text)) {
        printf("    the business said: code %d, \"%.*s\"", number, (int)text.len, text.ptr);
        for (size_t i = 0; krpc_error_biz_extra_at(error, i, &key, &value); i++)
            printf(", %.*s=%.*s", (int)key.len, key.ptr, (int)value.len, value.ptr);
        printf("\n");
    }
    if (krpc_error_declared_exception(error, &field, &exception)) {
        int32_t limit = 0;
        krpc_reader *reader = krpc_reader_new(exception, NULL);
        if (field == 1 && krpc_reader_find(reader, 1, NULL) && krpc_reader_i32(reader, &limit) == KRPC_OK)
            printf("    TooLong, with the limit %d\n", limit);
        krpc_reader_free(reader);
    }
}

/* Makes a call that must fail with `expected`, and shows how. */
static int show(const krpc_client *client, const char *method, const char *text, krpc_status expected)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_string(writer, 1, krpc_cstr(text));
    krpc_message *args = krpc_writer_finish(writer, NULL);

    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = expected == KRPC_STATUS_TIMEOUT ? 50 : 5000;
    krpc_reply *reply = NULL;
    krpc_status status = krpc_client_call_by_name(client, krpc_cstr(method), args, &options, &reply);

    const krpc_error *error = krpc_reply_error(reply); /* borrowed: it goes with the reply */
    if (error != NULL) {
        print_description(error);
        print_details(error);
    }
    krpc_reply_free(reply);
    krpc_message_free(args);
    return status == expected ? 0 : 1;
}

/* A mistake in this program is an error that names the parameter, never a crash. */
static int show_mistakes(void)
{
    krpc_error *error = NULL;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("chat"), NULL);
    krpc_client_options_add_address(options, KRPC_STR("127.0.0.1"), &error);
    print_description(error);
    krpc_error_free(error);

    krpc_client *client = krpc_client_build(options, &error); /* takes the options though it fails */
    print_description(error);
    krpc_error_free(error);
    return client == NULL ? 0 : 1;
}

static krpc_client *client_of(krpc_str address)
{
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("chat"), NULL);
    krpc_client_options_add_address(options, address, NULL);
    return krpc_client_build(options, NULL);
}

/* ---- a server that refuses in every way ----------------------------------------------------------------- */

static int says(const krpc_request *request, const char *expected)
{
    krpc_str text = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(krpc_request_message(request), NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_string(reader, &text);
    int same = text.len == strlen(expected) && memcmp(text.ptr, expected, text.len) == 0;
    krpc_reader_free(reader);
    return same;
}

static void on_say(void *user_data, krpc_request *request)
{
    (void)user_data;
    if (says(request, "a long story")) {
        krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
        krpc_writer_field_i32(writer, 1, 10);
        krpc_message *too_long = krpc_writer_finish(writer, NULL);
        krpc_request_throw(request, 1, too_long, NULL); /* field 1 of the method's `throws` */
        krpc_message_free(too_long);
    } else if (says(request, "who is there?")) {
        krpc_metainfo *extra = krpc_metainfo_new();
        krpc_metainfo_set(extra, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("room"), KRPC_STR("lobby"), NULL);
        krpc_request_fail_biz(request, 404, KRPC_STR("nobody"), extra, NULL);
        krpc_metainfo_free(extra);
    } else if (says(request, "break")) {
        krpc_request_fail(request, 6, KRPC_STR("out of paper"), NULL);
    } else if (says(request, "sleep")) {
        struct timespec nap = {0, 200000000};
        nanosleep(&nap, NULL);
        krpc_request_reply(request, NULL, NULL); /* nobody waits any more */
    }
    krpc_request_free(request); /* answers for a handler that did not */
}

static krpc_server *start_server(void)
{
    krpc_service *service = krpc_service_new(KRPC_STR("Chat"), NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_service_add_method(service, KRPC_STR("Say"), 0, on_say, NULL, NULL, NULL);
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    return krpc_server_build(options, NULL);
}

int main(int argc, char **argv)
{
    krpc_server *server = argc > 1 ? NULL : start_server();
    krpc_client *client = client_of(argc > 1 ? krpc_cstr(argv[1]) : krpc_server_address(server, 0));
    int wrong = show(client, "Chat/Say", "a long story", KRPC_STATUS_DECLARED_EXCEPTION);
    wrong += show(client, "Chat/Say", "who is there?", KRPC_STATUS_BIZ_STATUS);
    wrong += show(client, "Chat/Say", "break", KRPC_STATUS_REMOTE_EXCEPTION);
    wrong += show(client, "Chat/Say", "forget me", KRPC_STATUS_REMOTE_EXCEPTION);
    wrong += show(client, "Chat/Sing", "la la la", KRPC_STATUS_UNKNOWN_METHOD);
    wrong += show(client, "Radio/Play", "la la la", KRPC_STATUS_UNKNOWN_SERVICE);
    wrong += show(client, "Chat/Say", "sleep", KRPC_STATUS_TIMEOUT);

    krpc_server_stop(server, 5000, NULL, NULL);
    if (argc <= 1)
        wrong += show(client, "Chat/Say", "anybody?", KRPC_STATUS_CONNECT_FAILED);
    krpc_client_close(client, false);
    wrong += show(client, "Chat/Say", "anybody?", KRPC_STATUS_CLOSED);
    wrong += show_mistakes();

    krpc_client_free(client);
    krpc_server_free(server);
    if (krpc_live_handles() != 0 || wrong != 0)
        fprintf(stderr, "%d calls did not end as expected, %zu live handles\n", wrong, krpc_live_handles());
    return wrong == 0 && krpc_live_handles() == 0 ? 0 : 1;
}
