#!/usr/bin/env python3
"""The peer in Python, on Apache Thrift or thriftpy2; ./build.sh makes a program of it for each library.

  PEER server [-listen 127.0.0.1:0] -transport framed|buffered     prints LISTENING ADDRESS, ends on SIGTERM
  PEER client -addr ADDRESS -transport framed|buffered [-case NAME,…|all] [-c CALLERS] [-n CALLS]
  PEER client -list
"""

import argparse
import sys

import cases
import server
from libraries import LIBRARIES


def main() -> int:
    library, generated = sys.argv[1:3]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("server")
    serve.add_argument("-listen", default="127.0.0.1:0", help="ADDRESS")
    client = commands.add_parser("client")
    client.add_argument("-addr", default="", help="the server's ADDRESS")
    client.add_argument("-case", default="all", help="NAME,NAME…, or all: every case that needs no help")
    client.add_argument("-c", type=int, default=50, help="threads in the case callers")
    client.add_argument("-n", type=int, default=20, help="calls of each of them")
    client.add_argument("-list", action="store_true", help="list the cases")
    for command in (serve, client):
        command.add_argument("-transport", default="framed", choices=["framed", "buffered"])
        command.add_argument("-v", action="store_true", help="keep the library's own log")
    options = parser.parse_args(sys.argv[3:])

    if options.command == "client" and options.list:
        return cases.show()
    chosen = LIBRARIES[library](generated)
    if options.command == "server":
        return server.serve(chosen, options.listen, options.transport, options.v)
    return cases.run(chosen, options)


sys.exit(main())
