/* The C runner of cases.toml:  runner IDL ADDRESS  <lines
 *
 * The lines are what `run --lines` prints; README.md says what they mean. Prints a line for each case that
 * fails, then the counts. Exit codes: 0 passed, 1 failed, 2 usage or a line that it does not know. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <krpc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PAIRS = 16, MAX_WORDS = 4, EXIT_USAGE = 2 };

/* ---- a call as the lines describe it ---------------------------------------------------------- */

struct pairs {
    bool set;
    long count; /* as announced; the pairs follow */
    size_t kept;
    char *keys[MAX_PAIRS], *values[MAX_PAIRS];
};

/* What is NULL or not `set` is not looked at. */
struct number {
    bool set;
    int64_t value;
};

struct expect {
    char *status, *result, *text, *text_has, *exception, *exception_json, *remote_text, *biz_message, *phase;
    char *request_error;
    struct number remote_type, biz_code, attempts, reused, retryable, at_least_ms, below_ms, reply_bytes_at_least;
    struct pairs biz_extra, backward;
};

struct call {
    char *method, *request;
    struct number repeat, timeout_ms, cancel_after_ms, parent_timeout_ms;
    krpc_metainfo *metainfo, *parent_metainfo;
    struct expect expect;
};

struct client {
    char *caller;
    struct number timeout_ms, tell_timeout, max_frame_bytes, max_idle, refused;
};

struct run {
    const char *address;
    krpc_idl *idl;
    char *case_name;
    int32_t transport;
    size_t multiplexed;
    struct client words;
    krpc_client *client; /* made for the first call of a case */
    int refused_socket;
    char why[1200]; /* why the case failed */
    int passed, failed;
};

