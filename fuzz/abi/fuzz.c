/* Random sequences of calls over the whole ABI: valid and invalid arguments, several threads that share
 * handles, callbacks that call back in, closes anywhere, frees in any order.
 *
 *   fuzz SEED SECONDS      episodes with SEED, SEED + 1, …, for so long; at least one
 *
 * A seed fixes what each thread does; how threads meet is up to the system. What must hold, always:
 *   - no crash and no hang, also for NULL, handles of another type, double frees and uses after free, which
 *     the debug library knows (a handle that another thread is freeing is not tried: nobody can know that);
 *   - no function answers INTERNAL: that is a panic inside;
 *   - an error comes if and only if the function failed, with the same status;
 *   - `destroy` is called exactly once for everything that was given away, and no callback after it;
 *   - when all is freed, no handle is left.
 */
#include <krpc.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct gen gen;
#include "table.h" /* the types, and how to free each */

enum { THREADS = 3, STEPS = 1500, POOL = 24, BATCH = 8, MAILBOX = 512, HANG_SECONDS = 60, TRACE = 24 };

/* One thread's dice and what it owns. */
struct gen {
    uint64_t state;
    void *own[TYPES][POOL];
    int owned[TYPES];
    void *stale; /* freed a moment ago: for one use after free */
    int stale_type;
    int depth; /* of callbacks */
    const char *trace[TRACE];
    unsigned traced;
};

static struct {
    uint64_t seed;
    void *handles[TYPES]; /* shared by all threads of an episode */
    char address[64];
    atomic_ulong calls;
    atomic_ulong callbacks;
    atomic_long progress;
    atomic_int inside; /* callbacks that use what is shared */
    atomic_bool is_closing;
} shared;

#define BROKEN(...) broken(__LINE__, __VA_ARGS__)

static _Thread_local gen *current;

static void print_trace(void)
{
    for (unsigned i = 0; current != NULL && i < TRACE && i < current->traced; i++)
        fprintf(stderr, "  %s\n", current->trace[(current->traced - 1 - i) % TRACE]);
}

static void broken(int line, const char *what, long number)
{
    fprintf(stderr, "fuzz.c:%d: seed %llu: %s (%ld); calls before, newest first:\n", line,
            (unsigned long long)shared.seed, what, number);
    print_trace();
    abort();
}

/* ---- dice ------------------------------------------------------------------------------------------- */

static uint32_t dice(gen *g)
{
    g->state = g->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(g->state >> 33);
}

static bool one_in(gen *g, uint32_t n) { return dice(g) % n == 0; }
static bool some_bool(gen *g) { return dice(g) % 2 == 0; }

static int64_t some_int64(gen *g)
{
    static const int64_t numbers[] = {0, 1, 2, 3, 4, 7, 8, 15, -1, 100, 4096, 65536, INT32_MAX, INT32_MIN,
                                      UINT32_MAX, INT64_MAX, INT64_MIN};
    return numbers[dice(g) % (sizeof numbers / sizeof numbers[0])];
}

static int some_number(gen *g) { return (int)some_int64(g); }
static int32_t some_int32(gen *g) { return one_in(g, 2) ? (int32_t)(dice(g) % 5) : (int32_t)some_int64(g); }
static uint32_t some_uint32(gen *g) { return one_in(g, 4) ? (uint32_t)some_int64(g) : dice(g) % 4; }
static size_t some_size(gen *g) { return one_in(g, 3) ? (size_t)some_int64(g) : dice(g) % 4; }
static size_t some_capacity(gen *g) { return one_in(g, 8) ? (one_in(g, 2) ? 0 : SIZE_MAX) : 1 + dice(g) % 40; }

/* Short: whatever waits shall not hold up the run. */
static int64_t some_time(gen *g)
{
    static const int64_t times[] = {0, 1, 1, 2, 5, 20, -1, INT64_MIN};
    return times[dice(g) % 8];
}

static krpc_str some_text(gen *g)
{
    static const char *const texts[] = {"Fuzz/call", "Fuzz/inline", "Fuzz/queued", "Fuzz/oneway", "Fuzz/talk", "Fuzz/pull", "call", "queued", "talk",
                                        "Fuzz", "k", "127.0.0.1:0", "127.0.0.1:1", "x/y/z", "", "\xff\xfe", "ttheader", "Item", "text",
                                        "items", "color", "RED", "wrong", "{}", "null", "{\"text\":\"hi\",\"items\":[{}]}"};
    if (one_in(g, 3))
        return krpc_cstr(shared.address);
    krpc_str text = krpc_cstr(texts[dice(g) % (sizeof texts / sizeof texts[0])]);
    if (one_in(g, 24))
        text.ptr = NULL; /* with its length */
    return text;
}

static krpc_bytes some_bytes(gen *g)
{
    static const char structs[][24] = {"\0", "\x0b\0\x01\0\0\0\x02hi\0", "\x0a\0\x01\0\0\0\0\0\0\0\x07\0",
                                       "\x0f\0\x01\x08\0\0\0\x02\0\0\0\x01\0\0\0\x02\0", "\x0c\0\x01\x0c\0\x01\0\0\0",
                                       "\x0f\0\x01\x0b\x7f\xff\xff\xff\0", "\xff\xff\xff\xff\xff\xff\xff"};
    krpc_bytes bytes = KRPC_BYTES(structs[dice(g) % (sizeof structs / sizeof structs[0])], dice(g) % 24);
    if (one_in(g, 24))
        bytes.ptr = NULL;
    return bytes;
}

/* ---- structs that say their size ------------------------------------------------------------------------ */

