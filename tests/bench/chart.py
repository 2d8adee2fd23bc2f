"""The chart of a run as SVG. Each panel shows the router beside the systems that it is compared with. Pure."""

import dataclasses
import itertools
from xml.sax.saxutils import escape

from tests.bench import targets

WIDTH = 960
MARGIN, GAP, HEAD = 28, 20, 84
PANEL_WIDTH = (WIDTH - 2 * MARGIN - GAP) / 2
LABEL_WIDTH, VALUE_WIDTH = 100, 104
BAR_TOP, BAR_STEP, BAR_HEIGHT = 64, 34, 20
LIMIT_HEIGHT = 16
"""The height of the words below a bound."""

STYLE = """
  text { font-family: -apple-system, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif; fill: #1f2933; }
  .paper { fill: #f6f7f9; } .panel { fill: #ffffff; stroke: #e1e5ea; }
  .title { font-size: 21px; font-weight: 700; } .said { font-size: 13px; fill: #667380; }
  .name { font-size: 14.5px; font-weight: 650; } .label { font-size: 13px; }
  .value { font-size: 13px; font-weight: 600; }
  .track { fill: #eef1f4; } .ours { fill: #0b7a75; } .theirs { fill: #a9b4bf; } .tail { opacity: 0.38; }
  .bound { stroke: #c2410c; stroke-width: 1.5; stroke-dasharray: 4 3; } .limit { font-size: 11.5px; fill: #c2410c; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6eaee; } .paper { fill: #10161c; } .panel { fill: #182028; stroke: #2a343e; }
    .said { fill: #97a3af; } .track { fill: #232d37; } .ours { fill: #2cb5ad; } .theirs { fill: #67737f; }
    .bound { stroke: #fb923c; } .limit { fill: #fb923c; }
  }
"""


@dataclasses.dataclass(frozen=True)
class Bar:
    """A labelled value. `tail` is a second value behind it, such as the p99 behind the p50."""

    label: str
    value: float
    shown: str
    is_ours: bool = False
    tail: float = 0.0


@dataclasses.dataclass(frozen=True)
class Panel:
    """Bars of one scale, with their bound."""

    name: str
    said: str
    bars: list[Bar]
    bound: float | None = None
    limit: str = ""


def draw(results):
    """Return the chart as SVG text, without panels that were not measured or are void."""
    drawn = [panel for panel in (make(results) for make in PANELS) if panel]
    body, top = [], HEAD
    for left, right in itertools.zip_longest(drawn[0::2], drawn[1::2]):
        height = max(_height(panel) for panel in (left, right) if panel)
        body.append(_panel(left, MARGIN, top, height, PANEL_WIDTH if right else WIDTH - 2 * MARGIN))
        if right:
            body.append(_panel(right, MARGIN + PANEL_WIDTH + GAP, top, height, PANEL_WIDTH))
        top += height + GAP
    height = top - GAP + MARGIN
    where = results["machine"]
    said = f"{where['cores']} cores of {where['cpu']} · {where['python']} · load generator on the same machine"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">',
            f"<title>The cost of a call</title><style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height:g}" rx="14"/>',
            _text("title", MARGIN, 40, "The cost of a call"),
            _text("said", MARGIN, 64, said),
            *body,
            "</svg>\n",
        ]
    )


def _height(panel):
    return BAR_TOP + len(panel.bars) * BAR_STEP + (LIMIT_HEIGHT if panel.bound else 0)


def _panel(panel, left, top, height, width):
    most = 1.02 * max([panel.bound or 0, *(max(bar.value, bar.tail) for bar in panel.bars)])
    scale = (width - 36 - LABEL_WIDTH - VALUE_WIDTH) / (most or 1)
    zero = 18 + LABEL_WIDTH
    lines = [
        f'<g transform="translate({left:g} {top:g})">',
        f'<rect class="panel" width="{width:g}" height="{height:g}" rx="10"/>',
        _text("name", 18, 28, panel.name),
        _text("said", 18, 46, panel.said),
    ]
    for number, bar in enumerate(panel.bars):
        lines.extend(_bar(bar, zero, BAR_TOP + number * BAR_STEP, scale, most))
    if panel.bound:
        at, bottom = zero + panel.bound * scale, BAR_TOP + len(panel.bars) * BAR_STEP - 10
        lines.append(f'<line class="bound" x1="{at:.1f}" x2="{at:.1f}" y1="{BAR_TOP - 4}" y2="{bottom}"/>')
        lines.append(_text("limit", at, bottom + 13, panel.limit, anchor="middle"))
    return "\n".join([*lines, "</g>"])


