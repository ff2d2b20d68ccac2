/* krpc_context: mistakes, what travels down, ends, requests' contexts, and the caller's timeout. */
#include "async.h"
#include "hooks.h"

#include <stdatomic.h>

/* ---- mistakes ---------------------------------------------------------------------------------------------- */

static void mistakes_are_refused(void)
{
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "timeout_ms", krpc_context_new(NULL, -1, NULL, &error));
    krpc_metainfo *pairs = krpc_metainfo_new();
    const krpc_context *wrong = (const krpc_context *)(const void *)pairs;
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "parent", krpc_context_new(wrong, 0, NULL, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "metainfo",
             krpc_context_new(NULL, 0, (const krpc_metainfo *)(const void *)(&error), &error));
    krpc_metainfo_free(pairs);
    CHECK(krpc_request_context(NULL) == NULL && krpc_context_retain(NULL) == NULL);
    CHECK(krpc_context_cancel(NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_context_cause(NULL) == KRPC_CAUSE_NONE);
    CHECK(krpc_context_time_left_ms(NULL) == KRPC_FOREVER);
    CHECK(krpc_context_metainfo(NULL) == NULL);
    krpc_context_free(NULL);
}

/* ---- a family ----------------------------------------------------------------------------------------------- */

static void deadlines_and_pairs_are_inherited(void)
{
    krpc_str value;
    krpc_metainfo *pairs = krpc_metainfo_new();
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("A"), KRPC_STR("1"), NULL);
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("B"), KRPC_STR("1"), NULL);
    krpc_context *top = krpc_context_new(NULL, 60000, pairs, NULL);
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("B"), KRPC_STR("2"), NULL);
    krpc_context *below = krpc_context_new(top, 120000, pairs, NULL);
    krpc_context *soon = krpc_context_new(below, 30000, NULL, NULL);
    krpc_context *free_of_time = krpc_context_new(NULL, KRPC_FOREVER, NULL, NULL);
    krpc_metainfo_free(pairs);

    CHECK(krpc_context_time_left_ms(top) > 30000 && krpc_context_time_left_ms(top) <= 60000);
    CHECK(krpc_context_time_left_ms(below) > 30000 && krpc_context_time_left_ms(below) <= 60000);
    CHECK(krpc_context_time_left_ms(soon) <= 30000);
    CHECK(krpc_context_time_left_ms(free_of_time) == KRPC_FOREVER);
    CHECK(krpc_metainfo_get(krpc_context_metainfo(top), KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("B"), &value));
    CHECK_STR(value, "1");
    CHECK(krpc_metainfo_get(krpc_context_metainfo(soon), KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("B"), &value));
    CHECK_STR(value, "2");
    CHECK(krpc_metainfo_count(krpc_context_metainfo(soon)) == 2);
    CHECK(krpc_metainfo_count(krpc_context_metainfo(free_of_time)) == 0);
    krpc_context_free(top);
    CHECK(krpc_context_time_left_ms(below) <= 60000);
    krpc_context_free(below);
    krpc_context_free(soon);
    krpc_context_free(free_of_time);

    krpc_test_clock_stop();
    krpc_context *late = krpc_context_new(NULL, 60000, NULL, NULL);
    CHECK(krpc_test_clock_advance(59999) == KRPC_OK && krpc_context_cause(late) == KRPC_CAUSE_NONE);
    CHECK(krpc_test_clock_advance(1) == KRPC_OK && krpc_context_cause(late) == KRPC_CAUSE_DEADLINE);
    krpc_test_clock_run();
    CHECK(krpc_context_time_left_ms(late) == 0);
    krpc_context_cancel(late);
    CHECK(krpc_context_cause(late) != KRPC_CAUSE_NONE);
    krpc_context_free(late);
}