typedef union {
    size_t struct_size;
    unsigned char bytes[4200];
} sized;

static void some_sized(gen *g, sized *one, size_t known)
{
    memset(one, 0, known);
    size_t sizes[] = {known, known, known, known, known, sizeof(size_t), known - 8, 0, 4096, SIZE_MAX};
    one->struct_size = sizes[dice(g) % 10];
    if (one->struct_size == 4096)
        memset(one->bytes + known, one_in(g, 2), 4096 - known);
}

static void *sized_or_null(gen *g, sized *one) { return one_in(g, 16) ? NULL : one; }

/* ---- handles -------------------------------------------------------------------------------------------- */

enum { ANY, OWN, CLOSED, TAKEN };

static void *pick(gen *g, int type, int how)
{
    static _Alignas(64) char no_handle[4096];
    if (g->stale != NULL && g->stale_type == type) {
        void *stale = g->stale;
        g->stale = NULL;
        return stale;
    }
    if (one_in(g, 20))
        return NULL;
    if (one_in(g, 40))
        return no_handle + (one_in(g, 2) ? 64 : 1);
    if (one_in(g, 30))
        type = (int)(dice(g) % TYPES);
    bool may_share = how == ANY || (how == CLOSED && one_in(g, 64));
    if (may_share && shared.handles[type] != NULL && (g->owned[type] == 0 || one_in(g, 2)))
        return shared.handles[type];
    return g->owned[type] == 0 ? NULL : g->own[type][dice(g) % (unsigned)g->owned[type]];
}

static void forget(gen *g, int type, int index)
{
    g->own[type][index] = g->own[type][--g->owned[type]];
}

static void keep(gen *g, int type, void *handle)
{
    if (handle == NULL)
        return;
    int room = type == T_krpc_runtime || type == T_krpc_server ? 2 : type == T_krpc_client ? 5 : POOL;
    if (g->owned[type] == room) {
        int index = (int)(dice(g) % (unsigned)room);
        void *old = g->own[type][index];
        forget(g, type, index);
        free_handle(type, old);
    }
    g->own[type][g->owned[type]++] = handle;
}

/* A function took it, if it was a handle of that type at all. */
static void was_taken(gen *g, int type, void *handle)
{
    for (int i = 0; i < g->owned[type]; i++) {
        if (g->own[type][i] != handle)
            continue;
        forget(g, type, i);
        if (one_in(g, 6)) {
            free_handle(type, handle);
        } else if (one_in(g, 4)) {
            g->stale = handle;
            g->stale_type = type;
        }
        return;
    }
}

static void free_all(gen *g)
{
    /* In any order. */
    for (int left = 1; left > 0;) {
        left = 0;
        for (int type = 0; type < TYPES; type++)
            left += g->owned[type];
        int type = (int)(dice(g) % TYPES);
        if (g->owned[type] > 0) {
            int index = (int)(dice(g) % (unsigned)g->owned[type]);
            void *handle = g->own[type][index];
            forget(g, type, index);
            free_handle(type, handle);
        }
    }
}

/* ---- what must hold after each call ---------------------------------------------------------------------- */

static void judge(krpc_status status)
{
    krpc_str name = krpc_status_name(status);
    if (status == KRPC_STATUS_INTERNAL || (name.len == 7 && memcmp(name.ptr, "UNKNOWN", 7) == 0))
        BROKEN("an impossible status", status);
}

static void judge_text(const krpc_error *error)
{
    if (krpc_error_status(error) == KRPC_STATUS_INTERNAL) {
        krpc_str text = krpc_error_describe(error);
        fprintf(stderr, "%.*s\n", (int)text.len, text.ptr);
        BROKEN("a failure inside", 0);
    }
}

static void judge_error(krpc_status status, bool wants_error, krpc_error *error)
{
    if (wants_error && (error != NULL) != (status != KRPC_OK))
        BROKEN("status and error disagree", status);
    if (error != NULL && krpc_error_status(error) != status)
        BROKEN("the error has another status", krpc_error_status(error));
    krpc_error_free(error);
}

static void judge_made(bool made, bool wants_error, krpc_error *error)
{
    if (wants_error && made != (error == NULL))
        BROKEN("neither handle nor error, or both", made);
    if (error != NULL)
        judge_text(error);
    krpc_error_free(error);
}

static void judge_reply(const krpc_reply *reply)
{
    if (krpc_reply_error(reply) != NULL)
        judge_text(krpc_reply_error(reply));
}

/* ---- what is given away with a destroy function ------------------------------------------------------------- */

typedef struct cell {
    struct cell *next;
    atomic_int destroyed;
    bool is_excused; /* given in a struct that nobody could read */
} cell;

static pthread_mutex_t cells_mutex = PTHREAD_MUTEX_INITIALIZER;
static cell *cells;

static cell *new_cell(void)
{
    cell *one = (cell *)calloc(1, sizeof *one);
    pthread_mutex_lock(&cells_mutex);
    one->next = cells;
    cells = one;
    pthread_mutex_unlock(&cells_mutex);
    return one;
}

static void on_destroy(void *user_data)
{
    cell *one = (cell *)user_data;
    if (atomic_fetch_add(&one->destroyed, 1) != 0)
        BROKEN("destroyed twice", 0);
    (void)krpc_live_handles(); /* it may call what does not block */
}

static bool all_destroyed(void)
{
    for (const cell *one = cells; one != NULL; one = one->next)
        if (atomic_load(&one->destroyed) != 1 && !one->is_excused)
            return false;
    return true;
}

static void free_cells(void)
{
    while (cells != NULL) {
        cell *one = cells;
        cells = one->next;
        free(one);
    }
}

