#!/usr/bin/env python3
"""A plain asyncio program that uses the library through ctypes: one descriptor by add_reader, no threads of
its own but where a case says so, no callbacks from foreign threads.

  asyncio_ctypes.py --library target/debug/libkrpc.so.0 --server HOST:PORT --method Second/Echo2 --prefix second2:

Each case checks that nothing is lost, doubled, crossed or leaked and prints a line: "ok NAME: what happened",
"FAILED NAME: why" or "skipped: why". Exit code 1 if one failed. Needs nothing but Python's own library.
"""

import argparse
import asyncio
import ctypes as c
import os
import random
import resource
import signal
import sys
import threading
import time

BOUND_SECONDS = 150
BATCH = 64
KIND_END, KIND_CALL, KIND_REQUEST = 0, 1, 2
OK, QUEUE_FULL, CLOSED, FORKED, CANCELLED = 0, 107, 104, 108, 502
THRIFT_BINARY = 1
SERVER_TAG = 1 << 63

# ---- the ABI, as far as it is used here -----------------------------------------------------------


class Str(c.Structure):
    _fields_ = [("ptr", c.c_char_p), ("len", c.c_size_t)]


class Bytes(c.Structure):
    _fields_ = [("ptr", c.c_void_p), ("len", c.c_size_t)]


class Call(c.Structure):
    _fields_ = [("method", c.c_void_p), ("request", c.c_void_p), ("tag", c.c_uint64)]


class Event(c.Structure):
    _fields_ = [
        ("kind", c.c_int32), ("status", c.c_int32), ("tag", c.c_uint64),
        ("reply", c.c_void_p), ("request", c.c_void_p), ("decision", c.c_void_p),
        ("stream", c.c_void_p), ("message", c.c_void_p), ("error", c.c_void_p), ("sequence", c.c_uint64),
        ("record", c.c_void_p),
    ]  # fmt: skip


class QueueStats(c.Structure):
    _fields_ = [("struct_size", c.c_size_t)] + [
        (name, c.c_uint64) for name in ("reserved", "queued", "max_depth", "full", "stale", "wakes")
    ]


POINTER, STATUS, SIZE, TEXT = c.c_void_p, c.c_int32, c.c_size_t, Str
FUNCTIONS = {
    "krpc_status_name": (Str, c.c_int32),
    "krpc_has_feature": (c.c_bool, TEXT),
    "krpc_live_handles": (SIZE,),
    "krpc_runtime_report": (POINTER, c.c_int32, POINTER),
    "krpc_message_copy": (POINTER, c.c_int32, Bytes, POINTER),
    "krpc_message_bytes": (Bytes, POINTER),
    "krpc_message_free": (None, POINTER),
    "krpc_error_describe": (Str, POINTER),
    "krpc_reply_error": (POINTER, POINTER),
    "krpc_reply_message": (POINTER, POINTER),
    "krpc_client_options_new": (POINTER, TEXT, POINTER),
    "krpc_client_options_add_address": (STATUS, POINTER, TEXT, POINTER),
    "krpc_client_options_set_max_idle_connections": (STATUS, POINTER, SIZE, POINTER),
    "krpc_client_options_set_timeout_ms": (STATUS, POINTER, c.c_int64, POINTER),
    "krpc_client_options_set_connect_timeout_ms": (STATUS, POINTER, c.c_int64, POINTER),
    "krpc_client_build": (POINTER, POINTER, POINTER),
    "krpc_client_method": (POINTER, POINTER, TEXT, c.c_uint32, POINTER),
    "krpc_method_free": (None, POINTER),
    "krpc_client_free": (None, POINTER),
    "krpc_client_start_many": (STATUS, POINTER, POINTER, SIZE, SIZE, POINTER, POINTER, POINTER, POINTER),
    "krpc_queue_new": (POINTER, SIZE, POINTER),
    "krpc_queue_fd": (STATUS, POINTER, POINTER, POINTER),
    "krpc_queue_take": (STATUS, POINTER, POINTER, SIZE, SIZE, c.c_int64, POINTER),
    "krpc_queue_cancel": (SIZE, POINTER, c.c_uint64),
    "krpc_queue_shutdown": (STATUS, POINTER),
    "krpc_queue_read_stats": (STATUS, POINTER, POINTER),
    "krpc_queue_free": (None, POINTER),
    "krpc_event_release_many": (None, POINTER, SIZE, SIZE),
    "krpc_service_new": (POINTER, TEXT, POINTER),
    "krpc_service_add_queued_method": (STATUS, POINTER, TEXT, c.c_uint32, POINTER, c.c_uint64, POINTER),
    "krpc_server_options_new": (POINTER,),
    "krpc_server_options_add_address": (STATUS, POINTER, TEXT, POINTER),
    "krpc_server_options_add_service": (STATUS, POINTER, POINTER, c.c_bool, POINTER),
    "krpc_server_build": (POINTER, POINTER, POINTER),
    "krpc_server_address": (Str, POINTER, SIZE),
    "krpc_server_free": (None, POINTER),
    "krpc_request_message": (POINTER, POINTER),
    "krpc_request_reply": (STATUS, POINTER, POINTER, POINTER),
    "krpc_request_reply_many": (SIZE, POINTER, POINTER, SIZE, POINTER),
    "krpc_request_is_abandoned": (c.c_bool, POINTER),
    "krpc_request_free": (None, POINTER),
}