static void the_end_travels_down_whoever_is_freed(void)
{
    krpc_context *top = krpc_context_new(NULL, 0, NULL, NULL);
    krpc_context *middle = krpc_context_new(top, 0, NULL, NULL);
    krpc_context *bottom = krpc_context_new(middle, 0, NULL, NULL);
    krpc_context *same = krpc_context_retain(top);
    krpc_context_free(top);
    krpc_context_free(middle); /* its place in the line stays */
    CHECK(krpc_context_cause(bottom) == KRPC_CAUSE_NONE);
    CHECK(krpc_context_cancel(same) == KRPC_OK && krpc_context_cancel(same) == KRPC_OK);
    CHECK(krpc_context_cause(bottom) == KRPC_CAUSE_BY_HOST && krpc_context_cause(same) == KRPC_CAUSE_BY_HOST);
    krpc_context *late = krpc_context_new(bottom, 0, NULL, NULL);
    CHECK(krpc_context_cause(late) == KRPC_CAUSE_BY_HOST);
    krpc_context_free(late);
    krpc_context_free(bottom);
    krpc_context_free(same);
}

/* Deeper than any stack, if each were left inside the one below. */
static void chains_may_be_long(void)
{
    for (int cancelled = 0; cancelled <= 1; cancelled++) {
        krpc_context *top = krpc_context_new(NULL, 0, NULL, NULL), *last = krpc_context_retain(top);
        for (int i = under_valgrind() ? 99000 : 0; i < 100000; i++) {
            krpc_context *below = krpc_context_new(last, 0, NULL, NULL);
            krpc_context_free(last);
            last = below;
        }
        CHECK(!cancelled || krpc_context_cancel(top) == KRPC_OK);
        CHECK(krpc_context_cause(last) == (cancelled ? KRPC_CAUSE_BY_HOST : KRPC_CAUSE_NONE));
        krpc_context_free(top);
        krpc_context_free(last);
    }
}

/* ---- calls in a context --------------------------------------------------------------------------------------- */

static krpc_op *start_in(const world *all, const krpc_method *method, const krpc_context *parent)
{
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.parent = parent;
    krpc_message *request = text_message(1, KRPC_STR("x"));
    krpc_op *op = NULL;
    CHECK(krpc_client_start(all->client, method, request, &options, NULL, &op, NULL) == KRPC_OK);
    krpc_message_free(request);
    return op;
}

typedef struct {
    const world *all;
    const krpc_context *parent;
    krpc_status status;
} blocking;

static void *call_in(void *argument)
{
    blocking *self = (blocking *)argument;
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.parent = self->parent;
    self->status = krpc_client_call(self->all->client, self->all->keep, NULL, &options, NULL);
    return NULL;
}

static void cancel_ends_started_and_blocking_calls(void)
{
    world all;
    world_open(&all);
    krpc_context *top = krpc_context_new(NULL, 0, NULL, NULL);
    krpc_context *middle = krpc_context_new(top, 0, NULL, NULL);
    blocking self = {&all, middle, KRPC_OK};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, call_in, &self) == 0);
    krpc_op *below = start_in(&all, all.keep, middle), *beside = start_in(&all, all.keep, NULL);
    shelf_await(&all.kept, 3);
    CHECK(krpc_context_cancel(top) == KRPC_OK);
    CHECK(op_end(below) == KRPC_STATUS_CANCELLED);
    CHECK(pthread_join(thread, NULL) == 0 && self.status == KRPC_STATUS_CANCELLED);
    CHECK(!krpc_op_is_done(beside));

    /* In work that has ended nothing is begun. */
    CHECK(op_end(start_in(&all, all.echo, middle)) == KRPC_STATUS_CANCELLED);
    call_in(&self);
    CHECK(self.status == KRPC_STATUS_CANCELLED && all.kept.arrived == 3);
    krpc_context_free(middle);
    krpc_context_free(top);

    /* A call holds its place in the line, though its context was freed at once. */
    top = krpc_context_new(NULL, 0, NULL, NULL);
    middle = krpc_context_new(top, 0, NULL, NULL);
    below = start_in(&all, all.keep, middle);
    krpc_context_free(middle);
    shelf_await(&all.kept, 4);
    CHECK(krpc_context_cancel(top) == KRPC_OK);
    CHECK(op_end(below) == KRPC_STATUS_CANCELLED);
    krpc_context_free(top);
    krpc_op_free(beside);
    world_close(&all);
}