/* ---- callbacks that call back in --------------------------------------------------------------------------------- */

static void step(gen *g);

/* A few calls from inside, with handles of their own. */
static void some_steps_inside(void *user_data)
{
    static atomic_ulong number;
    const cell *one = (const cell *)user_data;
    if (atomic_load(&one->destroyed) != 0)
        BROKEN("called after destroy", 0);
    atomic_fetch_add(&shared.callbacks, 1);
    gen inside;
    memset(&inside, 0, sizeof inside);
    inside.state = shared.seed * 977 + atomic_fetch_add(&number, 1);
    inside.depth = 1;
    dice(&inside);
    gen *outside = current;
    if (outside != NULL && outside->depth > 2)
        return;
    atomic_fetch_add(&shared.inside, 1);
    inside.depth = outside != NULL ? outside->depth + 1 : 1;
    current = &inside;
    for (uint32_t left = one_in(&inside, 4) ? 3 : 0; left > 0 && !atomic_load(&shared.is_closing); left--)
        step(&inside);
    free_all(&inside);
    atomic_fetch_sub(&shared.inside, 1);
    current = outside;
}

/* Requests that somebody else will answer. */
static struct {
    pthread_mutex_t mutex;
    krpc_request *requests[MAILBOX];
    int count;
} mailbox = {PTHREAD_MUTEX_INITIALIZER, {NULL}, 0};

static bool mail(krpc_request *request)
{
    pthread_mutex_lock(&mailbox.mutex);
    bool room = mailbox.count < MAILBOX;
    if (room)
        mailbox.requests[mailbox.count++] = request;
    pthread_mutex_unlock(&mailbox.mutex);
    return room;
}

static krpc_request *take_mail(void)
{
    pthread_mutex_lock(&mailbox.mutex);
    krpc_request *request = mailbox.count > 0 ? mailbox.requests[--mailbox.count] : NULL;
    pthread_mutex_unlock(&mailbox.mutex);
    return request;
}

/* Streams that somebody else will finish. */
static struct {
    pthread_mutex_t mutex;
    krpc_stream *streams[MAILBOX];
    int count;
} stream_mailbox = {PTHREAD_MUTEX_INITIALIZER, {NULL}, 0};

static bool mail_stream(krpc_stream *stream)
{
    pthread_mutex_lock(&stream_mailbox.mutex);
    bool room = stream_mailbox.count < MAILBOX;
    if (room)
        stream_mailbox.streams[stream_mailbox.count++] = stream;
    pthread_mutex_unlock(&stream_mailbox.mutex);
    return room;
}

static krpc_stream *take_stream_mail(void)
{
    pthread_mutex_lock(&stream_mailbox.mutex);
    krpc_stream *stream = stream_mailbox.count > 0 ? stream_mailbox.streams[--stream_mailbox.count] : NULL;
    pthread_mutex_unlock(&stream_mailbox.mutex);
    return stream;
}

static krpc_message *some_answer(void)
{
    return krpc_message_copy(KRPC_ENCODING_THRIFT_BINARY, KRPC_BYTES("\x0b\0\x01\0\0\0\x02hi\0", 10), NULL);
}

static void on_stream(void *user_data, krpc_stream *stream)
{
    static atomic_uint turn;
    krpc_message *answer = some_answer();
    some_steps_inside(user_data);
    switch (atomic_fetch_add(&turn, 1) % 6) {
    case 0: judge(krpc_stream_fail(stream, 6, KRPC_STR("no"), NULL)); break;
    case 1:
        judge(krpc_stream_try_send_many(stream, (const krpc_message *const *)&answer, 1, NULL, NULL));
        judge(krpc_stream_finish(stream, NULL));
        break;
    case 2: break;
    case 3:
    case 4:
        judge(krpc_stream_try_send_many(stream, (const krpc_message *const *)&answer, 1, NULL, NULL));
        if (mail_stream(stream))
            stream = NULL;
        break;
    default: judge(krpc_stream_finish_biz(stream, 1, KRPC_STR("no"), NULL, NULL)); break;
    }
    krpc_message_free(answer);
    krpc_stream_free(stream);
}

/* An interceptor: looks at all there is, and says something now and then. */
static void on_hook(void *user_data, const krpc_stream_hook *hook)
{
    static atomic_uint turn;
    const cell *one = (const cell *)user_data;
    if (atomic_load(&one->destroyed) != 0)
        BROKEN("hooked after destroy", 0);
    atomic_fetch_add(&shared.callbacks, 1);
    if (krpc_stream_hook_method(hook).len == 0 || krpc_stream_hook_stream(hook) == 0 || krpc_stream_hook_metainfo(hook) == NULL)
        BROKEN("a hook without a stream", 0);
    (void)krpc_stream_hook_service(hook);
    (void)krpc_stream_hook_peer(hook);
    (void)krpc_stream_hook_is_server(hook);
    (void)krpc_stream_hook_state(hook);
    if (krpc_stream_hook_error(hook) != NULL)
        judge_text(krpc_stream_hook_error(hook));
    judge(krpc_stream_hook_set_state(hook, user_data));
    unsigned now = atomic_fetch_add(&turn, 1);
    krpc_message *answer = some_answer();
    if (now % 3 == 0)
        judge(krpc_stream_hook_replace(hook, now % 2 == 0 ? answer : krpc_stream_hook_message(hook), NULL));
    if (now % 4 == 0)
        judge(krpc_stream_hook_set_metainfo(hook, (int32_t)(now / 4 % 5), KRPC_STR("k"), KRPC_STR("v"), NULL));
    if (now % 16 == 0)
        judge(krpc_stream_hook_reject(hook, (int32_t)(now / 16 % 3), KRPC_STR("no"), NULL));
    krpc_message_free(answer);
}

