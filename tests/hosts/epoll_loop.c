/* A program with one thread, an epoll loop and timers, as they were written in 2008: it serves by queue and
 * calls itself or another server, all from that loop. The queues are two descriptors among others.
 *
 *   epoll_loop                               10,000 calls to its own server
 *   epoll_loop ADDRESS METHOD PREFIX CALLS   calls a server whose answer is PREFIX and the text
 *
 * Checked: nothing is lost, doubled, crossed or leaked; the loop is woken for what its descriptors say and
 * for nothing else. Prints one line; exit code 0 if all is well.
 */
#include <krpc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    IN_FLIGHT = 1000,
    BATCH = 64,
    TICK_MS = 10,
    BOUND_SECONDS = 120,
    CANCEL_ONE_IN = 12,
    DELAY_ONE_IN = 10,
};

#define NEVER UINT64_MAX

static void die(const char *what)
{
    fprintf(stderr, "epoll_loop: %s (errno %s)\n", what, strerror(errno));
    exit(1);
}

#define MUST(condition) ((condition) ? (void)0 : die(#condition))

static uint64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000u;
}

/* The same numbers on each run. */
static uint32_t dice(void)
{
    static uint64_t state = 20080808;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

/* ---- timers: a heap, soonest first ------------------------------------------------------------------- */

struct loop;
typedef void (*timer_fn)(struct loop *loop, void *data);

struct timer {
    uint64_t at_us;
    timer_fn run;
    void *data;
};

struct heap {
    struct timer *timers;
    size_t count;
    size_t room;
};

static void heap_swap(struct heap *heap, size_t a, size_t b)
{
    struct timer kept = heap->timers[a];
    heap->timers[a] = heap->timers[b];
    heap->timers[b] = kept;
}

static void heap_push(struct heap *heap, uint64_t at_us, timer_fn run, void *data)
{
    if (heap->count == heap->room) {
        heap->room = heap->room * 2 + 16;
        heap->timers = realloc(heap->timers, heap->room * sizeof heap->timers[0]);
        MUST(heap->timers != NULL);
    }
    size_t at = heap->count++;
    heap->timers[at] = (struct timer){at_us, run, data};
    for (; at > 0 && heap->timers[at].at_us < heap->timers[(at - 1) / 2].at_us; at = (at - 1) / 2)
        heap_swap(heap, at, (at - 1) / 2);
}

static struct timer heap_pop(struct heap *heap)
{
    struct timer first = heap->timers[0];
    heap->timers[0] = heap->timers[--heap->count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap->count; child++)
            if (heap->timers[child].at_us < heap->timers[least].at_us)
                least = child;
        if (least == at)
            return first;
        heap_swap(heap, at, least);
        at = least;
    }
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

enum call_state { NOT_STARTED, STARTED, ENDED };

struct call {
    enum call_state state;
    int is_unwanted; /* a timer will cancel it */
};

struct loop {
    int epoll;
    struct heap timers;
    uint64_t woken; /* times that epoll_wait returned with something */
    uint64_t ticks;
    uint64_t latest_tick_us;
    uint64_t tick_due_us;

    krpc_queue *ends;
    krpc_queue *requests;
    krpc_client *client;
    krpc_method *method;
    const char *prefix;

    struct call *calls;
    size_t count; /* to be made */
    size_t next;
    size_t in_flight;
    size_t ok;
    size_t cancelled;
    size_t answered; /* by our own server */
    size_t waiting;  /* requests that a timer will answer */
};

static void on_tick(struct loop *loop, void *data)
{
    (void)data;
    uint64_t now = now_us(), late = now - loop->tick_due_us;
    if (loop->ticks++ > 0 && late > loop->latest_tick_us)
        loop->latest_tick_us = late;
    loop->tick_due_us = now + TICK_MS * 1000;
    heap_push(&loop->timers, loop->tick_due_us, on_tick, NULL);
}

/* ---- messages: a struct with one string, written and read by hand ------------------------------------------ */

static krpc_message *text_message(unsigned char field, const char *text)
{
    char bytes[128];
    size_t len = strlen(text);
    MUST(len + 8 <= sizeof bytes);
    const unsigned char head[7] = {11, 0, field, 0, 0, 0, (unsigned char)len};
    memcpy(bytes, head, 7);
    memcpy(bytes + 7, text, len);
    bytes[7 + len] = 0;
    krpc_message *message = krpc_message_copy(KRPC_ENCODING_THRIFT_BINARY, KRPC_BYTES(bytes, len + 8), NULL);
    MUST(message != NULL);
    return message;
}

static krpc_str text_in(const krpc_message *message)
{
    krpc_bytes bytes = krpc_message_bytes(message);
    MUST(bytes.len >= 8 && bytes.ptr[0] == 11 && bytes.ptr[6] == bytes.len - 8);
    krpc_str text = {(const char *)bytes.ptr + 7, bytes.len - 8};
    return text;
}

/* ---- calls ----------------------------------------------------------------------------------------------------- */

static void on_change_of_mind(struct loop *loop, void *data)
{
    uint64_t tag = (uint64_t)(uintptr_t)data;
    if (loop->calls[tag].state == STARTED)
        krpc_queue_cancel(loop->ends, tag);
}

/* Starts as many calls as may be in flight, with one crossing. */
static void start_calls(struct loop *loop)
{
    krpc_call batch[BATCH];
    krpc_message *texts[BATCH];
    size_t count = 0, started = 0;
    while (count < BATCH && loop->next + count < loop->count && loop->in_flight + count < IN_FLIGHT) {
        char text[32];
        snprintf(text, sizeof text, "call %zu", loop->next + count);
        texts[count] = text_message(1, text);
        batch[count].method = loop->method;
        batch[count].request = texts[count];
        batch[count].tag = loop->next + count;
        count++;
    }
    if (count == 0)
        return;
    krpc_status status = krpc_client_start_many(loop->client, batch, sizeof(krpc_call), count, NULL, loop->ends, &started, NULL);
    MUST(status == KRPC_OK || status == KRPC_STATUS_QUEUE_FULL); /* full: once more when some have ended */
    for (size_t i = 0; i < count; i++)
        krpc_message_free(texts[i]);
    uint64_t now = now_us();
    for (size_t tag = loop->next; tag < loop->next + started; tag++) {
        loop->calls[tag].state = STARTED;
        if (dice() % CANCEL_ONE_IN == 0) {
            loop->calls[tag].is_unwanted = 1;
            heap_push(&loop->timers, now + dice() % 5000, on_change_of_mind, (void *)(uintptr_t)tag);
        }
    }
    loop->next += started;
    loop->in_flight += started;
}

static void on_end(struct loop *loop, const krpc_event *event)
{
    MUST(event->kind == KRPC_EVENT_KIND_CALL && event->tag < loop->count);
    struct call *call = &loop->calls[event->tag];
    MUST(call->state == STARTED); /* else it was doubled */
    call->state = ENDED;
    loop->in_flight--;
    if (event->status == KRPC_STATUS_CANCELLED) {
        MUST(call->is_unwanted);
        loop->cancelled++;
        return;
    }
    if (event->status != KRPC_OK) {
        krpc_str why = krpc_error_describe(krpc_reply_error(event->reply));
        fprintf(stderr, "%.*s\n", (int)why.len, why.ptr);
        exit(1);
    }
    char expected[64];
    snprintf(expected, sizeof expected, "%scall %zu", loop->prefix, (size_t)event->tag);
    krpc_str text = text_in(krpc_reply_message(event->reply));
    MUST(text.len == strlen(expected) && memcmp(text.ptr, expected, text.len) == 0); /* else it was crossed */
    loop->ok++;
}

static void take_ends(struct loop *loop)
{
    krpc_event events[BATCH];
    size_t count;
    do {
        MUST(krpc_queue_take(loop->ends, events, sizeof events[0], BATCH, 0, &count) == KRPC_OK);
        for (size_t i = 0; i < count; i++)
            on_end(loop, &events[i]);
        krpc_event_release_many(events, sizeof events[0], count);
        start_calls(loop);
    } while (count == BATCH); /* edge-triggered: until it is empty */
}

/* ---- the server --------------------------------------------------------------------------------------------------- */

static krpc_message *answer_to(const krpc_request *request)
{
    char answer[64];
    krpc_str text = text_in(krpc_request_message(request));
    snprintf(answer, sizeof answer, "%.*s", (int)text.len, text.ptr);
    return text_message(0, answer);
}

static void on_late_answer(struct loop *loop, void *data)
{
    krpc_request *request = data;
    krpc_message *result = answer_to(request);
    krpc_status status = krpc_request_reply(request, result, NULL);
    MUST(status == KRPC_OK || status == KRPC_STATUS_GONE);
    krpc_message_free(result);
    krpc_request_free(request);
    loop->waiting--;
    loop->answered++;
}

static void take_requests(struct loop *loop)
{
    krpc_event events[BATCH];
    size_t count;
    do {
        MUST(krpc_queue_take(loop->requests, events, sizeof events[0], BATCH, 0, &count) == KRPC_OK);
        krpc_request *requests[BATCH] = {NULL};
        krpc_message *results[BATCH] = {NULL};
        size_t answers = 0;
        for (size_t i = 0; i < count; i++) {
            MUST(events[i].kind == KRPC_EVENT_KIND_REQUEST && events[i].tag == 1);
            if (dice() % DELAY_ONE_IN == 0) {
                heap_push(&loop->timers, now_us() + dice() % 4000, on_late_answer, events[i].request);
                events[i].request = NULL; /* kept */
                loop->waiting++;
            } else {
                results[answers] = answer_to(events[i].request);
                requests[answers++] = events[i].request;
            }
        }
        krpc_request_reply_many(requests, (const krpc_message *const *)results, answers, NULL);
        loop->answered += answers;
        for (size_t i = 0; i < answers; i++)
            krpc_message_free(results[i]);
        krpc_event_release_many(events, sizeof events[0], count);
    } while (count == BATCH);
}

static krpc_server *start_server(struct loop *loop)
{
    krpc_service *service = krpc_service_new(KRPC_STR("Loop"), NULL);
    MUST(krpc_service_add_queued_method(service, KRPC_STR("echo"), 0, loop->requests, 1, NULL) == KRPC_OK);
    krpc_server_options *options = krpc_server_options_new();
    MUST(krpc_server_options_add_service(options, service, false, NULL) == KRPC_OK);
    MUST(krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL) == KRPC_OK);
    krpc_server *server = krpc_server_build(options, NULL);
    MUST(server != NULL);
    return server;
}

