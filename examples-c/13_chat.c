/* A stream in both directions: a client and a server that talk at the same time.
 *
 *   13_chat                   talks to a server that it starts itself
 *   13_chat 127.0.0.1:8888    talks to yours
 *
 *       struct Message { 1: string text }
 *       service Chat { Message Talk(1: Message m) (streaming.mode="bidirectional") }
 *
 * The messages of a stream are bare structs. Either side may send and receive whenever it likes, one thread for
 * each direction; here every answer is waited for.
 */
#include <krpc.h>
#include <stdio.h>

static krpc_message *words(const char *text)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_string(writer, 1, krpc_cstr(text));
    return krpc_writer_finish(writer, NULL);
}

static void print_words(const char *who, const krpc_message *message)
{
    krpc_str text = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(message, NULL);
    if (krpc_reader_find(reader, 1, NULL) && krpc_reader_string(reader, &text) == KRPC_OK)
        printf("%s: %.*s\n", who, (int)text.len, text.ptr);
    krpc_reader_free(reader);
}

static int report(krpc_error *error)
{
    krpc_str why = krpc_error_describe(error);
    fprintf(stderr, "%.*s\n", (int)why.len, why.ptr);
    krpc_error_free(error);
    return 1;
}

/* ---- the client ------------------------------------------------------------------------------------------ */

static int talk(const krpc_client *client)
{
    static const char *lines[] = {"hello", "how are you?", "goodbye"};
    krpc_error *error = NULL;
    krpc_stream *stream = NULL;
    krpc_method *method = krpc_client_method(client, KRPC_STR("Chat/Talk"), 0, NULL);
    if (krpc_client_open_stream(client, method, NULL, &stream, &error) != KRPC_OK) {
        krpc_method_free(method);
        return report(error);
    }

    krpc_message *answer = NULL;
    int failed = 0;
    for (size_t i = 0; i < 3 && !failed; i++) {
        krpc_message *message = words(lines[i]);
        failed = krpc_stream_send(stream, message, &error) != KRPC_OK ||
                 krpc_stream_recv(stream, &answer, &error) != KRPC_OK || answer == NULL;
        krpc_message_free(message);
        print_words("server", answer);
        krpc_message_free(answer);
    }
    /* We have said everything. The server may still send; OK without a message is its end. */
    krpc_stream_close_send(stream, NULL);
    while (!failed) {
        failed = krpc_stream_recv(stream, &answer, &error) != KRPC_OK;
        if (answer == NULL)
            break;
        print_words("server", answer);
        krpc_message_free(answer);
    }
    if (!failed)
        printf("the server has said everything\n");
    krpc_stream_free(stream);
    krpc_method_free(method);
    return failed ? report(error) : 0;
}

static int run(krpc_str address)
{
    krpc_error *error = NULL;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("chat"), NULL);
    krpc_client_options_add_address(options, address, NULL);
    krpc_client *client = krpc_client_build(options, &error);
    if (client == NULL)
        return report(error);
    int failed = talk(client);
    krpc_client_free(client);
    return failed;
}

/* ---- a server to talk to ----------------------------------------------------------------------------------- */

/* Runs for as long as the stream lasts, on a thread that may block. It owns the stream. */
static void on_talk(void *user_data, krpc_stream *stream)
{
    (void)user_data;
    krpc_message *message = NULL;
    while (krpc_stream_recv(stream, &message, NULL) == KRPC_OK && message != NULL) {
        krpc_stream_send(stream, message, NULL); /* an echo: the same bytes */
        krpc_message_free(message);
    }
    krpc_message *last = words("that was all");
    krpc_stream_send(stream, last, NULL);
    krpc_message_free(last);
    krpc_stream_finish(stream, NULL);
    krpc_stream_free(stream);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return run(krpc_cstr(argv[1]));

    krpc_service *service = krpc_service_new(KRPC_STR("Chat"), NULL);
    krpc_service_add_stream(service, KRPC_STR("Talk"), KRPC_STREAMING_BIDIRECTIONAL, 0, on_talk, NULL, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    krpc_server *server = krpc_server_build(options, NULL);
    int failed = server == NULL ? 1 : run(krpc_server_address(server, 0));
    krpc_server_free(server);
    printf("%zu live handles\n", krpc_live_handles());
    return failed;
}