static void on_event(void *user_data, const krpc_stream_event *event)
{
    const cell *one = (const cell *)user_data;
    if (atomic_load(&one->destroyed) != 0)
        BROKEN("told after destroy", 0);
    judge(event->status);
    if (event->error != NULL)
        judge_text(event->error);
    if (event->metainfo == NULL || event->stream == 0 || event->struct_size != sizeof *event)
        BROKEN("an event of nothing", event->kind);
}

static void on_request(void *user_data, krpc_request *request)
{
    static atomic_uint turn;
    some_steps_inside(user_data);
    switch (atomic_fetch_add(&turn, 1) % 6) {
    case 0: krpc_request_fail(request, 6, KRPC_STR("no"), NULL); break;
    case 1: krpc_request_reply(request, krpc_request_message(request), NULL); break;
    case 2: break;
    case 3:
        if (mail(request))
            return;
        break;
    default: krpc_request_reply(request, NULL, NULL); break;
    }
    krpc_request_free(request);
}

static bool on_check(void *user_data, const krpc_decision *decision)
{
    static atomic_uint turn;
    const cell *one = (const cell *)user_data;
    if (atomic_load(&one->destroyed) != 0)
        BROKEN("asked after destroy", 0);
    unsigned now = atomic_fetch_add(&turn, 1);
    if (now % 5 == 0)
        krpc_decision_reject(decision, krpc_decision_method(decision));
    return now % 3 != 0;
}

static void on_end(void *user_data, krpc_reply *reply)
{
    judge_reply(reply);
    some_steps_inside(user_data);
    krpc_reply_free(reply);
}

static void on_log(void *user_data, krpc_log_level level, krpc_str target, krpc_str text)
{
    const cell *one = (const cell *)user_data;
    if (atomic_load(&one->destroyed) != 0)
        BROKEN("logged after destroy", level);
    if (level == KRPC_LOG_LEVEL_ERROR)
        fprintf(stderr, "%.*s: %.*s\n", (int)target.len, target.ptr, (int)text.len, text.ptr);
}

/* ---- options and what is written by hand ------------------------------------------------------------------------ */

static krpc_call_options some_krpc_call_options(gen *g)
{
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = one_in(g, 32) ? -1 : 1 + (int64_t)(dice(g) % 20);
    if (one_in(g, 3))
        options.metainfo = (const krpc_metainfo *)pick(g, T_krpc_metainfo, ANY);
    if (one_in(g, 3))
        options.parent = (const krpc_context *)pick(g, T_krpc_context, ANY);
    if (one_in(g, 3))
        options.retry = (const krpc_retry *)pick(g, T_krpc_retry, ANY);
    if (one_in(g, 32))
        options.struct_size = one_in(g, 2) ? 0 : SIZE_MAX;
    return options;
}

static krpc_runtime_options some_krpc_runtime_options(gen *g)
{
    krpc_runtime_options options = KRPC_RUNTIME_OPTIONS_INIT;
    options.io_threads = one_in(g, 32) ? UINT32_MAX : dice(g) % 3;
    options.worker_threads = 1 + dice(g) % 3;
    return options;
}

/* Always with an end: whatever waits on a stream shall not hold up the run. */
static krpc_stream_options some_krpc_stream_options(gen *g)
{
    krpc_stream_options options = KRPC_STREAM_OPTIONS_INIT;
    options.timeout_ms = one_in(g, 32) ? -1 : 1 + (int64_t)(dice(g) % 20);
    if (one_in(g, 4))
        options.recv_timeout_ms = some_time(g);
    if (one_in(g, 8))
        options.idle_timeout_ms = some_time(g);
    if (one_in(g, 3))
        options.metainfo = (const krpc_metainfo *)pick(g, T_krpc_metainfo, ANY);
    if (one_in(g, 3))
        options.parent = (const krpc_context *)pick(g, T_krpc_context, ANY);
    options.flags = one_in(g, 32) ? 64 : dice(g) % 4;
    if (one_in(g, 32))
        options.struct_size = one_in(g, 2) ? 0 : SIZE_MAX;
    return options;
}

/* A struct that gives something away is sometimes of no size at all: then nobody can know what it gives. */
static void maybe_unreadable(gen *g, size_t *struct_size, cell *one)
{
    if (one_in(g, 32)) {
        *struct_size = one_in(g, 2) ? 1 : SIZE_MAX;
        one->is_excused = true;
    }
}

static cell *some_krpc_completion(gen *g, krpc_completion *completion)
{
    static const krpc_completion empty = KRPC_COMPLETION_INIT;
    cell *one = new_cell();
    *completion = empty;
    completion->user_data = one;
    completion->destroy = on_destroy;
    completion->tag = dice(g) % 16;
    if (one_in(g, 2))
        completion->queue = (krpc_queue *)pick(g, T_krpc_queue, ANY);
    if (completion->queue == NULL ? some_bool(g) : one_in(g, 16))
        completion->callback = on_end;
    maybe_unreadable(g, &completion->struct_size, one);
    return one;
}

static cell *some_krpc_stream_observer(gen *g, krpc_stream_observer *observer)
{
    static const krpc_stream_observer empty = KRPC_STREAM_OBSERVER_INIT;
    cell *one = new_cell();
    *observer = empty;
    observer->user_data = one;
    observer->destroy = on_destroy;
    observer->tag = dice(g) % 16;
    observer->kinds = one_in(g, 2) ? 0 : dice(g) % 256;
    if (one_in(g, 2))
        observer->queue = (krpc_queue *)pick(g, T_krpc_queue, ANY);
    if (observer->queue == NULL ? some_bool(g) : one_in(g, 16))
        observer->callback = on_event;
    maybe_unreadable(g, &observer->struct_size, one);
    return one;
}

