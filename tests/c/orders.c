/* Handles are freed in every order, with a call under way that uses all of them: nothing crashes, nothing leaks,
 * no thread stays. KRPC_ALL_ORDERS=1 tries all 40320 orders instead of some from everywhere. */
#include "net.h"

enum { RUNTIME, SERVER, CLIENT, QUEUE, OP, REQUEST, REPLY, CONTEXT, KINDS };

typedef struct {
    krpc_runtime *runtime;
    krpc_server *server;
    krpc_client *client;
    krpc_queue *queue;
    krpc_op *op;
    krpc_request *request;
    krpc_reply *reply;
    krpc_context *context;
} world;

/* A call is under way whose request waits in the host's hands, and whose end will be an event of the queue that
   the request came through. */
static void world_make(world *w)
{
    w->runtime = krpc_runtime_new(NULL, NULL);
    w->queue = krpc_queue_new(8, NULL);
    krpc_service *service = service_with("Test", "m", 0, echo, NULL);
    CHECK(krpc_service_add_queued_method(service, KRPC_STR("wait"), 0, w->queue, 1, NULL) == KRPC_OK);
    krpc_server_options *options = options_with("127.0.0.1:0", service);
    CHECK(krpc_server_options_set_runtime(options, w->runtime, NULL) == KRPC_OK);
    w->server = serve(options);
    krpc_client_options *to = options_to(krpc_server_address(w->server, 0));
    CHECK(krpc_client_options_set_runtime(to, w->runtime, NULL) == KRPC_OK);
    w->client = krpc_client_build(to, NULL);
    w->reply = call(w->client, "Test/echo", "x", BOUND_MS);
    CHECK(krpc_reply_status(w->reply) == KRPC_OK);
    w->context = krpc_context_new(NULL, BOUND_MS, NULL, NULL);

    krpc_method *method = krpc_client_method(w->client, KRPC_STR("Test/wait"), 0, NULL);
    krpc_message *message = text_message(1, KRPC_STR("x"));
    krpc_call_options in_context = KRPC_CALL_OPTIONS_INIT;
    in_context.parent = w->context;
    krpc_completion completion = KRPC_COMPLETION_INIT;
    completion.queue = w->queue;
    completion.tag = 2;
    CHECK(krpc_client_start(w->client, method, message, &in_context, &completion, &w->op, NULL) == KRPC_OK);
    krpc_message_free(message);
    krpc_method_free(method);
    krpc_event event;
    size_t count = 0;
    CHECK(krpc_queue_take(w->queue, &event, sizeof event, 1, BOUND_MS, &count) == KRPC_OK && count == 1);
    CHECK(event.kind == KRPC_EVENT_KIND_REQUEST && event.tag == 1);
    w->request = event.request;
}

/* Ends it first, every other time. */
static void free_one(world *w, int kind, int politely)
{
    switch (kind) {
    case RUNTIME:
        CHECK(!politely || krpc_runtime_shutdown(w->runtime, NULL) == KRPC_OK);
        krpc_runtime_free(w->runtime);
        break;
    case SERVER:
        CHECK(!politely || krpc_server_stop(w->server, 0, NULL, NULL) == KRPC_OK);
        krpc_server_free(w->server);
        break;
    case CLIENT:
        CHECK(!politely || krpc_client_close(w->client, true) == KRPC_OK);
        krpc_client_free(w->client);
        break;
    case QUEUE:
        CHECK(!politely || krpc_queue_shutdown(w->queue) == KRPC_OK);
        krpc_queue_free(w->queue);
        break;
    case OP:
        CHECK(!politely || krpc_op_cancel(w->op) == KRPC_OK);
        krpc_op_free(w->op);
        break;
    case REQUEST:
        if (politely) {
            krpc_status status = krpc_request_reply(w->request, NULL, NULL);
            CHECK(status == KRPC_OK || status == KRPC_STATUS_GONE);
        }
        krpc_request_free(w->request);
        break;
    case REPLY:
        CHECK(krpc_reply_status(w->reply) == KRPC_OK);
        krpc_reply_free(w->reply);
        break;
    case CONTEXT:
        CHECK(!politely || krpc_context_cancel(w->context) == KRPC_OK);
        krpc_context_free(w->context);
        break;
    }
}

