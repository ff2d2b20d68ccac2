/* krpc_reply: what it holds, for how long, and what it says to nobody. */
#include "net.h"

static void null_says_nothing(void)
{
    krpc_facts facts = KRPC_FACTS_INIT;
    CHECK(krpc_reply_status(NULL) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_reply_message(NULL) == NULL && krpc_reply_metainfo(NULL) == NULL);
    CHECK(krpc_reply_error(NULL) == NULL);
    CHECK_STR(krpc_reply_peer(NULL), "");
    CHECK(krpc_reply_facts(NULL, &facts) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_reply_free(NULL);
}

static void facts_and_parts(void)
{
    krpc_server *server = serve_one("other", 0, echo, NULL);
    krpc_client *client = client_of(server);
    for (uint32_t i = 0; i < 2; i++) {
        krpc_reply *reply = call(client, "Test/echo", "hello", BOUND_MS);
        krpc_facts facts = KRPC_FACTS_INIT;
        CHECK(krpc_reply_facts(reply, &facts) == KRPC_OK);
        CHECK(facts.struct_size == sizeof facts && facts.attempts == 1 && facts.reused_connection == i);
        CHECK(facts.request_bytes > 50 && facts.reply_bytes > 30 && facts.elapsed_us > 0);
        CHECK(krpc_reply_error(reply) == NULL && krpc_metainfo_count(krpc_reply_metainfo(reply)) == 0);
        krpc_str address = krpc_server_address(server, 0), peer = krpc_reply_peer(reply);
        CHECK(peer.len == address.len && memcmp(peer.ptr, address.ptr, peer.len) == 0);

        /* A host that was compiled with fewer fields gets those; sizes that can't be are refused. */
        krpc_facts small = {offsetof(krpc_facts, elapsed_us), 0, 0, 77, 77, 77};
        CHECK(krpc_reply_facts(reply, &small) == KRPC_OK);
        CHECK(small.request_bytes == facts.request_bytes && small.elapsed_us == 77 && small.attempts == 77);
        small.struct_size = 3;
        CHECK(krpc_reply_facts(reply, &small) == KRPC_STATUS_INVALID_ARGUMENT);
        CHECK(krpc_reply_facts(reply, NULL) == KRPC_STATUS_INVALID_ARGUMENT);
        krpc_reply_free(reply);
    }
    krpc_client_free(client);
    krpc_server_free(server);
}

static void it_outlives_client_and_server(void)
{
    krpc_server *server = serve_one("other", 0, echo, NULL);
    krpc_client *client = client_of(server);
    krpc_reply *good = call(client, "Test/echo", "kept", BOUND_MS);
    krpc_reply *bad = call(client, "Test/none", "kept", BOUND_MS);
    krpc_client_free(client);
    krpc_server_free(server);

    CHECK(is_text(krpc_reply_message(good), 0, KRPC_STR("kept")));
    const krpc_error *error = krpc_reply_error(bad);
    CHECK(krpc_error_status(error) == KRPC_STATUS_UNKNOWN_METHOD);
    CHECK_STR(krpc_error_text(error), "unknown method none (service Test)");
    CHECK(krpc_reply_message(bad) == NULL);

    /* Borrowed parts are not the caller's to free, and end with the reply; retained ones don't. */
    krpc_error_free((krpc_error *)(uintptr_t)error);
    krpc_message_free((krpc_message *)(uintptr_t)krpc_reply_message(good));
    CHECK(krpc_error_status(error) == KRPC_STATUS_UNKNOWN_METHOD);
    krpc_message *retained = krpc_message_retain(krpc_reply_message(good));
    krpc_reply_free(good);
    krpc_reply_free(bad);
    CHECK(is_text(retained, 0, KRPC_STR("kept")));
    krpc_message_free(retained);
}

int main(void)
{
    null_says_nothing();
    facts_and_parts();
    it_outlives_client_and_server();
    return end_of_net_test();
}
