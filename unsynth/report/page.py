"""The report: one HTML page to hear, see and read a match, with everything inside it and nothing to fetch."""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import Protocol

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unsynth.candidates import Candidate, stems
from unsynth.params import ParamSpec
from unsynth.pitch import clear_tracks
from unsynth.presets import patch
from unsynth.report import plots, tables
from unsynth.report.features import features
from unsynth.report.loudness import Sounds, levelled
from unsynth.report.markup import left, number, text, times, uri
from unsynth.report.pictures import MAGMA, flac, mel, png, spectrograms
from unsynth.report.projection import scaled, spectral_distances

FREQUENCIES = {100: "100", 500: "500", 1000: "1k", 2000: "2k", 5000: "5k", 10000: "10k"}


class Matched(Protocol):
    """What a page is about: the part of :class:`unsynth.match.Match` that it shows."""

    name: str
    spec: ParamSpec
    rate: int
    target: Float[Tensor, " time"]
    candidates: list[Candidate]
    curve: list[tuple[float, int, float]]
    seconds: float
    renders: int
    seed: int
    unheard: str

    def patch(self, candidate: Candidate) -> patch.Patch: ...


def page(match: Matched) -> str:
    """The report of ``match`` as the text of an HTML file: sounds, pictures, scores, parameters and the search."""
    heard = [] if match.unheard else match.candidates
    sounds = levelled([match.target, *(c.audio for c in heard)], match.rate)
    pictures = spectrograms(sounds, match.rate)
    names = ["Target", "Best match", *(f"Candidate {rank}" for rank in range(2, len(match.candidates) + 1))]
    template = files("unsynth.report").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        name=text(match.name),
        colours=", ".join(f"#{colour}" for colour in MAGMA.split()),
        seconds=f"{sounds.shape[1] / match.rate:.6f}",
        facts="".join(f"<li>{text(fact)}</li>" for fact in _facts(match)),
        buttons="".join(_button(i, names[i]) for i in range(len(sounds))),
        figures="".join(_figure(i, names[i], sounds[i], pictures[i], match) for i in range(len(sounds))),
        compared=_unheard(match) if match.unheard else _compared(sounds, names, match),
        params="".join(
            tables.settings(i, names[i], match.spec, c.params, hidden=not match.unheard)
            for i, c in enumerate(match.candidates, start=1)
        ),
    )


def _unheard(match: Matched) -> str:
    """Why there is nothing to compare."""
    said = "These patches are guesses: nothing was rendered, so there is nothing to hear beside the target."
    return f'<section class="card"><h2>Not heard</h2><p>{said} {text(match.unheard)}</p></section>'


def _compared(sounds: Sounds, names: list[str], match: Matched) -> str:
    """Everything that is about the sounds of the candidates."""
    scores = f'<div class="scroll"><table id="scores">{tables.scores(match.candidates)}</table></div>'
    near = "The nearer two sounds are, the more alike (MSS, as far as a plane can show it). Choose one to hear it."
    parts = {
        "Scores": scores,
        "Search": plots.search(match.curve),
        **_over_time(sounds, names, match),
        "Map": f'{_map(sounds, names)}\n<p class="note">{near}</p>',
    }
    return "\n".join(f'<section class="card"><h2>{title}</h2>{part}</section>' for title, part in parts.items())


def _facts(match: Matched) -> list[str]:
    length = f"{len(match.target) / match.rate:.2f} s at {match.rate / 1000:g} kHz"
    spent = f"{match.renders:,} renders in {number(match.seconds)} s"
    return [f"synth {match.spec.synth}", length, spent, f"seed {match.seed}"]


def _short(index: int) -> str:
    return ("Target", "Best")[index] if index < 2 else str(index)


def _button(index: int, name: str) -> str:
    return f'<button data-play="{index}" aria-pressed="false" aria-label="{name}">{_short(index)}</button>'


def _over_time(sounds: Sounds, names: list[str], match: Matched) -> dict[str, str]:
    """Loudness and pitch over time, and the differences in words."""
    tracks = clear_tracks(sounds, match.rate)
    seconds = sounds.shape[1] / match.rate
    words = tables.differences(match.spec, match.candidates, features(sounds, match.rate, tracks), names)
    parts = {"Loudness over time": plots.loudness(sounds, match.rate, names)}
    if tracks[0].isfinite().any():
        parts["Pitch over time"] = plots.pitches(tracks[:2], match.rate, seconds, names[:2])
    return {**parts, "How they differ": words}


def _map(sounds: Sounds, names: list[str]) -> str:
    """Target and candidates as points, the nearer the more alike."""
    apart = spectral_distances(sounds)
    far = [f", {number(float(decibels))} dB from the target" for decibels in apart[0]]
    told = [names[0], *(name + where for name, where in zip(names[1:], far[1:], strict=True))]
    return plots.sound_map(scaled(apart), [_short(i) for i in range(len(names))], told)


def _figure(
    index: int, name: str, sound: Float[Tensor, " time"], levels: UInt8[Tensor, "band column"], match: Matched
) -> str:
    seconds = len(sound) / match.rate
    picture = uri("image/png", png(levels.flip(0)))
    stem, note, saving = "target", "", ""
    if index:
        candidate = match.candidates[index - 1]
        stem, settings = stems(index)
        content = uri("application/json", patch.to_json(match.patch(candidate), match.spec).encode())
        note = f"distance {number(candidate.distance)}"
        saving = f'<a download="{settings}.json" href="{content}">Save patch</a>'
    return f"""
<figure data-sound="{index}">
<figcaption><button data-play="{index}" aria-pressed="false" aria-label="Play {name}"></button>
<strong>{name}</strong> <span>{note}</span></figcaption>
<div class="plot wave">{_wave(sound, name)}</div>
<div class="plot mel"><img alt="Mel spectrogram of {name}" src="{picture}">{_frequencies(match.rate)}</div>
<div class="axis" aria-hidden="true">{times(seconds)}</div>
<footer><audio controls preload="none" aria-label="{name}" src="{uri("audio/flac", flac(sound, match.rate))}"></audio>
<a download="{stem}.flac" hidden>Save sound</a>{saving}</footer>
</figure>"""


def _wave(sound: Float[Tensor, " time"], name: str, columns: int = 400) -> str:
    parts = sound.tensor_split(min(columns, len(sound)))
    tops = [f"{x} {-part.max().item():.3f}" for x, part in enumerate(parts)]
    lows = [f"{x} {-part.min().item():.3f}" for x, part in enumerate(parts)]
    return (
        f'<svg viewBox="0 -1 {len(parts)} 2" preserveAspectRatio="none" role="img" aria-label="Waveform of {name}">'
        f'<path d="M{"L".join(tops + lows[::-1])}Z"/></svg>'
    )


def _frequencies(rate: int) -> str:
    top = mel(torch.tensor(rate / 2))
    heights = ((float(mel(torch.tensor(float(hertz))) / top), label) for hertz, label in FREQUENCIES.items())
    return left((height, label) for height, label in heights if height < 1)
