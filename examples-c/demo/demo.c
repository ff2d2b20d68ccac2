/* What `make demo` runs: calls a Kitex server, and serves a Kitex client. tests/interop/idl/interop.thrift
 * is the contract.
 *
 *   demo client ADDRESS    makes every kind of call to the service Interop there, a table row for each
 *   demo server            serves Interop and Second on a free port until SIGTERM
 *
 * Exit code 0: everything went as it should.
 */
#include <krpc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int failures;

/* ---- table ------------------------------------------------------------------------------------------- */

static void row(int ok, const char *what, const char *transport, uint64_t us, const char *result)
{
    int colours = isatty(1) && getenv("NO_COLOR") == NULL;
    printf("  %s%-4s%s  %-26s %-16s %8llu  %s\n", !colours ? "" : ok ? "\033[32m" : "\033[31m",
           ok ? "ok" : "FAIL", colours ? "\033[0m" : "", what, transport, (unsigned long long)us, result);
    fflush(stdout);
    failures += !ok;
}

static uint64_t elapsed_us(const krpc_reply *reply)
{
    krpc_facts facts = KRPC_FACTS_INIT;
    krpc_reply_facts(reply, &facts);
    return facts.elapsed_us;
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static krpc_writer *new_writer(void)
{
    return krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
}

/* Everything that is written here is right by construction, so NULL would be a bug of this program. */
static krpc_message *finished(krpc_writer *writer)
{
    krpc_error *error = NULL;
    krpc_message *message = krpc_writer_finish(writer, &error);
    if (message == NULL) {
        krpc_str why = krpc_error_describe(error);
        fprintf(stderr, "demo: %.*s\n", (int)why.len, why.ptr);
        exit(1);
    }
    return message;
}

static krpc_message *text_args(const char *text)
{
    krpc_writer *writer = new_writer();
    krpc_writer_field_string(writer, 1, krpc_cstr(text));
    return finished(writer);
}

/* struct Req { 1: string message }, the only argument of Echo. */
static krpc_message *echo_args(const char *text)
{
    krpc_writer *writer = new_writer();
    krpc_writer_field_struct_begin(writer, 1);
    krpc_writer_field_string(writer, 1, krpc_cstr(text));
    krpc_writer_struct_end(writer);
    return finished(writer);
}

/* Copies a string field to where it outlives its message. */
static void copy_field(const krpc_message *message, int16_t field, char *out, size_t size)
{
    krpc_str text = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(message, NULL);
    if (krpc_reader_find(reader, field, NULL))
        krpc_reader_string(reader, &text);
    snprintf(out, size, "%.*s", (int)text.len, text.ptr);
    krpc_reader_free(reader);
}

/* ---- client ---------------------------------------------------------------------------------------------- */

static krpc_client *connect_to(const char *address, int32_t transport)
{
    krpc_error *error = NULL;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("interop.server"), NULL);
    krpc_client_options_add_address(options, krpc_cstr(address), NULL);
    krpc_client_options_set_caller(options, KRPC_STR("demo"), NULL);
    krpc_client_options_set_transport(options, transport, NULL);
    krpc_client_options_set_timeout_ms(options, 5000, NULL);
    krpc_client *client = krpc_client_build(options, &error);
    if (client == NULL) {
        krpc_str why = krpc_error_describe(error);
        fprintf(stderr, "demo: %.*s\n", (int)why.len, why.ptr);
        exit(1);
    }
    return client;
}

/* Takes the arguments. */
static krpc_reply *call(const krpc_client *client, const char *method, krpc_message *args,
                        const krpc_call_options *options)
{
    krpc_reply *reply = NULL;
    krpc_client_call_by_name(client, krpc_cstr(method), args, options, &reply);
    krpc_message_free(args);
    return reply;
}