static void the_deadline_holds_for_calls(void)
{
    world all;
    world_open(&all);
    krpc_context *context = krpc_context_new(NULL, 40, NULL, NULL);
    blocking self = {&all, context, KRPC_OK};
    krpc_op *op = start_in(&all, all.keep, context);
    call_in(&self);
    CHECK(self.status == KRPC_STATUS_TIMEOUT && op_end(op) == KRPC_STATUS_TIMEOUT);
    CHECK(krpc_context_cause(context) == KRPC_CAUSE_DEADLINE);
    call_in(&self);
    CHECK(self.status == KRPC_STATUS_TIMEOUT && op_end(start_in(&all, all.echo, context)) == KRPC_STATUS_TIMEOUT);
    krpc_context_free(context);
    world_close(&all);
}

/* ---- the context of a request ------------------------------------------------------------------------------------ */

/* B of A → B → C: calls C in the context of its own request. */
typedef struct {
    world below;
    krpc_context *context;
    atomic_int ended;
    krpc_status status;
} middleman;

static void pass_on(void *user_data, krpc_request *request)
{
    middleman *self = (middleman *)user_data;
    self->context = krpc_request_context(request);
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.parent = self->context;
    krpc_reply *reply = NULL;
    self->status = krpc_client_call(self->below.client, self->below.keep, krpc_request_message(request), &options,
                                    &reply);
    if (self->status == KRPC_OK)
        krpc_request_reply(request, krpc_reply_message(reply), NULL);
    krpc_reply_free(reply);
    krpc_request_free(request);
    atomic_fetch_add(&self->ended, 1);
}

static void pairs_travel_as_far_as_they_should(void)
{
    middleman self;
    memset(&self, 0, sizeof self);
    world_open(&self.below);
    krpc_server *server = serve_one("pass", 0, pass_on, &self);
    krpc_client *client = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/pass"), 0, NULL);
    krpc_metainfo *pairs = krpc_metainfo_new();
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("P"), KRPC_STR("p"), NULL);
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("T"), KRPC_STR("t"), NULL);
    krpc_context *context = krpc_context_new(NULL, 0, pairs, NULL);
    krpc_metainfo_free(pairs);
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.parent = context;
    krpc_op *op = NULL;
    CHECK(krpc_client_start(client, method, NULL, &options, NULL, &op, NULL) == KRPC_OK);

    krpc_request *request = shelf_take(&self.below.kept);
    krpc_str value;
    const krpc_metainfo *arrived = krpc_request_metainfo(request);
    CHECK(krpc_metainfo_get(arrived, KRPC_METAINFO_KIND_PERSISTENT, KRPC_STR("P"), &value) && equal(value, "p"));
    CHECK(!krpc_metainfo_get(arrived, KRPC_METAINFO_KIND_UPSTREAM, KRPC_STR("T"), NULL));
    CHECK(krpc_metainfo_count(arrived) == 1);
    CHECK(krpc_request_reply(request, NULL, NULL) == KRPC_OK);
    krpc_request_free(request);
    CHECK(op_end(op) == KRPC_OK);
    AWAIT(self.ended == 1);
    CHECK(krpc_context_cause(self.context) == KRPC_CAUSE_NONE); /* answered is not ended */
    krpc_context_free(self.context);
    krpc_context_free(context);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
    world_close(&self.below);
}

/* A process that calls and is killed: what its request started downstream ends as well. */
static void a_killed_caller_ends_the_calls_below(void)
{
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    /* The child is forked before this process has anything of the library. */
    pid_t child = fork();
    if (child == 0) {
        char address[64] = "";
        if (read(pipes[0], address, sizeof address - 1) <= 0)
            _exit(1);
        krpc_client *client = client_to(krpc_cstr(address));
        krpc_reply_free(call(client, "Test/pass", "x", 0));
        _exit(0);
    }
    CHECK(child > 0);
    middleman self;
    memset(&self, 0, sizeof self);
    world_open(&self.below);
    krpc_server *server = serve_one("pass", 0, pass_on, &self);
    krpc_str address = krpc_server_address(server, 0);
    CHECK(write(pipes[1], address.ptr, address.len) == (ssize_t)address.len);
    close(pipes[0]);
    close(pipes[1]);

    krpc_request *request = shelf_take(&self.below.kept);
    CHECK(self.ended == 0 && !krpc_request_is_abandoned(request));
    CHECK(kill(child, SIGKILL) == 0);
    AWAIT(self.ended == 1);
    CHECK(self.status == KRPC_STATUS_CANCELLED);
    CHECK(krpc_context_cause(self.context) == KRPC_CAUSE_CALLER_GONE);
    AWAIT(krpc_request_is_abandoned(request)); /* and so it goes on */
    krpc_request_free(request);
    CHECK(waitpid(child, NULL, 0) == child);
    krpc_context_free(self.context);
    krpc_server_free(server);
    world_close(&self.below);
}

