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

static void encodings(void)
{
    const int32_t numbers[] = {
        KRPC_ENCODING_RAW,      KRPC_ENCODING_THRIFT_BINARY, KRPC_ENCODING_THRIFT_COMPACT,
        KRPC_ENCODING_PROTOBUF, KRPC_ENCODING_JSON,          99, -1, INT32_MAX, INT32_MIN,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        krpc_message *message = krpc_message_copy(numbers[i], KRPC_BYTES(NULL, 0), NULL);
        CHECK(krpc_message_encoding(message) == numbers[i]);
        CHECK(krpc_message_size(message) == 0 && krpc_message_bytes(message).len == 0);
        krpc_message_free(message);
    }
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

    /* Also on failure, also for nothing at all. */
    krpc_error *error = NULL;
    CHECK(krpc_message_wrap(0, KRPC_BYTES(NULL, 3), &destroyed, count_destroy, &error) == NULL);
    CHECK(destroyed == 2);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "bytes: pointer is NULL but length is not 0");
    CHECK(krpc_message_wrap(0, KRPC_BYTES(text, SIZE_MAX), &destroyed, count_destroy, &error) == NULL);
    CHECK(destroyed == 3);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "bytes: length exceeds");
    message = krpc_message_wrap(0, KRPC_BYTES(NULL, 0), &destroyed, count_destroy, &error);
    CHECK(message != NULL && error == NULL && krpc_message_size(message) == 0);
    krpc_message_free(message);
    CHECK(destroyed == 4);

    /* Static memory needs no destroy. */
    message = krpc_message_wrap(0, KRPC_BYTES(text, 4), NULL, NULL, NULL);
    CHECK(bytes_equal(krpc_message_bytes(message), "lent"));
    krpc_message_free(message);
}

static void segments(void)
{
    const krpc_bytes parts[] = {KRPC_BYTES("ab", 2), KRPC_BYTES(NULL, 0), KRPC_BYTES("c", 1)};
    krpc_message *message = krpc_message_from_segments(KRPC_ENCODING_RAW, parts, 3, NULL);
    krpc_bytes views[2];
    size_t count = 0;
    CHECK(krpc_message_segments(message, views, 2, &count) == KRPC_OK);
    CHECK(count == 3 && bytes_equal(views[0], "ab") && bytes_equal(views[1], ""));
    CHECK(krpc_message_segments(message, NULL, 0, &count) == KRPC_OK && count == 3);
    CHECK(krpc_message_segments(message, NULL, 1, &count) == KRPC_STATUS_INVALID_ARGUMENT && count == 0);
    CHECK(krpc_message_segments(message, views, 2, NULL) == KRPC_OK);
    CHECK(krpc_message_bytes(message).len == 0 && krpc_message_size(message) == 3);

    krpc_message *joined = krpc_message_join(message, NULL);
    CHECK(bytes_equal(krpc_message_bytes(joined), "abc"));
    krpc_message *shared = krpc_message_join(joined, NULL);
    CHECK(krpc_message_bytes(shared).ptr == krpc_message_bytes(joined).ptr);
    krpc_message_free(shared);
    krpc_message_free(joined);
    krpc_message_free(message);

    krpc_error *error = NULL;
    message = krpc_message_from_segments(0, NULL, 0, &error);
    CHECK(message != NULL && error == NULL && krpc_message_size(message) == 0);
    krpc_message_free(message);
    CHECK(krpc_message_from_segments(0, NULL, 1, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "segments: is NULL but count is not 0");
    const krpc_bytes bad[] = {KRPC_BYTES("ab", 2), KRPC_BYTES(NULL, 1)};
    CHECK(krpc_message_from_segments(0, bad, 2, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "segments: pointer is NULL");
}

static void null(void)
{
    size_t count = 7;
    krpc_error *error = NULL;
    krpc_message_free(NULL);
    CHECK(krpc_message_size(NULL) == 0 && krpc_message_retain(NULL) == NULL);
    CHECK(krpc_message_encoding(NULL) == KRPC_ENCODING_RAW && krpc_message_bytes(NULL).ptr == NULL);
    CHECK(krpc_message_segments(NULL, NULL, 0, &count) == KRPC_STATUS_INVALID_ARGUMENT && count == 0);
    CHECK(krpc_message_join(NULL, NULL) == NULL);
    CHECK(krpc_message_join(NULL, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "message: is NULL");
}

int main(void)
{
    copies();
    encodings();
    wraps();
    segments();
    null();
    return end_of_test();
}
