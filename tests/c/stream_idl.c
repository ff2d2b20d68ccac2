/* Streams of an IDL: methods and services made from it, JSON and values by name in every mode, at both ends. */
#include "idl.h"
#include "streams.h"

static const char CHAT[] = "struct Part { 1: required string text, 2: optional i64 at }\n"
                           "struct Sum { 1: i32 count, 2: string texts }\n"
                           "service Chat {\n"
                           "    Part Say(1: Part part)\n"
                           "    Sum Talk(1: Part part) (streaming.mode = 'bidirectional')\n"
                           "    Sum Watch(1: Part part) (streaming.mode = 'server')\n"
                           "    Sum Upload(1: Part part) (streaming.mode = 'client')\n"
                           "}\n";

/* ---- a server with one handler for all that streams ------------------------------------------------------------------ */

static krpc_status send_sum(const krpc_stream *stream, int count, krpc_str texts)
{
    char json[128];
    snprintf(json, sizeof json, "{\"count\":%d,\"texts\":\"%.*s\"}", count, (int)texts.len, texts.ptr);
    return krpc_stream_send_json(stream, krpc_cstr(json), NULL, NULL);
}

/* The field of a message by its name. */
static krpc_str text_in(const krpc_message *message, const krpc_shape *shape, char *buffer, size_t size)
{
    krpc_str text = {buffer, 0}, found;
    krpc_reader *reader = krpc_reader_new_typed(message, shape, NULL);
    CHECK(reader != NULL && krpc_reader_find_name(reader, KRPC_STR("text"), NULL));
    CHECK(krpc_reader_string(reader, &found) == KRPC_OK && found.len < size);
    memcpy(buffer, found.ptr, found.len);
    text.len = found.len;
    krpc_reader_free(reader);
    return text;
}

static void serve_any(void *user_data, krpc_stream *stream)
{
    (void)user_data;
    char buffer[32];
    int count = 0;
    krpc_str last = {buffer, 0};
    krpc_message *json = NULL, *message = NULL;
    switch (krpc_stream_mode(stream)) {
    case KRPC_STREAMING_SERVER:
        last = text_in(krpc_stream_request(stream), krpc_stream_recv_shape(stream), buffer, sizeof buffer);
        for (int i = 0; i < 3; i++)
            CHECK(send_sum(stream, i, last) == KRPC_OK);
        break;
    case KRPC_STREAMING_CLIENT:
        while (krpc_stream_recv(stream, &message, NULL) == KRPC_OK && message != NULL) {
            last = text_in(message, krpc_stream_recv_shape(stream), buffer, sizeof buffer);
            krpc_message_free(message);
            count++;
        }
        CHECK(send_sum(stream, count, last) == KRPC_OK);
        break;
    default:
        CHECK(krpc_stream_mode(stream) == KRPC_STREAMING_BIDIRECTIONAL);
        while (krpc_stream_recv_json(stream, NULL, &json, NULL) == KRPC_OK && json != NULL) {
            krpc_message_free(json);
            CHECK(send_sum(stream, ++count, KRPC_STR("")) == KRPC_OK);
        }
    }
    CHECK(krpc_stream_finish(stream, NULL) == KRPC_OK);
    krpc_stream_free(stream);
}

static krpc_server *serve_only(krpc_service *service)
{
    krpc_server_options *options = krpc_server_options_new();
    CHECK(krpc_server_options_add_service(options, service, false, NULL) == KRPC_OK);
    CHECK(krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL) == KRPC_OK);
    return serve(options);
}

static krpc_server *serve_idl(const krpc_idl *idl)
{
    krpc_service *service = krpc_service_from_idl(idl, KRPC_STR("Chat"), NULL);
    CHECK(krpc_service_add_other_streams(service, 0, serve_any, NULL, NULL, NULL) == KRPC_OK);
    /* What streams is taken; what does not is still there to be added. */
    CHECK(krpc_service_add_method(service, KRPC_STR("Say"), 0, echo, NULL, NULL, NULL) == KRPC_OK);
    return serve_only(service);
}

