/* A message is immutable bytes with an encoding; sharing it copies nothing. */
#include <krpc.h>
#include <stdio.h>

int main(void)
{
    krpc_error *error = NULL;
    krpc_message *message = krpc_message_copy(KRPC_ENCODING_JSON, KRPC_BYTES("{\"text\":\"hi\"}", 13), &error);
    if (message == NULL) {
        krpc_str why = krpc_error_describe(error);
        fprintf(stderr, "%.*s\n", (int)why.len, why.ptr);
        krpc_error_free(error);
        return 1;
    }

    krpc_message *shared = krpc_message_retain(message);
    krpc_message_free(message);

    krpc_bytes bytes = krpc_message_bytes(shared);
    printf("%zu bytes: %.*s\n", bytes.len, (int)bytes.len, (const char *)bytes.ptr);
    krpc_message_free(shared);

    /* A mistake is an error that names the parameter. */
    krpc_message_copy(KRPC_ENCODING_RAW, KRPC_BYTES(NULL, 3), &error);
    krpc_str why = krpc_error_describe(error);
    printf("%.*s\n", (int)why.len, why.ptr);
    krpc_error_free(error);
    return 0;
}
