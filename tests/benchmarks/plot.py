"""Time and memory against the number of ids, as an SVG that reads well on a light and on a dark page."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

# Drawn in these, and told apart by the style sheet below: an SVG follows the colours of the page.
_INK, _FAINT = "#24292f", "#d0d7de"
_DARK = {_INK: "#d1d7e0", _FAINT: "#3d444d"}
_FLOOR = "#8c959f"


@dataclass(frozen=True)
class _Line:
    """Cases that differ in their number of ids alone."""

    title: str
    names: Sequence[str]
    colour: str
    style: str = "-"
    marker: str = "o"


#: Mid-tones, legible on white and on black.
_LINES = (
    _Line("floor: two files read, one difference each way", ("floor",), _FLOOR, "--", "s"),
    _Line("plan, nothing recorded", ("plan, any order, none recorded, cache cold",), "#2f81f7"),
    _Line("plan, 1 % changed", ("plan, any order, 1 % changed, cache cold",), "#d4620f"),
    _Line("plan, nothing changed", ("plan, any order, all recorded, cache warm",), "#1a9e52"),
    _Line("the same three, ids sorted", ("plan, sorted, none recorded, cache cold",), "#2f81f7", ":", "."),
    _Line("", ("plan, sorted, 1 % changed, cache cold",), "#d4620f", ":", "."),
    _Line("", ("plan, sorted, all recorded, cache warm",), "#1a9e52", ":", "."),
    _Line("octodns-sync, nothing changed", ("octodns-sync, YAML to YAML",), "#a371f7", "-", "D"),
    _Line(
        "terraform plan, nothing changed, for_each over a map",
        ("terraform plan, for_each over a map",),
        "#e0457b",
        "-",
        "^",
    ),
    _Line("terraform plan, nothing changed, count", ("terraform plan, count",), "#e0457b", "-", "v"),
)


def draw(document: Mapping[str, Any]) -> str:
    """The picture of what `table.document` says."""
    import matplotlib as mpl  # noqa: PLC0415 - heavy, and an extra

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    settings = {
        "svg.fonttype": "none",  # text stays text: small, searchable, in the font of the reader
        "svg.hashsalt": "reconciler",  # the same data, the same file
        "font.family": "sans-serif",
        "font.size": 10,
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
        **dict.fromkeys(("axes.edgecolor", "grid.color"), _FAINT),
    }
    with plt.rc_context(settings):
        figure, (time, memory) = plt.subplots(1, 2, figsize=(9.6, 5.0))
        figure.patch.set_alpha(0)
        _panel(time, "seconds", (line for line in _lines(document, "wall_seconds", 1.0)))
        _panel(memory, "peak memory, MB", (line for line in _lines(document, "memory_bytes", 1e-6)))
        handles, labels = time.get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=2, frameon=False, fontsize=9)
        figure.tight_layout(rect=(0, 0.2, 1, 1))
        made = io.StringIO()
        figure.savefig(made, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return _styled(made.getvalue())


def _lines(
    document: Mapping[str, Any], what: str, scale: float
) -> Iterable[tuple[_Line, list[tuple[int, float]]]]:
    for line in _LINES:
        points = [
            (case["ids"], median(case[what]) * scale)
            for case in document["cases"]
            if case["case"] in line.names and case[what]
        ]
        if points:
            yield line, sorted(points)


def _panel(axes: Any, title: str, lines: Iterable[tuple[_Line, list[tuple[int, float]]]]) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator  # noqa: PLC0415 - as above

    axes.patch.set_alpha(0)
    axes.set(xscale="log", yscale="log", xlabel="ids", title=title)
    for line, points in lines:
        axes.plot(
            *zip(*points, strict=True), line.style, color=line.colour, marker=line.marker, label=line.title or None,
            linewidth=1.6, markersize=5,
        )  # fmt: skip
    for axis, text in ((axes.xaxis, _short), (axes.yaxis, "{:g}".format)):
        axis.set_major_formatter(FuncFormatter(lambda value, _, text=text: text(value)))
        axis.set_minor_locator(NullLocator())
    axes.grid(visible=True, linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _short(value: float) -> str:
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _styled(svg: str) -> str:
    """With what a dark page changes, and with fonts that are there."""
    rules = "".join(
        f'[style*="fill: {light}"]{{fill:{dark}!important}}[style*="stroke: {light}"]{{stroke:{dark}!important}}'
        for light, dark in _DARK.items()
    )
    fonts = "text{font-family:-apple-system,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif!important}"
    style = f"<style>{fonts}@media (prefers-color-scheme:dark){{{rules}}}</style>"
    head, end, rest = svg.partition("<defs>")
    return head + style + end + rest
