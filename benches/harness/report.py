"""The tables, in Markdown."""

import argparse
import os
import statistics

from .lane import Lane, cpu_us


def number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def pair(lane: Lane, field: str, digits: int, scale: float = 1) -> str:
    sides = [lane.median(f"{side}_{field}") for side in ("client", "server")]
    return " / ".join(number(side if side is None else side / scale, digits) for side in sides)


def report(lanes: list[Lane], groups: dict[str, dict], extra: dict, options: argparse.Namespace) -> str:
    lines = []
    if any(lane.results for lane in lanes):
        lines += conditions(lanes, options)
        for key, group in groups.items():
            mine = [lane for lane in lanes if lane.group == key]
            if mine:
                lines += ["", f"**{group['title']}**", "", *table(mine, group, extra.get("total_syscalls", {}))]
        lines += ["", sizes(lanes)]
    if "syscalls_by_perf" in extra:
        lines += ["", f"System calls were not counted: {extra['syscalls_by_perf']}."]
    paced = [lane for lane in lanes if lane.paced]
    if paced:
        lines += latencies(paced, options)
    if "syscalls" in extra:
        lines += counted_table("system calls per call", extra["syscalls"])
    if "instructions" in extra:
        lines += counted_table("instructions in user space per call", extra["instructions"])
    if "abi_ns" in extra:
        lines += ["", "| across the ABI | ns |", "|---|--:|"]
        lines += [f"| {name} | {ns:.1f} |" for name, ns in extra["abi_ns"].items()]
    return "\n".join(lines).strip() + "\n"


def conditions(lanes: list[Lane], options: argparse.Namespace) -> list[str]:
    others = [result["others_cpu"] for lane in lanes for result in lane.results]
    pins = ", ".join(f"{side} on CPU {sorted(cpus)}" for side, cpus in options.pin.items()) or "none"
    return [
        f"{options.rounds} rounds of {options.seconds:g} s a lane, {os.cpu_count()} CPUs, pinning: {pins}, "
        f"others used {statistics.median(others):.0%} of the machine (worst {max(others):.0%})."
    ]


def table(lanes: list[Lane], group: dict, syscalls: dict[str, dict]) -> list[str]:
    unit = group.get("unit", "call")
    lines = [
        f"| lane | c | {unit}s/s | × {group['base']} | min–max | CPU µs/{unit}, client / server | sum | CPU × base "
        f"| p50 µs | p99 µs | waits/{unit}, client / server | syscalls/{unit}, client / server "
        "| RSS MB, client / server |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for lane in sorted(lanes, key=lambda lane: lane.callers):
        found = lane.ratios()
        ratio = f"{statistics.median(found):.2f}" if found else "–"
        if found and lane.at_least and statistics.median(found) < lane.at_least:
            ratio += f" (asked: {lane.at_least:.2f})"
        counted = syscalls.get(str(lane), {})
        cells = [
            lane.name,
            str(lane.callers),
            number(lane.median("calls_per_s"), 0),
            ratio,
            f"{min(found):.2f}–{max(found):.2f}" if found else "–",
            pair(lane, "cpu_us", 2),
            number(statistics.median(cpu_us(result) for result in lane.results), 2),
            number(statistics.median(lane.cpu_ratios()), 2) if found else "–",
            number(lane.median("p50_us")),
            number(lane.median("p99_us")),
            pair(lane, "waits", 2),
            " / ".join(number(counted.get(side), 2) for side in ("client", "server")),
            pair(lane, "rss_kb", 1, 1000),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def sizes(lanes: list[Lane]) -> str:
    found = {(lane.median("request_bytes"), lane.median("reply_bytes")) for lane in lanes} - {(None, None)}
    moved = "; ".join(f"{asked:.0f} asked, {answered:.0f} answered" for asked, answered in sorted(found))
    return f"Bytes of a call on the wire: {moved}."


def latencies(lanes: list[Lane], options: argparse.Namespace) -> list[str]:
    how = f"{options.rate:g} calls a second" if options.rate else f"{options.load:.0%} of what the lane did above"
    lines = [
        "",
        f"**Latency with calls at fixed times**, {how}; median of {options.latency_rounds} rounds",
        "",
        "| lane | c | calls/s | asked | p50 µs | p99 µs | p99.9 µs | CPU µs/call, client / server |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for lane in lanes:
        middle = {
            name: statistics.median(result[name] for result in lane.paced)
            for name in ("rate", "calls_per_s", "p50_us", "p99_us", "p999_us", "client_cpu_us", "server_cpu_us")
        }
        reached = number(middle["calls_per_s"], 0)
        if middle["calls_per_s"] < 0.97 * middle["rate"]:
            reached += " (too slow)"
        cells = [lane.name, str(lane.callers), reached, number(middle["rate"], 0)]
        cells += [number(middle[name]) for name in ("p50_us", "p99_us", "p999_us")]
        cells += [f"{middle['client_cpu_us']:.1f} / {middle['server_cpu_us']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def counted_table(title: str, counted: dict[str, dict]) -> list[str]:
    lines = ["", f"| {title} | client | server |", "|---|--:|--:|"]
    for lane, sides in counted.items():
        cells = []
        for side in ("client", "server"):
            value = sides[side]
            if isinstance(value, dict):
                ranked = sorted(value.items(), key=lambda item: -item[1])
                names = ", ".join(f"{name} {count:g}" for name, count in ranked)
                cells.append(f"{sum(value.values()):.1f}: {names}")
            else:
                cells.append(number(value, 0))
        lines.append(f"| {lane} | {cells[0]} | {cells[1]} |")
    return lines
