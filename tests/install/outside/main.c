#include <krpc.h>
#include <stdio.h>

int main(void)
{
    krpc_str version = krpc_version();
    krpc_message *message = krpc_message_copy(KRPC_ENCODING_RAW, KRPC_BYTES("hello", 5), NULL);
    printf("krpc %.*s: %zu bytes\n", (int)version.len, version.ptr, krpc_message_size(message));
    krpc_message_free(message);
    return 0;
}
