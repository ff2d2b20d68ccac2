/* Calls that nobody waits for: a function of yours hears of the end of each.
 *
 *   05_callbacks                   calls a server that it starts itself
 *   05_callbacks 127.0.0.1:8888    calls yours
 *
 *       service Shop { i64 Price(1: string article) }
 */
#include <krpc.h>
#include <pthread.h>
#include <stdio.h>

/* ---- one order: its prices are asked for all at once --------------------------------------------- */

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int64_t total;
    int open;
    int failed;
} order;

/* What travels with each call, from its start to `forget_item`. */
typedef struct {
    order *whole;
    int64_t count;
} item;

static int64_t price_in(const krpc_message *result)
{
    int64_t price = 0;
    krpc_reader *reader = krpc_reader_new(result, NULL);
    if (krpc_reader_find(reader, 0, NULL))
        krpc_reader_i64(reader, &price);
    krpc_reader_free(reader);
    return price;
}

/* Runs on a thread of the library, several at once for different calls. The reply is yours now. */
static void on_price(void *user_data, krpc_reply *reply)
{
    const item *self = (const item *)user_data;
    pthread_mutex_lock(&self->whole->mutex);
    if (krpc_reply_status(reply) == KRPC_OK)
        self->whole->total += self->count * price_in(krpc_reply_message(reply));
    else
        self->whole->failed++;
    pthread_mutex_unlock(&self->whole->mutex);
    krpc_reply_free(reply);
}

/* Runs once for each item, after everything else that uses it; also if the call could not be started. */
static void forget_item(void *user_data)
{
    order *whole = ((item *)user_data)->whole;
    pthread_mutex_lock(&whole->mutex);
    if (--whole->open == 0)
        pthread_cond_signal(&whole->changed);
    pthread_mutex_unlock(&whole->mutex);
}

static void ask_price(const krpc_client *client, const krpc_method *method, const char *article, item *self)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_string(writer, 1, krpc_cstr(article));
    krpc_message *args = krpc_writer_finish(writer, NULL);

    krpc_completion done = KRPC_COMPLETION_INIT;
    done.callback = on_price;
    done.user_data = self;
    done.destroy = forget_item;
    krpc_client_start(client, method, args, NULL, &done, NULL, NULL); /* without a handle: nothing to free */
    krpc_message_free(args);                                          /* the call has its own reference */
}

static int run(krpc_str address)
{
    static const char *const articles[] = {"tea", "cup", "pot", "no such thing"};
    enum { ITEMS = sizeof articles / sizeof articles[0] };
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("shop"), NULL);
    krpc_client_options_add_address(options, address, NULL);
    krpc_client_options_set_timeout_ms(options, 5000, NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Shop/Price"), 0, NULL);

    order whole = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, ITEMS, 0};
    item items[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        items[i].whole = &whole;
        items[i].count = i + 1;
        ask_price(client, method, articles[i], &items[i]);
    }

    pthread_mutex_lock(&whole.mutex);
    while (whole.open > 0)
        pthread_cond_wait(&whole.changed, &whole.mutex);
    pthread_mutex_unlock(&whole.mutex);
    printf("total %d, not found %d\n", (int)whole.total, whole.failed);

    krpc_method_free(method);
    krpc_client_free(client);
    return whole.failed == 1 ? 0 : 1;
}

/* ---- a server to call ------------------------------------------------------------------------------- */

static void on_request(void *user_data, krpc_request *request)
{
    (void)user_data;
    krpc_str article = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(krpc_request_message(request), NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_string(reader, &article);
    if (article.len != 3) {
        krpc_request_fail_biz(request, 404, KRPC_STR("not on sale"), NULL, NULL);
    } else {
        krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
        krpc_writer_field_i64(writer, 0, article.ptr[0] == 't' ? 7 : 10);
        krpc_message *result = krpc_writer_finish(writer, NULL);
        krpc_request_reply(request, result, NULL);
        krpc_message_free(result);
    }
    krpc_reader_free(reader);
    krpc_request_free(request);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return run(krpc_cstr(argv[1]));

    krpc_service *service = krpc_service_new(KRPC_STR("Shop"), NULL);
    krpc_service_add_method(service, KRPC_STR("Price"), 0, on_request, NULL, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    krpc_server *server = krpc_server_build(options, NULL);
    int failed = server == NULL ? 1 : run(krpc_server_address(server, 0));
    krpc_server_free(server);
    printf("%zu live handles\n", krpc_live_handles());
    return failed;
}