static void show_echo(const char *address, int32_t transport, const char *name)
{
    char text[64] = "";
    krpc_client *client = connect_to(address, transport);
    krpc_reply_free(call(client, "Interop/Echo", echo_args("opens the connection"), NULL));
    krpc_reply *reply = call(client, "Interop/Echo", echo_args("hello"), NULL);
    krpc_reader *reader = krpc_reader_new(krpc_reply_message(reply), NULL);
    krpc_message *res = NULL;
    if (krpc_reader_find(reader, 0, NULL) && krpc_reader_struct(reader, &res) == KRPC_OK)
        copy_field(res, 1, text, sizeof text);
    char shown[80];
    snprintf(shown, sizeof shown, "\"%s\"", text);
    row(strcmp(text, "hello") == 0, "Echo(\"hello\")", name, elapsed_us(reply), shown);
    krpc_message_free(res);
    krpc_reader_free(reader);
    krpc_reply_free(reply);
    krpc_client_free(client);
}

static void show_add(const krpc_client *client)
{
    int64_t sum = 0;
    char shown[40];
    krpc_writer *writer = new_writer();
    krpc_writer_field_i64(writer, 1, 40);
    krpc_writer_field_i64(writer, 2, 2);
    krpc_reply *reply = call(client, "Interop/Add", finished(writer), NULL);
    krpc_reader *reader = krpc_reader_new(krpc_reply_message(reply), NULL);
    if (krpc_reader_find(reader, 0, NULL))
        krpc_reader_i64(reader, &sum);
    snprintf(shown, sizeof shown, "%lld", (long long)sum);
    row(sum == 42, "Add(40, 2)", "ttheader-framed", elapsed_us(reply), shown);
    krpc_reader_free(reader);
    krpc_reply_free(reply);
}

/* A call that must fail: the row tells how, in the caller's terms. */
static void show_failure(const krpc_client *client, const char *what, const char *method, krpc_message *args,
                         int64_t timeout_ms, krpc_status expected)
{
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    krpc_reply *reply = call(client, method, args, &options);
    const krpc_error *error = krpc_reply_error(reply);
    krpc_str name = krpc_status_name(krpc_reply_status(reply)), text;
    char shown[200], message[64];
    int16_t field;
    const krpc_message *exception;
    int32_t code;
    if (krpc_error_declared_exception(error, &field, &exception)) {
        copy_field(exception, 2, message, sizeof message);
        snprintf(shown, sizeof shown, "%.*s: EchoError \"%s\"", (int)name.len, name.ptr, message);
    } else if (krpc_error_biz_status(error, &code, &text)) {
        snprintf(shown, sizeof shown, "%.*s: %d \"%.*s\", %zu extra pairs", (int)name.len, name.ptr, code,
                 (int)text.len, text.ptr, krpc_error_biz_extra_count(error));
    } else {
        text = krpc_error_text(error);
        snprintf(shown, sizeof shown, "%.*s: %.*s", (int)name.len, name.ptr, (int)text.len, text.ptr);
    }
    row(krpc_reply_status(reply) == expected, what, "ttheader-framed", elapsed_us(reply), shown);
    krpc_reply_free(reply);
}

