/* What the tests of the network handles share: small messages, a usual server and client, a gate for
   handlers, raw sockets, and a look at the threads of this process. Nothing here sleeps to be right:
   what must happen is waited for, with a bound that only a failure reaches. */
#ifndef NET_H
#define NET_H

#include "check.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Longer than anything here takes, also under valgrind. */
#define BOUND_MS 20000

#define LEN(array) (sizeof(array) / sizeof(array)[0])

/* Valgrind runs one thread at a time, and each slowly: loops may be shorter there. */
static inline int under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

/* ---- mistakes: the expression uses the `error` declared here ------------------------------------- */

/* It is refused as INVALID_ARGUMENT, and the error names the parameter. */
#define REFUSED(part, expression) FAILS(KRPC_STATUS_INVALID_ARGUMENT, part, expression)

/* It returns this status, and an error with the same one and this text. */
#define FAILS(status, part, expression)           \
    do {                                          \
        krpc_error *error = NULL;                 \
        CHECK((expression) == (status));          \
        CHECK_ERROR(error, (status), (part));     \
    } while (0)

/* It returns no handle but this status and text. */
#define NOT_MADE(status, part, expression)        \
    do {                                          \
        krpc_error *error = NULL;                 \
        CHECK((expression) == NULL);              \
        CHECK_ERROR(error, (status), (part));     \
    } while (0)

/* ---- messages ----------------------------------------------------------------------------------- */

/* A struct with one string: argument 1 of a call, or field 0 of its result. */
static inline krpc_message *text_message(int16_t field, krpc_str text)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_string(writer, field, text);
    krpc_message *message = krpc_writer_finish(writer, NULL);
    CHECK(message != NULL);
    return message;
}

/* Whether a message is such a struct. */
static inline int is_text(const krpc_message *message, int16_t field, krpc_str expected)
{
    krpc_str text = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(message, NULL);
    int same = reader != NULL && krpc_reader_find(reader, field, NULL) &&
               krpc_reader_string(reader, &text) == KRPC_OK && text.len == expected.len &&
               (text.len == 0 || memcmp(text.ptr, expected.ptr, text.len) == 0);
    krpc_reader_free(reader);
    return same;
}

/* ---- a gate: what waits there goes on when the test opens it -------------------------------------- */

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int open;
    int waiting;
    int passed;
} gate;

#define GATE_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0}

static inline struct timespec bound(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += BOUND_MS / 1000;
    return at;
}