/* ---- running ---------------------------------------------------------------------------------------------------------- */

static void watch(struct loop *loop, const krpc_queue *queue, void (*run)(struct loop *))
{
    int32_t fd;
    MUST(krpc_queue_fd(queue, &fd, NULL) == KRPC_OK);
    struct epoll_event interest;
    memset(&interest, 0, sizeof interest);
    interest.events = EPOLLIN | EPOLLET;
    interest.data.u32 = run == take_ends;
    MUST(epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &interest) == 0);
}

static int wait_ms(const struct loop *loop)
{
    uint64_t now = now_us(), next = loop->timers.count > 0 ? loop->timers.timers[0].at_us : NEVER;
    if (next == NEVER)
        return 1000;
    return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

static void run(struct loop *loop)
{
    on_tick(loop, NULL);
    start_calls(loop);
    while (loop->ok + loop->cancelled < loop->count || loop->waiting > 0) {
        struct epoll_event ready[8];
        int count = epoll_wait(loop->epoll, ready, 8, wait_ms(loop));
        MUST(count >= 0 || errno == EINTR);
        loop->woken += count > 0;
        for (int i = 0; i < count; i++)
            (ready[i].data.u32 ? take_ends : take_requests)(loop);
        while (loop->timers.count > 0 && loop->timers.timers[0].at_us <= now_us()) {
            struct timer timer = heap_pop(&loop->timers);
            timer.run(loop, timer.data);
        }
        start_calls(loop);
    }
}

static krpc_queue *queue_of(size_t capacity)
{
    krpc_queue *queue = krpc_queue_new(capacity, NULL);
    MUST(queue != NULL);
    return queue;
}

static void connect_to(struct loop *loop, krpc_str address, krpc_str method)
{
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("loop"), NULL);
    MUST(krpc_client_options_add_address(options, address, NULL) == KRPC_OK);
    MUST(krpc_client_options_set_max_idle_connections(options, IN_FLIGHT, NULL) == KRPC_OK);
    MUST(krpc_client_options_set_timeout_ms(options, BOUND_SECONDS * 1000, NULL) == KRPC_OK);
    MUST(krpc_client_options_set_connect_timeout_ms(options, BOUND_SECONDS * 1000, NULL) == KRPC_OK);
    loop->client = krpc_client_build(options, NULL);
    MUST(loop->client != NULL);
    loop->method = krpc_client_method(loop->client, method, 0, NULL);
    MUST(loop->method != NULL);
}

