"""Programs under measurement: how they are started, asked to end, and read."""

import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "benches"
OUT = ROOT / "build/bench"
SERVER_SECONDS = 15


class Failure(Exception):
    """Why there is no result."""


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


def must(command: list) -> None:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode != 0:
        raise Failure(f"{command[0]} failed\n{result.stdout}{result.stderr}")


def start(command: list[str], cpus: set[int], **pipes) -> subprocess.Popen:
    """Children inherit the CPUs that they may run on."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cpus or before)
        return subprocess.Popen(command, cwd=ROOT, **pipes)
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A server process, up to its last line."""

    def __init__(self, command: list[str], cpus: set[int], wrapper: tuple[str, ...] = ()):
        # A file, not a pipe: a server never waits for a reader.
        self.said = tempfile.TemporaryFile()
        self.process = start([*wrapper, *command], cpus, stdout=subprocess.PIPE, stderr=self.said)
        # Under valgrind or strace a process starts slowly.
        ready, _, _ = select.select([self.process.stdout], [], [], SERVER_SECONDS)
        line = self.process.stdout.readline().decode() if ready else ""
        if not line.startswith("LISTENING "):
            self.process.kill()
            raise Failure(f"{command[0]} did not say where it listens: {line}{self.errors()}")
        self.address = line.split()[1]

    def errors(self) -> str:
        self.process.wait()
        self.said.seek(0)
        return self.said.read().decode(errors="replace")

    def stop(self) -> dict:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SERVER_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure(f"{self.process.args[0]} did not end on SIGTERM") from None
        return last_json(self.process.args[0], self.errors())


def last_json(program: str, text: str) -> dict:
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise Failure(f"{program} printed no result\n{text}")


def run_client(command: list[str], cpus: set[int], seconds: float) -> dict:
    client = start(command, cpus, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = client.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        client.kill()
        client.wait()
        raise Failure(f"{command[0]} did not end within {seconds:.0f} s") from None
    if client.returncode != 0:
        raise Failure(f"{command[0]} failed\n{err.decode(errors='replace')}")
    return last_json(command[0], out.decode())