static cell *some_krpc_stream_interceptor(gen *g, krpc_stream_interceptor *interceptor)
{
    static const krpc_stream_interceptor empty = KRPC_STREAM_INTERCEPTOR_INIT;
    cell *one = new_cell();
    *interceptor = empty;
    interceptor->user_data = one;
    interceptor->destroy = on_destroy;
    krpc_stream_hook_fn *const functions[] = {&interceptor->open, &interceptor->send, &interceptor->recv,
                                              &interceptor->meta, &interceptor->finish, &interceptor->end};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (some_bool(g))
            *functions[i] = on_hook;
    maybe_unreadable(g, &interceptor->struct_size, one);
    return one;
}

/* What a function that failed was given is given back. */
static void judge_given(krpc_status status, const cell *one)
{
    if (status != KRPC_OK && !one->is_excused && atomic_load(&one->destroyed) != 1)
        BROKEN("a failure without destroy", status);
}

static void call_krpc_client_start(gen *g)
{
    krpc_completion completion;
    cell *one = some_krpc_completion(g, &completion);
    const krpc_client *client = (const krpc_client *)pick(g, T_krpc_client, ANY);
    const krpc_method *method = (const krpc_method *)pick(g, T_krpc_method, ANY);
    const krpc_message *request = (const krpc_message *)pick(g, T_krpc_message, ANY);
    krpc_call_options options = some_krpc_call_options(g);
    if (one_in(g, 4))
        options.timeout_ms = 0;
    krpc_op *op = NULL;
    krpc_error *error = NULL;
    krpc_status status = krpc_client_start(client, method, request, one_in(g, 8) ? NULL : &options, &completion,
                                           some_bool(g) ? &op : NULL, &error);
    judge(status);
    judge_error(status, true, error);
    judge_given(status, one);
    if (status != KRPC_OK && op != NULL)
        BROKEN("a start failed but gave an operation", status);
    keep(g, T_krpc_op, op);
}

static void call_krpc_client_start_many(gen *g)
{
    krpc_call calls[BATCH] = {{NULL, NULL, 0}};
    size_t count = dice(g) % (BATCH + 1), started = 99;
    for (size_t i = 0; i < count; i++) {
        calls[i].method = (const krpc_method *)pick(g, T_krpc_method, ANY);
        calls[i].request = (const krpc_message *)pick(g, T_krpc_message, ANY);
        calls[i].tag = dice(g) % 16;
    }
    krpc_call_options options = some_krpc_call_options(g);
    const krpc_client *client = (const krpc_client *)pick(g, T_krpc_client, ANY);
    krpc_status status = krpc_client_start_many(client, calls, sizeof(krpc_call), count, &options,
                                                (krpc_queue *)pick(g, T_krpc_queue, ANY), &started, NULL);
    judge(status);
    if (started > count || (status == KRPC_OK && started != count))
        BROKEN("started another number of calls", (long)started);
}

static void call_krpc_queue_take(gen *g)
{
    krpc_event events[BATCH];
    size_t count = 99, capacity = dice(g) % (BATCH + 1);
    krpc_status status =
        krpc_queue_take((const krpc_queue *)pick(g, T_krpc_queue, ANY), one_in(g, 32) ? NULL : events,
                        one_in(g, 32) ? 8 : sizeof events[0], capacity, some_time(g), &count);
    judge(status);
    if (count > capacity || (status != KRPC_OK && count != 0))
        BROKEN("took another number of events", (long)count);
    for (size_t i = 0; i < count; i++) {
        judge(events[i].status);
        judge_reply(events[i].reply);
        if (one_in(g, 3)) { /* keeps what it carries */
            keep(g, T_krpc_reply, events[i].reply);
            keep(g, T_krpc_request, events[i].request);
            keep(g, T_krpc_decision, events[i].decision);
            keep(g, T_krpc_stream, events[i].stream);
            keep(g, T_krpc_message, events[i].message);
            keep(g, T_krpc_error, events[i].error);
            keep(g, T_krpc_stream_record, events[i].record);
            memset(&events[i], 0, sizeof events[i]);
        } else if (events[i].request != NULL && one_in(g, 2)) {
            krpc_request_reply(events[i].request, NULL, NULL);
        } else if (events[i].decision != NULL) {
            krpc_decision_allow(events[i].decision);
        }
    }
    if (one_in(g, 2)) {
        krpc_event_release_many(events, sizeof events[0], count);
    } else {
        for (size_t i = 0; i < count; i++)
            krpc_event_release(&events[i]);
    }
}

static size_t some_messages(gen *g, const krpc_message *messages[BATCH])
{
    size_t count = dice(g) % (BATCH + 1);
    for (size_t i = 0; i < count; i++)
        messages[i] = (const krpc_message *)pick(g, T_krpc_message, ANY);
    return count;
}

static void call_krpc_stream_send_many(gen *g)
{
    const krpc_message *messages[BATCH] = {NULL};
    size_t count = some_messages(g, messages);
    krpc_error *error = NULL;
    krpc_status status = krpc_stream_send_many((const krpc_stream *)pick(g, T_krpc_stream, ANY),
                                               one_in(g, 16) ? NULL : messages, count, &error);
    judge(status);
    judge_error(status, true, error);
}