static bool fail(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Keeps the first reason, and returns false. */
static bool fail(struct run *run, const char *format, ...)
{
    if (run->why[0] != '\0')
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(run->why, sizeof run->why, format, args);
    va_end(args);
    return false;
}

static bool fail_error(struct run *run, const char *what, krpc_error *error)
{
    krpc_str text = krpc_error_describe(error);
    fail(run, "%s: %.*s", what, (int)text.len, text.ptr);
    krpc_error_free(error);
    return false;
}

/* ---- expectations ----------------------------------------------------------------------------- */

static bool is_text(krpc_str got, const char *want)
{
    size_t len = strlen(want);
    return got.len == len && (len == 0 || memcmp(got.ptr, want, len) == 0);
}

static bool same_text(struct run *run, const char *what, krpc_str got, const char *want)
{
    if (want == NULL || is_text(got, want))
        return true;
    int shown = got.len > 400 ? 400 : (int)got.len;
    return fail(run, "%s: got \"%.*s\" (%zu bytes), want \"%.400s\"", what, shown, got.len > 0 ? got.ptr : "",
                got.len, want);
}

static bool same_number(struct run *run, const char *what, int64_t got, struct number want)
{
    return !want.set || got == want.value ||
           fail(run, "%s: got %" PRId64 ", want %" PRId64, what, got, want.value);
}

static bool has_pair(const struct pairs *want, krpc_str key, krpc_str value)
{
    for (size_t i = 0; i < want->kept; i++)
        if (is_text(key, want->keys[i]) && is_text(value, want->values[i]))
            return true;
    return false;
}

static const char *phase_name(krpc_phase phase)
{
    switch (phase) {
    case KRPC_PHASE_RESOLVE: return "resolve";
    case KRPC_PHASE_CONNECT: return "connect";
    case KRPC_PHASE_SEND: return "send";
    case KRPC_PHASE_WAIT: return "wait";
    case KRPC_PHASE_DECODE: return "decode";
    case KRPC_PHASE_HANDLER: return "handler";
    default: return "none";
    }
}

static krpc_json_options strict_json(void)
{
    krpc_json_options options = KRPC_JSON_OPTIONS_INIT;
    options.strict = 1;
    return options;
}

static krpc_str text_of(const krpc_message *json)
{
    krpc_bytes bytes = krpc_message_bytes(json);
    return (krpc_str){(const char *)bytes.ptr, bytes.len};
}

static bool same_json(struct run *run, const char *what, krpc_message *json, krpc_error *error, const char *want)
{
    if (json == NULL)
        return fail_error(run, what, error);
    bool same = same_text(run, what, text_of(json), want);
    krpc_message_free(json);
    return same;
}

static bool look_at_exception(struct run *run, const struct expect *expect, const krpc_error *error,
                              const krpc_method *method)
{
    krpc_json_options options = strict_json();
    krpc_str name;
    krpc_error *failure = NULL;
    krpc_message *json = krpc_error_exception_to_json(error, method, &options, &name, &failure);
    bool same = json == NULL || same_text(run, "exception", name, expect->exception);
    return same_json(run, "exception_json", json, failure, expect->exception_json) && same;
}

static bool look_at_error(struct run *run, const struct expect *expect, const krpc_error *error,
                          const krpc_method *method)
{
    krpc_str text = krpc_error_text(error), remote_text = KRPC_STR(""), biz_message = KRPC_STR("");
    char whole[600];
    snprintf(whole, sizeof whole, "%.*s", (int)text.len, text.ptr);
    if (!same_text(run, "text", text, expect->text))
        return false;
    if (expect->text_has != NULL && strstr(whole, expect->text_has) == NULL)
        return fail(run, "text: \"%s\" is not in \"%s\"", expect->text_has, whole);

    int32_t remote_type = 0, biz_code = 0;
    krpc_error_remote_exception(error, &remote_type, &remote_text);
    krpc_error_biz_status(error, &biz_code, &biz_message);
    if (!same_text(run, "phase", krpc_cstr(phase_name(krpc_error_phase(error))), expect->phase) ||
        !same_number(run, "retryable", krpc_error_retryable(error), expect->retryable) ||
        !same_number(run, "remote_type", remote_type, expect->remote_type) ||
        !same_text(run, "remote_text", remote_text, expect->remote_text) ||
        !same_number(run, "biz_code", biz_code, expect->biz_code) ||
        !same_text(run, "biz_message", biz_message, expect->biz_message))
        return false;

    size_t extra = krpc_error_biz_extra_count(error);
    if (expect->biz_extra.set && extra != (size_t)expect->biz_extra.count)
        return fail(run, "biz_extra: %zu pairs, want %ld", extra, expect->biz_extra.count);
    for (size_t i = 0; expect->biz_extra.set && i < extra; i++) {
        krpc_str key, value;
        krpc_error_biz_extra_at(error, i, &key, &value);
        if (!has_pair(&expect->biz_extra, key, value))
            return fail(run, "biz_extra: %.*s=%.*s", (int)key.len, key.ptr, (int)value.len, value.ptr);
    }
    return expect->exception == NULL || look_at_exception(run, expect, error, method);
}

static bool look_at_backward(struct run *run, const struct pairs *want, const krpc_metainfo *got)
{
    int32_t kind;
    krpc_str key, value;
    if (krpc_metainfo_count(got) != (size_t)want->count)
        return fail(run, "backward: %zu pairs, want %ld", krpc_metainfo_count(got), want->count);
    for (size_t i = 0; krpc_metainfo_at(got, i, &kind, &key, &value); i++)
        if (kind != KRPC_METAINFO_KIND_BACKWARD || !has_pair(want, key, value))
            return fail(run, "backward: %.*s=%.*s", (int)key.len, key.ptr, (int)value.len, value.ptr);
    return true;
}

static bool look(struct run *run, const struct expect *expect, const krpc_reply *reply, const krpc_method *method,
                 int64_t ms)
{
    krpc_status status = krpc_reply_status(reply);
    const krpc_error *error = krpc_reply_error(reply);
    krpc_str name = status == KRPC_OK ? KRPC_STR("OK") : krpc_status_name(status);
    if (!is_text(name, expect->status != NULL ? expect->status : "OK")) {
        krpc_str text = krpc_error_describe(error);
        return fail(run, "status: got %.*s, want %s; %.*s", (int)name.len, name.ptr,
                    expect->status != NULL ? expect->status : "OK", (int)text.len, text.len > 0 ? text.ptr : "");
    }
    if (error != NULL && !look_at_error(run, expect, error, method))
        return false;
    if (expect->result != NULL) {
        krpc_json_options options = strict_json();
        krpc_error *failure = NULL;
        krpc_message *json = krpc_message_to_json(krpc_reply_message(reply), krpc_method_result_shape(method),
                                                  &options, &failure);
        if (!same_json(run, "result", json, failure, expect->result))
            return false;
    }
    if (expect->backward.set && !look_at_backward(run, &expect->backward, krpc_reply_metainfo(reply)))
        return false;

    krpc_facts facts = KRPC_FACTS_INIT;
    krpc_reply_facts(reply, &facts);
    if (expect->at_least_ms.set && ms < expect->at_least_ms.value)
        return fail(run, "ended after %" PRId64 " ms, too early", ms);
    if (expect->below_ms.set && ms >= expect->below_ms.value)
        return fail(run, "ended after %" PRId64 " ms, too late", ms);
    if (expect->reply_bytes_at_least.set && (int64_t)facts.reply_bytes < expect->reply_bytes_at_least.value)
        return fail(run, "a reply of %" PRIu64 " bytes", facts.reply_bytes);
    return same_number(run, "attempts", facts.attempts, expect->attempts) &&
           same_number(run, "reused", facts.reused_connection, expect->reused);
}

/* ---- calls ------------------------------------------------------------------------------------ */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Bound and not listening: nobody else gets the port meanwhile. */
static bool refused_address(struct run *run, char *address, size_t size)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t len = sizeof name;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    run->refused_socket = socket(AF_INET, SOCK_STREAM, 0);
    if (run->refused_socket < 0 || bind(run->refused_socket, (struct sockaddr *)&name, sizeof name) != 0 ||
        getsockname(run->refused_socket, (struct sockaddr *)&name, &len) != 0)
        return fail(run, "no free port");
    snprintf(address, size, "127.0.0.1:%d", ntohs(name.sin_port));
    return true;
}