int main(int argc, char **argv)
{
    alarm(BOUND_SECONDS);
    struct rlimit files;
    MUST(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    struct loop loop;
    memset(&loop, 0, sizeof loop);
    loop.prefix = argc > 3 ? argv[3] : "";
    loop.count = argc > 4 ? (size_t)strtoul(argv[4], NULL, 10) : 10000;
    loop.calls = calloc(loop.count, sizeof loop.calls[0]);
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    MUST(loop.calls != NULL && loop.epoll >= 0);
    loop.ends = queue_of(IN_FLIGHT);
    loop.requests = queue_of(2 * IN_FLIGHT); /* those whose callers have left lie there too */
    watch(&loop, loop.ends, take_ends);
    watch(&loop, loop.requests, take_requests);
    krpc_server *server = argc > 2 ? NULL : start_server(&loop);
    connect_to(&loop, argc > 2 ? krpc_cstr(argv[1]) : krpc_server_address(server, 0),
               argc > 2 ? krpc_cstr(argv[2]) : KRPC_STR("Loop/echo"));

    uint64_t begin = now_us();
    run(&loop);
    uint64_t took = now_us() - begin;

    krpc_queue_stats ends = KRPC_QUEUE_STATS_INIT, requests = KRPC_QUEUE_STATS_INIT;
    krpc_queue_read_stats(loop.ends, &ends);
    krpc_queue_read_stats(loop.requests, &requests);
    MUST(ends.reserved == 0 && ends.queued == 0 && ends.stale == 0);
    krpc_method_free(loop.method);
    krpc_client_free(loop.client);
    krpc_server_free(server);
    krpc_queue_free(loop.ends);
    krpc_queue_free(loop.requests);
    close(loop.epoll);
    free(loop.timers.timers);
    free(loop.calls);

    printf("%zu calls in %u ms: %zu answered, %zu cancelled; %u + %u wake-ups, loop woken %u times; "
           "a timer %u ms late at most; %zu live handles\n",
           loop.count, (unsigned)(took / 1000), loop.ok, loop.cancelled, (unsigned)ends.wakes,
           (unsigned)requests.wakes, (unsigned)loop.woken, (unsigned)(loop.latest_tick_us / 1000),
           krpc_live_handles());
    MUST(krpc_live_handles() == 0);
    /* A loop that is faster than the network is woken for each end; never more often. */
    MUST(ends.wakes <= loop.count + 1 && loop.woken <= ends.wakes + requests.wakes + 1);
    return 0;
}