/* Pairs that travel beside the call, and back beside the answer. */
static void show_metainfo(const krpc_client *client)
{
    krpc_metainfo *pairs = krpc_metainfo_new();
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("TRACE"), KRPC_STR("t-1"), NULL);
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("USER"), KRPC_STR("42"), NULL);
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.metainfo = pairs;
    krpc_writer *writer = new_writer();
    krpc_writer_field_map(writer, 1, KRPC_TYPE_STRING, KRPC_TYPE_STRING, 1);
    krpc_writer_string(writer, KRPC_STR("BACK"));
    krpc_writer_string(writer, KRPC_STR("b-1"));
    krpc_reply *reply = call(client, "Interop/Meta", finished(writer), &options);

    int seen = 0;
    size_t count = 0;
    krpc_str key, value, back = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(krpc_reply_message(reply), NULL);
    if (krpc_reader_find(reader, 0, NULL))
        krpc_reader_map(reader, NULL, NULL, &count);
    for (; count > 0; count--) {
        krpc_reader_string(reader, &key);
        krpc_reader_string(reader, &value);
        seen += key.len == 15 && memcmp(key.ptr, "transient.TRACE", 15) == 0 && value.len == 3;
        seen += key.len == 15 && memcmp(key.ptr, "persistent.USER", 15) == 0 && value.len == 2;
    }
    krpc_metainfo_get(krpc_reply_metainfo(reply), KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("BACK"), &back);
    char shown[100];
    snprintf(shown, sizeof shown, "handler saw %d of 2 pairs, sent back BACK=%.*s", seen, (int)back.len, back.ptr);
    row(seen == 2 && back.len == 3, "Meta, pairs both ways", "ttheader-framed", elapsed_us(reply), shown);
    krpc_reader_free(reader);
    krpc_reply_free(reply);
    krpc_metainfo_free(pairs);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One caller, one connection, one second. */
static void show_speed(const krpc_client *client)
{
    krpc_method *method = krpc_client_method(client, KRPC_STR("Interop/Echo"), 0, NULL);
    krpc_message *args = echo_args("hello");
    double begin = seconds_now();
    int calls = 0, good = 1;
    for (; good && seconds_now() - begin < 1; calls++)
        good = krpc_client_call(client, method, args, NULL, NULL) == KRPC_OK;
    uint64_t us = (uint64_t)((seconds_now() - begin) * 1e6 / calls);
    char shown[80];
    snprintf(shown, sizeof shown, "%d calls, one after the other; the mean is shown", calls);
    row(good, "Echo for one second", "ttheader-framed", us, shown);
    krpc_message_free(args);
    krpc_method_free(method);
}

static void show_calls(const char *address)
{
    show_echo(address, KRPC_TRANSPORT_TTHEADER_FRAMED, "ttheader-framed");
    show_echo(address, KRPC_TRANSPORT_TTHEADER, "ttheader");
    show_echo(address, KRPC_TRANSPORT_FRAMED, "framed");
    show_echo(address, KRPC_TRANSPORT_BUFFERED, "buffered");
    krpc_client *client = connect_to(address, KRPC_TRANSPORT_TTHEADER_FRAMED);
    krpc_writer *ms = new_writer();
    krpc_writer_field_i32(ms, 1, 300);
    show_add(client);
    show_metainfo(client);
    show_failure(client, "Fail, declared exception", "Interop/Fail", text_args("declared"), 0,
                 KRPC_STATUS_DECLARED_EXCEPTION);
    show_failure(client, "Fail, business status", "Interop/Fail", text_args("biz"), 0, KRPC_STATUS_BIZ_STATUS);
    show_failure(client, "Fail, plain error", "Interop/Fail", text_args("error"), 0, KRPC_STATUS_REMOTE_EXCEPTION);
    show_failure(client, "Missing, unknown method", "Interop/Missing", text_args("?"), 0, KRPC_STATUS_UNKNOWN_METHOD);
    show_failure(client, "Sleep(300 ms)", "Interop/Sleep", finished(ms), 50, KRPC_STATUS_TIMEOUT);
    show_speed(client);
    krpc_client_free(client);

    client = connect_to("127.0.0.1:1", KRPC_TRANSPORT_TTHEADER_FRAMED);
    show_failure(client, "nobody there", "Interop/Echo", echo_args("?"), 0, KRPC_STATUS_CONNECT_FAILED);
    krpc_client_free(client);
}

/* ---- server ------------------------------------------------------------------------------------------------ */

static void reply_with(krpc_request *request, krpc_message *result)
{
    krpc_request_reply(request, result, NULL);
    krpc_message_free(result);
    krpc_request_free(request);
}