static bool new_client(struct run *run)
{
    const struct client *words = &run->words;
    char refused[32];
    const char *address = run->address;
    if (words->refused.value != 0) {
        if (!refused_address(run, refused, sizeof refused))
            return false;
        address = refused;
    }
    krpc_error *error = NULL;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("conformance"), &error);
    int64_t timeout_ms = words->timeout_ms.set ? words->timeout_ms.value : 20000;
    bool set = krpc_client_options_add_address(options, krpc_cstr(address), &error) == KRPC_OK &&
               krpc_client_options_set_transport(options, run->transport, &error) == KRPC_OK &&
               krpc_client_options_set_multiplexed(options, run->multiplexed, &error) == KRPC_OK &&
               krpc_client_options_set_timeout_ms(options, timeout_ms, &error) == KRPC_OK &&
               krpc_client_options_set_connect_timeout_ms(options, 5000, &error) == KRPC_OK;
    if (set && words->caller != NULL)
        set = krpc_client_options_set_caller(options, krpc_cstr(words->caller), &error) == KRPC_OK;
    if (set && words->tell_timeout.set)
        set = krpc_client_options_set_tell_timeout(options, words->tell_timeout.value != 0, &error) == KRPC_OK;
    if (set && words->max_frame_bytes.set)
        set = krpc_client_options_set_max_frame_bytes(options, (size_t)words->max_frame_bytes.value, &error) ==
              KRPC_OK;
    if (set && words->max_idle.set)
        set = krpc_client_options_set_max_idle_connections(options, (size_t)words->max_idle.value, &error) == KRPC_OK;
    if (!set) {
        krpc_client_options_free(options);
        return fail_error(run, "client", error);
    }
    run->client = krpc_client_build(options, &error);
    return run->client != NULL || fail_error(run, "client", error);
}

struct canceller {
    pthread_t thread;
    const krpc_context *context;
    int64_t after_ms;
};