static krpc_stream *open_of(const krpc_client *client, const krpc_idl *idl, const char *name, krpc_streaming mode)
{
    krpc_method *method = krpc_client_method_from_idl(client, idl, krpc_cstr(name), 0, NULL);
    CHECK(method != NULL && krpc_method_mode(method) == mode);
    CHECK(krpc_method_request_shape(method) != NULL && krpc_method_result_shape(method) != NULL);
    krpc_stream *stream = NULL;
    krpc_error *error = NULL;
    krpc_client_open_stream(client, method, NULL, &stream, &error);
    CHECK_STR(krpc_error_describe(error), "");
    CHECK(stream != NULL && krpc_stream_mode(stream) == mode);
    krpc_method_free(method); /* the stream keeps what it needs */
    return stream;
}

#define RECV_JSON(stream, expected)                                                   \
    do {                                                                              \
        krpc_message *received_json = NULL;                                           \
        CHECK(krpc_stream_recv_json((stream), NULL, &received_json, NULL) == KRPC_OK); \
        CHECK_JSON(received_json, expected);                                          \
    } while (0)

#define RECV_JSON_END(stream)                                                         \
    do {                                                                              \
        krpc_message *received_json = (krpc_message *)stream;                         \
        CHECK(krpc_stream_recv_json((stream), NULL, &received_json, NULL) == KRPC_OK); \
        CHECK(received_json == NULL);                                                 \
    } while (0)

static void json_goes_both_ways_in_every_mode(const krpc_client *client, const krpc_idl *idl)
{
    krpc_stream *stream = open_of(client, idl, "Chat/Talk", KRPC_STREAMING_BIDIRECTIONAL);
    CHECK(krpc_stream_send_json(stream, KRPC_STR("{\"text\":\"a\",\"at\":9223372036854775807}"), NULL, NULL) == KRPC_OK);
    RECV_JSON(stream, "{\"count\":1,\"texts\":\"\"}");
    CHECK(krpc_stream_send_json(stream, KRPC_STR("{\"text\":\"b\"}"), NULL, NULL) == KRPC_OK);
    RECV_JSON(stream, "{\"count\":2,\"texts\":\"\"}");
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    RECV_JSON_END(stream);
    krpc_stream_free(stream);

    stream = open_of(client, idl, "Upload", KRPC_STREAMING_CLIENT);
    for (int i = 0; i < 3; i++)
        CHECK(krpc_stream_send_json(stream, KRPC_STR("{\"text\":\"up\"}"), NULL, NULL) == KRPC_OK);
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    RECV_JSON(stream, "{\"count\":3,\"texts\":\"up\"}");
    RECV_JSON_END(stream);
    krpc_stream_free(stream);

    stream = open_of(client, idl, "Watch", KRPC_STREAMING_SERVER);
    CHECK(krpc_stream_send_json(stream, KRPC_STR("{\"text\":\"down\"}"), NULL, NULL) == KRPC_OK);
    CHECK(krpc_stream_close_send(stream, NULL) == KRPC_OK);
    RECV_JSON(stream, "{\"count\":0,\"texts\":\"down\"}");
    RECV_JSON(stream, "{\"count\":1,\"texts\":\"down\"}");
    RECV_JSON(stream, "{\"count\":2,\"texts\":\"down\"}");
    RECV_JSON_END(stream);
    krpc_stream_free(stream);
}

/* Messages that are written and read by the names of their fields. */
static void values_go_by_name(const krpc_client *client, const krpc_idl *idl)
{
    krpc_stream *stream = open_of(client, idl, "Talk", KRPC_STREAMING_BIDIRECTIONAL);
    krpc_writer *writer = krpc_writer_new_typed(krpc_stream_send_shape(stream), NULL);
    CHECK(krpc_writer_field_name(writer, KRPC_STR("text")) == KRPC_OK);
    CHECK(krpc_writer_string(writer, KRPC_STR("by name")) == KRPC_OK);
    krpc_message *message = krpc_writer_finish(writer, NULL), *received = NULL;
    CHECK(message != NULL && krpc_stream_send(stream, message, NULL) == KRPC_OK);
    krpc_message_free(message);
    CHECK(krpc_stream_recv(stream, &received, NULL) == KRPC_OK && received != NULL);
    int32_t count = 0;
    krpc_reader *reader = krpc_reader_new_typed(received, krpc_stream_recv_shape(stream), NULL);
    CHECK(krpc_reader_find_name(reader, KRPC_STR("count"), NULL) && krpc_reader_i32(reader, &count) == KRPC_OK && count == 1);
    krpc_reader_free(reader);
    krpc_message_free(received);
    krpc_stream_free(stream);
}

