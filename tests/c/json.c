/* JSON by an IDL: every kind of value, every mistake with its place, and calls between both ends. */
#include "idl.h"

static krpc_idl *idl;

/* From JSON and back, both with the same options. */
static krpc_message *around(const krpc_shape *shape, const char *json, const krpc_json_options *options)
{
    krpc_error *error = NULL;
    krpc_message *message = krpc_message_from_json(krpc_cstr(json), shape, options, &error);
    CHECK_ERROR(error, KRPC_OK, "");
    krpc_message *back = krpc_message_to_json(message, shape, options, &error);
    CHECK_ERROR(error, KRPC_OK, "");
    krpc_message_free(message);
    return back;
}

static void values(void)
{
    krpc_shape *all = krpc_idl_struct(idl, KRPC_STR("All"), NULL);
    krpc_json_options options = KRPC_JSON_OPTIONS_INIT;
    options.strict = 1;
    options.absent = KRPC_JSON_ABSENT_OMIT;
    /* Fields come back in the order of the message, which is that of the JSON; what is absent and neither
       optional nor refused is written as zero. */
    static const char *const same[] = {
        "{\"flag\":true,\"tiny\":-128,\"small\":32767,\"middle\":-2147483648,\"large\":9223372036854775807,"
        "\"real\":0.1,\"text\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\\n\",\"bytes\":\"AAH/\",\"color\":2,"
        "\"parts\":[{\"name\":\"a\",\"size\":0}],\"marks\":[1,2],"
        "\"names\":{\"-9223372036854775808\":\"low\",\"9007199254740993\":\"odd\"},"
        "\"either\":{\"number\":-9007199254740993},\"base\":{\"log\":\"x\"},\"must\":\"m\",\"renamed\":\"o\"}",
    };
    for (size_t i = 0; i < LEN(same); i++)
        CHECK_JSON(around(all, same[i], &options), same[i]);

    /* Escapes become the characters, and enums may be named. */
    krpc_shape *part = krpc_idl_struct(idl, KRPC_STR("Part"), NULL);
    CHECK_JSON(around(part, " { \"name\" : \"\\u00e4\\ud83d\\ude00\" , \"size\" : 1 } ", &options),
               "{\"name\":\"\xc3\xa4\xf0\x9f\x98\x80\",\"size\":1}");
    CHECK_JSON(around(part, "{\"name\":\"n\"}", NULL), "{\"name\":\"n\",\"size\":3}");
    options.enums = KRPC_JSON_ENUMS_NAME;
    options.int64 = KRPC_JSON_INT64_TEXT;
    krpc_message *back = around(all, "{\"color\":\"BLUE\",\"large\":\"-5\",\"must\":\"\"}", &options);
    CHECK(contains(text_of(back), "\"color\":\"BLUE\"") && contains(text_of(back), "\"large\":\"-5\""));
    krpc_message_free(back);

    /* The reference's leniency, by default. */
    back = around(all, "{\"middle\":\"12\",\"what\":[],\"must\":null}", NULL);
    CHECK(contains(text_of(back), "\"middle\":12") && contains(text_of(back), "\"must\":\"\""));
    krpc_message_free(back);
    krpc_shape_free(part);
    krpc_shape_free(all);
}