static void *cancel_later(void *argument)
{
    const struct canceller *canceller = argument;
    const struct timespec pause = {(time_t)(canceller->after_ms / 1000), canceller->after_ms % 1000 * 1000000L};
    nanosleep(&pause, NULL);
    krpc_context_cancel(canceller->context);
    return NULL;
}

static bool call_within(struct run *run, const struct call *call, const krpc_method *method,
                        const krpc_message *request, const krpc_context *parent)
{
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = call->timeout_ms.value;
    options.metainfo = call->metainfo;
    options.parent = parent;
    struct canceller canceller = {.context = parent, .after_ms = call->cancel_after_ms.value};
    bool later = call->cancel_after_ms.set && call->cancel_after_ms.value > 0;
    if (call->cancel_after_ms.set && !later)
        krpc_context_cancel(parent);
    if (later && pthread_create(&canceller.thread, NULL, cancel_later, &canceller) != 0)
        return fail(run, "no thread");

    krpc_reply *reply = NULL;
    int64_t start = now_ms();
    krpc_client_call(run->client, method, request, &options, &reply);
    int64_t took = now_ms() - start;
    if (later)
        pthread_join(canceller.thread, NULL);
    bool passed = look(run, &call->expect, reply, method, took);
    krpc_reply_free(reply);
    return passed;
}

static bool call_once(struct run *run, const struct call *call, const krpc_method *method)
{
    krpc_error *error = NULL;
    krpc_json_options options = strict_json();
    krpc_message *request =
        krpc_message_from_json(krpc_cstr(call->request), krpc_method_request_shape(method), &options, &error);
    const char *refused = call->expect.request_error;
    if (request == NULL && refused != NULL) {
        bool same = same_text(run, "request_error", krpc_status_name(krpc_error_status(error)), refused);
        krpc_error_free(error);
        return same;
    }
    if (request == NULL)
        return fail_error(run, "request", error);
    bool passed = refused == NULL || fail(run, "the request was made, want %s", refused);
    krpc_context *parent = krpc_context_new(NULL, call->parent_timeout_ms.value, call->parent_metainfo, &error);
    if (parent == NULL)
        passed = fail_error(run, "context", error);
    passed = passed && call_within(run, call, method, request, parent);
    krpc_context_free(parent);
    krpc_message_free(request);
    return passed;
}

static void make_call(struct run *run, const struct call *call)
{
    if (run->why[0] != '\0' || (run->client == NULL && !new_client(run)))
        return;
    krpc_error *error = NULL;
    krpc_method *method = krpc_client_method_from_idl(run->client, run->idl, krpc_cstr(call->method), 0, &error);
    if (method == NULL) {
        fail_error(run, "method", error);
        return;
    }
    int64_t rounds = call->repeat.set ? call->repeat.value : 1;
    for (int64_t round = 0; round < rounds && call_once(run, call, method); round++)
        ;
    krpc_method_free(method);
    if (run->why[0] != '\0')
        printf("FAIL %s: %s: %s\n", run->case_name, call->method, run->why);
}

/* ---- lines ------------------------------------------------------------------------------------ */

_Noreturn static void no_such_line(const char *word)
{
    fprintf(stderr, "runner: a line that it does not know: %s\n", word);
    exit(EXIT_USAGE);
}

static char *copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *out = malloc(size);
    if (out == NULL)
        no_such_line("out of memory");
    return memcpy(out, text, size);
}

