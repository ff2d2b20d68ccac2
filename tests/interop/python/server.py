"""The server: what its methods do is written in ../idl/interop.thrift. It has no service but Interop."""

import itertools
import logging
import os
import signal
import sys
import threading
import time

from samples import pattern

MAX_BIG_BYTES = 64 << 20


class Handler:
    def __init__(self, library) -> None:
        self.library, self.t = library, library.types
        self.shots = itertools.count()
        self.fired = 0

    def Echo(self, req):
        if req.message == "throw":
            raise self.t.EchoError(code=7, message="thrown")
        return self.t.Res(message=req.message, payload=req.payload)

    def EchoTypes(self, v):
        return v

    def Void(self, s):
        pass

    def Fire(self, s):
        self.fired = next(self.shots) + 1

    def FireCount(self):
        return self.fired

    def Fail(self, how):
        if how == "declared":
            raise self.t.EchoError(code=1001, message="declared")
        if how == "declared2":
            raise self.t.OtherError(reason="declared2", details=["a", "b"])
        if how == "error":
            raise RuntimeError("plain error")
        if how == "trans":
            raise self.library.application_exception(9001, "own code")
        return how

    def Add(self, a, b):
        return a + b

    def Sleep(self, ms):
        time.sleep(ms / 1000)
        return ms

    def Meta(self, backward):
        # Neither a caller nor metainfo travels without a header.
        return {"caller": "", **{f"arg.{key}": value for key, value in backward.items()}}

    def Big(self, bytes):
        if not 0 <= bytes <= MAX_BIG_BYTES:
            raise ValueError(f"Big: {bytes} bytes is out of range")
        return pattern(bytes)


def serve(library, address: str, transport: str, verbose: bool) -> int:
    if not verbose:
        logging.disable()  # both libraries log what a handler raises
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})

    def listening(name) -> None:
        print(f"LISTENING {name[0]}:{name[1]}", flush=True)

    def run() -> None:
        try:
            library.serve(address, transport, Handler(library), listening)
        except Exception as error:
            print(f"server: {error}", file=sys.stderr, flush=True)
            os._exit(1)

    threading.Thread(target=run, daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0
