/* krpc_method: names, flags, and what it outlives. */
#include "net.h"

int main(void)
{
    krpc_server *server = serve_one("other", 0, echo, NULL);
    krpc_client *client = client_of(server);

    static const char *const bad_names[] = {"", "/", "S/", "/m", "S/m/x"};
    for (size_t i = 0; i < LEN(bad_names); i++)
        NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "method", krpc_client_method(client, krpc_cstr(bad_names[i]), 0, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "name", krpc_client_method(client, (krpc_str){NULL, 1}, 0, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "UTF-8", krpc_client_method(client, KRPC_STR("\xff"), 0, &error));
    NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "client", krpc_client_method(NULL, KRPC_STR("m"), 0, &error));
    /* Inline is for servers; 4 is for nobody. */
    static const uint32_t bad_flags[] = {KRPC_METHOD_FLAG_INLINE, 3, 4, UINT32_MAX};
    for (size_t i = 0; i < LEN(bad_flags); i++)
        NOT_MADE(KRPC_STATUS_INVALID_ARGUMENT, "flags", krpc_client_method(client, KRPC_STR("m"), bad_flags[i], &error));
    CHECK(krpc_client_method(NULL, KRPC_STR("m"), 0, NULL) == NULL);
    krpc_method_free(NULL);

    /* It outlives its client and works with any other. */
    static const char *const names[] = {"Test/echo", "echo"};
    for (size_t i = 0; i < LEN(names); i++) {
        krpc_method *method = krpc_client_method(client, krpc_cstr(names[i]), 0, NULL);
        CHECK(method != NULL);
        krpc_client_free(client);
        client = client_of(server);
        krpc_message *request = text_message(1, KRPC_STR("prepared"));
        krpc_reply *reply = NULL;
        CHECK(krpc_client_call(client, method, request, NULL, &reply) == KRPC_OK);
        CHECK(is_text(krpc_reply_message(reply), 0, KRPC_STR("prepared")));
        krpc_reply_free(reply);
        krpc_message_free(request);
        krpc_method_free(method);
    }
    krpc_client_free(client);
    krpc_server_free(server);
    return end_of_net_test();
}
