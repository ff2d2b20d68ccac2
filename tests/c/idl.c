/* krpc_idl: mistakes with their places, lists, shapes, dump, template; and what outlives it. */
#include "idl.h"

static krpc_idl *parse_one(const char *text, krpc_error **error)
{
    krpc_idl_file file = {KRPC_STR("a.thrift"), krpc_cstr(text)};
    return krpc_idl_parse_memory(&file, 1, KRPC_STR(""), error);
}

static void misuse(void)
{
    krpc_idl_file file = {KRPC_STR("a.thrift"), KRPC_STR("")};
    krpc_str none = {NULL, 1}, empty = {NULL, 0};
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "files", krpc_idl_parse_memory(NULL, 1, empty, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "count", krpc_idl_parse_memory(&file, 0, empty, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "main", krpc_idl_parse_memory(&file, 1, none, &error));
    NOT_MADE(KRPC_STATUS_IDL_INVALID, "`b` was not found", krpc_idl_parse_memory(&file, 1, KRPC_STR("b"), &error));
    file.text = none;
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "files.text", krpc_idl_parse_memory(&file, 1, empty, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "path", krpc_idl_parse_file(none, NULL, 0, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "UTF-8", krpc_idl_parse_file(KRPC_STR("\xff"), NULL, 0, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "include_dirs", krpc_idl_parse_file(empty, NULL, 2, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "include_dirs", krpc_idl_parse_file(empty, &none, 1, &error));
    NOT_MADE(KRPC_STATUS_IDL_INVALID, "no/such.thrift", krpc_idl_parse_file(KRPC_STR("no/such.thrift"), NULL, 0, &error));
    NOT_MADE(KRPC_STATUS_IDL_INVALID, "was not found", krpc_idl_parse_file(KRPC_STR("src"), NULL, 0, &error));
    CHECK(krpc_idl_parse_file(empty, NULL, 0, NULL) == NULL);

    krpc_method_info info = KRPC_METHOD_INFO_INIT;
    CHECK(krpc_idl_service_count(NULL) == 0 && krpc_idl_struct_count(NULL) == 0);
    CHECK(krpc_idl_method_count(NULL, empty) == 0);
    CHECK_STR(krpc_idl_service_at(NULL, 0), "");
    CHECK_STR(krpc_idl_struct_at(NULL, 0), "");
    CHECK_STR(krpc_idl_main_service(NULL), "");
    CHECK_STR(krpc_idl_warnings(NULL), "");
    REFUSED("idl", krpc_idl_method_at(NULL, empty, 0, &info, &error));
    REFUSED("idl", krpc_idl_find_method(NULL, empty, &info, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "idl", krpc_idl_struct(NULL, empty, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "idl", krpc_idl_request(NULL, empty, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "idl", krpc_idl_result(NULL, empty, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "idl", krpc_idl_dump(NULL, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "idl", krpc_idl_template(NULL, empty, false, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "idl", krpc_service_from_idl(NULL, empty, &error));
    krpc_idl_free(NULL);
    krpc_shape_free(NULL);
    CHECK(krpc_shape_field_count(NULL) == 0);
    CHECK(krpc_method_request_shape(NULL) == NULL && krpc_method_result_shape(NULL) == NULL);
    CHECK(krpc_request_shape(NULL) == NULL && krpc_request_result_shape(NULL) == NULL);
}

/* Every mistake of the text is shown at its place. */
static void diagnostics(void)
{
    krpc_error *error = NULL;
    CHECK(parse_one("struct A {\n  1: Strin text\n  1: i32 again\n}\n", &error) == NULL);
    CHECK(krpc_error_status(error) == KRPC_STATUS_IDL_INVALID);
    CHECK(contains(krpc_error_text(error), "a.thrift:2:6"));
    CHECK(contains(krpc_error_text(error), "a.thrift:3:3"));
    CHECK(contains(krpc_error_text(error), "2 errors, 0 warnings"));
    CHECK(!contains(krpc_error_text(error), "\x1b"));
    krpc_error_free(error);
    CHECK_STR(krpc_status_name(KRPC_STATUS_IDL_INVALID), "IDL_INVALID");

    krpc_idl *idl = parse_one("struct A { 1: i32 a }", NULL);
    CHECK_STR(krpc_idl_warnings(idl), "");
    CHECK_STR(krpc_idl_main_service(idl), "");
    CHECK(krpc_idl_service_count(idl) == 0 && krpc_idl_method_count(idl, KRPC_STR("")) == 0);
    krpc_method_info info = KRPC_METHOD_INFO_INIT;
    REFUSED("service", krpc_idl_method_at(idl, KRPC_STR(""), 0, &info, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "no service", krpc_service_from_idl(idl, KRPC_STR(""), &error));
    krpc_idl_free(idl);
}

static void lists(const krpc_idl *idl)
{
    CHECK(krpc_idl_service_count(idl) == 2);
    CHECK_STR(krpc_idl_service_at(idl, 0), "Parent");
    CHECK_STR(krpc_idl_service_at(idl, 1), "Chat");
    CHECK_STR(krpc_idl_service_at(idl, 2), "");
    CHECK_STR(krpc_idl_main_service(idl), "Chat");
    CHECK(krpc_idl_method_count(idl, KRPC_STR("Chat")) == 7 && krpc_idl_method_count(idl, KRPC_STR("")) == 7);
    CHECK(krpc_idl_method_count(idl, KRPC_STR("Parent")) == 1 && krpc_idl_method_count(idl, KRPC_STR("Ch")) == 0);

    krpc_method_info info = KRPC_METHOD_INFO_INIT;
    CHECK(krpc_idl_method_at(idl, KRPC_STR("Chat"), 0, &info, NULL) == KRPC_OK);
    CHECK_STR(info.name, "Say");
    CHECK_STR(info.service, "Chat");
    CHECK_STR(info.request, "All");
    CHECK_STR(info.result, "All");
    CHECK(info.streaming == KRPC_STREAMING_NONE && info.oneway == 0);
    CHECK(info.argument_count == 1 && info.exception_count == 1);
    CHECK(krpc_idl_method_at(idl, KRPC_STR(""), 3, &info, NULL) == KRPC_OK);
    CHECK_STR(info.name, "Note");
    CHECK_STR(info.request, "list<string>");
    CHECK_STR(info.result, "void");
    CHECK(info.oneway == 1 && info.exception_count == 0);
    CHECK(krpc_idl_find_method(idl, KRPC_STR("Ping"), &info, NULL) == KRPC_OK);
    CHECK_STR(info.service, "Parent");
    CHECK_STR(info.request, "");
    CHECK(info.argument_count == 0);
    CHECK(krpc_idl_find_method(idl, KRPC_STR("Chat/Add"), &info, NULL) == KRPC_OK);
    CHECK(info.argument_count == 2);
    CHECK(krpc_idl_find_method(idl, KRPC_STR("Watch"), &info, NULL) == KRPC_OK);
    CHECK(info.streaming == KRPC_STREAMING_SERVER);
    REFUSED("index: Chat has no method 7", krpc_idl_method_at(idl, KRPC_STR("Chat"), 7, &info, &error));
    REFUSED("did you mean Chat?", krpc_idl_method_at(idl, KRPC_STR("Chatt"), 0, &info, &error));
    REFUSED("did you mean Add?", krpc_idl_find_method(idl, KRPC_STR("Chat/Ad_"), &info, &error));
    REFUSED("info", krpc_idl_find_method(idl, KRPC_STR("Chat/Add"), NULL, &error));
    info.struct_size = 0;
    REFUSED("info", krpc_idl_find_method(idl, KRPC_STR("Chat/Add"), &info, &error));

    static const char *const names[] = {"Part", "Tree", "Either", "All", "Wrong", "base.Base", ""};
    CHECK(krpc_idl_struct_count(idl) == LEN(names) - 1);
    for (size_t i = 0; i < LEN(names); i++)
        CHECK_STR(krpc_idl_struct_at(idl, i), names[i]);
}

static void fields(const krpc_idl *idl)
{
    krpc_shape *shape = krpc_idl_struct(idl, KRPC_STR("All"), NULL);
    krpc_field_info info = KRPC_FIELD_INFO_INIT;
    CHECK(krpc_shape_field_count(shape) == 16);
    CHECK(krpc_shape_field_at(shape, 4, &info) == KRPC_OK);
    CHECK_STR(info.name, "large");
    CHECK_STR(info.type_name, "Time");
    CHECK(info.id == 5 && info.type == KRPC_TYPE_I64 && info.has_default == 0);
    CHECK(info.requiredness == KRPC_REQUIREDNESS_DEFAULT);
    CHECK(krpc_shape_field_at(shape, 9, &info) == KRPC_OK);
    CHECK_STR(info.type_name, "list<Part>");
    CHECK(krpc_shape_field_at(shape, 12, &info) == KRPC_OK);
    CHECK(info.requiredness == KRPC_REQUIREDNESS_OPTIONAL);
    CHECK(krpc_shape_field_at(shape, 14, &info) == KRPC_OK);
    CHECK(info.requiredness == KRPC_REQUIREDNESS_REQUIRED);
    CHECK(krpc_shape_field_at(shape, 15, &info) == KRPC_OK);
    CHECK_STR(info.name, "other");
    CHECK_STR(info.key, "renamed");
    CHECK(krpc_shape_field_at(shape, 16, &info) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_shape_field_at(shape, 0, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_shape_field_at(NULL, 0, &info) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_shape_free(shape);

    /* A request is its only argument; of several, they are the fields; text has none. */
    static const struct {
        const char *method;
        size_t count;
    } requests[] = {{"Say", 16}, {"Add", 2}, {"Text", 0}, {"Ping", 0}, {"Chat/Grow", 2}, {"Watch", 2}};
    for (size_t i = 0; i < LEN(requests); i++) {
        shape = krpc_idl_request(idl, krpc_cstr(requests[i].method), NULL);
        CHECK(shape != NULL && krpc_shape_field_count(shape) == requests[i].count);
        krpc_shape_free(shape);
    }
    shape = krpc_idl_struct(idl, KRPC_STR("Root"), NULL);
    CHECK(krpc_shape_field_at(shape, 0, &info) == KRPC_OK && info.has_default == 1);
    krpc_shape_free(shape);

    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "did you mean Part?", krpc_idl_struct(idl, KRPC_STR("Prt"), &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "is an enum", krpc_idl_struct(idl, KRPC_STR("Color"), &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "did you mean Say?", krpc_idl_request(idl, KRPC_STR("Sai"), &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "missing service", krpc_idl_request(idl, KRPC_STR("X/Say"), &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "oneway", krpc_idl_result(idl, KRPC_STR("Note"), &error));
}

static void texts(const krpc_idl *idl)
{
    krpc_message *dump = krpc_idl_dump(idl, NULL);
    CHECK(krpc_message_encoding(dump) == KRPC_ENCODING_JSON);
    CHECK(contains(text_of(dump), "\"main_service\": \"Chat\""));
    krpc_message_free(dump);

    krpc_message *template_text = krpc_idl_template(idl, KRPC_STR("Chat/Grow"), false, NULL);
    CHECK(krpc_message_encoding(template_text) == KRPC_ENCODING_JSON);
    krpc_shape *shape = krpc_idl_request(idl, KRPC_STR("Grow"), NULL);
    krpc_message *request = krpc_message_from_json(text_of(template_text), shape, NULL, NULL);
    CHECK(request != NULL);
    krpc_message_free(request);
    krpc_shape_free(shape);
    krpc_message_free(template_text);

    template_text = krpc_idl_template(idl, KRPC_STR("Grow"), true, NULL);
    CHECK(krpc_message_encoding(template_text) == KRPC_ENCODING_RAW);
    CHECK(contains(text_of(template_text), "// 1: required string"));
    krpc_message_free(template_text);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "did you mean Grow?",
             krpc_idl_template(idl, KRPC_STR("Chat/Grew"), false, &error));
}

/* Shapes, methods and services keep what they need of it. */
static void it_may_go_first(void)
{
    krpc_idl *idl = parse(MAIN_IDL);
    krpc_client *client = client_to(KRPC_STR("127.0.0.1:1"));
    krpc_shape *shape = krpc_idl_struct(idl, KRPC_STR("Part"), NULL);
    krpc_method *say = krpc_client_method_from_idl(client, idl, KRPC_STR("Say"), 0, NULL);
    krpc_service *service = krpc_service_from_idl(idl, KRPC_STR(""), NULL);
    krpc_method *note = krpc_client_method_from_idl(client, idl, KRPC_STR("Note"), 0, NULL);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "flags",
             krpc_client_method_from_idl(client, idl, KRPC_STR("Note"), KRPC_METHOD_FLAG_ONEWAY, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "did you mean Say?",
             krpc_client_method_from_idl(client, idl, KRPC_STR("Chat/Sat"), 0, &error));
    krpc_method *watch = krpc_client_method_from_idl(client, idl, KRPC_STR("Chat/Watch"), 0, NULL);
    CHECK(krpc_method_mode(watch) == KRPC_STREAMING_SERVER && krpc_shape_field_count(krpc_method_result_shape(watch)) == 2);
    krpc_reply *reply = NULL;
    CHECK(krpc_client_call(client, watch, NULL, NULL, &reply) == KRPC_STATUS_UNSUPPORTED);
    CHECK(contains(krpc_error_describe(krpc_reply_error(reply)), "Watch is a streaming method (server)"));
    krpc_reply_free(reply);
    krpc_method_free(watch);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "client",
             krpc_client_method_from_idl(NULL, idl, KRPC_STR("Say"), 0, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "idl",
             krpc_client_method_from_idl(client, NULL, KRPC_STR("Say"), 0, &error));
    krpc_method *bare = krpc_client_method(client, KRPC_STR("Say"), 0, NULL);
    CHECK(krpc_method_request_shape(bare) == NULL && krpc_method_result_shape(bare) == NULL);
    krpc_idl_free(idl);

    CHECK(krpc_shape_field_count(shape) == 2);
    CHECK(krpc_shape_field_count(krpc_method_request_shape(say)) == 16);
    CHECK(krpc_method_result_shape(say) != NULL);
    CHECK(krpc_method_request_shape(note) != NULL && krpc_method_result_shape(note) == NULL);
    /* Borrowed: freeing it is refused, and does nothing. */
    krpc_shape_free((krpc_shape *)krpc_method_request_shape(say));
    CHECK(krpc_shape_field_count(krpc_method_request_shape(say)) == 16);

    REFUSED("did you mean Say?",
            krpc_service_add_method(service, KRPC_STR("Sai"), 0, echo, NULL, NULL, &error));
    REFUSED("not oneway in the IDL",
            krpc_service_add_method(service, KRPC_STR("Say"), KRPC_METHOD_FLAG_ONEWAY, echo, NULL, NULL, &error));
    FAILS(KRPC_STATUS_UNSUPPORTED, "streaming",
          krpc_service_add_method(service, KRPC_STR("Watch"), 0, echo, NULL, NULL, &error));
    CHECK(krpc_service_add_method(service, KRPC_STR("Ping"), 0, echo, NULL, NULL, NULL) == KRPC_OK);
    krpc_service_free(service);
    krpc_method_free(bare);
    krpc_method_free(note);
    krpc_method_free(say);
    krpc_shape_free(shape);
    krpc_client_free(client);
}

int main(void)
{
    misuse();
    diagnostics();
    krpc_idl *idl = parse(MAIN_IDL);
    lists(idl);
    fields(idl);
    texts(idl);
    krpc_idl_free(idl);
    it_may_go_first();
    return end_of_net_test();
}
