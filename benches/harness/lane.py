"""Lanes, and the rounds that compare them.

Within a round every lane runs once, for a short time, with a server of its own, next to the lane that it is compared
with; each round goes in another order. A lane's ratio is the median over the rounds of its calls per second divided
by the other's in the same round: what slows down the machine slows down both.
"""

import argparse
import os
import pathlib
import statistics
import sys
import time

from .process import OUT, ROOT, Server, run_client, say

PEERS = {"kitex": ROOT / "build/interop/kitex", "volo": ROOT / "build/interop/volo"}


class Lane:
    """A server and a client command with a number of callers."""

    def __init__(self, entry: dict, callers: int, groups: dict[str, dict]):
        self.name, self.what, self.callers = entry["name"], entry["what"], callers
        self.server, self.client = entry["server"], entry["client"]
        self.group = entry.get("group", "calls")
        self.base_name = groups[self.group]["base"]
        self.base: Lane | None = None
        self.at_least = entry.get("at_least", {}).get(str(callers))
        self.counts = entry.get("instructions", False)
        self.has_latency = callers in entry.get("latency", [])
        self.has_budget = callers in entry.get("budget", [])
        self.results: list[dict] = []
        self.paced: list[dict] = []

    def __str__(self) -> str:
        return f"{self.name}, c={self.callers}"

    def command(self, words: list[str], **values) -> list[str]:
        return [word.format(bin=OUT, **PEERS, callers=self.callers, **values) for word in words]

    def serve(self, cpus: set[int] = frozenset(), wrapper: tuple[str, ...] = ()) -> Server:
        return Server(self.command(self.server), cpus, wrapper)

    def median(self, field: str) -> float | None:
        values = [result[field] for result in self.results if result[field] is not None]
        return statistics.median(values) if values else None

    def ratios(self) -> list[float]:
        """Calls per second, as shares of the base's."""
        return [mine["calls_per_s"] / base["calls_per_s"] for mine, base in self._pairs()]

    def cpu_ratios(self) -> list[float]:
        """Calls per CPU second of both sides, as shares of the base's."""
        return [cpu_us(base) / cpu_us(mine) for mine, base in self._pairs() if cpu_us(mine)]

    def _pairs(self):
        return zip(self.results, self.base.results) if self.base else []


def cpu_us(result: dict) -> float:
    return result["client_cpu_us"] + result["server_cpu_us"]


def measure(lane: Lane, options: argparse.Namespace, rate: float = 0) -> dict:
    server = lane.serve(options.pin.get("server", set()))
    try:
        busy = machine_ticks()
        seconds = options.latency_seconds if rate else options.seconds
        command = lane.command(
            lane.client, address=server.address, seconds=seconds, warmup=options.warmup
        )
        command += [f"--rate={rate:.0f}"] if rate else []
        client = run_client(command, options.pin.get("client", set()), 30 + 3 * seconds)
        total, idle = (after - before for before, after in zip(busy, machine_ticks()))
    finally:
        served = server.stop()
    calls = max(served["calls"], 1)
    server_us = (served["cpu_user_s"] + served["cpu_sys_s"]) * 1e6 / calls
    client_us = client["cpu_user_us_per_call"] + client["cpu_sys_us_per_call"]
    per_second = client["calls"] / client["seconds"]
    ours = (server_us + client_us) * per_second / 1e6 / os.cpu_count()
    return {
        "calls_per_s": per_second,
        "client_cpu_us": client_us,
        "server_cpu_us": server_us,
        # What nobody answers has no latency.
        **{name: client.get(name) or None for name in ("p50_us", "p99_us", "p999_us", "max_us")},
        "client_waits": client.get("waits_per_call"),
        "server_waits": served["waits"] / calls if "waits" in served else None,
        "client_rss_kb": client.get("rss_kb"),
        "server_rss_kb": served["max_rss_kb"],
        "request_bytes": client.get("request_bytes") or None,
        "reply_bytes": client.get("reply_bytes") or None,
        "others_cpu": max(0.0, 1 - idle / max(total, 1) - ours),
    }


def machine_ticks() -> tuple[int, int]:
    """Time of all CPUs, and how much of it was idle."""
    ticks = [int(word) for word in pathlib.Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def order(lanes: list[Lane], turn: int) -> list[Lane]:
    """Lanes that are compared stay together; who is first changes, and so does the direction."""
    keys = sorted({(lane.group, lane.callers) for lane in lanes})
    groups = [[lane for lane in lanes if (lane.group, lane.callers) == key] for key in keys]
    turned = [group[turn % len(group) :] + group[: turn % len(group)] for group in groups]
    found = [lane for group in turned for lane in group]
    return found if turn % 2 == 0 else found[::-1]


class Progress:
    """One line that says where we are, and how long it will take."""

    def __init__(self, what: str, steps: int):
        self.what, self.steps, self.done, self.begin = what, steps, 0, time.monotonic()

    def next(self, where: str) -> None:
        left = (time.monotonic() - self.begin) / self.done * (self.steps - self.done) if self.done else 0
        self.line = f"{self.what} {self.done + 1}/{self.steps}, {left:3.0f} s left: {where}"
        self.done += 1
        if sys.stderr.isatty():
            say(f"\r\x1b[K{self.line}", end="")

    def result(self, text: str) -> None:
        if not sys.stderr.isatty():
            say(f"{self.line}: {text}")

    def end(self) -> None:
        if sys.stderr.isatty():
            say("\r\x1b[K", end="")


def rounds(lanes: list[Lane], options: argparse.Namespace) -> None:
    progress = Progress("round", options.rounds * len(lanes))
    for turn in range(options.rounds):
        for lane in order(lanes, turn):
            progress.next(str(lane))
            lane.results.append(measure(lane, options))
            progress.result(f"{lane.results[-1]['calls_per_s']:.0f} calls/s")
    progress.end()


def paced_rounds(lanes: list[Lane], options: argparse.Namespace) -> None:
    """Latency at a share of what the lane can do: calls start at fixed times, from which their latency counts."""
    lanes = [lane for lane in lanes if lane.has_latency]
    progress = Progress("latency", options.latency_rounds * len(lanes))
    for turn in range(options.latency_rounds):
        for lane in order(lanes, turn):
            progress.next(str(lane))
            rate = options.rate or lane.median("calls_per_s") * options.load
            lane.paced.append({"rate": rate, **measure(lane, options, rate)})
            progress.result(f"p99 {lane.paced[-1]['p99_us']:.0f} us at {rate:.0f} calls/s")
    progress.end()
