/* Retry policies across the ABI: what is refused, whose policy counts, and what the reply says of attempts. */
#include "net.h"

/* ---- a server that follows a script ----------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int fails_left, seen;

static void script(int fails)
{
    pthread_mutex_lock(&lock);
    fails_left = fails;
    seen = 0;
    pthread_mutex_unlock(&lock);
}

static int requests_seen(void)
{
    pthread_mutex_lock(&lock);
    int count = seen;
    pthread_mutex_unlock(&lock);
    return count;
}

static void on_call(void *user_data, krpc_request *request)
{
    (void)user_data;
    pthread_mutex_lock(&lock);
    seen++;
    int fails = fails_left > 0 ? fails_left-- : 0;
    pthread_mutex_unlock(&lock);
    if (fails > 0)
        krpc_request_fail(request, 6, KRPC_STR("out of luck"), NULL);
    else
        krpc_request_reply(request, NULL, NULL);
    krpc_request_free(request);
}

static krpc_server *scripted(void)
{
    krpc_service *service = krpc_service_new(KRPC_STR("S"), NULL);
    CHECK(krpc_service_add_method(service, KRPC_STR("m"), 0, on_call, NULL, NULL, NULL) == KRPC_OK);
    CHECK(krpc_service_add_method(service, KRPC_STR("n"), 0, on_call, NULL, NULL, NULL) == KRPC_OK);
    krpc_server_options *options = krpc_server_options_new();
    CHECK(krpc_server_options_add_service(options, service, false, NULL) == KRPC_OK);
    CHECK(krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL) == KRPC_OK);
    krpc_server *server = krpc_server_build(options, NULL);
    CHECK(server != NULL);
    return server;
}

static krpc_client_options *options_for(const krpc_server *server)
{
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("S"), NULL);
    CHECK(krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_timeout_ms(options, BOUND_MS, NULL) == KRPC_OK);
    return options;
}

/* A failure policy that retries everything, so often. */
static krpc_retry *stubborn(uint32_t retries)
{
    krpc_retry *retry = krpc_retry_new(KRPC_RETRY_FAILURE, 0, NULL);
    CHECK(retry != NULL);
    CHECK(krpc_retry_set_errors(retry, KRPC_RETRY_ERRORS_ALL, NULL) == KRPC_OK);
    CHECK(krpc_retry_set_max_retries(retry, retries, NULL) == KRPC_OK);
    return retry;
}

/* ---- what is refused -------------------------------------------------------------------------------------- */

static void test_refused(void)
{
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "kind: 3 is no krpc_retry_kind", krpc_retry_new(3, 10, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "delay_ms", krpc_retry_new(KRPC_RETRY_FAILURE, 10, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "invalid retry delay duration in backupRetryer",
             krpc_retry_new(KRPC_RETRY_BACKUP, 0, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "invalid retry delay duration in mixedRetryer",
             krpc_retry_new(KRPC_RETRY_MIXED, 0, &error));
    krpc_retry *retry = krpc_retry_new(KRPC_RETRY_MIXED, 10, NULL);
    REFUSED("invalid MaxRetryTimes[4]", krpc_retry_set_max_retries(retry, 4, &error));
    REFUSED("invalid RandomBackOff, minMS=20, maxMS=5", krpc_retry_set_backoff_ms(retry, 20, 5, &error));
    REFUSED("errors: 3 is no krpc_retry_errors", krpc_retry_set_errors(retry, 3, &error));
    REFUSED("invalid retry circuit breaker rate, errRate=0.40", krpc_retry_set_share(retry, 0.4, &error));
    REFUSED("invalid delay quantile", krpc_retry_set_delay_quantile(retry, 1.5, 10, 1, 100, &error));
    REFUSED("retry", krpc_retry_set_same_node(NULL, true, &error));
    CHECK(krpc_retry_set_backoff_ms(retry, 5, 5, NULL) == KRPC_OK);
    CHECK(krpc_retry_set_backoff_ms(retry, 5, 20, NULL) == KRPC_OK);
    CHECK(krpc_retry_set_backoff_ms(retry, 0, 0, NULL) == KRPC_OK);
    CHECK(krpc_retry_set_chain_stop(retry, false, NULL) == KRPC_OK);
    CHECK(krpc_retry_set_max_duration_ms(retry, 100, NULL) == KRPC_OK);
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("S"), NULL);
    REFUSED("method: is empty", krpc_client_options_set_retry(options, KRPC_STR(""), retry, &error));
    REFUSED("retry", krpc_client_options_set_retry(options, KRPC_STR("m"), NULL, &error));
    krpc_client_options_free(options);
    krpc_retry_free(retry);
    krpc_retry_free(NULL);
}

static void test_from_json(void)
{
    krpc_str good = KRPC_STR("{\"enable\":true,\"type\":2,\"mixed_policy\":{\"retry_delay_ms\":40,\"stop_policy\":"
                             "{\"max_retry_times\":2,\"cb_policy\":{\"error_rate\":0.1}}}}");
    krpc_retry *retry = krpc_retry_from_json(good, NULL);
    CHECK(retry != NULL);
    krpc_retry_free(retry);
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "cannot do update in mixedRetryer",
             krpc_retry_from_json(KRPC_STR("{\"enable\":true,\"type\":2}"), &error));
    NOT_MADE(KRPC_STATUS_MALFORMED, "expected a string", krpc_retry_from_json(KRPC_STR("{"), &error));
}

