/* krpc_error: what it tells, and that NULL and other handles are harmless. */
#include "check.h"

static void facts(void)
{
    krpc_error *error = NULL;
    CHECK(krpc_message_join(NULL, &error) == NULL);
    CHECK(krpc_error_status(error) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK_STR(krpc_error_text(error), "message: is NULL");
    CHECK_STR(krpc_error_describe(error), "INVALID_ARGUMENT: message: is NULL");
    CHECK(krpc_error_phase(error) == KRPC_PHASE_NONE && !krpc_error_retryable(error));
    CHECK(krpc_error_peer(error).len == 0 && krpc_error_method(error).len == 0);
    CHECK(krpc_error_cause(error) == NULL);

    /* What this error does not have clears the outputs. */
    int32_t number = 7;
    int16_t field = 7;
    krpc_str text = KRPC_STR("old"), other = KRPC_STR("old");
    const krpc_message *exception = (const krpc_message *)(const void *)error;
    CHECK(!krpc_error_remote_exception(error, &number, &text) && number == 0 && text.len == 0);
    number = 7;
    text = KRPC_STR("old");
    CHECK(!krpc_error_biz_status(error, &number, &text) && number == 0 && text.len == 0);
    CHECK(krpc_error_biz_extra_count(error) == 0);
    text = KRPC_STR("old");
    CHECK(!krpc_error_biz_extra_at(error, 0, &text, &other) && text.len == 0 && other.len == 0);
    CHECK(!krpc_error_declared_exception(error, &field, &exception) && field == 0 && exception == NULL);
    CHECK(!krpc_error_remote_exception(error, NULL, NULL) && !krpc_error_biz_status(error, NULL, NULL));
    CHECK(!krpc_error_biz_extra_at(error, SIZE_MAX, NULL, NULL));
    CHECK(!krpc_error_declared_exception(error, NULL, NULL));
    krpc_error_free(error);
}

static void outputs(void)
{
    /* The output is cleared on success, and each failure gives an error of its own. */
    krpc_error *first = NULL, *second = NULL;
    CHECK(krpc_message_join(NULL, &first) == NULL && krpc_message_join(NULL, &second) == NULL);
    CHECK(first != second);
    krpc_error *output = first;
    krpc_message *message = krpc_message_copy(0, KRPC_BYTES("x", 1), &output);
    CHECK(message != NULL && output == NULL);
    krpc_message_free(message);
    krpc_error_free(first);
    krpc_error_free(second);
}

static void null(void)
{
    CHECK(krpc_error_status(NULL) == KRPC_OK);
    CHECK(krpc_error_describe(NULL).len == 0 && krpc_error_text(NULL).len == 0);
    CHECK(krpc_error_phase(NULL) == KRPC_PHASE_NONE && !krpc_error_retryable(NULL));
    CHECK(krpc_error_peer(NULL).len == 0 && krpc_error_method(NULL).len == 0);
    CHECK(!krpc_error_remote_exception(NULL, NULL, NULL) && !krpc_error_biz_status(NULL, NULL, NULL));
    CHECK(krpc_error_biz_extra_count(NULL) == 0 && !krpc_error_biz_extra_at(NULL, 0, NULL, NULL));
    CHECK(!krpc_error_declared_exception(NULL, NULL, NULL) && krpc_error_cause(NULL) == NULL);
    krpc_error_free(NULL);
}

int main(void)
{
    facts();
    outputs();
    null();
    return end_of_test();
}
