"""The client's cases. Each checks one behaviour; a Wrong says why it is not as expected."""

import concurrent.futures
import contextlib
import socket
import sys
import threading
import time

import samples
from samples import pattern

TIMEOUT_MS = 10000


class Wrong(Exception):
    """Why a case failed."""


def want(what: str, got, wanted) -> None:
    if got != wanted:
        show = lambda value: (text := repr(value))[:300] + ("…" if len(text) > 300 else "")  # noqa: E731
        raise Wrong(f"{what}: got {show(got)}, want {show(wanted)}")


class Run:
    """One connection for all cases, so that one left in a bad state by one case shows in the next."""

    def __init__(self, library, options) -> None:
        self.library, self.t = library, library.types
        self.address, self.transport = options.addr, options.transport
        self.callers, self.calls = options.c, options.n
        self.connection = self.connect()

    def connect(self, timeout_ms: int = TIMEOUT_MS, address: str = ""):
        return self.library.connect(address or self.address, self.transport, timeout_ms)

    @property
    def client(self):
        return self.connection.interop

    def service(self, name: str):
        return self.connection.client(name)

    def reconnect(self) -> None:
        self.connection.close()
        self.connection = self.connect()

    def alive(self) -> None:
        want("next call", self.client.Add(40, 2), 42)

    def exception(self, call, type_id: int, text: str | None) -> str:
        """The server ends the connection after an exception, as Kitex does: the next case has a new one."""
        try:
            got = call()
        except self.library.ApplicationException as error:
            want("exception type", error.type, type_id)
            if text is not None:
                want("exception text", error.message, text)
            self.reconnect()
            self.alive()
            return error.message
        raise Wrong(f"got {got!r}, want an exception of type {type_id}")


# ---- values ---------------------------------------------------------------------------------------


def wire(run: Run) -> None:
    """the client really speaks the chosen transport, and the reply mirrors it"""
    with Tap(run.address) as tap:
        connection = run.connect(address=tap.address)
        want("reply", connection.interop.Add(1, 2), 3)
        connection.close()
    for what, data in (("request", tap.request), ("reply", tap.reply)):
        if run.transport == "framed":
            want(f"length of the {what}'s frame", int.from_bytes(data[:4], "big"), len(data) - 4)
            data = data[4:]
        want(f"start of the {what}", bytes(data[:3]), b"\x80\x01\x00")


def echo(run: Run) -> None:
    """strings and optional binaries come back"""
    for message, payload in (
        ("hi", None), ("", b""), ("héllo, 世界 🎉\0\t\"<>", b"\0\x01\x7f\x80\xff"), ("x" * 70000, pattern(5000)),
    ):  # fmt: skip
        got = run.client.Echo(run.t.Req(message=message, payload=payload))
        want("message", got.message, message)
        want("payload", got.payload, payload)
    try:
        run.client.Echo(run.t.Req(message="throw"))
    except run.t.EchoError as error:
        want("exception", (error.code, error.message), (7, "thrown"))
    else:
        raise Wrong("no EchoError")


def same(run: Run, sent) -> None:
    got = run.client.EchoTypes(sent)
    for name, value in vars(sent).items():
        if samples.differs(getattr(got, name), value):
            raise Wrong(f"{name}: got {getattr(got, name)!r}, want {value!r}"[:600])


def types(run: Run) -> None:
    """every Thrift type: full, least and extreme values"""
    for sample in (samples.full, samples.least, samples.extreme):
        same(run, sample(run.t))


def enum_unknown(run: Run) -> None:
    """an enum number outside the IDL survives"""
    same(run, samples.unknown_enums(run.t))


def void(run: Run) -> None:
    """a void method"""
    want("result", run.client.Void("nothing"), None)
    run.alive()