/* ---- calls ------------------------------------------------------------------------------------------------ */

/* Calls and checks how it ended, after how many requests, with how many attempts in the reply. */
static void expect(const krpc_client *client, const char *name, const krpc_retry *own, krpc_status status, int requests,
                   size_t attempts)
{
    krpc_method *method = krpc_client_method(client, (krpc_str){name, strlen(name)}, 0, NULL);
    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.retry = own;
    krpc_reply *reply = NULL;
    CHECK(krpc_client_call(client, method, NULL, &options, &reply) == status);
    CHECK(requests_seen() == requests);
    CHECK(krpc_reply_attempt_count(reply) == attempts);
    for (size_t i = 0; i < attempts; i++) {
        krpc_attempt attempt = KRPC_ATTEMPT_INIT;
        CHECK(krpc_reply_attempt(reply, i, &attempt) == KRPC_OK);
        int is_last = i + 1 == attempts;
        CHECK(attempt.status == (int32_t)(is_last ? status : KRPC_STATUS_REMOTE_EXCEPTION));
        CHECK(attempt.running == 0 && attempt.peer.len > 0);
    }
    krpc_attempt none = KRPC_ATTEMPT_INIT;
    CHECK(krpc_reply_attempt(reply, attempts, &none) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_reply_free(reply);
    krpc_method_free(method);
}

static void test_whose_policy_counts(const krpc_server *server)
{
    krpc_client_options *options = options_for(server);
    krpc_retry *one = stubborn(1), *three = stubborn(3), *never = stubborn(0);
    CHECK(krpc_client_options_set_retry(options, KRPC_STR("*"), one, NULL) == KRPC_OK);
    CHECK(krpc_client_options_set_retry(options, KRPC_STR("n"), three, NULL) == KRPC_OK);
    krpc_client *client = krpc_client_build(options, NULL);
    CHECK(client != NULL);
    script(0);
    expect(client, "S/m", NULL, KRPC_OK, 1, 0);
    script(1);
    expect(client, "S/m", NULL, KRPC_OK, 2, 2);
    script(9);
    expect(client, "S/m", NULL, KRPC_STATUS_REMOTE_EXCEPTION, 2, 2);
    script(9);
    expect(client, "S/n", NULL, KRPC_STATUS_REMOTE_EXCEPTION, 4, 4);
    script(9);
    expect(client, "S/n", never, KRPC_STATUS_REMOTE_EXCEPTION, 1, 0);
    script(2);
    expect(client, "S/m", three, KRPC_OK, 3, 3);
    krpc_retry_free(one);
    krpc_retry_free(three);
    krpc_retry_free(never);
    krpc_client_free(client);
}

/* The same by a queue: attempts are between the start and the one event. */
static void test_by_queue(const krpc_server *server)
{
    krpc_client_options *options = options_for(server);
    krpc_retry *retry = stubborn(2);
    CHECK(krpc_client_options_set_retry(options, KRPC_STR("m"), retry, NULL) == KRPC_OK);
    krpc_retry_free(retry);
    krpc_client *client = krpc_client_build(options, NULL);
    krpc_method *method = krpc_client_method(client, KRPC_STR("S/m"), 0, NULL);
    krpc_queue *queue = krpc_queue_new(4, NULL);
    script(2);
    krpc_call call = {method, NULL, 7};
    CHECK(krpc_client_start_many(client, &call, sizeof call, 1, NULL, queue, NULL, NULL) == KRPC_OK);
    krpc_event event;
    size_t count = 0;
    CHECK(krpc_queue_take(queue, &event, sizeof event, 1, BOUND_MS, &count) == KRPC_OK && count == 1);
    CHECK(event.status == KRPC_OK && event.tag == 7);
    CHECK(krpc_reply_attempt_count(event.reply) == 3 && requests_seen() == 3);
    krpc_event_release(&event);
    krpc_queue_free(queue);
    krpc_method_free(method);
    krpc_client_free(client);
}

int main(void)
{
    test_refused();
    test_from_json();
    krpc_server *server = scripted();
    test_whose_policy_counts(server);
    test_by_queue(server);
    CHECK(krpc_server_stop(server, BOUND_MS, NULL, NULL) == KRPC_OK);
    krpc_server_free(server);
    return end_of_net_test();
}