def _bar(bar, zero, top, scale, most):
    kind = "ours" if bar.is_ours else "theirs"
    middle = top + BAR_HEIGHT / 2 + 4.5
    yield _text("label", zero - 10, middle, bar.label, anchor="end")
    yield _rectangle("track", zero, top, most * scale)
    if bar.tail:
        yield _rectangle(f"{kind} tail", zero, top, bar.tail * scale)
    yield _rectangle(kind, zero, top, bar.value * scale)
    yield _text("value", zero + most * scale + 10, middle, bar.shown)


def _rectangle(kind, left, top, width):
    shape = f'x="{left:g}" y="{top:g}" width="{max(width, 1.5):.1f}" height="{BAR_HEIGHT}" rx="4"'
    return f'<rect class="{kind}" {shape}/>'


def _text(kind, left, top, text, anchor="start"):
    return f'<text class="{kind}" x="{left:.1f}" y="{top:g}" text-anchor="{anchor}">{escape(text)}</text>'


# The panels.


def processor(results):
    """Return the panel of the CPU per message."""
    bars = []
    for sessions in sorted({row["sessions"] for row in results["talking"]}):
        for system in ("relay", "router", "other"):
            row = targets.row(results, system, sessions)
            if row and row["cpu_us_per_message"]:
                shown = f"{row['cpu_us_per_message']:.0f} µs"
                label = f"{system}, {sessions}"
                bars.append(Bar(label, row["cpu_us_per_message"], shown, is_ours=system == "router"))
    said = "by number of calls; the relay translates nothing"
    return Panel("Processor time per message", said, bars) if bars else None


def added(results):
    """Return the panel of the added latency in both directions."""
    bars = []
    for direction, label in (("agent", "agent"), ("microphone", "mic")):
        direct = targets.row(results, "direct", 100)
        for system in ("relay", "router", "other"):
            row = targets.row(results, system, 100)
            if not row or not direct:
                continue
            middle, tail = (
                max(0.0, row[f"{direction}_{q}_ms"] - direct[f"{direction}_{q}_ms"]) for q in ("p50", "p99")
            )
            shown = f"{middle:.2f} / {tail:.1f} ms"
            bars.append(Bar(f"{system}, {label}", middle, shown, is_ours=system == "router", tail=tail))
    said = "100 calls, both directions; pale is the p99"
    return Panel("Added latency, p50 / p99", said, bars) if bars else None


def memory(results):
    """Return the panel of the memory of a call."""
    bars = []
    for system, label in (("relay", "relay"), ("router", "router"), ("other", "other")):
        row = targets.row(results, system, 200)
        if row and row["memory_kb_per_session"]:
            kilobytes = row["memory_kb_per_session"]
            bars.append(Bar(label, kilobytes, f"{kilobytes:.0f} kB", is_ours=system == "router"))
    if not bars:
        return None
    base = f"; the idle process tree has {results['idle']['tree']['pss_mb']:.0f} MB" if "idle" in results else ""
    return Panel("Memory per call", f"200 calls that talk{base}", bars, 50, "at most 50")


def capacity(results):
    """Return the panel of the calls on two cores."""
    if "capacity" not in results:
        return None
    highest = results["capacity"]["highest"]
    bars = [Bar("router", highest, f"{highest} calls", is_ours=True)]
    said = "two workers, p99 under 50 ms, nothing lost"
    return Panel("Calls on two cores", said, bars, 400, "at least 400")


def overload(results):
    """Return the panel of the delay of the agent's audio with too many calls."""
    bars = []
    for row in results.get("overload", []):
        middle, tail = row["agent_p50_ms"], row["agent_p99_ms"]
        shown = f"{len(row['lost'])} losses" if row["lost"] else _span(middle, tail)
        label = f"{row['system']}, {row['sessions']:,}"
        bars.append(Bar(label, middle, shown, is_ours=row["system"] == "router", tail=tail))
    said = "one process, and more calls than a core can carry: agent audio, pale is the p99"
    return Panel("Latency under too many calls, p50 / p99", said, bars) if bars else None


def _span(middle_ms, tail_ms):
    return (
        f"{middle_ms:.0f} / {tail_ms:.0f} ms" if tail_ms < 1000 else f"{middle_ms / 1000:.1f} / {tail_ms / 1000:.1f} s"
    )


PANELS = (processor, added, memory, capacity, overload)