def oneway(run: Run) -> None:
    """every oneway call arrives once; needs the server for itself"""
    shots = 20
    before = run.client.FireCount()
    for i in range(shots):
        run.client.Fire(f"shot {i}")
    end = time.monotonic() + 3
    while (count := run.client.FireCount() - before) < shots and time.monotonic() < end:
        time.sleep(0.02)
    want("count", count, shots)


def add(run: Run) -> None:
    """several arguments"""
    for a, b in ((1, 2), (-5, 3), (2**62, 2**62 - 1)):
        want("sum", run.client.Add(a, b), a + b)


def second(run: Run) -> None:
    """without service names, a method is looked for in all services, the fallback's first"""
    other = run.service("Second")
    want("Echo2", other.Echo2("a"), "second2:a")
    want("Echo", other.Echo(run.t.Req(message="b")).message, "b")


def metainfo(run: Run) -> None:
    """no caller and no metainfo without a header"""
    seen = run.client.Meta({"BACK": "b-1", "BACK_TWO": "é"})
    want("seen", seen, {"caller": "", "arg.BACK": "b-1", "arg.BACK_TWO": "é"})


def big(run: Run) -> None:
    """1 MiB both ways"""
    size = 1 << 20
    data = pattern(size)
    if run.client.Big(size) != data:
        raise Wrong("the reply differs from the pattern")
    for _ in range(3):
        got = run.client.Echo(run.t.Req(message="big", payload=data))
        if (got.message, got.payload) != ("big", data):
            raise Wrong("what came back differs from what was sent")


def volume(run: Run) -> None:
    """120 MB of strings each way over one connection"""
    text = "v" * 1_000_000
    for i in range(120):
        if run.client.Echo(run.t.Req(message=text)).message != text:
            raise Wrong(f"call {i}: what came back differs from what was sent")


# ---- errors ---------------------------------------------------------------------------------------


def declared(run: Run) -> None:
    """first declared exception"""
    try:
        raise Wrong(f"no EchoError but {run.client.Fail('declared')!r}")
    except run.t.EchoError as error:
        want("exception", (error.code, error.message), (1001, "declared"))
    run.alive()


def declared2(run: Run) -> None:
    """second declared exception"""
    try:
        raise Wrong(f"no OtherError but {run.client.Fail('declared2')!r}")
    except run.t.OtherError as error:
        want("exception", (error.reason, list(error.details)), ("declared2", ["a", "b"]))
    run.alive()


def biz(run: Run) -> None:
    """a business status has no place to travel in: a result without a value is left"""
    try:
        got = run.client.Fail("biz")
    except run.library.ApplicationException as error:
        want("exception type", error.type, 5)  # missing result: found by the client itself
    else:
        want("result", got, None)
    run.alive()


def error(run: Run) -> None:
    """plain handler error: exception type 6"""
    run.exception(lambda: run.client.Fail("error"), 6, "biz error: plain error")


def trans(run: Run) -> None:
    """handler's own exception type"""
    run.exception(lambda: run.client.Fail("trans"), 9001, "own code [biz error]")


def panic(run: Run) -> None:
    """handler that dies: exception type 6"""
    if not run.exception(lambda: run.client.Fail("panic"), 6, None):
        raise Wrong("the exception has no text")


def unknown_method(run: Run) -> None:
    """missing method: type 20, as there is no service name"""
    text = "unknown service , method Missing"
    run.exception(lambda: run.service("Unknown").Missing("anyone there?"), 20, text)


# ---- connections ----------------------------------------------------------------------------------


def callers(run: Run) -> None:
    """many threads, each gets its own answers (-c, -n)"""

    def ask(number: int) -> None:
        connection = run.connect()
        with contextlib.closing(connection):
            for n in range(run.calls):
                message, payload = f"caller {number} call {n}", pattern((number * 31 + n * 97) % 3000)
                got = connection.interop.Echo(run.t.Req(message=message, payload=payload))
                want(message, (got.message, got.payload), (message, payload))
                want(f"{message}, sum", connection.interop.Add(number << 32, n), (number << 32) + n)

    with concurrent.futures.ThreadPoolExecutor(run.callers) as pool:
        list(pool.map(ask, range(run.callers)))