static void call_krpc_stream_try_send_many(gen *g)
{
    const krpc_message *messages[BATCH] = {NULL};
    size_t count = some_messages(g, messages), sent = 99;
    krpc_error *error = NULL;
    krpc_status status = krpc_stream_try_send_many((const krpc_stream *)pick(g, T_krpc_stream, ANY),
                                                   one_in(g, 16) ? NULL : messages, count, &sent, &error);
    judge(status);
    judge_error(status, true, error);
    if (sent > count || (status != KRPC_OK && sent != 0))
        BROKEN("sent another number of messages", (long)sent);
}

static void call_krpc_stream_recv_many(gen *g)
{
    krpc_message *messages[BATCH] = {NULL};
    size_t capacity = dice(g) % (BATCH + 1), count = 99;
    krpc_error *error = NULL;
    krpc_status status = krpc_stream_recv_many((const krpc_stream *)pick(g, T_krpc_stream, ANY),
                                               one_in(g, 16) ? NULL : messages, capacity, &count, &error);
    judge(status);
    judge_error(status, true, error);
    if (count > capacity || (status != KRPC_OK && count != 0))
        BROKEN("received another number of messages", (long)count);
    for (size_t i = 0; i < count; i++)
        keep(g, T_krpc_message, messages[i]);
}

static void call_krpc_event_release(gen *g)
{
    krpc_event event;
    memset(&event, 0, sizeof event);
    krpc_event_release(one_in(g, 2) ? NULL : &event);
}

static void call_krpc_event_release_many(gen *g)
{
    krpc_event events[2];
    memset(events, 0, sizeof events);
    krpc_event_release_many(one_in(g, 4) ? NULL : events, one_in(g, 4) ? 7 : sizeof events[0], dice(g) % 3);
}

static void call_krpc_request_reply_many(gen *g)
{
    krpc_request *requests[BATCH] = {NULL};
    const krpc_message *results[BATCH] = {NULL};
    krpc_status statuses[BATCH];
    size_t count = dice(g) % (BATCH + 1), ok = 0;
    for (size_t i = 0; i < count; i++) {
        requests[i] = (krpc_request *)pick(g, T_krpc_request, OWN);
        results[i] = (const krpc_message *)pick(g, T_krpc_message, ANY);
        statuses[i] = -1;
    }
    size_t answered = krpc_request_reply_many(requests, one_in(g, 8) ? NULL : results, count, statuses);
    for (size_t i = 0; i < count; i++) {
        judge(statuses[i]);
        ok += statuses[i] == KRPC_OK;
    }
    if (ok != answered)
        BROKEN("answers and statuses disagree", (long)answered);
}

static void call_krpc_message_segments(gen *g)
{
    krpc_bytes segments[BATCH];
    size_t count = 0;
    judge(krpc_message_segments((const krpc_message *)pick(g, T_krpc_message, ANY), one_in(g, 8) ? NULL : segments,
                                dice(g) % BATCH, one_in(g, 8) ? NULL : &count));
}

static void call_krpc_message_from_segments(gen *g)
{
    krpc_bytes segments[BATCH];
    for (int i = 0; i < BATCH; i++)
        segments[i] = some_bytes(g);
    krpc_error *error = NULL;
    krpc_message *made = krpc_message_from_segments(some_int32(g), segments, dice(g) % BATCH, &error);
    judge_made(made != NULL, true, error);
    keep(g, T_krpc_message, made);
}

static void call_krpc_message_wrap(gen *g)
{
    krpc_error *error = NULL;
    krpc_message *made = krpc_message_wrap(some_int32(g), some_bytes(g), new_cell(), on_destroy, &error);
    judge_made(made != NULL, true, error);
    keep(g, T_krpc_message, made);
}

static const char IDL[] = "enum Color { RED = 1 } exception Wrong { 1: string text }\n"
                          "struct Item { 1: string text, 2: list<Item> items, 3: Color color = 1 }\n"
                          "service Fuzz { Item call(1: Item item) throws (1: Wrong wrong), string inline(1: string text)\n"
                          "  i64 queued(1: i64 left, 2: required i64 right), oneway void oneway(1: string text)\n"
                          "  Item talk(1: Item item) (streaming.mode = 'bidirectional')\n"
                          "  Item pull(1: Item item) (streaming.mode = 'server') }\n";

static void call_krpc_idl_parse_file(gen *g)
{
    krpc_str directories[BATCH];
    for (int i = 0; i < BATCH; i++)
        directories[i] = some_text(g);
    krpc_error *error = NULL;
    krpc_str path = one_in(g, 2) ? KRPC_STR("examples-c/chat.thrift") : some_text(g);
    krpc_idl *made = krpc_idl_parse_file(path, one_in(g, 8) ? NULL : directories, dice(g) % BATCH, &error);
    judge_made(made != NULL, true, error);
    keep(g, T_krpc_idl, made);
}

static void call_krpc_idl_parse_memory(gen *g)
{
    krpc_idl_file files[2];
    for (int i = 0; i < 2; i++) {
        files[i].name = some_text(g);
        files[i].text = krpc_cstr(IDL);
        files[i].text.len -= one_in(g, 2) ? 0 : dice(g) % (sizeof IDL - 1);
    }
    krpc_error *error = NULL;
    krpc_str main_file = one_in(g, 2) ? files[0].name : some_text(g);
    krpc_idl *made = krpc_idl_parse_memory(one_in(g, 8) ? NULL : files, dice(g) % 3, main_file, &error);
    judge_made(made != NULL, true, error);
    keep(g, T_krpc_idl, made);
}

static void call_krpc_log_set(gen *g)
{
    judge(krpc_log_set(some_int32(g), one_in(g, 2) ? NULL : on_log, new_cell(), on_destroy, NULL));
}

