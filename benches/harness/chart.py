"""The ratios as one picture: a bar for the median, a line from the smallest to the largest round."""

import statistics
from xml.sax.saxutils import escape

from .lane import Lane

WIDTH, LEFT, RIGHT, ROW, HEAD = 760, 230, 90, 20, 34

# Readable on white and on black; the reader's setting decides.
STYLE = """
  svg { font: 13px system-ui, sans-serif; }
  text { fill: #24292f; } .dim { fill: #59636e; } .title { font-weight: 600; }
  .ours { fill: #0969da; } .other { fill: #8c959f; } .spread { stroke: #24292f; } .grid { stroke: #d1d9e0; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .dim { fill: #9198a1; }
    .ours { fill: #4493f8; } .other { fill: #656c76; } .spread { stroke: #f0f6fc; } .grid { stroke: #3d444d; }
  }
"""


def chart(lanes: list[Lane], groups: dict[str, dict]) -> str:
    parts, y = [], 8
    for key, group in groups.items():
        for callers in sorted({lane.callers for lane in lanes if lane.group == key}):
            mine = [lane for lane in lanes if lane.group == key and lane.callers == callers and lane.ratios()]
            if len(mine) > 1:
                drawn, y = section(mine, f"{group['title']}, c={callers}", group, y)
                parts += drawn
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">\n'
        f"<title>Speed of each lane, as a multiple of the one that its group is compared with</title>\n"
        f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def section(lanes: list[Lane], title: str, group: dict, y: int) -> tuple[list[str], int]:
    """Bars, fastest first; all of a section have one scale."""
    # By the medians: one round that went wrong would make all bars short. Longer lines end at the edge.
    top = 1.2 * max(statistics.median(lane.ratios()) for lane in lanes)
    scale = (WIDTH - LEFT - RIGHT) / top
    parts = [f'<text class="title" x="8" y="{y + 16}">{escape(title)}</text>']
    y += HEAD
    one = LEFT + scale
    parts.append(f'<line class="grid" x1="{one:.1f}" x2="{one:.1f}" y1="{y - 8}" y2="{y + ROW * len(lanes)}"/>')
    for lane in sorted(lanes, key=lambda lane: -statistics.median(lane.ratios())):
        found = lane.ratios()
        middle, low, high = statistics.median(found), min(found), min(max(found), top)
        kind = "ours" if lane.name.startswith("krpc") else "other"
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(lane.name)}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{y + 2}" width="{middle * scale:.1f}" height="{ROW - 7}" rx="2"/>',
            f'<line class="spread" x1="{LEFT + low * scale:.1f}" x2="{LEFT + high * scale:.1f}" '
            f'y1="{y + 8.5}" y2="{y + 8.5}"/>',
            f'<text class="dim" x="{LEFT + high * scale + 6:.1f}" y="{y + 13}">{middle:.2f}</text>',
        ]
        y += ROW
    parts.append(f'<text class="dim" x="8" y="{y + 14}">1.00 is {escape(group["base"])}</text>')
    return parts, y + HEAD