/* ---- the caller's timeout --------------------------------------------------------------------------------------- */

typedef struct {
    bool tell;
    bool follow;
    int32_t transport;
    int64_t told_ms;
    int is_deadline;
} timeout_row;

static void check_timeout(const timeout_row *row)
{
    shelf kept = SHELF_INIT;
    krpc_server_options *server_options =
        options_with("127.0.0.1:0", service_with("Test", "keep", KRPC_METHOD_FLAG_INLINE, shelve, &kept));
    if (row->follow)
        CHECK(krpc_server_options_set_follow_caller_timeout(server_options, true, NULL) == KRPC_OK);
    krpc_server *server = serve(server_options);
    krpc_client_options *options = options_to(krpc_server_address(server, 0));
    CHECK(krpc_client_options_set_transport(options, row->transport, NULL) == KRPC_OK);
    if (!row->tell)
        CHECK(krpc_client_options_set_tell_timeout(options, false, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/keep"), 0, NULL);
    krpc_op *op = start(client, method, "x", 54321, NULL);
    krpc_request *request = shelf_take(&kept);
    krpc_context *context = krpc_request_context(request);
    CHECK(krpc_request_caller_timeout_ms(request) == row->told_ms);
    int64_t left = krpc_context_time_left_ms(context);
    CHECK(row->is_deadline ? left > 0 && left <= 54321 : left == KRPC_FOREVER);
    krpc_context_free(context);
    krpc_request_free(request);
    krpc_op_free(op);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
}

static void the_caller_tells_its_timeout_and_the_server_may_follow(void)
{
    static const timeout_row rows[] = {
        {true, false, KRPC_TRANSPORT_TTHEADER_FRAMED, 54321, 0},
        {true, true, KRPC_TRANSPORT_TTHEADER_FRAMED, 54321, 1},
        {true, true, KRPC_TRANSPORT_TTHEADER, 54321, 1},
        {false, true, KRPC_TRANSPORT_TTHEADER_FRAMED, 0, 0},
        {true, true, KRPC_TRANSPORT_FRAMED, 0, 0},
        {true, true, KRPC_TRANSPORT_BUFFERED, 0, 0},
    };
    for (size_t i = 0; i < LEN(rows); i++)
        check_timeout(&rows[i]);
}

/* Followed, it ends the calls below even if the caller stays. */
static void a_followed_timeout_ends_the_calls_below(void)
{
    middleman self;
    memset(&self, 0, sizeof self);
    world_open(&self.below);
    krpc_server_options *options =
        options_with("127.0.0.1:0", service_with("Test", "pass", 0, pass_on, &self));
    CHECK(krpc_server_options_set_follow_caller_timeout(options, true, NULL) == KRPC_OK);
    krpc_server *server = serve(options);
    krpc_client *client = client_of(server);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Test/pass"), 0, NULL);
    /* Its own timer and the failed answer of the server, which has the same deadline, race each other. */
    CHECK(op_end(start(client, method, "x", 60, NULL)) != KRPC_OK);
    AWAIT(self.ended == 1);
    /* Whichever it saw first: the time that it was told, or that the caller had gone. */
    CHECK(self.status == KRPC_STATUS_TIMEOUT || self.status == KRPC_STATUS_CANCELLED);
    krpc_context_free(self.context);
    krpc_method_free(method);
    krpc_client_free(client);
    krpc_server_free(server);
    world_close(&self.below);
}

int main(void)
{
    a_killed_caller_ends_the_calls_below(); /* first: it forks */
    mistakes_are_refused();
    deadlines_and_pairs_are_inherited();
    the_end_travels_down_whoever_is_freed();
    chains_may_be_long();
    cancel_ends_started_and_blocking_calls();
    the_deadline_holds_for_calls();
    pairs_travel_as_far_as_they_should();
    the_caller_tells_its_timeout_and_the_server_may_follow();
    a_followed_timeout_ends_the_calls_below();
    return end_of_net_test();
}