/* Splits a line at tabs, and takes the escapes out of each word. */
static size_t split(char *line, char **words)
{
    size_t count = 1;
    char *out = line;
    words[0] = line;
    for (const char *in = line; *in != '\0'; in++) {
        if (*in == '\t') {
            *out++ = '\0';
            if (count == MAX_WORDS)
                no_such_line(line);
            words[count++] = out;
        } else if (*in == '\\') {
            in++;
            *out++ = *in == 't' ? '\t' : *in == 'n' ? '\n' : *in;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
    for (size_t i = count; i < MAX_WORDS; i++)
        words[i] = out;
    return count;
}

static void set_number(struct number *number, const char *text)
{
    number->set = true;
    number->value = strcmp(text, "true") == 0 ? 1 : strcmp(text, "false") == 0 ? 0 : strtoll(text, NULL, 10);
}

/* A word of a table whose value is a text or a number. */
struct field {
    const char *word;
    char **text;
    struct number *number;
};

static bool set_field(const struct field *fields, const char *word, const char *value)
{
    for (const struct field *field = fields; field->word != NULL; field++) {
        if (strcmp(field->word, word) != 0)
            continue;
        if (field->text != NULL) {
            free(*field->text);
            *field->text = copy(value);
        } else {
            set_number(field->number, value);
        }
        return true;
    }
    return false;
}

static void add_metainfo(krpc_metainfo **metainfo, char **words)
{
    static const struct {
        const char *name;
        int32_t kind;
    } kinds[] = {
        {"transient", KRPC_METAINFO_KIND_TRANSIENT},
        {"persistent", KRPC_METAINFO_KIND_PERSISTENT},
        {"backward", KRPC_METAINFO_KIND_BACKWARD},
        {"upstream", KRPC_METAINFO_KIND_UPSTREAM},
    };
    if (*metainfo == NULL)
        *metainfo = krpc_metainfo_new();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, words[1]) == 0) {
            krpc_metainfo_set(*metainfo, kinds[i].kind, krpc_cstr(words[2]), krpc_cstr(words[3]), NULL);
            return;
        }
    no_such_line(words[1]);
}

static bool set_pairs(struct pairs *pairs, const char *name, char **words)
{
    size_t len = strlen(name);
    if (strncmp(words[0], name, len) != 0)
        return false;
    if (words[0][len] == '\0') {
        pairs->set = true;
        pairs->count = strtol(words[1], NULL, 10);
    } else if (strcmp(words[0] + len, ".pair") == 0 && pairs->kept < MAX_PAIRS) {
        pairs->keys[pairs->kept] = copy(words[1]);
        pairs->values[pairs->kept++] = copy(words[2]);
    } else {
        no_such_line(words[0]);
    }
    return true;
}

static void set_word_of_call(struct call *call, char **words)
{
    struct expect *expect = &call->expect;
    const struct field fields[] = {
        {"request", &call->request, NULL},
        {"repeat", NULL, &call->repeat},
        {"timeout_ms", NULL, &call->timeout_ms},
        {"cancel_after_ms", NULL, &call->cancel_after_ms},
        {"parent.timeout_ms", NULL, &call->parent_timeout_ms},
        {"expect.status", &expect->status, NULL},
        {"expect.result", &expect->result, NULL},
        {"expect.text", &expect->text, NULL},
        {"expect.text_has", &expect->text_has, NULL},
        {"expect.exception", &expect->exception, NULL},
        {"expect.exception_json", &expect->exception_json, NULL},
        {"expect.remote_type", NULL, &expect->remote_type},
        {"expect.remote_text", &expect->remote_text, NULL},
        {"expect.biz_code", NULL, &expect->biz_code},
        {"expect.biz_message", &expect->biz_message, NULL},
        {"expect.attempts", NULL, &expect->attempts},
        {"expect.reused", NULL, &expect->reused},
        {"expect.phase", &expect->phase, NULL},
        {"expect.retryable", NULL, &expect->retryable},
        {"expect.at_least_ms", NULL, &expect->at_least_ms},
        {"expect.below_ms", NULL, &expect->below_ms},
        {"expect.reply_bytes_at_least", NULL, &expect->reply_bytes_at_least},
        {"expect.request_error", &expect->request_error, NULL},
        {NULL, NULL, NULL},
    };
    if (strcmp(words[0], "metainfo") == 0)
        add_metainfo(&call->metainfo, words);
    else if (strcmp(words[0], "parent.metainfo") == 0)
        add_metainfo(&call->parent_metainfo, words);
    else if (!set_pairs(&expect->biz_extra, "expect.biz_extra", words) &&
             !set_pairs(&expect->backward, "expect.backward", words) && !set_field(fields, words[0], words[1]))
        no_such_line(words[0]);
}