#define FUZZ_TABLE
#include "table.h" /* and a random call for each other function */

/* ---- steps ------------------------------------------------------------------------------------------------------- */

enum { FUNCTIONS = sizeof TABLE / sizeof TABLE[0] };
static atomic_ulong called[FUNCTIONS];

static void call_at(gen *g, int index)
{
    g->trace[g->traced++ % TRACE] = TABLE[index].name;
    atomic_fetch_add(&called[index], 1);
    atomic_fetch_add(&shared.calls, 1);
    atomic_fetch_add(&shared.progress, 1);
    const void *stale = g->stale;
    TABLE[index].call(g);
    if (g->stale == stale)
        g->stale = NULL; /* only ever in the very next call */
}

static int index_of(const char *name)
{
    for (int i = 0; i < FUNCTIONS; i++)
        if (strcmp(TABLE[i].name, name) == 0)
            return i;
    BROKEN(name, 0);
    return 0;
}

/* What moves calls along comes more often than the rest. */
static void step(gen *g)
{
    static const char *const hot[] = {"krpc_client_start", "krpc_client_start_many", "krpc_queue_take",
                                      "krpc_queue_take", "krpc_client_call", "krpc_request_reply_many",
                                      "krpc_op_cancel", "krpc_op_free", "krpc_queue_cancel", "krpc_context_new",
                                      "krpc_client_open_stream", "krpc_client_start_open_stream",
                                      "krpc_stream_try_send_many", "krpc_stream_start_recv_many", "krpc_stream_deliver"};
    if (one_in(g, 3))
        keep(g, T_krpc_request, take_mail());
    if (one_in(g, 3))
        keep(g, T_krpc_stream, take_stream_mail());
    if (one_in(g, 2))
        call_at(g, (int)(dice(g) % FUNCTIONS));
    else
        call_at(g, index_of(hot[dice(g) % (sizeof hot / sizeof hot[0])]));
}

static void *run_thread(void *argument)
{
    gen *g = (gen *)argument;
    current = g;
    for (int left = STEPS; left > 0; left--)
        step(g);
    free_all(g);
    current = NULL;
    return NULL;
}

/* ---- episodes ------------------------------------------------------------------------------------------------------ */

static void open_shared(gen *g)
{
    krpc_runtime *runtime = krpc_runtime_new(NULL, NULL);
    krpc_queue *queue = krpc_queue_new(64, NULL);
    krpc_idl_file file = {KRPC_STR("fuzz.thrift"), krpc_cstr(IDL)};
    krpc_idl *idl = krpc_idl_parse_memory(&file, 1, KRPC_STR(""), NULL);
    krpc_service *service = one_in(g, 2) ? krpc_service_new(KRPC_STR("Fuzz"), NULL)
                                         : krpc_service_from_idl(idl, KRPC_STR("Fuzz"), NULL);
    krpc_service_add_method(service, KRPC_STR("call"), 0, on_request, new_cell(), on_destroy, NULL);
    krpc_service_add_method(service, KRPC_STR("inline"), KRPC_METHOD_FLAG_INLINE, on_request, new_cell(), on_destroy, NULL);
    krpc_service_add_method(service, KRPC_STR("oneway"), KRPC_METHOD_FLAG_ONEWAY, on_request, new_cell(), on_destroy, NULL);
    krpc_service_add_queued_method(service, KRPC_STR("queued"), 0, queue, 7, NULL);
    krpc_service_add_stream(service, KRPC_STR("talk"), KRPC_STREAMING_BIDIRECTIONAL, one_in(g, 2) ? KRPC_METHOD_FLAG_INLINE : 0,
                            on_stream, new_cell(), on_destroy, NULL);
    krpc_service_add_queued_stream(service, KRPC_STR("pull"), KRPC_STREAMING_SERVER, queue, 9, NULL);
    krpc_stream_interceptor interceptor;
    krpc_stream_observer observer;
    if (one_in(g, 2)) {
        some_krpc_stream_interceptor(g, &interceptor);
        krpc_service_add_stream_interceptor(service, &interceptor, NULL);
    }
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    if (one_in(g, 2))
        krpc_server_options_set_runtime(options, runtime, NULL);
    if (one_in(g, 3))
        krpc_server_options_set_acl(options, on_check, new_cell(), on_destroy, NULL);
    else if (one_in(g, 2))
        krpc_server_options_set_acl_queue(options, queue, 8, 5, some_bool(g), NULL);
    if (one_in(g, 2)) {
        some_krpc_stream_observer(g, &observer);
        krpc_server_options_set_stream_observer(options, &observer, NULL);
    }
    krpc_server *server = krpc_server_build(options, NULL);
    if (server == NULL)
        BROKEN("no server", 0);
    krpc_str address = krpc_server_address(server, 0);
    snprintf(shared.address, sizeof shared.address, "%.*s", (int)address.len, address.ptr);

    krpc_client_options *to = krpc_client_options_new(KRPC_STR("fuzz"), NULL);
    krpc_client_options_add_address(to, address, NULL);
    krpc_client_options_set_transport(to, 1 + (int32_t)(dice(g) % 4), NULL);
    if (one_in(g, 2)) {
        some_krpc_stream_interceptor(g, &interceptor);
        krpc_client_options_add_stream_interceptor(to, &interceptor, NULL);
    }
    if (one_in(g, 2)) {
        some_krpc_stream_observer(g, &observer);
        krpc_client_options_set_stream_observer(to, &observer, NULL);
    }
    krpc_client *client = krpc_client_build(to, NULL);
    static const char *const methods[] = {"Fuzz/call", "Fuzz/inline", "Fuzz/queued", "Fuzz/talk", "Fuzz/pull"};
    shared.handles[T_krpc_runtime] = runtime;
    shared.handles[T_krpc_queue] = queue;
    shared.handles[T_krpc_server] = server;
    shared.handles[T_krpc_client] = client;
    krpc_str method = krpc_cstr(methods[dice(g) % 5]);
    shared.handles[T_krpc_idl] = idl;
    shared.handles[T_krpc_shape] = krpc_idl_request(idl, method, NULL);
    shared.handles[T_krpc_method] = one_in(g, 2) ? krpc_client_method(client, method, 0, NULL)
                                                 : krpc_client_method_from_idl(client, idl, method, 0, NULL);
    krpc_method *talk = krpc_client_method(client, KRPC_STR("Fuzz/talk"), 0, NULL);
    krpc_stream_options limits = KRPC_STREAM_OPTIONS_INIT;
    limits.timeout_ms = 1 + (int64_t)(dice(g) % 200);
    krpc_stream *stream = NULL;
    krpc_client_open_stream(client, talk, &limits, &stream, NULL); /* or an interceptor has refused it */
    krpc_method_free(talk);
    shared.handles[T_krpc_stream] = stream;
    shared.handles[T_krpc_context] = krpc_context_new(NULL, 0, NULL, NULL);
    shared.handles[T_krpc_message] = krpc_message_copy(KRPC_ENCODING_THRIFT_BINARY, KRPC_BYTES("\0", 1), NULL);
    shared.handles[T_krpc_metainfo] = krpc_metainfo_new();
    krpc_metainfo_set((krpc_metainfo *)shared.handles[T_krpc_metainfo], KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("k"),
                      KRPC_STR("v"), NULL);
}

