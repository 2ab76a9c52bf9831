"""Charts of a report as inline SVG, by matplotlib. Colors are the page's own CSS variables, so that dark mode turns them too."""

import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from flowmodel.evaluation.metric_names import Better
from flowmodel.recipes.split import Split

# Placeholders for the page's variables, because matplotlib needs colors.
INK, FAINT = "#010203", "#010204"
SERIES = {
    Split.TRAIN: "#010211",
    Split.UNSEEN_CONCEPT: "#010212",
    "all": "#010213",
    Split.VALIDATION: "#010214",
    Split.UNSEEN_STYLE: "#010215",
}
_OTHER = "#010216"
_VARIABLES = {INK: "--ink-soft", FAINT: "--line"} | {
    color: f"--series-{name.replace('_', '-')}" for name, color in (SERIES | {"other": _OTHER}).items()
}

_SVG = "{http://www.w3.org/2000/svg}"
ElementTree.register_namespace("", _SVG.strip("{}"))
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")  # the only prefix that HTML supports

_WIDTH, _HEIGHT = 340, 236  # of a chart, in units of about a pixel on a phone
_STYLE: Any = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "font.size": 11.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.labelsize": 11.5,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 11,
}


@dataclass(frozen=True)
class Line:
    """`name` chooses the color, `label` is the legend's text; `low` and `high` are drawn as a band."""

    name: str
    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    markers: bool = True
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """A finished chart with its title."""

    title: str
    svg: Markup
    better: Better


@dataclass(frozen=True)
class LineChart:
    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    x_ticks: Sequence[float] = ()
    log_x: bool = False
    log_y: bool = False
    shares: bool = False
    marked_x: float | None = None
    marked_label: str = "the recipe's"
    better: Better = "neither"

    def draw(self, name: str) -> Chart:
        """`name` makes the chart's ids unique on the page."""
        with _axes(_WIDTH, _HEIGHT) as (figure, axes):
            for line in self.lines:
                color = SERIES.get(line.name, _OTHER)
                if line.low:
                    axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.16, linewidth=0)
                marker = "o" if line.markers and not line.dashed else ""
                style = (0, (4, 3)) if line.dashed else "-"
                axes.plot(
                    line.x, line.y, color=color, linewidth=2, linestyle=style, label=line.label, marker=marker, markersize=4.5
                )
            self._scale(axes)
            if self.marked_x is not None:
                axes.axvline(self.marked_x, color=INK, linewidth=1, linestyle=(0, (2, 3)), label=self.marked_label, zorder=0)
            _finish(axes, self.x_label, self.y_label, columns=3)
            return Chart(self.title, _svg(figure, name, f"{self.title}: {self.y_label} against {self.x_label}"), self.better)

    def _scale(self, axes: Axes) -> None:
        if self.log_x:
            axes.set_xscale("log")
        if self.log_y:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            axes.yaxis.set_major_locator(MaxNLocator(5))
        if self.x_ticks:
            axes.set_xticks(self.x_ticks, [f"{tick:g}" for tick in self.x_ticks])
            axes.xaxis.set_minor_locator(NullLocator())
        if self.shares:
            axes.set_ylim(-0.03, 1.03)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))


def bars(name: str, title: str, x_label: str, values: Mapping[str, Mapping[str, float]], legend: Callable[[str], str]) -> Chart:
    """Horizontal bars of fractions: a group for each name in `values`, with a bar for each series."""
    groups, series = list(values), list(dict.fromkeys(key for of_group in values.values() for key in of_group))
    each = 0.8 / max(len(series), 1)
    with _axes(_WIDTH, 62 + 15 * len(groups) * max(len(series), 1.4)) as (figure, axes):
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", visible=True)
        for number, key in enumerate(series):
            rows = [row for row, group in enumerate(groups) if key in values[group]]
            places = [row + (number - (len(series) - 1) / 2) * each for row in rows]
            shares = [values[groups[row]][key] for row in rows]
            axes.barh(places, shares, height=each * 0.86, color=SERIES.get(key, _OTHER), label=legend(key))
            for place, share in zip(places, shares, strict=True):
                axes.text(share + 0.012, place, f"{share:.0%}", va="center", fontsize=10, color=INK)
        axes.set_yticks(range(len(groups)), groups)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))
        axes.spines["left"].set_visible(False)
        _finish(axes, x_label, "", columns=2)
        return Chart(title, _svg(figure, name, f"{title}: {x_label}"), "higher")


@contextmanager
def _axes(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.subplots()
        axes.patch.set_visible(False)
        yield figure, axes


def _finish(axes: Axes, x_label: str, y_label: str, columns: int) -> None:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.figure.legend(loc="outside upper left", ncols=columns, handlelength=1.4, columnspacing=1.4, handletextpad=0.5)


def _svg(figure: Figure, name: str, spoken: str) -> Markup:
    """Make the SVG embeddable: with the page's colors, and without sizes, styles or ids that affect the rest of the page."""
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    # All referenced ids contain the salt.
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    root = ElementTree.fromstring(buffer.getvalue())
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": spoken}
    for defs in root.findall(f"{_SVG}defs"):
        if defs.find(f"{_SVG}style") is not None:
            root.remove(defs)
    for group in root.iter(f"{_SVG}g"):
        group.attrib.pop("id", None)
    svg = ElementTree.tostring(root, encoding="unicode")
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    return Markup(svg)
