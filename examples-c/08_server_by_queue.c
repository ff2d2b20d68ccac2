/* A server whose requests are taken from a queue: for programs that must not be called from threads that
 * are not theirs, and for work that is best done in batches.
 *
 *   08_server_by_queue                   serves on a free port and calls itself
 *   08_server_by_queue 127.0.0.1:8888    serves until it gets SIGINT or SIGTERM
 *
 *       service Bank { i64 Add(1: i64 amount), oneway void Close() }
 */
#include <krpc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

/* Words of our own for the methods, which come with their requests. */
enum { ADD = 1, CLOSE = 2 };
enum { BATCH = 32, CUSTOMERS = 4, DEPOSITS = 25 };

/* ---- the server: one thread, no locks ---------------------------------------------------------------- */

typedef struct {
    krpc_queue *queue;
    int64_t balance;
    int is_closed;
} bank;

static int64_t amount_in(const krpc_message *message, int16_t field)
{
    int64_t amount = 0;
    krpc_reader *reader = krpc_reader_new(message, NULL);
    if (krpc_reader_find(reader, field, NULL))
        krpc_reader_i64(reader, &amount);
    krpc_reader_free(reader);
    return amount;
}

static krpc_message *amount_message(int16_t field, int64_t amount)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_i64(writer, field, amount);
    return krpc_writer_finish(writer, NULL);
}

/* Answers a batch with one call. Requests whose callers have left are of no interest. */
static void answer(bank *self, krpc_event *events, size_t count)
{
    krpc_request *requests[BATCH] = {NULL};
    krpc_message *results[BATCH] = {NULL};
    size_t answers = 0;
    for (size_t i = 0; i < count; i++) {
        if (events[i].tag == CLOSE) {
            self->is_closed = 1;
        } else if (!krpc_request_is_abandoned(events[i].request)) {
            self->balance += amount_in(krpc_request_message(events[i].request), 1);
            requests[answers] = events[i].request;
            results[answers++] = amount_message(0, self->balance);
        }
    }
    krpc_request_reply_many(requests, (const krpc_message *const *)results, answers, NULL);
    for (size_t i = 0; i < answers; i++)
        krpc_message_free(results[i]);
    krpc_event_release_many(events, sizeof events[0], count); /* the requests too */
}

static void *serve(void *argument)
{
    bank *self = (bank *)argument;
    krpc_event events[BATCH];
    size_t count = 0;
    for (;;) {
        krpc_queue_take(self->queue, events, sizeof events[0], BATCH, KRPC_FOREVER, &count);
        /* The end comes last: there is nothing behind it, now or ever. */
        if (count > 0 && events[count - 1].kind == KRPC_EVENT_KIND_QUEUE_END) {
            answer(self, events, count - 1);
            return NULL;
        }
        answer(self, events, count);
    }
}

static krpc_server *start_server(krpc_str address, const krpc_queue *queue, krpc_error **error)
{
    krpc_service *service = krpc_service_new(KRPC_STR("Bank"), NULL);
    krpc_service_add_queued_method(service, KRPC_STR("Add"), 0, queue, ADD, NULL);
    krpc_service_add_queued_method(service, KRPC_STR("Close"), KRPC_METHOD_FLAG_ONEWAY, queue, CLOSE, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, service, false, NULL);
    if (krpc_server_options_add_address(options, address, error) != KRPC_OK) {
        krpc_server_options_free(options);
        return NULL;
    }
    return krpc_server_build(options, error);
}

/* ---- customers ------------------------------------------------------------------------------------------ */

typedef struct {
    const krpc_client *client;
    int64_t highest; /* balance that this one was told */
    int failed;
} customer;

static void *deposit(void *argument)
{
    customer *self = (customer *)argument;
    krpc_method *method = krpc_client_method(self->client, KRPC_STR("Bank/Add"), 0, NULL);
    krpc_message *args = amount_message(1, 3);
    for (int i = 0; i < DEPOSITS; i++) {
        krpc_reply *reply = NULL;
        if (krpc_client_call(self->client, method, args, NULL, &reply) != KRPC_OK)
            self->failed++;
        int64_t balance = amount_in(krpc_reply_message(reply), 0);
        if (balance > self->highest)
            self->highest = balance;
        krpc_reply_free(reply);
    }
    krpc_message_free(args);
    krpc_method_free(method);
    return NULL;
}

static int call_itself(const krpc_server *server)
{
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("bank"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    krpc_client_options_set_timeout_ms(options, 10000, NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    customer customers[CUSTOMERS];
    pthread_t threads[CUSTOMERS];
    int64_t highest = 0;
    int failed = 0;
    for (int i = 0; i < CUSTOMERS; i++) {
        customers[i].client = client;
        customers[i].highest = 0;
        customers[i].failed = 0;
        pthread_create(&threads[i], NULL, deposit, &customers[i]);
    }
    for (int i = 0; i < CUSTOMERS; i++) {
        pthread_join(threads[i], NULL);
        failed += customers[i].failed;
        if (customers[i].highest > highest)
            highest = customers[i].highest;
    }
    printf("last balance told: %d\n", (int)highest);
    krpc_method *close = krpc_client_method(client, KRPC_STR("Bank/Close"), KRPC_METHOD_FLAG_ONEWAY, NULL);
    failed += krpc_client_call(client, close, NULL, NULL, NULL) != KRPC_OK;
    krpc_method_free(close);
    krpc_client_free(client);
    return failed;
}

int main(int argc, char **argv)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    /* Requests beyond the queue's room are answered "request over limit". */
    krpc_error *error = NULL;
    bank self = {krpc_queue_new(1000, NULL), 0, 0};
    krpc_server *server = start_server(krpc_cstr(argc > 1 ? argv[1] : "127.0.0.1:0"), self.queue, &error);
    if (server == NULL) {
        krpc_str why = krpc_error_describe(error);
        fprintf(stderr, "%.*s\n", (int)why.len, why.ptr);
        krpc_error_free(error);
        krpc_queue_free(self.queue);
        return 1;
    }
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, serve, &self), signal_number = 0;
    if (argc > 1)
        sigwait(&ends, &signal_number);
    else
        failed += call_itself(server);

    /* First the server, which waits for its answers; then the queue, which ends its thread. */
    krpc_server_stop(server, 5000, NULL, NULL);
    krpc_server_free(server);
    krpc_queue_shutdown(self.queue);
    pthread_join(thread, NULL);
    krpc_queue_free(self.queue);
    printf("balance: %d, %s\n", (int)self.balance, self.is_closed ? "closed" : "open");
    printf("%zu live handles\n", krpc_live_handles());
    return failed;
}
