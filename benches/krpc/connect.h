/* What the clients through the C ABI share: the client, its method, and a first call that tells sizes. */
#ifndef CONNECT_H
#define CONNECT_H

#include "../bench.h"

#include <krpc.h>

static krpc_client *client;
static krpc_method *method;
static krpc_message *args_struct;
static krpc_facts facts = KRPC_FACTS_INIT;

static void check(krpc_error *error)
{
    if (error != NULL)
        bench_die("client", krpc_error_describe(error).ptr);
}

/* Connections of the transport "mux", which all calls share. */
enum { MUX_CONNECTIONS = 2 };

static inline int32_t transport(const char *name)
{
    static const struct {
        const char *name;
        int32_t number;
    } NAMES[] = {
        {"ttheader", KRPC_TRANSPORT_TTHEADER},
        {"ttheader-framed", KRPC_TRANSPORT_TTHEADER_FRAMED},
        {"framed", KRPC_TRANSPORT_FRAMED},
        {"buffered", KRPC_TRANSPORT_BUFFERED},
        {"mux", KRPC_TRANSPORT_TTHEADER},
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcmp(name, NAMES[i].name) == 0)
            return NAMES[i].number;
    bench_die(name, "no such transport");
}

static krpc_client_options *client_options(const bench_client_args *args)
{
    krpc_error *error = NULL;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR(BENCH_DESTINATION), &error);
    check(error);
    krpc_client_options_set_caller(options, KRPC_STR(BENCH_CALLER), &error);
    check(error);
    krpc_client_options_add_address(options, krpc_cstr(args->address), &error);
    check(error);
    return options;
}

static inline void connect_client(const bench_client_args *args)
{
    krpc_error *error = NULL;
    krpc_client_options *options = client_options(args);
    krpc_client_options_set_transport(options, transport(args->transport), &error);
    check(error);
    krpc_client_options_set_max_idle_connections(options, (size_t)args->callers, &error);
    check(error);
    bool shares = strcmp(args->transport, "mux") == 0;
    krpc_client_options_set_multiplexed(options, shares ? MUX_CONNECTIONS : 0, &error);
    check(error);
    client = krpc_client_build(options, &error);
    check(error);
    method = krpc_client_method(client, KRPC_STR(BENCH_SERVICE "/" BENCH_METHOD), 0, &error);
    check(error);
    uint8_t body[BENCH_BODY_BYTES];
    bench_put_body(body, 1);
    args_struct = krpc_message_copy(KRPC_ENCODING_THRIFT_BINARY, KRPC_BYTES(body, sizeof body), &error);
    check(error);

    krpc_reply *reply = NULL;
    if (krpc_client_call(client, method, args_struct, NULL, &reply) != KRPC_OK)
        bench_die("call", krpc_error_describe(krpc_reply_error(reply)).ptr);
    krpc_reply_facts(reply, &facts);
    krpc_reply_free(reply);
}

static void disconnect(void)
{
    krpc_message_free(args_struct);
    krpc_method_free(method);
    krpc_client_free(client);
}

#endif