/* A DATA frame without a payload is no struct: an error of that receive only. */
static void an_empty_message_fails_its_receive_only(const krpc_stream *plain, const krpc_stream *typed)
{
    krpc_message *empty = krpc_message_copy(KRPC_ENCODING_THRIFT_BINARY, krpc_view("", 0), NULL), *json = NULL;
    CHECK(krpc_stream_send(plain, empty, NULL) == KRPC_OK && send_text(plain, "next") == KRPC_OK);
    krpc_message_free(empty);
    FAILS(KRPC_STATUS_MALFORMED, "", krpc_stream_recv_json(typed, NULL, &json, &error));
    CHECK(json == NULL);
    RECV_JSON(typed, "{\"text\":\"next\"}");
}

/* What does not fit is an error of that message only. */
static void what_does_not_fit_leaves_the_stream(const krpc_client *client, const krpc_idl *idl)
{
    krpc_stream *stream = open_of(client, idl, "Talk", KRPC_STREAMING_BIDIRECTIONAL);
    krpc_json_options strict = KRPC_JSON_OPTIONS_INIT;
    strict.strict = 1;
    FAILS(KRPC_STATUS_TYPE_MISMATCH, "$.at", krpc_stream_send_json(stream, KRPC_STR("{\"text\":\"a\",\"at\":\"x\"}"), &strict, &error));
    FAILS(KRPC_STATUS_MALFORMED, "", krpc_stream_send_json(stream, KRPC_STR("{"), NULL, &error));
    CHECK(krpc_stream_send_json(stream, KRPC_STR("{\"text\":\"a\"}"), NULL, NULL) == KRPC_OK);
    RECV_JSON(stream, "{\"count\":1,\"texts\":\"\"}");
    krpc_stream_free(stream);

    /* The server receives what its IDL does not know. */
    krpc_queue *queue = queue_of(4);
    krpc_service *service = krpc_service_from_idl(idl, KRPC_STR(""), NULL);
    CHECK(krpc_service_add_other_queued_streams(service, queue, 5, NULL) == KRPC_OK);
    krpc_server *server = serve_only(service);
    krpc_client *plain = client_of(server);
    krpc_method *method = krpc_client_method(plain, KRPC_STR("Chat/Talk"), 0, NULL);
    CHECK(krpc_method_mode(method) == KRPC_STREAMING_NONE);
    CHECK(krpc_client_open_stream(plain, method, NULL, &stream, NULL) == KRPC_OK);
    CHECK(krpc_stream_mode(stream) == KRPC_STREAMING_NONE && krpc_stream_send_shape(stream) == NULL);
    FAILS(KRPC_STATUS_INVALID_STATE, "not made from an IDL", krpc_stream_send_json(stream, KRPC_STR("{}"), NULL, &error));
    krpc_message *json = NULL;
    FAILS(KRPC_STATUS_INVALID_STATE, "not made from an IDL", krpc_stream_recv_json(stream, NULL, &json, &error));
    krpc_event event = take_one(queue);
    CHECK(event.kind == KRPC_EVENT_KIND_STREAM && event.tag == 5 && krpc_stream_mode(event.stream) == KRPC_STREAMING_BIDIRECTIONAL);
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_i32(writer, 1, 7); /* the IDL says: a string */
    krpc_message *wrong = krpc_writer_finish(writer, NULL);
    CHECK(krpc_stream_send(stream, wrong, NULL) == KRPC_OK && send_text(stream, "right") == KRPC_OK);
    krpc_message_free(wrong);
    krpc_error *error = NULL;
    krpc_status status = krpc_stream_recv_json(event.stream, NULL, &json, &error);
    CHECK((status == KRPC_STATUS_TYPE_MISMATCH || status == KRPC_STATUS_MISSING_FIELD) && json == NULL);
    krpc_error_free(error);
    RECV_JSON(event.stream, "{\"text\":\"right\"}");
    an_empty_message_fails_its_receive_only(stream, event.stream);
    krpc_event_release(&event);
    krpc_stream_free(stream);
    krpc_method_free(method);
    krpc_client_free(plain);
    krpc_server_free(server);
    krpc_queue_free(queue);
}

