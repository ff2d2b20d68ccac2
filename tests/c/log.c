/* krpc_log_set: lines arrive at the levels asked for; each destroy runs exactly once, on every way out. */
#include "check.h"

#include <pthread.h>

struct state {
    int destroyed;
    int lines;
};

static void write_line(void *user_data, krpc_log_level level, krpc_str target, krpc_str text)
{
    struct state *state = (struct state *)user_data;
    CHECK(state->destroyed == 0 && level == KRPC_LOG_LEVEL_INFO);
    CHECK_STR(target, "runtime");
    CHECK(contains(text, "started") || contains(text, "ended"));
    state->lines++;
}

static void destroy(void *user_data)
{
    ((struct state *)user_data)->destroyed++;
}

static void *replace(void *state)
{
    for (int i = 0; i < 500; i++)
        CHECK(krpc_log_set(KRPC_LOG_LEVEL_DEBUG, write_line, state, NULL, NULL) == KRPC_OK);
    return NULL;
}

/* A runtime's start and end are lines of level INFO. */
static void start_and_end(void)
{
    krpc_runtime *runtime = krpc_runtime_new(NULL, NULL);
    CHECK(runtime != NULL);
    krpc_runtime_free(runtime);
}

int main(void)
{
    struct state first = {0, 0}, second = {0, 0}, bad = {0, 0}, none = {0, 0};
    krpc_error *error = NULL;
    CHECK(krpc_log_set(KRPC_LOG_LEVEL_WARN, write_line, &first, destroy, &error) == KRPC_OK && error == NULL);
    start_and_end();
    CHECK(first.destroyed == 0 && first.lines == 0);

    /* A failure gives its own state back and leaves the function set before. */
    const int32_t levels[] = {0, 5, -1, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 5; i++) {
        CHECK(krpc_log_set(levels[i], write_line, &bad, destroy, &error) == KRPC_STATUS_INVALID_ARGUMENT);
        CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "is no krpc_log_level");
        CHECK(bad.destroyed == i + 1 && first.destroyed == 0);
    }

    CHECK(krpc_log_set(KRPC_LOG_LEVEL_DEBUG, write_line, &second, destroy, NULL) == KRPC_OK);
    CHECK(first.destroyed == 1 && second.destroyed == 0);
    start_and_end();
    CHECK(first.lines == 0 && second.lines == 2);

    /* NULL removes; a destroy beside it runs at once, and the level does not matter. */
    CHECK(krpc_log_set(0, NULL, &none, destroy, &error) == KRPC_OK && error == NULL);
    CHECK(second.destroyed == 1 && none.destroyed == 1);
    CHECK(krpc_log_set(0, NULL, NULL, NULL, NULL) == KRPC_OK);
    start_and_end();
    CHECK(second.lines == 2);

    /* Several threads may replace it. */
    struct state shared = {0, 0};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, replace, &shared) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(krpc_log_set(0, NULL, NULL, NULL, NULL) == KRPC_OK);
    CHECK(first.destroyed == 1 && second.destroyed == 1 && none.destroyed == 1 && shared.destroyed == 0);
    return end_of_test();
}
