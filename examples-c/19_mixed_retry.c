/* Retry policies: the same slow replica, met with each of the three kinds.
 *
 *   19_mixed_retry [--times]
 *
 * With --times it prints when each attempt began and ended, in milliseconds.
 *
 *       service Slow { string Answer() }     answers after 1200 ms the first time, after 900 ms from then on
 *
 * Each attempt may take 1000 ms, there are two further ones, and BACKUP and MIXED begin another after 200 ms without
 * an answer:
 *
 *   MIXED     0 ├──────────────────── timeout        the second attempt, begun at 200, answers at 1100
 *           200     ├────────────────── ok
 *           400         ├──────────── cancelled
 *   FAILURE   0 ├──────────────────── timeout ├────────────────── ok at 1900
 *   BACKUP    0 ├──────────────────── timeout        its first end of any kind is the call's: it fails at 1000
 */
#include <krpc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TIMEOUT_MS = 1000, DELAY_MS = 200, RETRIES = 2, FIRST_MS = 1200, LATER_MS = 900 };

/* ---- a server whose first answer is late ----------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int requests;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_answer(void *user_data, krpc_request *request)
{
    (void)user_data;
    pthread_mutex_lock(&lock);
    int64_t until_ms = now_ms() + (requests++ == 0 ? FIRST_MS : LATER_MS);
    pthread_mutex_unlock(&lock);
    struct timespec step = {0, 5000000};
    while (now_ms() < until_ms && !krpc_request_is_stopping(request))
        nanosleep(&step, NULL);
    krpc_request_reply(request, NULL, NULL);
    krpc_request_free(request);
}

static krpc_server *serve(void)
{
    krpc_service *service = krpc_service_new(KRPC_STR("Slow"), NULL);
    krpc_service_add_method(service, KRPC_STR("Answer"), 0, on_answer, NULL, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    return krpc_server_build(options, NULL);
}

/* ---- a client with a policy ------------------------------------------------------------------------------ */

/* A client whose calls have this policy, which takes it. */
static krpc_client *connect_with(krpc_str address, krpc_retry *retry)
{
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("slow"), NULL);
    krpc_client_options_add_address(options, address, NULL);
    krpc_client_options_set_timeout_ms(options, TIMEOUT_MS, NULL);
    krpc_retry_set_max_retries(retry, RETRIES, NULL);
    krpc_client_options_set_retry(options, KRPC_STR("*"), retry, NULL);
    krpc_retry_free(retry);
    return krpc_client_build(options, NULL);
}

static bool with_times;

/* What came of the call, and of each of its attempts. */
static void print_end(const char *what, const krpc_reply *reply)
{
    krpc_str name = krpc_status_name(krpc_reply_status(reply));
    printf("%-8s %.*s\n", what, (int)name.len, name.ptr);
    for (size_t i = 0; i < krpc_reply_attempt_count(reply); i++) {
        krpc_attempt attempt = KRPC_ATTEMPT_INIT;
        krpc_reply_attempt(reply, i, &attempt);
        name = krpc_status_name((krpc_status)attempt.status);
        printf("  attempt %zu: %.*s", i + 1, (int)name.len, name.ptr);
        if (with_times)
            printf(", %llu to %llu", (unsigned long long)attempt.begun_us / 1000,
                   (unsigned long long)(attempt.begun_us + attempt.took_us) / 1000);
        printf("\n");
    }
}

static int call_with(krpc_str address, const char *what, krpc_retry *retry, krpc_status expected)
{
    pthread_mutex_lock(&lock);
    requests = 0;
    pthread_mutex_unlock(&lock);
    krpc_client *client = connect_with(address, retry);
    krpc_reply *reply = NULL;
    krpc_status status = krpc_client_call_by_name(client, KRPC_STR("Slow/Answer"), NULL, NULL, &reply);
    print_end(what, reply);
    krpc_reply_free(reply);
    krpc_client_free(client);
    return status == expected ? 0 : 1;
}

int main(int argc, char **argv)
{
    with_times = argc > 1 && strcmp(argv[1], "--times") == 0;
    krpc_server *server = serve();
    if (server == NULL)
        return 1;
    krpc_str address = krpc_server_address(server, 0);
    int failed = 0;
    failed += call_with(address, "mixed", krpc_retry_new(KRPC_RETRY_MIXED, DELAY_MS, NULL), KRPC_OK);
    failed += call_with(address, "failure", krpc_retry_new(KRPC_RETRY_FAILURE, 0, NULL), KRPC_OK);
    failed += call_with(address, "backup", krpc_retry_new(KRPC_RETRY_BACKUP, DELAY_MS, NULL), KRPC_STATUS_TIMEOUT);
    krpc_server_stop(server, 5000, NULL, NULL);
    krpc_server_free(server);
    return failed;
}
