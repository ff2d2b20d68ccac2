/* krpc-peer: a server and a client of interop.thrift in C, on libkrpc alone. They behave as their counterparts
 * in ../kitex, so that any client can be run against any server. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "common.h"
#include "server.h"

int main(int argc, char **argv)
{
    if (krpc_abi_version() != KRPC_ABI_VERSION) {
        fprintf(stderr, "krpc-peer: libkrpc has ABI %u, built for %d\n", krpc_abi_version(), KRPC_ABI_VERSION);
        return EXIT_FAILED;
    }
    if (argc >= 2 && strcmp(argv[1], "server") == 0)
        return server_main(argc - 2, argv + 2);
    if (argc >= 2 && strcmp(argv[1], "client") == 0)
        return client_main(argc - 2, argv + 2);
    fputs("usage: krpc-peer COMMAND [flags]\n\n"
          "  server   serve Interop and Second until SIGTERM\n"
          "  client   run interop cases against a server\n\n"
          "\"krpc-peer COMMAND -h\" lists the flags of a command.\n",
          stderr);
    return EXIT_USAGE;
}
