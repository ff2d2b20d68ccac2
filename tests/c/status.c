/* krpc_status and krpc_version: names, texts, unknown numbers. */
#include "check.h"

int main(void)
{
    CHECK(equal(krpc_status_name(KRPC_OK), "OK"));
    CHECK(equal(krpc_status_name(KRPC_STATUS_TIMEOUT), "TIMEOUT"));
    CHECK(krpc_status_text(KRPC_STATUS_TIMEOUT).len > 0);
    CHECK(krpc_status_retryable(KRPC_STATUS_CONNECT_FAILED));
    CHECK(!krpc_status_retryable(KRPC_STATUS_TIMEOUT));

    const int32_t unknown[] = {-1, 1, 100, 999, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        CHECK(equal(krpc_status_name(unknown[i]), "UNKNOWN"));
        CHECK(!krpc_status_retryable(unknown[i]));
    }

    CHECK(krpc_abi_version() == KRPC_ABI_VERSION);
    CHECK(krpc_has_feature(KRPC_STR("ttheader")) && !krpc_has_feature(krpc_cstr(NULL)));
    return 0;
}