/* What a framework says of itself, in the request's base. */
static void bases(void)
{
    krpc_shape *request = krpc_idl_request(idl, KRPC_STR("Chat/Say"), NULL);
    krpc_shape *result = krpc_idl_result(idl, KRPC_STR("Chat/Say"), NULL);
    krpc_shape *shape = krpc_idl_struct(idl, KRPC_STR("base.Base"), NULL);
    krpc_json_options options = KRPC_JSON_OPTIONS_INIT;
    options.absent = KRPC_JSON_ABSENT_OMIT;
    krpc_message *base = krpc_message_from_json(KRPC_STR("{\"log\":\"ours\"}"), shape, NULL, NULL);
    krpc_message *message =
        krpc_message_from_json(KRPC_STR("{\"must\":\"m\",\"base\":{\"log\":\"theirs\"}}"), request, NULL, NULL);
    krpc_error *error = NULL;
    krpc_message *merged = krpc_message_with_base(message, request, base, &error);
    CHECK_ERROR(error, KRPC_OK, "");
    krpc_message *json = krpc_message_to_json(merged, request, &options, NULL);
    CHECK(contains(text_of(json), "\"base\":{\"log\":\"ours\"}") && !contains(text_of(json), "theirs"));
    krpc_message_free(json);
    krpc_message_free(merged);

    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "message", krpc_message_with_base(NULL, request, base, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "shape", krpc_message_with_base(message, NULL, base, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "base", krpc_message_with_base(message, request, NULL, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "only a request has a base",
             krpc_message_with_base(message, result, base, &error));
    krpc_message_free(base);
    base = krpc_message_copy(KRPC_ENCODING_THRIFT_BINARY, KRPC_BYTES("\x02\0\x01\x01\0", 5), NULL);
    NOT_MADE(KRPC_STATUS_TYPE_MISMATCH, "base: field log is string in the IDL, not bool",
             krpc_message_with_base(message, request, base, &error));
    krpc_message_free(base);
    base = krpc_message_copy(KRPC_ENCODING_THRIFT_BINARY, KRPC_BYTES("\x0b", 1), NULL);
    NOT_MADE(KRPC_STATUS_MALFORMED, "base", krpc_message_with_base(message, request, base, &error));
    krpc_message_free(base);
    krpc_message_free(message);
    krpc_shape_free(shape);
    krpc_shape_free(result);
    krpc_shape_free(request);
}

static void mistakes(void)
{
    krpc_shape *all = krpc_idl_struct(idl, KRPC_STR("All"), NULL);
    krpc_json_options strict = KRPC_JSON_OPTIONS_INIT;
    strict.strict = 1;
    static const struct {
        const char *json;
        krpc_status status;
        const char *text;
    } cases[] = {
        {"", KRPC_STATUS_MALFORMED, "$"},
        {"{\"must\":\"\"} x", KRPC_STATUS_MALFORMED, "byte 12"},
        {"{\"middle\":\n  \"x\",\"must\":\"\"}", KRPC_STATUS_TYPE_MISMATCH,
         "$.middle: expected a number, found a string (line 2, column 3, byte 13)"},
        {"{\"parts\":[{\"name\":\"a\"},{\"name\":1}],\"must\":\"\"}", KRPC_STATUS_TYPE_MISMATCH,
         "$.parts[1].name: expected a string, found a number"},
        {"{\"parts\":[{}],\"must\":\"\"}", KRPC_STATUS_MISSING_FIELD, "$.parts[0]"},
        {"{}", KRPC_STATUS_MISSING_FIELD, "must"},
        {"{\"must\":\"\",\"mus\":1}", KRPC_STATUS_UNKNOWN_FIELD, "mus"},
        {"{\"must\":\"\",\"must\":\"\"}", KRPC_STATUS_MALFORMED, "must"},
        {"{\"tiny\":128,\"must\":\"\"}", KRPC_STATUS_TYPE_MISMATCH, "out of the range of i8"},
        {"{\"large\":9223372036854775808,\"must\":\"\"}", KRPC_STATUS_TYPE_MISMATCH, "out of the range of i64"},
        {"{\"bytes\":\"*\",\"must\":\"\"}", KRPC_STATUS_MALFORMED, "$.bytes: not base64"},
        {"{\"color\":\"GREEN\",\"must\":\"\"}", KRPC_STATUS_TYPE_MISMATCH, "Color has no value of this name"},
        {"{\"names\":{\"x\":\"\"},\"must\":\"\"}", KRPC_STATUS_TYPE_MISMATCH, "the key is no i64"},
        {"{\"either\":{},\"must\":\"\"}", KRPC_STATUS_TYPE_MISMATCH, "$.either"},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        krpc_error *error = NULL;
        CHECK(krpc_message_from_json(krpc_cstr(cases[i].json), all, &strict, &error) == NULL);
        if (krpc_error_status(error) != cases[i].status || !contains(krpc_error_text(error), cases[i].text)) {
            krpc_str text = krpc_error_describe(error);
            fprintf(stderr, "%s\n%.*s\n", cases[i].json, (int)text.len, text.ptr);
            exit(1);
        }
        krpc_error_free(error);
    }

    /* Recursion ends at the limit, and not at the stack. */
    krpc_shape *tree = krpc_idl_struct(idl, KRPC_STR("Tree"), NULL);
    char deep[20000];
    size_t len = 0;
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(deep + len, sizeof deep - len, "{\"name\":\"\",\"kids\":[");
    NOT_MADE(KRPC_STATUS_CODEC_LIMIT, "more than 64", krpc_message_from_json(krpc_cstr(deep), tree, NULL, &error));
    krpc_json_options shallow = KRPC_JSON_OPTIONS_INIT;
    shallow.max_depth = 2;
    NOT_MADE(KRPC_STATUS_CODEC_LIMIT, "more than 2",
             krpc_message_from_json(KRPC_STR("{\"name\":\"\",\"kids\":[{\"name\":\"\"}]}"), tree, &shallow, &error));
    shallow.max_depth = 0;
    shallow.max_bytes = 5;
    NOT_MADE(KRPC_STATUS_CODEC_LIMIT, "5 bytes",
             krpc_message_from_json(KRPC_STR("{\"name\":\"long\"}"), tree, &shallow, &error));
    krpc_shape_free(tree);

    /* Bytes that are no such message. */
    krpc_message *torn = krpc_message_copy(KRPC_ENCODING_THRIFT_BINARY, KRPC_BYTES("\x0b\0\x07\0", 4), NULL);
    NOT_MADE(KRPC_STATUS_MALFORMED, "$.text", krpc_message_to_json(torn, all, NULL, &error));
    krpc_message_free(torn);
    krpc_message *json = krpc_message_copy(KRPC_ENCODING_JSON, KRPC_BYTES("{}", 2), NULL);
    NOT_MADE(KRPC_STATUS_UNSUPPORTED, "encoding 4", krpc_message_to_json(json, all, NULL, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "message", krpc_message_to_json(NULL, all, NULL, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "shape", krpc_message_to_json(json, NULL, NULL, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "shape", krpc_message_from_json(KRPC_STR(""), NULL, NULL, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "json", krpc_message_from_json((krpc_str){NULL, 1}, all, NULL, &error));
    krpc_message_free(json);
    krpc_shape_free(all);
}

static void options(void)
{
    krpc_shape *part = krpc_idl_struct(idl, KRPC_STR("Part"), NULL);
    krpc_json_options wrong = KRPC_JSON_OPTIONS_INIT;
    int32_t *const numbers[] = {&wrong.binary,       &wrong.enums,         &wrong.int64,        &wrong.unknown,
                                &wrong.duplicates,   &wrong.absent,        &wrong.non_finite,   &wrong.i8_unsigned,
                                &wrong.fill_required, &wrong.fill_optional, &wrong.idl_defaults, &wrong.tolerate_missing,
                                &wrong.escape_html,  &wrong.bare_strings};
    static const int32_t bad[] = {-1, 4, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < LEN(numbers); i++) {
        for (size_t j = 0; j < LEN(bad); j++) {
            *numbers[i] = bad[j];
            NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "options.",
                     krpc_message_from_json(KRPC_STR("{}"), part, &wrong, &error));
        }
        *numbers[i] = 1;
    }
    krpc_message_free(krpc_message_from_json(KRPC_STR("{}"), part, &wrong, NULL));
    wrong.strict = 2;
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "options.strict", krpc_message_from_json(KRPC_STR("{}"), part, &wrong, &error));
    wrong.strict = 0;
    wrong.max_depth = 256;
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "options.max_depth", krpc_message_from_json(KRPC_STR("{}"), part, &wrong, &error));
    wrong.struct_size = 3;
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "struct_size", krpc_message_from_json(KRPC_STR("{}"), part, &wrong, &error));

    krpc_json_options chosen = KRPC_JSON_OPTIONS_INIT;
    chosen.fill_required = KRPC_CHOICE_NO;
    NOT_MADE(KRPC_STATUS_MISSING_FIELD, "name", krpc_message_from_json(KRPC_STR("{}"), part, &chosen, &error));
    chosen.fill_required = KRPC_CHOICE_YES;
    chosen.idl_defaults = KRPC_CHOICE_NO;
    chosen.strict = 1;
    CHECK_JSON(around(part, "{}", &chosen), "{\"name\":\"\",\"size\":0}");
    krpc_shape_free(part);
}

/* ---- both ends ------------------------------------------------------------------------------------- */

/* Answers in JSON what came in JSON, or as the text says. */
static void on_any(void *user_data, krpc_request *request)
{
    (void)user_data;
    krpc_error *error = NULL;
    krpc_message *json = krpc_request_to_json(request, NULL, &error);
    if (json == NULL) {
        krpc_error_free(error);
        krpc_request_free(request); /* the caller is told why */
        return;
    }
    krpc_str text = text_of(json);
    if (contains(text, "throw")) {
        /* What does not fit leaves the request to be answered. */
        REFUSED("does not throw nothing",
                krpc_request_throw_json(request, KRPC_STR("nothing"), KRPC_STR("{}"), NULL, &error));
        FAILS(KRPC_STATUS_MALFORMED, "$",
              krpc_request_throw_json(request, KRPC_STR("wrong"), KRPC_STR("{"), NULL, &error));
        FAILS(KRPC_STATUS_MALFORMED, "$", krpc_request_reply_json(request, KRPC_STR("{"), NULL, &error));
        CHECK(krpc_request_throw_json(request, KRPC_STR("Wrong"), KRPC_STR("{\"why\":\"no\",\"code\":9007199254740993}"),
                                      NULL, NULL) == KRPC_OK);
        FAILS(KRPC_STATUS_INVALID_STATE, "answered before",
              krpc_request_reply_json(request, KRPC_STR("{}"), NULL, &error));
    } else if (equal(krpc_request_method(request), "Add")) {
        CHECK_STR(text, "{\"left\":1,\"right\":2}");
        CHECK(krpc_request_reply_json(request, KRPC_STR("3"), NULL, NULL) == KRPC_OK);
    } else if (equal(krpc_request_method(request), "Ping")) {
        CHECK_STR(text, "{}");
        CHECK(krpc_request_reply_json(request, KRPC_STR("null"), NULL, NULL) == KRPC_OK);
    } else {
        CHECK(krpc_request_shape(request) != NULL);
        CHECK(krpc_request_is_oneway(request) == (krpc_request_result_shape(request) == NULL));
        CHECK(krpc_request_reply_json(request, text, NULL, NULL) == KRPC_OK);
    }
    krpc_message_free(json);
    krpc_request_free(request);
}

static krpc_reply *call_json(const krpc_client *client, const krpc_method *method, const char *json)
{
    krpc_error *error = NULL;
    krpc_message *request = krpc_message_from_json(krpc_cstr(json), krpc_method_request_shape(method), NULL, &error);
    CHECK_ERROR(error, KRPC_OK, "");
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = BOUND_MS;
    krpc_reply *reply = NULL;
    krpc_client_call(client, method, request, &options, &reply);
    krpc_message_free(request);
    return reply;
}

static void replies(const krpc_client *client)
{
    static const char *const calls[][3] = {
        {"Chat/Grow", "{\"name\":\"a\",\"kids\":[{\"name\":\"b\"}]}", NULL},
        {"Text", "h\xc3\xa4", NULL},
        {"Text", "\"quoted\"", "quoted"},
        {"Add", "{\"left\":1,\"right\":2}", "3"},
        {"Chat/Ping", "", "null"},
        {"Parent/Ping", "{}", "null"},
    };
    for (size_t i = 0; i < LEN(calls); i++) {
        krpc_method *method = krpc_client_method_from_idl(client, idl, krpc_cstr(calls[i][0]), 0, NULL);
        krpc_reply *reply = call_json(client, method, calls[i][1]);
        CHECK_STR(krpc_error_describe(krpc_reply_error(reply)), "");
        CHECK_JSON(krpc_message_to_json(krpc_reply_message(reply), krpc_method_result_shape(method), NULL, NULL),
                   calls[i][2] == NULL ? calls[i][1] : calls[i][2]);
        krpc_reply_free(reply);
        krpc_method_free(method);
    }
    krpc_method *note = krpc_client_method_from_idl(client, idl, KRPC_STR("Note"), 0, NULL);
    krpc_reply *reply = call_json(client, note, "[\"x\"]");
    CHECK(krpc_reply_status(reply) == KRPC_OK && krpc_reply_message(reply) == NULL);
    krpc_reply_free(reply);
    krpc_method_free(note);
}

static void exceptions(const krpc_client *client)
{
    krpc_method *say = krpc_client_method_from_idl(client, idl, KRPC_STR("Say"), 0, NULL);
    krpc_method *text = krpc_client_method_from_idl(client, idl, KRPC_STR("Text"), 0, NULL);
    krpc_method *bare = krpc_client_method(client, KRPC_STR("Say"), 0, NULL);
    krpc_reply *reply = call_json(client, say, "{\"must\":\"throw\"}");
    CHECK(krpc_reply_status(reply) == KRPC_STATUS_DECLARED_EXCEPTION);
    const krpc_error *thrown = krpc_reply_error(reply);
    krpc_str name = KRPC_STR("unset");
    CHECK_JSON(krpc_error_exception_to_json(thrown, say, NULL, &name, NULL),
               "{\"why\":\"no\",\"code\":9007199254740993}");
    CHECK_STR(name, "wrong");
    NOT_MADE(KRPC_STATUS_UNKNOWN_FIELD, "declares no exception with field 1",
             krpc_error_exception_to_json(thrown, text, NULL, &name, &error));
    CHECK_STR(name, "");
    NOT_MADE(KRPC_STATUS_INVALID_STATE, "not made from an IDL",
             krpc_error_exception_to_json(thrown, bare, NULL, NULL, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "method", krpc_error_exception_to_json(thrown, NULL, NULL, NULL, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "error", krpc_error_exception_to_json(NULL, say, NULL, NULL, &error));
    krpc_reply_free(reply);

    /* Arguments that lack what is required: exception 7, in the codec's words. */
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_struct_begin(writer, 3);
    krpc_writer_struct_end(writer);
    krpc_message *request = krpc_writer_finish(writer, NULL);
    CHECK(krpc_client_call(client, say, request, NULL, &reply) == KRPC_STATUS_REMOTE_EXCEPTION);
    krpc_message_free(request);
    int32_t type_id = 0;
    CHECK(krpc_error_remote_exception(krpc_reply_error(reply), &type_id, &name));
    CHECK(type_id == 7 && contains(name, "must") && contains(name, "byte"));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "not a declared exception",
             krpc_error_exception_to_json(krpc_reply_error(reply), say, NULL, NULL, &error));
    krpc_reply_free(reply);

    /* A wrong type. */
    request = text_message(3, KRPC_STR("no struct"));
    CHECK(krpc_client_call(client, say, request, NULL, &reply) == KRPC_STATUS_REMOTE_EXCEPTION);
    krpc_message_free(request);
    CHECK(krpc_error_remote_exception(krpc_reply_error(reply), &type_id, NULL) && type_id == 7);
    krpc_reply_free(reply);
    krpc_method_free(bare);
    krpc_method_free(text);
    krpc_method_free(say);
}

/* A service without an IDL has no JSON. */
static void on_plain(void *user_data, krpc_request *request)
{
    (void)user_data;
    NOT_MADE(KRPC_STATUS_INVALID_STATE, "not made from an IDL", krpc_request_to_json(request, NULL, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "not made from an IDL",
          krpc_request_reply_json(request, KRPC_STR("1"), NULL, &error));
    FAILS(KRPC_STATUS_INVALID_STATE, "not made from an IDL",
          krpc_request_throw_json(request, KRPC_STR("x"), KRPC_STR("1"), NULL, &error));
    CHECK(krpc_request_shape(request) == NULL && krpc_request_result_shape(request) == NULL);
    REFUSED("json", krpc_request_reply_json(request, (krpc_str){NULL, 1}, NULL, &error));
    echo(NULL, request);
}

static int destroyed;

static void count_destroy(void *user_data)
{
    (void)user_data;
    destroyed++;
}

static krpc_service *chat(void)
{
    krpc_service *service = krpc_service_from_idl(idl, KRPC_STR("Chat"), NULL);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "did you mean Chat?", krpc_service_from_idl(idl, KRPC_STR("Chit"), &error));
    CHECK(krpc_service_add_method(service, KRPC_STR("Grow"), 0, on_any, NULL, count_destroy, NULL) == KRPC_OK);
    REFUSED("service", krpc_service_add_other_methods(NULL, 0, on_any, NULL, count_destroy, &error));
    REFUSED("handler", krpc_service_add_other_methods(service, 0, NULL, NULL, count_destroy, &error));
    REFUSED("flags", krpc_service_add_other_methods(service, 8, on_any, NULL, count_destroy, &error));
    CHECK(destroyed == 3);
    CHECK(krpc_service_add_other_methods(service, 0, on_any, NULL, count_destroy, NULL) == KRPC_OK);
    CHECK(destroyed == 3);
    return service;
}

static void calls(void)
{
    krpc_service *plain = service_with("Test", "plain", 0, on_plain, NULL);
    FAILS(KRPC_STATUS_INVALID_STATE, "not made from an IDL",
          krpc_service_add_other_methods(plain, 0, on_any, NULL, NULL, &error));
    krpc_server_options *options = options_with("127.0.0.1:0", plain);
    CHECK(krpc_server_options_add_service(options, chat(), false, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);
    replies(client);
    exceptions(client);
    CHECK_ECHO_OF(client, "Test/plain", "plain");
    krpc_client_free(client);
    krpc_server_free(server);
    AWAIT(destroyed == 5);
}

/* The same requests, taken from a queue. */
static void queued(void)
{
    krpc_queue *queue = krpc_queue_new(8, NULL);
    krpc_service *service = krpc_service_from_idl(idl, KRPC_STR(""), NULL);
    REFUSED("queue", krpc_service_add_other_queued_methods(service, NULL, 7, &error));
    CHECK(krpc_service_add_other_queued_methods(service, queue, 7, NULL) == KRPC_OK);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);
    caller waiting;
    caller_start(&waiting, client, "Chat/Text", "queued");
    krpc_event event;
    size_t count = 0;
    CHECK(krpc_queue_take(queue, &event, sizeof event, 1, BOUND_MS, &count) == KRPC_OK && count == 1);
    CHECK(event.kind == KRPC_EVENT_KIND_REQUEST && event.tag == 7);
    on_any(NULL, event.request); /* which frees it: the event owned it for us */
    CHECK(caller_end(&waiting) == KRPC_OK);
    krpc_client_free(client);
    krpc_server_free(server);
    krpc_queue_free(queue);
}

int main(void)
{
    idl = parse(MAIN_IDL);
    values();
    bases();
    mistakes();
    options();
    calls();
    queued();
    krpc_idl_free(idl);
    return end_of_net_test();
}
