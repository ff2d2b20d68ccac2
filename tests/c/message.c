/* krpc_message: making, sharing, reading and freeing; wrong pointers are errors, not crashes. */
#include "check.h"

static int destroyed;

static void count_destroy(void *user_data)
{
    CHECK(user_data == &destroyed);
    destroyed++;
}

static void copies(void)
{
    char text[] = "hello";
    krpc_error *error = NULL;
    krpc_message *message = krpc_message_copy(KRPC_ENCODING_JSON, KRPC_BYTES(text, 5), &error);
    CHECK(message != NULL && error == NULL);
    text[0] = 'j';
    CHECK(bytes_equal(krpc_message_bytes(message), "hello"));
    CHECK(krpc_message_encoding(message) == KRPC_ENCODING_JSON);
    CHECK(krpc_message_size(message) == 5);

    krpc_message *second = krpc_message_retain(message);
    krpc_message_free(message);
    CHECK(bytes_equal(krpc_message_bytes(second), "hello"));
    krpc_message_free(second);
}

static void wraps(void)
{
    static const char text[] = "lent";
    krpc_message *message =
        krpc_message_wrap(KRPC_ENCODING_RAW, KRPC_BYTES(text, 4), &destroyed, count_destroy, NULL);
    krpc_message *second = krpc_message_retain(message);
    CHECK(krpc_message_bytes(message).ptr == (const uint8_t *)text);
    krpc_message_free(message);
    CHECK(destroyed == 0);
    krpc_message_free(second);
    CHECK(destroyed == 1);

    krpc_error *error = NULL;
    message = krpc_message_wrap(0, KRPC_BYTES(NULL, 3), &destroyed, count_destroy, &error);
    CHECK(message == NULL && destroyed == 2);
    CHECK(krpc_error_status(error) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_error_free(error);
}

static void segments(void)
{
    const krpc_bytes parts[] = {KRPC_BYTES("ab", 2), KRPC_BYTES(NULL, 0), KRPC_BYTES("c", 1)};
    krpc_message *message = krpc_message_from_segments(KRPC_ENCODING_RAW, parts, 3, NULL);
    krpc_bytes views[2];
    size_t count = 0;
    CHECK(krpc_message_segments(message, views, 2, &count) == KRPC_OK);
    CHECK(count == 3 && bytes_equal(views[0], "ab") && bytes_equal(views[1], ""));
    CHECK(krpc_message_bytes(message).len == 0);

    krpc_message *joined = krpc_message_join(message, NULL);
    CHECK(bytes_equal(krpc_message_bytes(joined), "abc"));
    krpc_message_free(joined);
    krpc_message_free(message);
}

static void misuse(void)
{
    krpc_error *error = NULL;
    krpc_message_free(NULL);
    CHECK(krpc_message_size(NULL) == 0 && krpc_message_retain(NULL) == NULL);
    CHECK(krpc_message_join(NULL, &error) == NULL);
    CHECK(krpc_error_status(error) == KRPC_STATUS_INVALID_ARGUMENT);

    /* A handle of another type is refused. */
    CHECK(krpc_message_size((const krpc_message *)(const void *)error) == 0);
    krpc_error_free(error);

    /* The debug library also knows freed handles. */
    krpc_message *message = krpc_message_copy(0, KRPC_BYTES("x", 1), NULL);
    krpc_message_free(message);
    krpc_message_free(message);
    CHECK(krpc_message_size(message) == 0);
}

int main(void)
{
    copies();
    wraps();
    segments();
    misuse();
    return 0;
}