static void calls_and_streams_are_told_apart(const krpc_client *client, const krpc_idl *idl)
{
    krpc_method *talk = krpc_client_method_from_idl(client, idl, KRPC_STR("Talk"), 0, NULL);
    krpc_method *say = krpc_client_method_from_idl(client, idl, KRPC_STR("Say"), 0, NULL);
    CHECK(krpc_method_mode(say) == KRPC_STREAMING_NONE);
    krpc_message *request = text_message(1, KRPC_STR("x"));
    krpc_reply *reply = NULL;
    CHECK(krpc_client_call(client, talk, request, NULL, &reply) == KRPC_STATUS_UNSUPPORTED);
    CHECK(contains(krpc_error_describe(krpc_reply_error(reply)), "Talk is a streaming method (bidirectional)"));
    krpc_reply_free(reply);
    krpc_message_free(request);
    krpc_op *op = NULL;
    CHECK(krpc_client_start(client, talk, NULL, NULL, NULL, &op, NULL) == KRPC_OK && op_end(op) == KRPC_STATUS_UNSUPPORTED);
    krpc_stream *stream = NULL;
    FAILS(KRPC_STATUS_UNSUPPORTED, "not a streaming method", krpc_client_open_stream(client, say, NULL, &stream, &error));
    krpc_method_free(say);
    krpc_method_free(talk);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "did you mean Talk", krpc_client_method_from_idl(client, idl, KRPC_STR("Tlak"), 0, &error));
}

static void mistakes(const krpc_idl *idl)
{
    CHECK(krpc_method_mode(NULL) == KRPC_STREAMING_NONE && krpc_stream_mode(NULL) == KRPC_STREAMING_NONE);
    CHECK(krpc_stream_send_shape(NULL) == NULL && krpc_stream_recv_shape(NULL) == NULL);
    krpc_message *json = NULL;
    REFUSED("stream", krpc_stream_send_json(NULL, KRPC_STR("{}"), NULL, &error));
    REFUSED("stream", krpc_stream_recv_json(NULL, NULL, &json, &error));
    krpc_queue *queue = queue_of(4);
    krpc_service *plain = krpc_service_new(KRPC_STR("Plain"), NULL), *chat = krpc_service_from_idl(idl, KRPC_STR(""), NULL);
    FAILS(KRPC_STATUS_INVALID_STATE, "not made from an IDL", krpc_service_add_other_streams(plain, 0, serve_any, NULL, NULL, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "not made from an IDL", krpc_service_add_other_queued_streams(plain, queue, 1, &error));
    REFUSED("service", krpc_service_add_other_streams(NULL, 0, serve_any, NULL, NULL, &error));
    REFUSED("handler", krpc_service_add_other_streams(chat, 0, NULL, NULL, NULL, &error));
    REFUSED("flags", krpc_service_add_other_streams(chat, 1, serve_any, NULL, NULL, &error));
    REFUSED("queue", krpc_service_add_other_queued_streams(chat, NULL, 1, &error));
    REFUSED("does not stream so", krpc_service_add_stream(chat, KRPC_STR("Talk"), KRPC_STREAMING_CLIENT, 0, serve_any, NULL, NULL, &error));
    krpc_service_free(plain);
    krpc_service_free(chat);
    krpc_queue_free(queue);
}

int main(void)
{
    krpc_idl *idl = parse(CHAT);
    krpc_server *server = serve_idl(idl);
    krpc_client *client = client_of(server);
    json_goes_both_ways_in_every_mode(client, idl);
    values_go_by_name(client, idl);
    what_does_not_fit_leaves_the_stream(client, idl);
    calls_and_streams_are_told_apart(client, idl);
    mistakes(idl);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_idl_free(idl);
    return end_of_net_test();
}