def deadline(run: Run) -> None:
    """the client gives up; the server's late reply meets nobody"""
    limit, pause = 100, 400
    run.connection.set_timeout(limit)
    start = time.monotonic()
    try:
        raise Wrong(f"got {run.client.Sleep(pause)!r}, want a timeout")
    except Wrong:
        raise
    except Exception as failure:
        if not run.library.is_timeout(failure):
            raise Wrong(f"got {failure!r}, want a timeout") from failure
    took = (time.monotonic() - start) * 1000
    if not limit * 0.9 <= took < pause:
        raise Wrong(f"timed out after {took:.0f} ms, want about {limit}")
    run.reconnect()
    number = 0
    while (time.monotonic() - start) * 1000 < 2 * pause:
        number += 1
        want("reply", run.client.Echo(run.t.Req(message=f"after {number}")).message, f"after {number}")


def killed(run: Run) -> None:
    """prints CALLING, then expects the server to be killed"""
    run.alive()
    run.library.send(run.client, "Sleep", TIMEOUT_MS - 1000)
    print("CALLING", flush=True)
    start = time.monotonic()
    try:
        raise Wrong(f"got {run.library.receive(run.client, 'Sleep')!r} from a dead server")
    except Wrong:
        raise
    except (run.library.TransportException, OSError) as failure:
        if run.library.is_timeout(failure):
            raise Wrong("a timeout instead of a lost connection") from failure
    if (took := time.monotonic() - start) > 5:
        raise Wrong(f"the error took {took:.1f} s")


def drain(run: Run) -> None:
    """prints CALLING, then expects the server to be stopped with SIGTERM: the running call is answered"""
    run.alive()
    run.library.send(run.client, "Sleep", 1000)
    print("CALLING", flush=True)
    want("running call", run.library.receive(run.client, "Sleep"), 1000)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            run.connect().close()
        except (run.library.TransportException, OSError):
            return
        time.sleep(0.02)
    raise Wrong("the server still takes connections")


ALL = [
    wire, echo, types, enum_unknown, void, oneway, add, declared, declared2, biz, error, trans, panic,
    unknown_method, second, metainfo, big, volume, callers, deadline,
]  # fmt: skip
NEED_HELP = [killed, drain]


class Tap:
    """A proxy for one connection that keeps the bytes of both directions."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.target = (host.strip("[]"), int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.request, self.reply = bytearray(), bytearray()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Tap":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        self.thread.join()

    def _run(self) -> None:
        with self.listener.accept()[0] as client, socket.create_connection(self.target) as server:
            back = threading.Thread(target=self._copy, args=(server, client, self.reply))
            back.start()
            self._copy(client, server, self.request)
            back.join()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        while data := source.recv(65536):
            kept += data
            sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def name_of(case) -> str:
    return case.__name__.replace("_", "-")


def show() -> int:
    for case in ALL + NEED_HELP:
        print(f"{name_of(case):<16} {case.__doc__}")
    return 0


def run(library, options) -> int:
    known = {name_of(case): case for case in ALL + NEED_HELP}
    names = options.case.split(",")
    if unknown := [name for name in names if name != "all" and name not in known]:
        print(f"client: no such case: {unknown[0]}", file=sys.stderr)
        return 2
    chosen = [case for name, case in known.items() if name in names or "all" in names and case in ALL]
    session = Run(library, options)
    failed = 0
    for case in chosen:
        try:
            case(session)
            print(f"ok {name_of(case)}", flush=True)
        except Exception as why:
            failed += 1
            text = str(why) if isinstance(why, Wrong) else f"{type(why).__name__}: {why}"
            print(f"FAIL {name_of(case)}: {text!r}", flush=True)
            with contextlib.suppress(Exception):
                session.reconnect()
    session.connection.close()
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0
