"""What is counted instead of timed: system calls and instructions for each call.

System calls of a whole run are counted by `perf stat` where the system permits that (root, or
kernel.perf_event_paranoid = -1): it costs a run a few percent. `strace` needs no permission and tells them apart by
name, but slows down both sides so much that fewer calls share a wake-up; that is --syscalls.
"""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from .lane import Lane
from .process import Failure, last_json, run_client, start

COUNTED_CALLS = (300, 1300)
PERF = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter"]


@functools.cache
def perf_reason() -> str | None:
    """Why perf cannot count here."""
    if not shutil.which("perf"):
        return "needs perf: apt-get install linux-perf"
    if subprocess.run([*PERF, "true"], capture_output=True).returncode != 0:
        return "perf may not count system calls: needs root or kernel.perf_event_paranoid=-1"
    return None


def total_syscalls(lane: Lane) -> dict[str, float]:
    """System calls per call and side, in an undisturbed run without warm-up."""
    with tempfile.NamedTemporaryFile() as of_client, tempfile.NamedTemporaryFile() as of_server:
        server = lane.serve()
        watch = start([*PERF, "-o", of_server.name, "-p", str(server.process.pid)], set())
        try:
            await_perf(watch.pid)
            command = lane.command(lane.client, address=server.address, seconds=0.5, warmup=0)
            client = run_client([*PERF, "-o", of_client.name, "--", *command], set(), 60)
        finally:
            watch.send_signal(signal.SIGINT)
            watch.wait()
            served = server.stop()
        return {
            "client": read_perf(of_client.name) / max(client["calls"], 1),
            "server": read_perf(of_server.name) / max(served["calls"], 1),
        }


def await_perf(pid: int) -> None:
    """Until perf has opened its counters: it sleeps then."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if any("perf_event" in target for target in open_files(pid)):
            time.sleep(0.02)
            return
        time.sleep(0.005)
    raise Failure("perf did not begin to count")


def open_files(pid: int) -> list[str]:
    """What its descriptors mean; those that it closes meanwhile are left out."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(path))
    return found


def read_perf(path: str) -> int:
    text = pathlib.Path(path).read_text()
    if not (found := re.search(r"^(\d+),.*sys_enter", text, re.M)):
        raise Failure(f"perf counted nothing: {text}")
    return int(found[1])


def syscalls(lane: Lane) -> dict:
    """System calls by name, by strace; a short run, as it slows down both sides."""
    counts = {}
    for side in ("server", "client"):
        with tempfile.NamedTemporaryFile() as table:
            # -D: the program itself is our child, so that signals reach it.
            strace = ("strace", "-D", "-f", "-c", "-qq", "-U", "calls,name", "-o", table.name)
            server = lane.serve(wrapper=strace if side == "server" else ())
            command = lane.command(lane.client, address=server.address, seconds=1, warmup=0)
            client = run_client([*(strace if side == "client" else ()), *command], set(), 60)
            served = server.stop()
            calls = client["calls"] if side == "client" else served["calls"]
            counts[side] = read_strace(pathlib.Path(table.name), calls)
    return counts


def read_strace(path: pathlib.Path, calls: int) -> dict[str, float]:
    deadline = time.monotonic() + 5
    while not (text := path.read_text()).rstrip().endswith("total"):
        if time.monotonic() > deadline:
            raise Failure(f"strace wrote no table: {text}")
        time.sleep(0.05)
    rows = re.findall(r"^\s*(\d+)\s+(\w+)$", text, re.M)
    per_call = {name: int(count) / max(calls, 1) for count, name in rows if name != "total"}
    return {name: round(count, 2) for name, count in per_call.items() if count >= 0.05}


def instructions(lane: Lane) -> dict:
    """Instructions in user space per call and side: the slope between two numbers of calls."""
    totals = {"server": [], "client": []}
    for calls in COUNTED_CALLS:
        for side in totals:
            valgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
            server = lane.serve(wrapper=valgrind if side == "server" else ())
            words = [word for word in lane.client if not re.match("--(seconds|warmup)", word)]
            command = [*lane.command(words, address=server.address), f"--calls={calls}"]
            client = start(
                [*(valgrind if side == "client" else ()), *command],
                set(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            _, client_said = client.communicate(timeout=120)
            server.process.send_signal(signal.SIGTERM)
            said = server.errors() if side == "server" else client_said.decode()
            found = re.search(r"Collected : (\d+)", said)
            if client.returncode != 0 or not found:
                raise Failure(f"valgrind counted nothing\n{said}")
            totals[side].append(int(found[1]))
    steps = (COUNTED_CALLS[1] - COUNTED_CALLS[0]) * lane.callers
    return {side: round((more - few) / steps) for side, (few, more) in totals.items()}


def across_the_abi(program: pathlib.Path) -> dict[str, float]:
    return last_json(str(program), subprocess.check_output([program], text=True))