static void throw_echo_error(krpc_request *request, int32_t code, const char *text)
{
    krpc_writer *writer = new_writer();
    krpc_writer_field_i32(writer, 1, code);
    krpc_writer_field_string(writer, 2, krpc_cstr(text));
    krpc_message *exception = finished(writer);
    krpc_request_throw(request, 1, exception, NULL);
    krpc_message_free(exception);
    krpc_request_free(request);
}

/* The request comes back as it is: Req and Res have the same fields, so their bytes are not looked at. */
static void on_echo(void *prefix, krpc_request *request)
{
    krpc_message *req = NULL;
    krpc_reader *reader = krpc_reader_new(krpc_request_message(request), NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_struct(reader, &req);
    krpc_reader_free(reader);
    char text[16];
    copy_field(req, 1, text, sizeof text);
    if (req == NULL) {
        krpc_request_free(request);
    } else if (prefix == NULL && strcmp(text, "throw") == 0) {
        throw_echo_error(request, 7, "thrown");
    } else {
        krpc_writer *writer = new_writer();
        if (prefix == NULL) {
            krpc_writer_field_struct(writer, 0, req);
        } else {
            char answer[64];
            snprintf(answer, sizeof answer, "%s%s", (const char *)prefix, text);
            krpc_writer_field_struct_begin(writer, 0);
            krpc_writer_field_string(writer, 1, krpc_cstr(answer));
            krpc_writer_field_binary(writer, 2, KRPC_BYTES("\x01", 1));
            krpc_writer_struct_end(writer);
        }
        reply_with(request, finished(writer));
    }
    krpc_message_free(req);
}

static void on_echo2(void *user_data, krpc_request *request)
{
    (void)user_data;
    char text[64], answer[80];
    copy_field(krpc_request_message(request), 1, text, sizeof text);
    snprintf(answer, sizeof answer, "second2:%s", text);
    krpc_writer *writer = new_writer();
    krpc_writer_field_string(writer, 0, krpc_cstr(answer));
    reply_with(request, finished(writer));
}

static void on_add(void *user_data, krpc_request *request)
{
    (void)user_data;
    int64_t a = 0, b = 0;
    krpc_reader *reader = krpc_reader_new(krpc_request_message(request), NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_i64(reader, &a);
    if (krpc_reader_find(reader, 2, NULL))
        krpc_reader_i64(reader, &b);
    krpc_reader_free(reader);
    krpc_writer *writer = new_writer();
    krpc_writer_field_i64(writer, 0, (int64_t)((uint64_t)a + (uint64_t)b));
    reply_with(request, finished(writer));
}

static void on_fail(void *user_data, krpc_request *request)
{
    (void)user_data;
    char how[32];
    copy_field(krpc_request_message(request), 1, how, sizeof how);
    if (strcmp(how, "declared") == 0) {
        throw_echo_error(request, 1001, "declared");
        return;
    }
    if (strcmp(how, "biz") == 0) {
        krpc_metainfo *extra = krpc_metainfo_new();
        krpc_metainfo_set(extra, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("k"), KRPC_STR("v"), NULL);
        krpc_metainfo_set(extra, KRPC_METAINFO_KIND_BACKWARD, KRPC_STR("quote"), KRPC_STR("<\"\xc3\xa9>"), NULL);
        krpc_request_fail_biz(request, 404, KRPC_STR("not found"), extra, NULL);
        krpc_metainfo_free(extra);
    } else {
        krpc_request_fail(request, 6, KRPC_STR("plain error"), NULL);
    }
    krpc_request_free(request);
}

static void on_sleep(void *user_data, krpc_request *request)
{
    (void)user_data;
    int32_t ms = 0;
    krpc_reader *reader = krpc_reader_new(krpc_request_message(request), NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_i32(reader, &ms);
    krpc_reader_free(reader);
    struct timespec nap = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&nap, NULL);
    krpc_writer *writer = new_writer();
    krpc_writer_field_i32(writer, 0, ms);
    reply_with(request, finished(writer));
}

/* Returns what the handler sees of the pairs, and sends each entry of its argument back. */
static void on_meta(void *user_data, krpc_request *request)
{
    (void)user_data;
    size_t entries = 0;
    const krpc_metainfo *pairs = krpc_request_metainfo(request);
    krpc_reader *reader = krpc_reader_new(krpc_request_message(request), NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_map(reader, NULL, NULL, &entries);
    krpc_writer *writer = new_writer();
    krpc_writer_field_map(writer, 0, KRPC_TYPE_STRING, KRPC_TYPE_STRING, 1 + entries + krpc_metainfo_count(pairs));
    krpc_writer_string(writer, KRPC_STR("caller"));
    krpc_writer_string(writer, krpc_request_caller(request));
    char name[128];
    krpc_str key, value;
    for (; entries > 0; entries--) {
        krpc_reader_string(reader, &key);
        krpc_reader_string(reader, &value);
        krpc_request_set_backward(request, key, value, NULL);
        snprintf(name, sizeof name, "arg.%.*s", (int)key.len, key.ptr);
        krpc_writer_string(writer, krpc_cstr(name));
        krpc_writer_string(writer, value);
    }
    int32_t kind;
    for (size_t i = 0; krpc_metainfo_at(pairs, i, &kind, &key, &value); i++) {
        const char *prefix = kind == KRPC_METAINFO_KIND_PERSISTENT ? "persistent" : "transient";
        snprintf(name, sizeof name, "%s.%.*s", prefix, (int)key.len, key.ptr);
        krpc_writer_string(writer, krpc_cstr(name));
        krpc_writer_string(writer, value);
    }
    reply_with(request, finished(writer));
    krpc_reader_free(reader);
}

static krpc_server *start_server(krpc_error **error)
{
    static char second[] = "second:";
    static const struct {
        const char *name;
        krpc_handler_fn handler;
    } methods[] = {
        {"Echo", on_echo}, {"Add", on_add}, {"Fail", on_fail}, {"Sleep", on_sleep}, {"Meta", on_meta},
    };
    krpc_service *interop = krpc_service_new(KRPC_STR("Interop"), NULL);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        krpc_service_add_method(interop, krpc_cstr(methods[i].name), 0, methods[i].handler, NULL, NULL, NULL);
    krpc_service *other = krpc_service_new(KRPC_STR("Second"), NULL);
    krpc_service_add_method(other, KRPC_STR("Echo"), 0, on_echo, second, NULL, NULL);
    krpc_service_add_method(other, KRPC_STR("Echo2"), 0, on_echo2, NULL, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, interop, true, NULL);
    krpc_server_options_add_service(options, other, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    return krpc_server_build(options, error);
}

static void serve_until_signal(void)
{
    sigset_t ends;
    int signal_number;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    krpc_error *error = NULL;
    krpc_server *server = start_server(&error);
    if (server == NULL) {
        krpc_str why = krpc_error_describe(error);
        fprintf(stderr, "demo: %.*s\n", (int)why.len, why.ptr);
        exit(1);
    }
    krpc_str address = krpc_server_address(server, 0);
    printf("LISTENING %.*s\n", (int)address.len, address.ptr);
    fflush(stdout);
    sigwait(&ends, &signal_number);
    krpc_server_stop(server, 2000, NULL, NULL);
    krpc_server_free(server);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "client") == 0) {
        show_calls(argv[2]);
    } else if (argc == 2 && strcmp(argv[1], "server") == 0) {
        serve_until_signal();
    } else {
        fprintf(stderr, "usage: %s client ADDRESS | server\n", argv[0]);
        return 2;
    }
    if (krpc_live_handles() != 0) {
        fprintf(stderr, "demo: %zu handles were not freed\n", krpc_live_handles());
        failures++;
    }
    return failures == 0 ? 0 : 1;
}
