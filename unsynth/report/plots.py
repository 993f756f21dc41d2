"""The plots of a report as inline SVG: the search, loudness and pitch over time, and the map of the sounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unsynth import pitch
from unsynth.frontends.statistics import rms
from unsynth.pitch import Track
from unsynth.report.loudness import SILENT, Sounds
from unsynth.report.markup import left, line, number, ticks, times
from unsynth.report.pictures import SPAN_DB

NOTES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
A4, A4_HZ = 69, 440.0  # MIDI number and pitch
STEPS = (1, 2, 3, 4, 6, 12, 24)  # semitones between the marks of a pitch axis
MOST_MARKS = 6
MAP_ASPECT = 1.6  # width over height; page.html has the same


def search(curve: list[tuple[float, int, float]]) -> str:
    """The best distance against seconds, with the renders made by then, as steps that only go down."""
    points = np.array([point for point in curve if all(map(math.isfinite, point))])
    if not len(points):
        return "<p>The search kept no record of its progress.</p>"
    seconds, renders, distance = points.T
    best, end = np.minimum.accumulate(distance), max(seconds[-1], SILENT)
    kept = np.flatnonzero(np.diff(best, prepend=math.inf))
    top = max(best[0], SILENT)
    steps = "".join(f"H{100 * seconds[i] / end:.2f}V{100 - 100 * best[i] / top:.2f}" for i in kept)
    told = f"Best distance: {number(best[0])} at first, {number(best[-1])} after {number(end)} s"
    below = "".join(
        f'<b style="--at:{t / end:.1%}">{t:g}<br>{np.interp(t, seconds, renders, left=0):,.0f}</b>' for t in ticks(end)
    )
    marks = left((d / top, f"{d:g}") for d in ticks(top, 4))
    return f"""
<div class="plot steps"><svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{told}">
<path d="M{100 * seconds[0] / end:.2f} 0{steps}H100"/></svg>{marks}</div>
<div class="axis" aria-hidden="true"><b>seconds<br>renders</b>{below}</div>
<p>{told}, {renders[-1]:,.0f} renders.</p>"""


def loudness(sounds: Sounds, rate: int, names: Sequence[str], frames: int = 240) -> str:
    """The RMS level of every sound over time, in dB under the loudest frame of all."""
    hop = max(sounds.shape[1] // frames, 1)
    levels = rms(F.pad(sounds, (hop, hop)), 2 * hop, hop)
    heights = ((levels - levels.max()) / SPAN_DB + 1).clamp(min=0)
    marks = [(1 + decibels / SPAN_DB, f"{decibels} dB") for decibels in range(0, -int(SPAN_DB), -20)]
    return _over_time("Loudness over time", heights, hop / rate, sounds.shape[1] / rate, names, marks)


def pitches(tracks: Sequence[Track], rate: int, seconds: float, names: Sequence[str]) -> str:
    """The pitch of every sound over time on an axis of notes, the first of which has one, and what the pitches are."""
    semitones = torch.stack([A4 + 12 * (found / A4_HZ).log2() for found in tracks])
    known = semitones[semitones.isfinite()]
    low, high = math.floor(known.min()) - 1, math.ceil(known.max()) + 1
    step = next((step for step in STEPS if high - low <= step * MOST_MARKS), STEPS[-1])
    marks = [((note - low) / (high - low), _note(note)) for note in range(-(-low // step) * step, high + 1, step)]
    told = "; ".join(f"{name}: {_told(found)}" for name, found in zip(names, semitones, strict=True))
    heights, between = (semitones - low) / (high - low), pitch.hop(rate) / rate
    return f"{_over_time('Pitch over time', heights, between, seconds, names, marks)}<p>{told}.</p>"


def sound_map(points: Float[Tensor, "sound 2"], short: Sequence[str], told: Sequence[str]) -> str:
    """The sounds as buttons that play them, the nearer the more alike; lines lead from the first to the others.

    Args:
        points: where they are, on any scale.
        short: what is written on each button.
        told: what each is called.
    """
    low, high = points.amin(0), points.amax(0)
    unit = max(float(high[0] - low[0]) / MAP_ASPECT, float(high[1] - low[1]), SILENT)
    at = ((points - (low + high) / 2) / torch.tensor([MAP_ASPECT * unit, unit]) + 0.5).tolist()
    (x0, y0), *others = at
    spokes = "".join(f"M{100 * x0:.1f} {100 - 100 * y0:.1f}L{100 * x:.1f} {100 - 100 * y:.1f}" for x, y in others)
    buttons = "".join(
        f'<button data-play="{i}" aria-pressed="false" aria-label="{told[i]}" '
        f'style="--i:{i};left:{x:.1%};bottom:{y:.1%}">{short[i]}</button>'
        for i, (x, y) in enumerate(at)
    )
    return (
        '<div class="plot map"><svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
        f'aria-label="Lines from the target to every candidate"><path d="{spokes}"/></svg>{buttons}</div>'
    )


def _over_time(
    title: str,
    heights: Float[Tensor, "sound frame"],
    between: float,
    seconds: float,
    names: Sequence[str],
    marks: list[tuple[float, str]],
) -> str:
    """One line for each sound: shares of the height, ``between`` seconds apart."""
    x = [100 * min(i * between / seconds, 1) for i in range(heights.shape[1])]
    lines = "".join(
        f'<path data-line="{i}" style="--i:{i}" d="{line(zip(x, row, strict=True))}"/>'
        for i, row in enumerate((100 - 100 * heights).tolist())
    )
    legend = "".join(f'<li data-line="{i}" style="--i:{i}"><i></i>{name}</li>' for i, name in enumerate(names))
    return f"""
<div class="plot lines"><svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{title}">
{lines}</svg>{left(marks)}</div>
<div class="axis" aria-hidden="true">{times(seconds)}</div>
<ul class="legend">{legend}</ul>"""


def _told(semitones: Float[Tensor, " frame"]) -> str:
    """The median as a note and in Hz."""
    middle = float(semitones.nanmedian())
    if math.isnan(middle):
        return "no clear pitch"
    cents = round(100 * (middle - round(middle)))
    return f"{_note(round(middle))} {cents:+d} cents ({A4_HZ * 2 ** ((middle - A4) / 12):.1f} Hz)"


def _note(number: int) -> str:
    """The name of a MIDI number, of which 60 is C4."""
    return f"{NOTES[number % 12]}{number // 12 - 1}"
