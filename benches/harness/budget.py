"""Where the time of a call goes: samples of both processes, sorted by what they were doing.

A sample in the kernel belongs to the system call that it was in, and what that call made happen on the way: over
loopback a send delivers to the other side and wakes it. A sample in the library belongs to the innermost line of ours
that was being run, inlined functions included, by its room in src/; so copies and allocations in libc and the Rust
library are apart only where they were not inlined.
"""

import collections
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from .counts import await_perf
from .lane import Lane
from .process import OUT, ROOT, Failure, must, run_client, start

PROFILE = OUT / "profile"
SECONDS = 2
RECORD = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4000", "--call-graph", "fp"]

# Functions of the kernel, by how their names differ between its versions.
CALL = r"\b(?:__x64_sys_|__arm64_sys_|__sys_|ksys_|do_|__do_sys_)"
SENDS = CALL + r"(?:sendto|sendmsg|write|writev)\b"
RECEIVES = CALL + r"(?:recvfrom|recvmsg|read|readv)\b"
WAITS = r"epoll|ppoll|do_sys_poll|futex|nanosleep|schedule|idle"

# What a file of the library does in a call, by the start of its path in src/.
ROOMS = [
    ("io/", "io: sockets, inboxes, timers"),
    ("wire/", "wire: bytes to frames and back"),
    ("proto/", "proto: order of events"),
    ("rpc/", "rpc: routing, calls, requests"),
    ("capi/", "capi: handles, the ABI's edge"),
    ("op/", "op: operations, queues"),
    ("base/", "base: messages, errors, guards"),
]
OTHER_LIBRARY = "Rust library and tokio"
ORDER = [
    "kernel: send, deliver, wake the peer",
    "kernel: receive",
    "kernel: wait and switch",
    "kernel: the rest",
    *(name for _, name in ROOMS),
    OTHER_LIBRARY,
    "copies",
    "allocator",
    "the program itself",
]


def reason() -> str | None:
    """Why there can be no budget here."""
    if not shutil.which("perf") or not shutil.which("addr2line"):
        return "needs perf and addr2line: apt-get install linux-perf binutils"
    with tempfile.NamedTemporaryFile() as data:
        if subprocess.run([*RECORD, "-o", data.name, "true"], capture_output=True).returncode != 0:
            return "perf may not take samples of the kernel here: needs root or kernel.perf_event_paranoid=-1"
    return None


def library_with_names() -> None:
    """The release library again, but not stripped: the same code, with its lines."""
    PROFILE.mkdir(parents=True, exist_ok=True)
    core = ROOT / "target/release/krpc-abi/core.a"
    out = PROFILE / "libkrpc.so.0"
    if out.exists() and out.stat().st_mtime > core.stat().st_mtime:
        return
    links = (ROOT / "target/release/libkrpc.libs").read_text().split()
    must(
        ["cc", "-shared", "-o", out, "-Wl,--whole-archive", core, "-Wl,--no-whole-archive", "-Wl,-soname,libkrpc.so.0"]
        + [f"-Wl,--version-script,{ROOT / 'abi/krpc.map'}", "-Wl,--gc-sections", "-Wl,-Bsymbolic", "-Wl,--as-needed"]
        + links
    )


def budget(lane: Lane) -> dict[str, dict[str, float]]:
    """For each side, shares of its CPU time by what it was doing."""
    library_with_names()
    with tempfile.TemporaryDirectory() as folder:
        files = {side: pathlib.Path(folder) / side for side in ("server", "client")}
        named = ("env", f"LD_LIBRARY_PATH={PROFILE}")
        server = lane.serve(wrapper=named)
        watch = start([*RECORD, "-o", files["server"], "-p", str(server.process.pid)], set(), stderr=subprocess.PIPE)
        try:
            await_perf(watch.pid)
            command = lane.command(lane.client, address=server.address, seconds=SECONDS, warmup=0.2)
            run_client([*named, *RECORD, "-o", str(files["client"]), "--", *command], set(), 60)
        finally:
            watch.send_signal(signal.SIGINT)
            watch.communicate()
            server.stop()
        return {side: shares(path) for side, path in files.items()}


def shares(path: pathlib.Path) -> dict[str, float]:
    said = subprocess.run(
        ["perf", "script", "-i", path, "-F", "ip,sym,dso", "--no-inline"], capture_output=True, text=True
    )
    # One paragraph a sample, innermost frame first.
    stacks = [block.splitlines() for block in said.stdout.split("\n\n") if block.strip()]
    if not stacks:
        raise Failure(f"perf took no samples: {said.stderr}")
    frames = [[parse(line) for line in stack if line.strip()] for stack in stacks]
    ours = {ip for (ip, _, dso), *_ in frames if "libkrpc" in dso}
    rooms = rooms_of(ours)
    counts = collections.Counter(sort_of(stack, rooms) for stack in frames)
    return {name: counts[name] / len(stacks) for name in ORDER if counts[name]}


def parse(line: str) -> tuple[int, str, str]:
    ip, _, rest = line.strip().partition(" ")
    symbol, _, dso = rest.rpartition(" (")
    return int(ip, 16), symbol, dso.rstrip(")")


def sort_of(stack: list[tuple[int, str, str]], rooms: dict[int, str]) -> str:
    ip, symbol, dso = stack[0]
    if "kernel" in dso or dso == "[unknown]" and ip >> 63:
        names = "\n".join(name for _, name, where in stack if "kernel" in where)
        for pattern, name in ((SENDS, ORDER[0]), (RECEIVES, ORDER[1]), (WAITS, ORDER[2])):
            if re.search(pattern, names):
                return name
        return ORDER[3]
    if "libkrpc" in dso:
        return rooms.get(ip, OTHER_LIBRARY)
    if re.search(r"mem(cpy|move|set|cmp)", symbol):
        return "copies"
    if re.search(r"malloc|free|calloc|unlink_chunk|consolidate|realloc|arena", symbol):
        return "allocator"
    return "the program itself"


def rooms_of(offsets: set[int]) -> dict[int, str]:
    """The room of the innermost line of ours at each place in the library's file."""
    listed = sorted(offsets)
    segments = loaded_segments()
    text = "\n".join(hex(address_of(offset, segments)) for offset in listed)
    said = subprocess.run(
        ["addr2line", "-a", "-i", "-e", PROFILE / "libkrpc.so.0"], input=text, capture_output=True, text=True
    )
    blocks = re.split(r"^0x", said.stdout, flags=re.M)[1:]
    return {offset: name for offset, block in zip(listed, blocks) if (name := room_of(block.splitlines()[1:]))}


def loaded_segments() -> list[tuple[int, int, int]]:
    """Offset in the file, address and size of what is loaded from it."""
    said = subprocess.run(["readelf", "-lW", PROFILE / "libkrpc.so.0"], capture_output=True, text=True).stdout
    found = re.findall(r"^\s*LOAD\s+(0x\w+)\s+(0x\w+)\s+0x\w+\s+(0x\w+)", said, re.M)
    return [tuple(int(word, 16) for word in words) for words in found]


def address_of(offset: int, segments: list[tuple[int, int, int]]) -> int:
    """perf gives places in a file, addr2line wants the addresses that its sections have."""
    return next((offset - at + address for at, address, size in segments if at <= offset < at + size), offset)


def room_of(lines: list[str]) -> str | None:
    for line in lines:
        found = re.search(r"(?:^|/)src/(\w+/)\S*:\d+", line)
        # Crates have a src/ too, but lie in a registry's folder.
        if found and not re.search(r"registry|/rustc/|/rust/", line):
            return next((name for start, name in ROOMS if start == found[1]), None)
    return None