def load(path: str):
    library = c.CDLL(path)
    for name, (result, *arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def view(text: str) -> Str:
    encoded = text.encode()
    return Str(encoded, len(encoded))


def text_of(words: Str) -> str:
    return c.string_at(words.ptr, words.len).decode() if words.len else ""


class Failure(Exception):
    """Why a case did not pass."""


class CallFailed(Exception):
    """A call that ended with something else than a reply."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def must(condition: object, why: str) -> None:
    if not condition:
        raise Failure(why)


def broken(_loop, context: dict) -> None:
    """A check failed where nobody waits for the outcome."""
    print(f"FAILED {context['message']}: {context.get('exception')!r}", flush=True)
    os._exit(1)


# ---- one loop's end of the library ------------------------------------------------------------------


class Host:
    """A queue whose descriptor the loop watches. Belongs to one loop; starts what one turn of it wants with
    one crossing."""

    def __init__(self, library, capacity: int) -> None:
        self.library, self.loop = library, asyncio.get_running_loop()
        self.queue = library.krpc_queue_new(capacity, None)
        fd = c.c_int32(-1)
        must(library.krpc_queue_fd(self.queue, c.byref(fd), None) == OK, "no descriptor")
        self.fd = fd.value
        self.loop.add_reader(self.fd, self.look)
        self.loop.set_exception_handler(broken)
        self.events = (Event * BATCH)()
        self.waiting: dict[int, asyncio.Future] = {}
        self.unstarted: list[tuple] = []
        self.next_tag = 0
        self.looks = self.ends = self.served = self.full = 0
        self.is_over = self.loop.create_future()
        self.later: set[asyncio.Task] = set()

    # -- calls

    async def call(self, client: int, method: int, text: str) -> str:
        tag, self.next_tag = self.next_tag, self.next_tag + 1
        future = self.waiting[tag] = self.loop.create_future()
        if not self.unstarted:
            self.loop.call_soon(self.flush)
        self.unstarted.append((client, method, self.message(1, text), tag))
        try:
            return await future
        except asyncio.CancelledError:
            # Its event still comes, exactly once.
            self.library.krpc_queue_cancel(self.queue, tag)
            raise

    def flush(self) -> None:
        waiting, self.unstarted = self.unstarted, []
        while waiting:
            client = waiting[0][0]
            batch = [entry for entry in waiting[:BATCH] if entry[0] == client]
            calls = (Call * len(batch))(*[Call(method, message, tag) for _, method, message, tag in batch])
            started = c.c_size_t()
            status = self.library.krpc_client_start_many(
                client, calls, c.sizeof(Call), len(batch), None, self.queue, c.byref(started), None
            )
            for _, _, message, tag in batch[: started.value]:
                self.library.krpc_message_free(message)
                if self.waiting[tag].cancelled():  # before it was started
                    self.library.krpc_queue_cancel(self.queue, tag)
            done = set(map(id, batch[: started.value]))
            waiting = [entry for entry in waiting if id(entry) not in done]
            if status == QUEUE_FULL:
                # Once more when events have been taken.
                self.full += 1
                self.unstarted = waiting + self.unstarted
                return
            must(status == OK, f"start_many: status {status}")

    def message(self, field: int, text: str) -> int:
        encoded = text.encode()
        packed = b"\x0b" + field.to_bytes(2, "big") + len(encoded).to_bytes(4, "big") + encoded + b"\0"
        return self.library.krpc_message_copy(THRIFT_BINARY, Bytes(c.cast(packed, c.c_void_p), len(packed)), None)

    def text(self, message: int, field: int) -> str:
        found = self.library.krpc_message_bytes(message)
        packed = c.string_at(found.ptr, found.len)
        must(packed[:3] == b"\x0b" + field.to_bytes(2, "big"), f"an unexpected struct: {packed!r}")
        length = int.from_bytes(packed[3:7], "big")
        must(len(packed) == length + 8, f"an unexpected length: {packed!r}")
        return packed[7:-1].decode()

    # -- events

    def look(self) -> None:
        """The descriptor is readable: takes a few batches, then lets others run."""
        self.looks += 1
        count = c.c_size_t()
        for _ in range(8):
            self.library.krpc_queue_take(self.queue, self.events, c.sizeof(Event), BATCH, 0, c.byref(count))
            self.handle(count.value)
            self.library.krpc_event_release_many(self.events, c.sizeof(Event), count.value)
            if count.value < BATCH:
                break
        if self.unstarted:
            self.flush()

    def handle(self, count: int) -> None:
        requests, results = [], []
        for event in self.events[:count]:
            if event.kind == KIND_CALL:
                self.end(event)
            elif event.kind == KIND_REQUEST:
                must(event.tag == SERVER_TAG, "a request with a wrong tag")
                self.serve(event, requests, results)
            elif event.kind == KIND_END and not self.is_over.done():
                self.loop.remove_reader(self.fd)
                self.is_over.set_result(None)
        if requests:
            answered = self.library.krpc_request_reply_many(
                (c.c_void_p * len(requests))(*requests), (c.c_void_p * len(results))(*results), len(requests), None
            )
            self.served += len(requests)
            must(answered <= len(requests), "more answers than requests")
            for result in results:
                self.library.krpc_message_free(result)

    def end(self, event: Event) -> None:
        self.ends += 1
        future = self.waiting.pop(event.tag, None)
        must(future is not None, f"call {event.tag} ended twice")
        if future.done():  # cancelled
            return
        if event.status == OK:
            future.set_result(self.text(self.library.krpc_reply_message(event.reply), 0))
        else:
            error = self.library.krpc_reply_error(event.reply)
            future.set_exception(CallFailed(event.status, text_of(self.library.krpc_error_describe(error))))

    # -- the server's side

    def serve(self, event: Event, requests: list, results: list) -> None:
        text = self.text(self.library.krpc_request_message(event.request), 1)
        if text.endswith("7"):
            task = self.loop.create_task(self.answer_later(event.request, text))
            self.later.add(task)
            task.add_done_callback(self.later.discard)
            event.request = None  # kept
        else:
            requests.append(event.request)
            results.append(self.message(0, text))

    async def answer_later(self, request: int, text: str) -> None:
        await asyncio.sleep(random.random() / 200)
        result = self.message(0, text)
        self.library.krpc_request_reply(request, result, None)
        self.library.krpc_message_free(result)
        self.library.krpc_request_free(request)
        self.served += 1

    # -- the end

    def stats(self) -> QueueStats:
        stats = QueueStats(c.sizeof(QueueStats))
        self.library.krpc_queue_read_stats(self.queue, c.byref(stats))
        return stats

    async def close(self) -> QueueStats:
        self.library.krpc_queue_shutdown(self.queue)
        await asyncio.wait_for(self.is_over, BOUND_SECONDS)
        must(not self.waiting and not self.unstarted, f"{len(self.waiting)} calls never ended")
        stats = self.stats()
        self.library.krpc_queue_free(self.queue)
        return stats


def connect(library, address: str, idle: int) -> int:
    options = library.krpc_client_options_new(view("host"), None)
    library.krpc_client_options_add_address(options, view(address), None)
    library.krpc_client_options_set_max_idle_connections(options, idle, None)
    library.krpc_client_options_set_timeout_ms(options, BOUND_SECONDS * 1000, None)
    library.krpc_client_options_set_connect_timeout_ms(options, BOUND_SECONDS * 1000, None)
    client = library.krpc_client_build(options, None)
    must(client, f"no client for {address}")
    return client


# ---- many calls ------------------------------------------------------------------------------------------


async def many_calls(host: Host, client: int, method: int, prefix: str, count: int, in_flight: int, seed: int) -> str:
    """Each caller makes one call after the other; one call in ten is given up at a random time."""
    dice = random.Random(seed)
    numbers = iter(range(count))
    seen = {"answered": 0, "cancelled": 0}

    async def one(number: int) -> None:
        text = f"{seed}/{number}"
        task = asyncio.ensure_future(host.call(client, method, text))
        if dice.randrange(10) == 0:
            await asyncio.sleep(dice.random() / 100 if dice.randrange(2) else 0)
            task.cancel()
        try:
            answer = await task
        except asyncio.CancelledError:
            seen["cancelled"] += 1
            return
        must(answer == prefix + text, f"{text!r} was answered {answer!r}")
        seen["answered"] += 1

    async def caller() -> None:
        for number in numbers:
            await one(number)

    begin = time.monotonic()
    await asyncio.gather(*[caller() for _ in range(in_flight)])
    seconds = time.monotonic() - begin
    must(sum(seen.values()) == count, f"{count} calls, but {seen}")
    return f"{count} calls, {seen['answered']} answered, {seen['cancelled']} cancelled, {seconds:.1f} s"


def check_wakes(host: Host, stats: QueueStats, count: int) -> str:
    must(host.ends == count, f"{host.ends} events of {count} calls")
    must(stats.reserved == 0 and stats.queued == 0, "the queue still has something")
    must(stats.wakes <= count / 2, f"{stats.wakes} wake-ups for {count} calls")
    return f"{stats.wakes} wake-ups, {host.looks} looks, {host.full} times full"


async def calls_case(library, options, count: int, in_flight: int, seed: int = 1) -> str:
    # Room for those that are in flight and not for those that were given up and have not ended yet.
    host = Host(library, in_flight)
    client = connect(library, options.server, in_flight)
    method = library.krpc_client_method(client, view(options.method), 0, None)
    said = await many_calls(host, client, method, options.prefix, count, in_flight, seed)
    library.krpc_method_free(method)
    library.krpc_client_free(client)
    stats = await host.close()
    return f"{said}; {check_wakes(host, stats, count)}"


async def server_case(library, options) -> str:
    """Client and server in one loop, on one queue."""
    count, in_flight = 4000, 200
    host = Host(library, 4 * in_flight)
    service = library.krpc_service_new(view("Loop"), None)
    library.krpc_service_add_queued_method(service, view("echo"), 0, host.queue, SERVER_TAG, None)
    built = library.krpc_server_options_new()
    library.krpc_server_options_add_service(built, service, False, None)
    library.krpc_server_options_add_address(built, view("127.0.0.1:0"), None)
    server = library.krpc_server_build(built, None)
    client = connect(library, text_of(library.krpc_server_address(server, 0)), in_flight)
    method = library.krpc_client_method(client, view("Loop/echo"), 0, None)
    said = await many_calls(host, client, method, "", count, in_flight, 2)
    while host.later:
        await asyncio.sleep(0.001)
    library.krpc_method_free(method)
    library.krpc_client_free(client)
    library.krpc_server_free(server)
    stats = await host.close()
    must(host.served >= 0.8 * count, f"only {host.served} requests served")
    return f"{said}; {host.served} served; {check_wakes(host, stats, count)}"


def threads_case(library, options) -> str:
    """Two loops in two threads, each with a queue and a client of its own."""
    said: list[str] = []
    failures: list[BaseException] = []

    def run(seed: int) -> None:
        try:
            said.append(asyncio.run(calls_case(library, options, 2000, 100, seed)))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return " | ".join(said)


async def close_case(library, options) -> str:
    """The queue is shut down under calls: each of them still ends, once."""
    host = Host(library, 300)
    client = connect(library, options.server, 300)
    method = library.krpc_client_method(client, view(options.method), 0, None)
    tasks = [asyncio.ensure_future(host.call(client, method, str(number))) for number in range(300)]
    await asyncio.sleep(0)  # they are written down
    await asyncio.sleep(0)  # and started
    stats = await host.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    closed = sum(isinstance(result, CallFailed) and result.status == CLOSED for result in results)
    answered = sum(isinstance(result, str) for result in results)
    must(closed + answered == 300, f"{closed} closed, {answered} answered of 300")
    must(stats.reserved == 0, "a place was not given back")
    library.krpc_method_free(method)
    library.krpc_client_free(client)
    return f"{answered} answered, {closed} closed"


def fork_case(library, options) -> str:
    """In a child what was made before answers FORKED, and what is made anew works."""

    async def before() -> str:
        host = Host(library, 16)
        client = connect(library, options.server, 16)
        method = library.krpc_client_method(client, view(options.method), 0, None)
        first = await host.call(client, method, "parent")
        child = os.fork()
        if child == 0:
            os._exit(in_child(client, method, host))
        _, status = os.waitpid(child, 0)
        must(status == 0, f"the child ended with {status}")
        second = await host.call(client, method, "parent again")
        must(first + second == f"{options.prefix}parent{options.prefix}parent again", "the parent lost its calls")
        library.krpc_method_free(method)
        library.krpc_client_free(client)
        await host.close()
        return "the child answered FORKED and made calls of its own"

    def in_child(client: int, method: int, host: Host) -> int:
        call, started = Call(method, None, 1), c.c_size_t()
        status = library.krpc_client_start_many(client, c.byref(call), c.sizeof(Call), 1, None, host.queue, c.byref(started), None)
        if status != FORKED:
            return 1
        for free, handle in (("method", method), ("client", client), ("queue", host.queue)):
            getattr(library, f"krpc_{free}_free")(handle)
        asyncio.set_event_loop(None)

        def anew() -> None:
            asyncio.run(calls_case(library, options, 50, 5, 5))

        worker = threading.Thread(target=anew)  # a loop runs in the parent's thread
        worker.start()
        worker.join()
        return 0

    return asyncio.run(before())


# ---- running ------------------------------------------------------------------------------------------------


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def check_leaks(library, before: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and (library.krpc_live_handles() or descriptors() > before):
        time.sleep(0.01)
    report = library.krpc_runtime_report(1, None)
    found = library.krpc_message_bytes(report)
    said = c.string_at(found.ptr, found.len).decode()
    library.krpc_message_free(report)
    must(library.krpc_live_handles() == 0, said)
    must(descriptors() <= before, f"{descriptors() - before} descriptors are still open")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--library", required=True, metavar="PATH", help="libkrpc.so.0")
    parser.add_argument("--server", required=True, metavar="HOST:PORT", help="a server that answers PREFIX + text")
    parser.add_argument("--method", default="Second/Echo2", help="its method: one string in, one out")
    parser.add_argument("--prefix", default="second2:", help="what it puts before the text")
    options = parser.parse_args()
    signal.alarm(BOUND_SECONDS)
    random.seed(1)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    in_flight = 1000 if most == resource.RLIM_INFINITY or most > 2200 else most // 4

    library = load(options.library)
    cases = {
        "calls": lambda: asyncio.run(calls_case(library, options, 10000, in_flight)),
        "server by queue": lambda: asyncio.run(server_case(library, options)),
        "two loops": lambda: threads_case(library, options),
        "close under calls": lambda: asyncio.run(close_case(library, options)),
    }
    can_fork = library.krpc_has_feature(view("fork")) and text_of(library.krpc_status_name(FORKED)) == "FORKED"
    if can_fork:
        cases["fork"] = lambda: fork_case(library, options)

    failed = 0
    asyncio.run(asyncio.sleep(0))  # what asyncio itself opens once
    before = descriptors()
    for name, run in cases.items():
        try:
            said = run()
            check_leaks(library, before)
            print(f"ok {name}: {said}", flush=True)
        except Exception as why:
            failed += 1
            print(f"FAILED {name}: {type(why).__name__}: {why}", flush=True)
    if not can_fork:
        print("skipped: fork: this library does not say that it can", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
