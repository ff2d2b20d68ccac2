/* links: nothing */
/* Loaded at run time, as Python and plugins do it: opened and closed many times, and two copies in one process
 * that know nothing of each other. The library's path is the first argument. */
#include "net.h"

#include <dlfcn.h>
#include <fcntl.h>

/* The functions that the test needs: result, name, parameters. */
#define FUNCTIONS(F)                                                                                         \
    F(size_t, krpc_live_handles, (void))                                                                     \
    F(krpc_str, krpc_version, (void))                                                                        \
    F(krpc_service *, krpc_service_new, (krpc_str, krpc_error **))                                           \
    F(krpc_status, krpc_service_add_method,                                                                  \
      (krpc_service *, krpc_str, uint32_t, krpc_handler_fn, void *, krpc_destroy_fn, krpc_error **))         \
    F(krpc_server_options *, krpc_server_options_new, (void))                                                \
    F(krpc_status, krpc_server_options_add_address, (krpc_server_options *, krpc_str, krpc_error **))        \
    F(krpc_status, krpc_server_options_add_service,                                                          \
      (krpc_server_options *, krpc_service *, bool, krpc_error **))                                          \
    F(krpc_server *, krpc_server_build, (krpc_server_options *, krpc_error **))                              \
    F(krpc_str, krpc_server_address, (const krpc_server *, size_t))                                          \
    F(void, krpc_server_free, (krpc_server *))                                                               \
    F(const krpc_message *, krpc_request_message, (const krpc_request *))                                    \
    F(krpc_status, krpc_request_reply, (krpc_request *, const krpc_message *, krpc_error **))                \
    F(void, krpc_request_free, (krpc_request *))                                                             \
    F(krpc_client_options *, krpc_client_options_new, (krpc_str, krpc_error **))                             \
    F(krpc_status, krpc_client_options_add_address, (krpc_client_options *, krpc_str, krpc_error **))        \
    F(krpc_client *, krpc_client_build, (krpc_client_options *, krpc_error **))                              \
    F(krpc_status, krpc_client_close, (const krpc_client *, bool))                                           \
    F(krpc_status, krpc_client_call_by_name,                                                                 \
      (const krpc_client *, krpc_str, const krpc_message *, const krpc_call_options *, krpc_reply **))       \
    F(krpc_method *, krpc_client_method, (const krpc_client *, krpc_str, uint32_t, krpc_error **))           \
    F(void, krpc_method_free, (krpc_method *))                                                               \
    F(krpc_status, krpc_client_start,                                                                        \
      (const krpc_client *, const krpc_method *, const krpc_message *, const krpc_call_options *,            \
       const krpc_completion *, krpc_op **, krpc_error **))                                                  \
    F(krpc_status, krpc_op_wait, (const krpc_op *, int64_t))                                                 \
    F(krpc_reply *, krpc_op_take_reply, (const krpc_op *))                                                   \
    F(void, krpc_op_free, (krpc_op *))                                                                       \
    F(krpc_status, krpc_reply_status, (const krpc_reply *))                                                  \
    F(void, krpc_reply_free, (krpc_reply *))                                                                 \
    F(void, krpc_client_free, (krpc_client *))                                                               \
    F(krpc_status, krpc_log_set, (int32_t, krpc_log_fn, void *, krpc_destroy_fn, krpc_error **))

#define FIELD(result, name, parameters) result(*name) parameters;
typedef struct {
    void *library;
    FUNCTIONS(FIELD)
} copy;

static void find(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    memcpy(function, &found, sizeof found); /* C has no cast for it */
}

static void load(copy *c, const char *path)
{
    c->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (c->library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(c->library != NULL);
#define FIND(result, name, parameters) find(c->library, #name, (void *)&c->name);
    FUNCTIONS(FIND)
}

static void unload(copy *c)
{
    CHECK(dlclose(c->library) == 0);
}

/* Answers with what came. */
static void mirror(void *user_data, krpc_request *request)
{
    const copy *c = (const copy *)user_data;
    CHECK(c->krpc_request_reply(request, c->krpc_request_message(request), NULL) == KRPC_OK);
    c->krpc_request_free(request);
}

static krpc_server *serve_with(copy *c)
{
    krpc_service *service = c->krpc_service_new(KRPC_STR("Test"), NULL);
    CHECK(c->krpc_service_add_method(service, KRPC_STR("mirror"), 0, mirror, c, NULL, NULL) == KRPC_OK);
    krpc_server_options *options = c->krpc_server_options_new();
    CHECK(c->krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL) == KRPC_OK);
    CHECK(c->krpc_server_options_add_service(options, service, false, NULL) == KRPC_OK);
    krpc_server *server = c->krpc_server_build(options, NULL);
    CHECK(server != NULL);
    return server;
}

static krpc_client *client_with(const copy *c, krpc_str address)
{
    krpc_client_options *options = c->krpc_client_options_new(KRPC_STR("test"), NULL);
    CHECK(c->krpc_client_options_add_address(options, address, NULL) == KRPC_OK);
    krpc_client *client = c->krpc_client_build(options, NULL);
    CHECK(client != NULL);
    return client;
}