static inline void gate_pass(gate *g)
{
    struct timespec until = bound();
    pthread_mutex_lock(&g->mutex);
    g->waiting++;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        CHECK(pthread_cond_timedwait(&g->changed, &g->mutex, &until) == 0);
    g->waiting--;
    g->passed++;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

static inline void gate_open(gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->open = 1;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

static inline void gate_close(gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->open = 0;
    g->passed = 0;
    pthread_mutex_unlock(&g->mutex);
}

/* Waits until so many stand in front of the gate, or have passed it. */
static inline void gate_await(gate *g, int waiting, int passed)
{
    struct timespec until = bound();
    pthread_mutex_lock(&g->mutex);
    while (g->waiting < waiting || g->passed < passed)
        CHECK(pthread_cond_timedwait(&g->changed, &g->mutex, &until) == 0);
    pthread_mutex_unlock(&g->mutex);
}

/* Polls until it is true: for what ends on threads that nobody joins. */
#define AWAIT(condition)                                         \
    do {                                                         \
        int tries = BOUND_MS;                                    \
        while (!(condition) && --tries > 0)                      \
            poll(NULL, 0, 1);                                    \
        if (tries == 0)                                          \
            CHECK(!"came true in time: " #condition);            \
    } while (0)

/* ---- a usual server and client --------------------------------------------------------------------- */

/* Answers with the argument's text. */
static inline void echo(void *user_data, krpc_request *request)
{
    (void)user_data;
    krpc_str text = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(krpc_request_message(request), NULL);
    if (krpc_reader_find(reader, 1, NULL) && krpc_reader_string(reader, &text) == KRPC_OK) {
        krpc_message *result = text_message(0, text);
        krpc_request_reply(request, result, NULL);
        krpc_message_free(result);
    } else {
        krpc_request_fail(request, 7, KRPC_STR("no text"), NULL);
    }
    krpc_reader_free(reader);
    krpc_request_free(request);
}

/* The same once the gate is open. */
static inline void echo_behind_gate(void *user_data, krpc_request *request)
{
    gate_pass((gate *)user_data);
    echo(NULL, request);
}

static inline krpc_service *service_with(const char *name, const char *method, uint32_t flags,
                                         krpc_handler_fn handler, void *user_data)
{
    krpc_service *service = krpc_service_new(krpc_cstr(name), NULL);
    CHECK(krpc_service_add_method(service, krpc_cstr(method), flags, handler, user_data, NULL, NULL) ==
          KRPC_OK);
    return service;
}

/* Options with an address and the service "Test", to which `echo` is added. */
static inline krpc_server_options *options_with(const char *address, krpc_service *service)
{
    CHECK(krpc_service_add_method(service, KRPC_STR("echo"), 0, echo, NULL, NULL, NULL) == KRPC_OK);
    krpc_server_options *options = krpc_server_options_new();
    CHECK(krpc_server_options_add_address(options, krpc_cstr(address), NULL) == KRPC_OK);
    CHECK(krpc_server_options_add_service(options, service, false, NULL) == KRPC_OK);
    return options;
}

static inline krpc_server *serve(krpc_server_options *options)
{
    krpc_error *error = NULL;
    krpc_server *server = krpc_server_build(options, &error);
    CHECK_ERROR(error, KRPC_OK, "");
    CHECK(server != NULL);
    return server;
}

/* A server of "Test/echo" and one more method, on a port of its own. */
static inline krpc_server *serve_one(const char *method, uint32_t flags, krpc_handler_fn handler,
                                     void *user_data)
{
    return serve(options_with("127.0.0.1:0", service_with("Test", method, flags, handler, user_data)));
}

static inline krpc_client_options *options_to(krpc_str address)
{
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("test"), NULL);
    CHECK(krpc_client_options_add_address(options, address, NULL) == KRPC_OK);
    return options;
}

static inline krpc_client *client_to(krpc_str address)
{
    krpc_client *client = krpc_client_build(options_to(address), NULL);
    CHECK(client != NULL);
    return client;
}

static inline krpc_client *client_of(const krpc_server *server)
{
    return client_to(krpc_server_address(server, 0));
}

/* Calls with a text; `timeout_ms` 0 waits. */
static inline krpc_reply *call(const krpc_client *client, const char *method, const char *text,
                               int64_t timeout_ms)
{
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    krpc_message *request = text_message(1, krpc_cstr(text));
    krpc_reply *reply = NULL;
    krpc_status status = krpc_client_call_by_name(client, krpc_cstr(method), request, &options, &reply);
    krpc_message_free(request);
    CHECK(reply != NULL && krpc_reply_status(reply) == status);
    return reply;
}

#define CALL_STATUS(client, method, status, part) \
    check_call((client), (method), (status), (part), __FILE__, __LINE__)

/* A call ends with this status, and a text somewhere in its error. */
static inline void check_call(const krpc_client *client, const char *method, krpc_status status,
                              const char *part, const char *file, int line)
{
    krpc_reply *reply = call(client, method, "x", BOUND_MS);
    krpc_str text = krpc_error_describe(krpc_reply_error(reply));
    if (krpc_reply_status(reply) != status || !contains(text, part)) {
        fprintf(stderr, "%s:%d: \"%.*s\", not status %d and \"%s\"\n", file, line, (int)text.len, text.ptr,
                (int)status, part);
        exit(1);
    }
    krpc_reply_free(reply);
}

/* The client gets its own words back. */
#define CHECK_ECHO(client) CHECK_ECHO_OF(client, "Test/echo", "hello")
#define CHECK_ECHO_OF(client, method, text)                                             \
    do {                                                                                \
        krpc_reply *echoed = call((client), (method), (text), BOUND_MS);                \
        CHECK_STR(krpc_error_describe(krpc_reply_error(echoed)), "");                   \
        CHECK(is_text(krpc_reply_message(echoed), 0, krpc_cstr(text)));                 \
        krpc_reply_free(echoed);                                                        \
    } while (0)

/* ---- a call on a thread of its own ------------------------------------------------------------------ */

typedef struct {
    const krpc_client *client;
    const char *method;
    const char *text;
    krpc_reply *reply;
    pthread_t thread;
} caller;

static inline void *caller_main(void *argument)
{
    caller *self = (caller *)argument;
    self->reply = call(self->client, self->method, self->text, BOUND_MS);
    return NULL;
}

static inline void caller_start(caller *self, const krpc_client *client, const char *method, const char *text)
{
    self->client = client;
    self->method = method;
    self->text = text;
    CHECK(pthread_create(&self->thread, NULL, caller_main, self) == 0);
}

/* How it ended; frees the reply. */
static inline krpc_status caller_end(caller *self)
{
    CHECK(pthread_join(self->thread, NULL) == 0);
    krpc_status status = krpc_reply_status(self->reply);
    krpc_reply_free(self->reply);
    return status;
}

/* ---- raw sockets ------------------------------------------------------------------------------------- */

static inline uint16_t port_of(krpc_str address)
{
    uint16_t port = 0;
    for (size_t at = 0; at < address.len; at++)
        port = address.ptr[at] == ':' ? 0 : (uint16_t)(port * 10 + (address.ptr[at] - '0'));
    return port;
}

static inline struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* A socket that listens and accepts only when the test does; `text` receives its address. */
static inline int raw_listen(int backlog, char text[32])
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, backlog) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    snprintf(text, 32, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static inline int raw_connect(krpc_str to)
{
    struct sockaddr_in address = loopback(port_of(to));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* Sends all of it, unless the peer has closed. */
static inline void raw_send(int fd, const void *bytes, size_t len)
{
    const char *at = (const char *)bytes;
    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        at += sent;
        len -= (size_t)sent;
    }
}

/* Bytes received until the peer closes, which it must; -1 if it closed with a reset. */
static inline ssize_t raw_until_closed(int fd)
{
    char buffer[4096];
    ssize_t total = 0;
    for (;;) {
        struct pollfd ready = {fd, POLLIN, 0};
        CHECK(poll(&ready, 1, BOUND_MS) == 1);
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got <= 0)
            return got == 0 ? total : -1;
        total += got;
    }
}

/* Where the system leaves further connections unanswered: its queue is full. */
typedef struct {
    int listener;
    int fillers[8];
    krpc_client *client;
} deaf;

static inline void deaf_open(deaf *self)
{
    char text[32];
    self->listener = raw_listen(0, text);
    struct sockaddr_in address = loopback(port_of(krpc_cstr(text)));
    for (size_t i = 0; i < LEN(self->fillers); i++) {
        self->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(self->fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    krpc_client_options *options = options_to(krpc_cstr(text));
    CHECK(krpc_client_options_set_connect_timeout_ms(options, 2000, NULL) == KRPC_OK);
    self->client = krpc_client_build(options, NULL);
}

static inline void deaf_close(deaf *self)
{
    krpc_client_free(self->client);
    for (size_t i = 0; i < LEN(self->fillers); i++)
        close(self->fillers[i]);
    close(self->listener);
}

/* ---- threads of this process -------------------------------------------------------------------------- */

/* Threads whose name starts with `prefix`; "" counts all. */
static inline int threads_named(const char *prefix)
{
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    int found = 0;
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *comm = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (comm == NULL)
            continue; /* it ended meanwhile */
        if (fgets(name, sizeof name, comm) != NULL && strncmp(name, prefix, strlen(prefix)) == 0)
            found++;
        fclose(comm);
    }
    closedir(tasks);
    return found;
}

/* The last line of main: no handle and no thread of the library is left. */
static inline int end_of_net_test(void)
{
    AWAIT(threads_named("krpc-") == 0);
    return end_of_test();
}

#endif
