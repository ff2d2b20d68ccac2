"""docs/performance.md: one run, where it ran, and where the time goes."""

import argparse
import datetime
import os
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tomllib

from . import budget, chart, report
from .lane import PEERS, Lane
from .process import ROOT, Failure, say

DOCUMENT = ROOT / "docs/performance.md"
PICTURE = ROOT / "docs/performance.svg"


def write(
    lanes: list[Lane], groups: dict, reasons: dict[str, str], extra: dict, options: argparse.Namespace
) -> None:
    if reason := budget.reason():
        raise Failure(f"no budget, so no document: {reason}")
    budgets = {}
    for lane in (lane for lane in lanes if lane.has_budget):
        say(f"taking samples: {lane}")
        budgets[lane] = budget.budget(lane)
    PICTURE.write_text(chart.chart(lanes, groups))
    DOCUMENT.write_text(
        "\n".join(
            [
                *head(reasons),
                *caution(lanes),
                *behind(lanes),
                "",
                "## Results",
                "",
                "![How fast each lane is, as a multiple of what its group is compared with](performance.svg)",
                "",
                report.report(lanes, groups, extra, options).strip(),
                "",
                *budget_tables(budgets),
            ]
        )
        + "\n"
    )
    say(f"written: {DOCUMENT.relative_to(ROOT)}, {PICTURE.relative_to(ROOT)}")


def head(reasons: dict[str, str]) -> list[str]:
    command = shlex.join(["benches/run", *sys.argv[1:]])
    lines = [
        "# Performance",
        "",
        f"Made by `{command}` on {datetime.date.today()}; `make performance` makes it anew. What the lanes are and how "
        "to read the columns is in [benches/README.md](../benches/README.md). A ratio compares two lanes within the "
        "same second and holds on other machines far better than the numbers of calls.",
        "",
        "| | |",
        "|---|---|",
    ]
    lines += [f"| {name} | {value} |" for name, value in machine() + versions()]
    if reasons:
        lines += ["", *(f"Not measured: {need} ({why})." for need, why in reasons.items())]
    return [*lines, ""]


def caution(lanes: list[Lane]) -> list[str]:
    """On a machine that others use, ratios spread and latencies say little."""
    others = statistics.median(result["others_cpu"] for lane in lanes for result in lane.results)
    if others < 0.1:
        return []
    text = (
        f"**Others used {others:.0%} of the machine during this run.** Trust the ratios within their spread and the CPU "
        "time per call; throughput and above all latencies are those of a busy machine."
    )
    return [text, ""]


def machine() -> list[tuple[str, str]]:
    cpu = re.search(r"^model name\s*: (.*)$", read("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", read("/proc/meminfo"), re.M)
    kind = "virtual" if re.search(r"^flags.*\bhypervisor\b", read("/proc/cpuinfo"), re.M) else "real"
    return [
        ("machine", f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} CPUs, {kind}"),
        ("memory", f"{int(memory[1]) / 1e6:.0f} GB" if memory else "–"),
        ("kernel", f"{platform.system()} {platform.release().partition('-')[0]}"),
        ("load before", " ".join(f"{load:.1f}" for load in os.getloadavg())),
    ]


def versions() -> list[tuple[str, str]]:
    commit = said("git", "rev-parse", "--short=10", "HEAD")
    if said("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/performance.*"):
        commit += " with changes"
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    found = [("libkrpc", f"{package['version']}, commit {commit}, release build")]
    found.append(("Rust", said("rustc", "--version")))
    found.append(("C compiler", said("cc", "--version").partition("\n")[0]))
    modules = read(ROOT / "tests/interop/kitex/go.mod")
    if (PEERS["kitex"] / "kitex-peer").exists():
        kitex = re.search(r"cloudwego/kitex (\S+)", modules)
        found.append(("Kitex", f"{kitex[1] if kitex else '?'}, {said('go', 'version').removeprefix('go version ')}"))
    if (PEERS["volo"] / "volo-peer").exists():
        lock = tomllib.loads(read(ROOT / "tests/interop/volo/Cargo.lock"))
        volo = {entry["name"]: entry["version"] for entry in lock["package"]}
        found.append(("volo", f"volo-thrift {volo['volo-thrift']}, pilota {volo['pilota']}"))
    if shutil.which("thrift"):
        found.append(("Apache Thrift", said("thrift", "--version")))
    return found


def behind(lanes: list[Lane]) -> list[str]:
    """What is asked of lanes and not reached, and who is faster than we are: first, so that nobody has to look."""
    lines = ["## Where we lose", ""]
    short = [lane for lane in lanes if lane.at_least and speed(lane) < lane.at_least]
    lines += [
        f"- **{lane}** reaches {speed(lane):.2f} of {lane.base_name}; {lane.at_least:g} is asked."
        for lane in short
    ]
    best = {}
    for lane in (lane for lane in lanes if lane.name.startswith("krpc") and " to " not in lane.name):
        # One side of ours against the floor's other one is no answer to anybody.
        if lane.name not in ("krpc server", "krpc client"):
            key = (lane.group, lane.callers)
            best[key] = max(best.get(key, lane), lane, key=speed)
    for lane in lanes:
        ours = best.get((lane.group, lane.callers))
        foreign = not lane.name.startswith(("krpc", "floor")) and " to " not in lane.name
        ahead = speed(lane) / speed(ours) if ours and foreign else 0
        if ahead >= 1.02:
            lines.append(f"- **{lane.name}**, c={lane.callers}, is {ahead:.2f} times as fast as {ours.name}, our fastest there.")
    if len(lines) == 2:
        lines.append("Nowhere in this run: every lane reaches what is asked of it, and no peer is faster.")
    return lines


def speed(lane: Lane) -> float:
    return statistics.median(lane.ratios() or [0])


def budget_tables(budgets: dict[Lane, dict[str, dict[str, float]]]) -> list[str]:
    lines = [
        "## Where the time of a call goes",
        "",
        "CPU time of one call in microseconds: a lane's time from the tables above, split by samples of each process "
        "(4000 a second; see `benches/harness/budget.py`). A send over loopback delivers to the other side, so it holds "
        "the kernel's way of both ends. What the floor spends, no implementation saves.",
    ]
    for callers_and_group in dict.fromkeys((lane.group, lane.callers) for lane in budgets):
        mine = [lane for lane in budgets if (lane.group, lane.callers) == callers_and_group]
        columns = [(lane, side) for lane in mine for side in ("client", "server")]
        lines += [
            "",
            "| µs | " + " | ".join(f"{lane.name}, {side}" for lane, side in columns) + " |",
            "|---|" + "--:|" * len(columns),
        ]
        for row in budget.ORDER:
            spent = [budgets[lane][side].get(row, 0) * lane.median(f"{side}_cpu_us") for lane, side in columns]
            if any(value >= 0.005 for value in spent):
                lines.append(f"| {row} | " + " | ".join(f"{value:.2f}" for value in spent) + " |")
        sums = [lane.median(f"{side}_cpu_us") for lane, side in columns]
        lines.append("| **all** | " + " | ".join(f"**{value:.2f}**" for value in sums) + " |")
    return lines


def read(path) -> str:
    try:
        return open(path).read()
    except OSError:
        return ""


def said(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:
        return "–"