static void free_pairs(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->kept; i++) {
        free(pairs->keys[i]);
        free(pairs->values[i]);
    }
}

static void free_call(struct call *call)
{
    struct expect *expect = &call->expect;
    char *texts[] = {call->method, call->request, expect->status, expect->result, expect->text, expect->text_has,
                     expect->exception, expect->exception_json, expect->remote_text, expect->biz_message,
                     expect->phase, expect->request_error};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    free_pairs(&expect->biz_extra);
    free_pairs(&expect->backward);
    krpc_metainfo_free(call->metainfo);
    krpc_metainfo_free(call->parent_metainfo);
    *call = (struct call){0};
}

static int32_t transport_of(const char *name)
{
    if (strcmp(name, "ttheader-framed") == 0 || strcmp(name, "mux") == 0)
        return KRPC_TRANSPORT_TTHEADER_FRAMED;
    if (strcmp(name, "ttheader") == 0)
        return KRPC_TRANSPORT_TTHEADER;
    if (strcmp(name, "framed") == 0)
        return KRPC_TRANSPORT_FRAMED;
    if (strcmp(name, "buffered") == 0)
        return KRPC_TRANSPORT_BUFFERED;
    no_such_line(name);
}

static void begin_case(struct run *run, char **words)
{
    size_t size = strlen(words[1]) + strlen(words[2]) + 3;
    run->case_name = malloc(size);
    snprintf(run->case_name, size, "%s, %s", words[1], words[2]);
    run->transport = transport_of(words[2]);
    run->multiplexed = strcmp(words[2], "mux") == 0;
    run->words = (struct client){0};
    run->refused_socket = -1;
    run->why[0] = '\0';
}

static void end_case(struct run *run)
{
    krpc_client_free(run->client);
    run->client = NULL;
    if (run->refused_socket >= 0)
        close(run->refused_socket);
    run->why[0] == '\0' ? run->passed++ : run->failed++;
    free(run->words.caller);
    free(run->case_name);
}

static void take_line(struct run *run, struct call *call, char **words)
{
    struct client *client = &run->words;
    const struct field fields[] = {
        {"client.caller", &client->caller, NULL},
        {"client.timeout_ms", NULL, &client->timeout_ms},
        {"client.tell_timeout", NULL, &client->tell_timeout},
        {"client.max_frame_bytes", NULL, &client->max_frame_bytes},
        {"client.max_idle", NULL, &client->max_idle},
        {"client.refused", NULL, &client->refused},
        {NULL, NULL, NULL},
    };
    if (strcmp(words[0], "case") == 0) {
        begin_case(run, words);
    } else if (strcmp(words[0], "end") == 0) {
        end_case(run);
    } else if (strcmp(words[0], "call") == 0) {
        call->method = copy(words[1]);
    } else if (strcmp(words[0], "go") == 0) {
        make_call(run, call);
        free_call(call);
    } else if (!set_field(fields, words[0], words[1])) {
        set_word_of_call(call, words);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s IDL ADDRESS <lines\n", argv[0]);
        return EXIT_USAGE;
    }
    struct run run = {.address = argv[2], .refused_socket = -1};
    struct call call = {0};
    krpc_error *error = NULL;
    run.idl = krpc_idl_parse_file(krpc_cstr(argv[1]), NULL, 0, &error);
    if (run.idl == NULL) {
        krpc_str text = krpc_error_describe(error);
        fprintf(stderr, "runner: %.*s\n", (int)text.len, text.ptr);
        krpc_error_free(error);
        return EXIT_USAGE;
    }
    char *line = NULL, *words[MAX_WORDS];
    size_t size = 0;
    for (ssize_t len; (len = getline(&line, &size, stdin)) > 0;) {
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        split(line, words);
        take_line(&run, &call, words);
    }
    free(line);
    krpc_idl_free(run.idl);
    if (krpc_live_handles() != 0) {
        printf("FAIL %zu live handles at the end\n", krpc_live_handles());
        return 1;
    }
    printf("conformance: %d passed, %d failed\n", run.passed, run.failed);
    return run.failed > 0;
}