static void close_shared(gen *g)
{
    /* What other threads still use must not be freed. */
    atomic_store(&shared.is_closing, true);
    while (atomic_load(&shared.inside) > 0)
        usleep(100);
    for (unsigned left = TYPES, at = dice(g); left > 0; left--, at++) {
        int type = (int)(at % TYPES);
        void *handle = shared.handles[type];
        shared.handles[type] = NULL;
        if (handle != NULL)
            free_handle(type, handle);
    }
    krpc_log_set(0, NULL, NULL, NULL, NULL);
}

/* Handlers and callbacks may still run; what they leave is freed here. */
static void settle(void)
{
    struct timespec pause = {0, 1000000};
    for (int tries = HANG_SECONDS * 1000; krpc_live_handles() > 0 || !all_destroyed(); tries--) {
        for (krpc_request *request = take_mail(); request != NULL; request = take_mail())
            krpc_request_free(request);
        for (krpc_stream *stream = take_stream_mail(); stream != NULL; stream = take_stream_mail())
            krpc_stream_free(stream);
        nanosleep(&pause, NULL);
        atomic_fetch_add(&shared.progress, tries > 0);
        if (tries == 0) {
            krpc_bytes report = krpc_message_bytes(krpc_runtime_report(KRPC_REPORT_FORMAT_TEXT, NULL));
            fprintf(stderr, "%.*s\n", (int)report.len, (const char *)report.ptr);
            BROKEN("something is left", (long)krpc_live_handles());
        }
    }
}

static void run_episode(uint64_t seed)
{
    shared.seed = seed;
    atomic_store(&shared.is_closing, false);
    gen main_gen;
    memset(&main_gen, 0, sizeof main_gen);
    main_gen.state = seed * 31 + 7;
    current = &main_gen;
    dice(&main_gen);
    open_shared(&main_gen);
    static gen gens[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        memset(&gens[i], 0, sizeof gens[i]);
        gens[i].state = seed * 1000003 + (uint64_t)i;
        if (pthread_create(&threads[i], NULL, run_thread, &gens[i]) != 0)
            BROKEN("no thread", i);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    close_shared(&main_gen);
    settle();
    free_cells();
}

/* ---- ends ------------------------------------------------------------------------------------------------------------- */

static void *watch_for_hangs(void *argument)
{
    (void)argument;
    for (long before = -1;;) {
        sleep(HANG_SECONDS);
        long now = atomic_load(&shared.progress);
        if (now == before) {
            fprintf(stderr, "seed %llu: nothing has happened for %d s\n", (unsigned long long)shared.seed, HANG_SECONDS);
            abort();
        }
        before = now;
    }
    return NULL;
}

#ifndef __SANITIZE_ADDRESS__ /* which says more about it */
static void on_crash(int number)
{
    fprintf(stderr, "seed %llu: signal %d; calls before, newest first:\n", (unsigned long long)shared.seed, number);
    print_trace();
    signal(number, SIG_DFL);
    raise(number);
}
#endif

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    time_t until = time(NULL) + (argc > 2 ? atol(argv[2]) : 10);
#ifndef __SANITIZE_ADDRESS__
    signal(SIGSEGV, on_crash);
    signal(SIGBUS, on_crash);
#endif
    pthread_t watcher;
    if (pthread_create(&watcher, NULL, watch_for_hangs, NULL) == 0)
        pthread_detach(watcher);
    int episodes = 0, never = 0;
    do {
        run_episode(seed++);
        episodes++;
    } while (time(NULL) < until);
    for (int i = 0; i < FUNCTIONS; i++) {
        if (atomic_load(&called[i]) == 0) {
            fprintf(stderr, "%s was never called\n", TABLE[i].name);
            never++;
        }
    }
    printf("%lu calls of %d functions, %lu callbacks, %d episodes\n", atomic_load(&shared.calls), (int)FUNCTIONS,
           atomic_load(&shared.callbacks), episodes);
    return never > 0;
}
