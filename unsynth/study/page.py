"""The report of a study: one HTML page with a plot of each measure, its intervals and the table, nothing to fetch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from statistics import mean, stdev
from string import Template

from scipy.stats import t

from unsynth.benchmark.comparison import CONFIDENCE, Interval, share
from unsynth.benchmark.page import style, table
from unsynth.benchmark.plots import Line, plot
from unsynth.study.rows import Row
from unsynth.study.table import COLUMNS, budget, cells, conditions, groups, measured, recipes

NOTE = """Every small dot is one seed, the large one their mean. The bar is the 95 % interval of the mean over seeds
(Student's t). Of a recipe with one seed, the bar of a recall is that of the share of the validation sounds (Wilson): it
says nothing about other seeds; its MSS has none."""


def page(rows: Sequence[Row]) -> str:
    """The report as the text of an HTML file: a section for each budget, machine and way of measuring."""
    template = files("unsynth.study").joinpath("page.html").read_text(encoding="utf-8")
    count = len({(row.recipe, row.digest) for row in rows})
    return Template(template).substitute(style=style(), count=count, groups="".join(map(_group, groups(rows))))


def _group(rows: Sequence[Row]) -> str:
    pictures = "".join(_plot(name, rows) for name in measured(rows) if name.startswith(("recall", "MSS")))
    return f"""<section><h2>{escape(budget(rows[0]))}</h2>
<p class="note">{escape(conditions(rows))} {NOTE}</p>
<div class="plots">{pictures}</div>
{table(cells(rows))}</section>"""


def _plot(name: str, rows: Sequence[Row]) -> str:
    lines = [_line(name, own) for own in recipes(rows)]
    better = "higher is better" if name.startswith("recall") else "dB; lower is better"
    picture = plot(f"{name} of each recipe, with 95 % interval", better, lines)
    return f"<figure><figcaption>{escape(name)}</figcaption>{picture}</figure>"


def _line(name: str, rows: Sequence[Row]) -> Line:
    values = [COLUMNS[name][0](row) for row in rows]
    label = rows[0].recipe
    if len(values) > 1:
        return Line(label, mean(values), over_seeds(values), values)
    among = rows[0].among
    return Line(label, values[0], share(values[0], among) if name.startswith("recall") else (math.nan, math.nan))


def over_seeds(values: Sequence[float]) -> Interval:
    """95 % interval of the mean of two or more trainings, as if they were normally distributed (Student's t)."""
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half
