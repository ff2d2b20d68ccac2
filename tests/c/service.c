/* krpc_service: mistakes, who frees what a handler was given, threads of its own. */
#include "net.h"

static int destroyed;

static void count_destroy(void *user_data)
{
    CHECK(user_data == &destroyed);
    destroyed++;
}

static void mistakes(void)
{
    static const char *const bad_names[] = {"", "a/b", "/"};
    for (size_t i = 0; i < LEN(bad_names); i++)
        NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "name", krpc_service_new(krpc_cstr(bad_names[i]), &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "name", krpc_service_new((krpc_str){NULL, 1}, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "UTF-8", krpc_service_new(KRPC_STR("\xff"), &error));
    CHECK(krpc_service_new(KRPC_STR(""), NULL) == NULL);
    krpc_service_free(NULL);
}

/* Each failure runs the destroy function once, before it returns. */
static void a_failure_gives_the_data_back(void)
{
    krpc_service *service = krpc_service_new(KRPC_STR("S"), NULL);
    void *data = &destroyed;
    destroyed = 0;
    REFUSED("service",
            krpc_service_add_method(NULL, KRPC_STR("m"), 0, echo, data, count_destroy, &error));
    CHECK(destroyed == 1);
    REFUSED("handler", krpc_service_add_method(service, KRPC_STR("m"), 0, NULL, data, count_destroy, &error));
    CHECK(destroyed == 2);
    REFUSED("name", krpc_service_add_method(service, KRPC_STR(""), 0, echo, data, count_destroy, &error));
    CHECK(destroyed == 3);
    REFUSED("flags", krpc_service_add_method(service, KRPC_STR("m"), 4, echo, data, count_destroy, &error));
    CHECK(destroyed == 4);
    CHECK(krpc_service_add_method(service, KRPC_STR("m"), 3, echo, data, count_destroy, NULL) == KRPC_OK);
    CHECK(destroyed == 4);
    REFUSED("m already", krpc_service_add_method(service, KRPC_STR("m"), 0, echo, data, count_destroy, &error));
    CHECK(destroyed == 5);
    krpc_service_free(service);
    CHECK(destroyed == 6);
}

/* Builders that fail, or are given up, take everything inside them along. */
static void a_consumed_service_is_given_back_too(void)
{
    void *data = &destroyed;
    for (int way = 0; way < 4; way++) {
        destroyed = 0;
        krpc_service *service = krpc_service_new(KRPC_STR("S"), NULL);
        krpc_service_add_method(service, KRPC_STR("m"), 0, echo, data, count_destroy, NULL);
        krpc_server_options *options = krpc_server_options_new();
        switch (way) {
        case 0: /* consumed by a call that fails */
            REFUSED("options", krpc_server_options_add_service(NULL, service, false, &error));
            break;
        case 1: /* freed with its builder */
            CHECK(krpc_server_options_add_service(options, service, true, NULL) == KRPC_OK);
            CHECK(destroyed == 0);
            break;
        case 2: /* freed with a server that can't start: it has no address */
            CHECK(krpc_server_options_add_service(options, service, true, NULL) == KRPC_OK);
            NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "address", krpc_server_build(options, &error));
            options = NULL;
            break;
        default: /* freed with a server that ran */
            CHECK(krpc_server_options_add_service(options, service, true, NULL) == KRPC_OK);
            CHECK(krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL) == KRPC_OK);
            krpc_server_free(serve(options));
            options = NULL;
            AWAIT(destroyed == 1);
        }
        krpc_server_options_free(options);
        CHECK(destroyed == 1);
        CHECK(krpc_live_handles() == 0);
    }
}

/* All threads of a slow method are taken, and of the runtime's own none is. */
static void slow_methods_have_threads_of_their_own(void)
{
    krpc_runtime_options few = KRPC_RUNTIME_OPTIONS_INIT;
    few.worker_threads = 1;
    krpc_runtime *runtime = krpc_runtime_new(&few, NULL);
    gate g = GATE_INIT;
    krpc_service *service = service_with("Test", "slow", 0, echo_behind_gate, &g);
    REFUSED("service", krpc_service_set_workers(NULL, KRPC_STR("slow"), 1, 0, &error));
    REFUSED("method", krpc_service_set_workers(service, KRPC_STR("none"), 1, 0, &error));
    REFUSED("method", krpc_service_set_workers(service, (krpc_str){NULL, 1}, 1, 0, &error));
    REFUSED("threads", krpc_service_set_workers(service, KRPC_STR("slow"), 0, 0, &error));
    REFUSED("threads", krpc_service_set_workers(service, KRPC_STR(""), 1025, 0, &error));
    CHECK(krpc_service_set_workers(service, KRPC_STR(""), 1, 0, NULL) == KRPC_OK);
    CHECK(krpc_service_set_workers(service, KRPC_STR("slow"), 2, 3, NULL) == KRPC_OK);
    krpc_server_options *options = options_with("127.0.0.1:0", service);
    CHECK(krpc_server_options_set_runtime(options, runtime, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);

    caller callers[3];
    for (int i = 0; i < 3; i++)
        caller_start(&callers[i], client, "Test/slow", "x");
    gate_await(&g, 2, 0);
    AWAIT(krpc_server_in_flight(server) == 3);
    CHECK_ECHO(client);
    CALL_STATUS(client, "Test/slow", KRPC_STATUS_REMOTE_EXCEPTION, "too many requests of this method or service");
    gate_open(&g);
    for (int i = 0; i < 3; i++)
        CHECK(caller_end(&callers[i]) == KRPC_OK);
    krpc_client_free(client);
    krpc_server_free(server);
    CHECK(krpc_runtime_shutdown(runtime, NULL) == KRPC_OK);
    CHECK(threads_named("krpc-work") == 0);
    krpc_runtime_free(runtime);
}

int main(void)
{
    mistakes();
    a_failure_gives_the_data_back();
    a_consumed_service_is_given_back_too();
    slow_methods_have_threads_of_their_own();
    return end_of_net_test();
}