static void run(const int *order, int politely)
{
    world w;
    world_make(&w);
    for (int i = 0; i < KINDS; i++)
        free_one(&w, order[i], politely);
    AWAIT(threads_named("krpc-") == 0);
    AWAIT(krpc_live_handles() == 0);
}

/* The `number`th permutation. */
static void permutation(unsigned number, int *order)
{
    int left[KINDS] = {RUNTIME, SERVER, CLIENT, QUEUE, OP, REQUEST, REPLY, CONTEXT};
    for (unsigned size = KINDS; size > 0; size--) {
        unsigned pick = number % size;
        number /= size;
        order[KINDS - size] = left[pick];
        for (unsigned i = pick; i + 1 < size; i++)
            left[i] = left[i + 1];
    }
}

/* Runtimes are independent: each has a server and a client of the next one's, and they end one by one. */
static void several_runtimes(void)
{
    enum { RUNTIMES = 6 };
    krpc_runtime *runtimes[RUNTIMES];
    krpc_server *servers[RUNTIMES];
    krpc_client *clients[RUNTIMES];
    for (size_t i = 0; i < RUNTIMES; i++) {
        runtimes[i] = krpc_runtime_new(NULL, NULL);
        krpc_server_options *options =
            options_with("127.0.0.1:0", service_with("Test", "m", 0, echo, NULL));
        CHECK(krpc_server_options_set_runtime(options, runtimes[i], NULL) == KRPC_OK);
        servers[i] = serve(options);
    }
    for (size_t i = 0; i < RUNTIMES; i++) {
        krpc_client_options *to = options_to(krpc_server_address(servers[(i + 1) % RUNTIMES], 0));
        CHECK(krpc_client_options_set_runtime(to, runtimes[i], NULL) == KRPC_OK);
        clients[i] = krpc_client_build(to, NULL);
    }
    krpc_message *message = text_message(1, KRPC_STR("x"));
    for (size_t gone = 0; gone < RUNTIMES; gone++) {
        for (size_t i = gone; i < RUNTIMES; i++) {
            krpc_method *method = krpc_client_method(clients[i], KRPC_STR("Test/echo"), 0, NULL);
            krpc_op *op = NULL;
            CHECK(krpc_client_start(clients[i], method, message, NULL, NULL, &op, NULL) == KRPC_OK);
            CHECK(krpc_op_wait(op, BOUND_MS) == KRPC_OK);
            krpc_reply *reply = krpc_op_take_reply(op);
            /* The last one's server is the first that went. */
            CHECK((krpc_reply_status(reply) == KRPC_OK) == (gone == 0 || i + 1 < RUNTIMES));
            krpc_reply_free(reply);
            krpc_op_free(op);
            krpc_method_free(method);
        }
        AWAIT(threads_named("krpc-io-") == (int)(RUNTIMES - gone));
        CHECK(krpc_runtime_shutdown(runtimes[gone], NULL) == KRPC_OK);
        krpc_server_free(servers[gone]);
        krpc_client_free(clients[gone]);
        krpc_runtime_free(runtimes[gone]);
    }
    krpc_message_free(message);
}

int main(void)
{
    several_runtimes();
    /* The step has no factor in common with their number: every place in the order sees every kind. */
    unsigned all = 40320, step = getenv("KRPC_ALL_ORDERS") != NULL ? 1 : under_valgrind() ? 1601 : 101;
    for (unsigned number = 0; number < all; number += step) {
        int order[KINDS];
        permutation(number, order);
        run(order, number & 1);
    }
    return end_of_net_test();
}
