/* What guards connections: payload checksums. */
#include "net.h"

/* Each side may check, or not: whoever does not ignores the other's checksums. */
static void payloads_carry_checksums_if_asked(void)
{
    for (int which = 0; which < 4; which++) {
        krpc_server_options *options =
            options_with("127.0.0.1:0", service_with("Test", "other", 0, echo, NULL));
        CHECK(krpc_server_options_set_checksum(options, (which & 1) != 0, NULL) == KRPC_OK);
        krpc_server *server = serve(options);
        krpc_client_options *to = options_to(krpc_server_address(server, 0));
        CHECK(krpc_client_options_set_checksum(to, (which & 2) != 0, NULL) == KRPC_OK);
        krpc_client *client = krpc_client_build(to, NULL);
        CHECK_ECHO(client);
        CHECK_ECHO(client);
        krpc_client_free(client);
        krpc_server_free(server);
    }
    CHECK_STR(krpc_status_name(KRPC_STATUS_CHECKSUM_MISMATCH), "CHECKSUM_MISMATCH");
    CHECK(!krpc_status_retryable(KRPC_STATUS_CHECKSUM_MISMATCH));
}

int main(void)
{
    payloads_carry_checksums_if_asked();
    return end_of_net_test();
}
