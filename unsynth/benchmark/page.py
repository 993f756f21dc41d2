"""The report of a file of results: one HTML page with tables, plots and the worst targets to hear, nothing to fetch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from string import Template

from jaxtyping import UInt8
from torch import Tensor

from unsynth.benchmark.comparison import Paired, family_cells, first_arm, interval, paired, paired_cells
from unsynth.benchmark.pitch import PitchError, pitch_cells
from unsynth.benchmark.plots import Line, plot
from unsynth.benchmark.replay import Replay
from unsynth.report.loudness import levelled
from unsynth.report.markup import uri
from unsynth.report.pictures import flac, png, spectrograms
from unsynth.scores import METRICS, Row, by_arm, cells, defined, mean

BOLD = re.compile(r"\*\*(.*?)\*\*")
PICTURE = {"bands": 64, "columns": 240}  # of the spectrograms
FACTS = ("synth", "sounds", "distance", "seed", "version", "processor", "cores", "torch", "date")


@dataclass(frozen=True)
class Results:
    """What a page shows.

    Args:
        header: of the file of results.
        rows: of the file of results.
        first: the arm that the others are compared with; the first that searches if empty.
        replay: plays the sounds; None where they cannot be played.
        silent: why they cannot be played, where they cannot.
        pitch: the errors in cents, if they were measured.
    """

    header: dict[str, object]
    rows: list[Row]
    first: str = ""
    replay: Replay | None = None
    silent: str = ""
    pitch: list[PitchError] = field(default_factory=list)


def page(results: Results, worst: int = 10) -> str:
    """The report as the text of an HTML file, with the ``worst`` targets of the first arm.

    Raises:
        UsageError: the results have no rows, or no such first arm; the targets cannot be found.
        NotFoundError: a target is not in its folder.
    """
    rows, first = results.rows, first_arm(results.rows, results.first)
    pairs = paired(rows, first)
    template = files("unsynth.benchmark").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        style=style(),
        first=escape(first),
        command=escape(str(results.header.get("command", ""))),
        facts="".join(f"<li>{escape(fact)}</li>" for fact in facts(results.header)),
        arms=table(cells(rows, interval)),
        means="".join(_means(metric, rows) for metric in METRICS),
        paired=table(paired_cells(pairs)),
        differences="".join(_differences(metric, pairs) for metric in METRICS),
        families=table(family_cells(rows, first)),
        pitch=_pitch(results),
        worst=_worst(results, first, worst),
    )


def style() -> str:
    """The style sheet of all pages."""
    return files("unsynth.benchmark").joinpath("page.css").read_text(encoding="utf-8")


def facts(header: dict[str, object]) -> list[str]:
    """What the results were measured with."""
    budget = header["budget"]
    assert isinstance(budget, dict)
    limits = " and ".join(f"{budget[unit]:g} {unit}" for unit in ("seconds", "renders") if budget[unit])
    return [
        f"budget {limits} for each target and arm",
        *(f"{fact} {header[fact]}" for fact in FACTS if header.get(fact)),
    ]


def table(cells: Sequence[Sequence[str]]) -> str:
    """An HTML table of texts, the heading first; what is between double stars is bold."""
    heading, *lines = cells
    head = "".join(f'<th scope="col">{_text(text)}</th>' for text in heading)
    body = "".join(
        f'<tr><th scope="row">{_text(name)}</th>{"".join(f"<td>{_text(text)}</td>" for text in line)}</tr>'
        for name, *line in lines
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(text: str) -> str:
    return BOLD.sub(r"<b>\1</b>", escape(text))


def _means(metric: str, rows: list[Row]) -> str:
    """Every target as a dot, the mean and its interval of each arm."""
    values = {arm: defined(row.metrics[metric] for row in own) for arm, own in by_arm(rows).items()}
    lines = [Line(arm, mean(own), interval(own), own) for arm, own in values.items() if own]
    name = f"{metric} of each arm: every target, the mean and its 95 % interval"
    return f"<figure><figcaption>{metric}</figcaption>{plot(name, _better(metric), lines)}</figure>"


def _better(metric: str) -> str:
    return f"{'lower' if METRICS[metric][1] else 'higher'} is better"


def _differences(metric: str, pairs: list[Paired]) -> str:
    if not pairs:
        return ""
    first, lines = pairs[0].first, [Line(pair.other, *pair.differences[metric]) for pair in pairs]
    name = f"{metric} of {first} minus that of each other arm, with 95 % interval"
    unit = f"{first} minus the other arm; {_better(metric)}"
    return f"<figure><figcaption>{metric}</figcaption>{plot(name, unit, lines)}</figure>"


def _pitch(results: Results) -> str:
    if not results.pitch:
        return "<p>Not measured, or no target has a pitch; <code>unsynth report --pitch</code> measures it.</p>"
    return table(pitch_cells(results.rows, results.pitch))


def _worst(results: Results, first: str, count: int) -> str:
    """The targets that the first arm matched worst, with what every arm made of them."""
    hardest = sorted(by_arm(results.rows)[first], key=lambda row: -row.metrics["MSS"])[:count]
    shown = {row.key: [other for other in results.rows if other.key == row.key] for row in hardest}
    return "".join(_target(rows, results) for rows in shown.values())


def _target(rows: list[Row], results: Results) -> str:
    family, name = rows[0].key
    heading = f"<h3>{escape(name)} <small>{escape(family)}</small></h3>"
    if results.replay is None:
        return f"{heading}<p>{escape(results.silent)}</p>{table(_scores(rows))}"
    played = [row for row in rows if row.params]
    sounds = [results.replay.target(rows[0])[0], *(results.replay.match(row)[0] for row in played)]
    rate = results.replay.synth.rate
    equal = levelled(sounds, rate)
    pictures = spectrograms(equal, rate, **PICTURE)
    names = ["target", *(row.arm for row in played)]
    figures = (_player(names[i], name, equal[i], pictures[i], rate) for i in range(len(names)))
    return f'{heading}<div class="sounds">{"".join(figures)}</div>{table(_scores(rows))}'


def _scores(rows: list[Row]) -> list[list[str]]:
    scores = ([row.arm, *(f"{row.metrics[m]:.{places}f}" for m, (places, _) in METRICS.items())] for row in rows)
    return [["arm", *METRICS], *scores]


def _player(arm: str, target: str, sound: Tensor, levels: UInt8[Tensor, "band column"], rate: int) -> str:
    label = escape(f"{arm}, of {target}" if arm != "target" else f"target {target}")
    picture = uri("image/png", png(levels.flip(0)))
    return (
        f'<figure><figcaption>{escape(arm)}</figcaption><img alt="Mel spectrogram: {label}" src="{picture}">'
        f'<audio controls preload="none" aria-label="{label}" src="{uri("audio/flac", flac(sound, rate))}">'
        "</audio></figure>"
    )
