/* Search packing: ten items go in with one request, and each comes out as soon as it is ready. The client shows the
 * first while the others are still being looked up; with a call it would wait for the slowest.
 *
 *       struct Query { 1: list<string> ids }    struct Item { 1: string id, 2: string title }
 *       service Search { Item Pack(1: Query q) (streaming.mode="server") }
 *
 *   18_search_packing            says what came before what
 *   18_search_packing --times    and how long it took
 */
#include <krpc.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum { ITEMS = 10 };

static int64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

/* What is behind it answers in an order of its own. Here it is fixed, and all but the first answer wait until the
   client has that one: so it is certain, and not only likely, that nothing holds it back. */
static const int ready_order[ITEMS] = {3, 7, 0, 9, 1, 5, 2, 8, 6, 4};

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int out;            /* items that were sent */
    int client_has_one;
} backends;

typedef struct {
    backends *all;
    krpc_stream *stream;
    int place;          /* in the order of readiness */
    char id[16];
    pthread_t thread;
} lookup;

static krpc_message *item_of(const char *id)
{
    char title[32];
    snprintf(title, sizeof title, "About %s", id);
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_string(writer, 1, krpc_cstr(id));
    krpc_writer_field_string(writer, 2, krpc_cstr(title));
    return krpc_writer_finish(writer, NULL);
}

static void *look_up(void *argument)
{
    lookup *self = (lookup *)argument;
    pthread_mutex_lock(&self->all->mutex);
    while (self->all->out != self->place || (self->place > 0 && !self->all->client_has_one))
        pthread_cond_wait(&self->all->changed, &self->all->mutex);
    /* At most one send waits on a stream: the lock sees to that, too. */
    krpc_message *item = item_of(self->id);
    krpc_stream_send(self->stream, item, NULL);
    krpc_message_free(item);
    self->all->out++;
    pthread_cond_broadcast(&self->all->changed);
    pthread_mutex_unlock(&self->all->mutex);
    return NULL;
}

/* The ids of a query, into the lookups at the places that they are ready in. */
static int read_query(const krpc_message *query, lookup lookups[ITEMS])
{
    size_t count = 0;
    int32_t type = 0;
    krpc_reader *reader = krpc_reader_new(query, NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_list(reader, &type, &count);
    for (int i = 0; i < (int)count && count == ITEMS; i++) {
        krpc_str id = {NULL, 0};
        krpc_reader_string(reader, &id);
        for (int place = 0; place < ITEMS; place++)
            if (ready_order[place] == i)
                snprintf(lookups[place].id, sizeof lookups[place].id, "%.*s", (int)id.len, id.ptr);
    }
    krpc_status status = krpc_reader_status(reader);
    krpc_reader_free(reader);
    return status == KRPC_OK && count == ITEMS;
}

static void on_pack(void *user_data, krpc_stream *stream)
{
    lookup lookups[ITEMS];
    if (read_query(krpc_stream_request(stream), lookups)) {
        for (int i = 0; i < ITEMS; i++) {
            lookups[i].all = (backends *)user_data;
            lookups[i].stream = stream;
            lookups[i].place = i;
            pthread_create(&lookups[i].thread, NULL, look_up, &lookups[i]);
        }
        for (int i = 0; i < ITEMS; i++)
            pthread_join(lookups[i].thread, NULL);
        krpc_stream_finish(stream, NULL);
    } else {
        krpc_stream_fail(stream, 6, KRPC_STR("biz error: ten ids, please"), NULL);
    }
    krpc_stream_free(stream);
}

static krpc_server *start_server(backends *all)
{
    krpc_service *search = krpc_service_new(KRPC_STR("Search"), NULL);
    krpc_service_add_stream(search, KRPC_STR("Pack"), KRPC_STREAMING_SERVER, 0, on_pack, all, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, search, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    return krpc_server_build(options, NULL);
}

/* ---- the client --------------------------------------------------------------------------------------------------- */

static krpc_message *query(void)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_list(writer, 1, KRPC_TYPE_STRING, ITEMS);
    for (int i = 0; i < ITEMS; i++) {
        char id[24];
        snprintf(id, sizeof id, "item %d", i);
        krpc_writer_string(writer, krpc_cstr(id));
    }
    return krpc_writer_finish(writer, NULL);
}

static void show(const krpc_message *item)
{
    krpc_str id = {NULL, 0}, title = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(item, NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_string(reader, &id);
    if (krpc_reader_find(reader, 2, NULL))
        krpc_reader_string(reader, &title);
    printf("%.*s: %.*s\n", (int)id.len, id.ptr, (int)title.len, title.ptr);
    krpc_reader_free(reader);
}

/* The first item is here, or none will come: nobody waits for it any more. */
static void go_on(backends *all)
{
    pthread_mutex_lock(&all->mutex);
    all->client_has_one = 1;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->mutex);
}

/* Returns how many items came; `first_us` is the time to the first message. */
static int search(const krpc_client *client, backends *all, int64_t *first_us)
{
    krpc_method *method = krpc_client_method(client, KRPC_STR("Search/Pack"), 0, NULL);
    krpc_stream *stream = NULL;
    krpc_message *request = query(), *item = NULL;
    int64_t begun = now_us();
    int count = 0;
    if (krpc_client_open_stream(client, method, NULL, &stream, NULL) == KRPC_OK) {
        krpc_stream_send(stream, request, NULL);
        krpc_stream_close_send(stream, NULL);
        while (krpc_stream_recv(stream, &item, NULL) == KRPC_OK && item != NULL) {
            if (count++ == 0) {
                *first_us = now_us() - begun;
                pthread_mutex_lock(&all->mutex);
                printf("the first is here while %d are looked up\n", ITEMS - all->out);
                pthread_mutex_unlock(&all->mutex);
                go_on(all);
            }
            show(item);
            krpc_message_free(item);
        }
    }
    go_on(all);
    krpc_message_free(request);
    krpc_stream_free(stream);
    krpc_method_free(method);
    return count;
}

int main(int argc, char **argv)
{
    backends all = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    krpc_server *server = start_server(&all);
    if (server == NULL)
        return 1;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("search"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    int64_t begun = now_us(), first_us = 0;
    int count = search(client, &all, &first_us);
    int64_t last_us = now_us() - begun;
    printf("%d items; time to the first message %s that to the last\n", count, first_us < last_us ? "below" : "not below");
    if (argc > 1 && strcmp(argv[1], "--times") == 0)
        printf("time to the first message: %d us, to the last: %d us\n", (int)first_us, (int)last_us);

    krpc_client_free(client);
    krpc_server_stop(server, 5000, NULL, NULL); /* so that the handler has ended */
    krpc_server_free(server);
    printf("%zu live handles\n", krpc_live_handles());
    return count == ITEMS ? 0 : 1;
}