/* One blocking call and a started one. */
static void call_with(const copy *c, const krpc_client *client)
{
    CHECK(c->krpc_client_call_by_name(client, KRPC_STR("Test/mirror"), NULL, NULL, NULL) == KRPC_OK);
    krpc_method *method = c->krpc_client_method(client, KRPC_STR("Test/mirror"), 0, NULL);
    krpc_op *op = NULL;
    CHECK(c->krpc_client_start(client, method, NULL, NULL, NULL, &op, NULL) == KRPC_OK);
    CHECK(c->krpc_op_wait(op, BOUND_MS) == KRPC_OK);
    krpc_reply *reply = c->krpc_op_take_reply(op);
    CHECK(c->krpc_reply_status(reply) == KRPC_OK);
    c->krpc_reply_free(reply);
    c->krpc_op_free(op);
    c->krpc_method_free(method);
}

static int open_files(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Loading starts no thread and opens no file that stays. */
static void opened_and_closed_many_times(const char *path)
{
    int files = open_files();
    for (int round = 0; round < 100; round++) {
        copy c;
        load(&c, path);
        CHECK(threads_named("") == 1 && open_files() == files);
        if (round % 5 == 0) {
            krpc_server *server = serve_with(&c);
            krpc_client *client = client_with(&c, c.krpc_server_address(server, 0));
            call_with(&c, client);
            c.krpc_client_free(client);
            c.krpc_server_free(server);
            AWAIT(threads_named("") == 1);
            AWAIT(c.krpc_live_handles() == 0);
        }
        unload(&c);
        CHECK(open_files() == files);
    }
}

/* Closed while its threads are at work: it stays (-z nodelete), and so do they. */
static void closed_while_it_works(const char *path)
{
    copy c;
    load(&c, path);
    krpc_server *server = serve_with(&c);
    krpc_client *client = client_with(&c, c.krpc_server_address(server, 0));
    unload(&c);
    call_with(&c, client);
    copy again;
    load(&again, path);
    CHECK(memcmp(&again.krpc_client_free, &c.krpc_client_free, sizeof c.krpc_client_free) == 0);
    call_with(&again, client);
    again.krpc_client_free(client);
    again.krpc_server_free(server);
    AWAIT(threads_named("") == 1);
    unload(&again);
}

static void copy_file(const char *from, const char *to)
{
    char buffer[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    CHECK(in != NULL && out != NULL);
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, in)) > 0;)
        CHECK(fwrite(buffer, 1, got, out) == got);
    CHECK(fclose(in) == 0 && fclose(out) == 0);
}

static void count_line(void *lines, krpc_log_level level, krpc_str target, krpc_str text)
{
    (void)level, (void)target, (void)text;
    __atomic_add_fetch((int *)lines, 1, __ATOMIC_SEQ_CST);
}

/* A program's and a wheel's. */
static void two_copies_in_one_process(const char *path)
{
    char second[] = "/tmp/libkrpc-copy-XXXXXX";
    int fd = mkstemp(second);
    CHECK(fd >= 0 && close(fd) == 0);
    copy_file(path, second);
    copy a, b;
    load(&a, path);
    load(&b, second);
    CHECK(unlink(second) == 0);
    CHECK(memcmp(&a.krpc_version, &b.krpc_version, sizeof a.krpc_version) != 0);
    int a_lines = 0, b_lines = 0;
    CHECK(a.krpc_log_set(KRPC_LOG_LEVEL_DEBUG, count_line, &a_lines, NULL, NULL) == KRPC_OK);
    CHECK(b.krpc_log_set(KRPC_LOG_LEVEL_DEBUG, count_line, &b_lines, NULL, NULL) == KRPC_OK);

    krpc_server *a_serves = serve_with(&a), *b_serves = serve_with(&b);
    CHECK(a.krpc_live_handles() == 1 && b.krpc_live_handles() == 1);
    krpc_client *a_to_b = client_with(&a, b.krpc_server_address(b_serves, 0));
    krpc_client *b_to_a = client_with(&b, a.krpc_server_address(a_serves, 0));
    for (int i = 0; i < 10; i++) {
        call_with(&a, a_to_b);
        call_with(&b, b_to_a);
    }
    /* One's handle means nothing to the other. */
    CHECK(b.krpc_client_close(a_to_b, true) == KRPC_STATUS_INVALID_ARGUMENT);
    b.krpc_client_free(a_to_b);
    call_with(&a, a_to_b);
    a.krpc_client_free(a_to_b);
    a.krpc_server_free(a_serves);
    AWAIT(a.krpc_live_handles() == 0);
    CHECK(b.krpc_client_call_by_name(b_to_a, KRPC_STR("Test/mirror"), NULL, NULL, NULL) != KRPC_OK);
    b.krpc_client_free(b_to_a);
    b.krpc_server_free(b_serves);
    AWAIT(b.krpc_live_handles() == 0 && threads_named("") == 1);
    CHECK(__atomic_load_n(&a_lines, __ATOMIC_SEQ_CST) > 0 && __atomic_load_n(&b_lines, __ATOMIC_SEQ_CST) > 0);
    CHECK(a.krpc_log_set(0, NULL, NULL, NULL, NULL) == KRPC_OK);
    CHECK(b.krpc_log_set(0, NULL, NULL, NULL, NULL) == KRPC_OK);
    unload(&a);
    unload(&b);
}

int main(int count, char **arguments)
{
    CHECK(count == 2);
    opened_and_closed_many_times(arguments[1]);
    closed_while_it_works(arguments[1]);
    two_copies_in_one_process(arguments[1]);
    return 0;
}
