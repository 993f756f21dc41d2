"""The report: one HTML page to hear, see and read a match, with everything inside it and nothing to fetch."""

from __future__ import annotations

import base64
import io
import math
import struct
import zlib
from html import escape
from importlib.resources import files
from itertools import groupby
from string import Template
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unsynth.params import ParamSpec
from unsynth.presets import patch

if TYPE_CHECKING:
    from unsynth.match import Candidate, Match

Sounds = Float[Tensor, "sound time"]

EXPLAINED = {  # score: (in plain words, whether lower is nearer)
    "distance": ("what the search made as small as it could", True),
    "MSS": ("how different the spectra look over time, in dB, at three zoom levels", True),
    "wMFCC": ("how different the timbre is once the timing is lined up", True),
    "SOT": ("how far energy must move in frequency to turn one sound into the other", True),
    "RMS": ("how alike the loudness contours are, 1 at most", False),
}
MAGMA = "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf"  # S. van der Walt, N. Smith, CC0
FREQUENCIES = {100: "100", 500: "500", 1000: "1k", 2000: "2k", 5000: "5k", 10000: "10k"}
K_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
K_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
K_RATE = 48000
SILENT = 1e-12


def page(match: Match) -> str:
    """The report of ``match`` as the text of an HTML file: sounds, pictures, scores, parameters and the search."""
    sounds = levelled([match.target, *(c.audio for c in match.candidates)], match.rate)
    pictures = spectrograms(sounds, match.rate)
    names = ["Target", "Best match", *(f"Candidate {rank}" for rank in range(2, len(sounds)))]
    template = files("unsynth").joinpath("report.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        name=_text(match.name),
        colours=", ".join(f"#{colour}" for colour in MAGMA.split()),
        seconds=f"{sounds.shape[1] / match.rate:.6f}",
        facts="".join(f"<li>{_text(fact)}</li>" for fact in _facts(match)),
        buttons="".join(_button(i, name) for i, name in enumerate(names)),
        figures="".join(_figure(i, names[i], sounds[i], pictures[i], match) for i in range(len(sounds))),
        scores=_scores(match.candidates),
        curve=_curve(match.curve),
        params="".join(_settings(i, names[i], match) for i in range(1, len(sounds))),
    )


def stems(rank: int) -> tuple[str, str]:
    """File names without ending of the sound and of the patch of the candidate at ``rank`` (1: best)."""
    return ("match", "patch") if rank == 1 else (f"candidate-{rank}", f"candidate-{rank}")


def levelled(sounds: list[Float[Tensor, " time"]], rate: int, peak: float = 0.9) -> Sounds:
    """The sounds as :func:`as_loud` has them; the loudest sample of all is at ``peak``."""
    rows = as_loud(sounds, rate)
    return rows * (peak / rows.abs().max().clamp(min=SILENT))


def as_loud(sounds: list[Float[Tensor, " time"]], rate: int) -> Sounds:
    """The sounds, padded to one length and as loud as the first.

    Loudness is K-weighted over the whole sound, without gate. Source: Recommendation ITU-R BS.1770-4, annex 1, tables
    1 and 2, https://www.itu.int/rec/R-REC-BS.1770 (the responses of its two filters multiply the spectrum).
    """
    length = max(len(sound) for sound in sounds)
    clean = [sound.detach().cpu().float().nan_to_num(0, 0, 0) for sound in sounds]
    rows = torch.stack([torch.nn.functional.pad(sound, (0, length - len(sound))) for sound in clean])
    energy = (torch.fft.rfft(rows.double()).abs().square() * _k_weights(length, rate)).sum(1)
    audible = energy > SILENT * energy.max()
    gains = torch.where(audible & audible[0], (energy[0] / energy).sqrt(), 1.0).float()
    return rows * gains[:, None]


def spectrograms(
    sounds: Sounds, rate: int, bands: int = 128, window: int = 2048, columns: int = 480, span_db: float = 80
) -> UInt8[Tensor, "sound band column"]:
    """Mel spectrograms on one scale: 255 at the loudest point of all, 0 at ``span_db`` below it; low bands first."""
    hop = min(max(sounds.shape[1] // columns, 1), window // 2)
    bins = torch.stft(
        sounds, 2 * window, hop, window, torch.hann_window(window), pad_mode="constant", return_complex=True
    )
    decibels = 10 * (_triangles(bands, bins.shape[1], rate) @ bins.abs().square() + SILENT).log10()
    return ((decibels - decibels.max()) / span_db + 1).clamp(0, 1).mul(255).byte()


def png(levels: UInt8[Tensor, "row column"]) -> bytes:
    """A picture of ``levels`` in the colours of magma, first row on top.

    Source: Portable Network Graphics (PNG) Specification, third edition, https://www.w3.org/TR/png-3/, sections 5, 11.
    """
    height, width = levels.shape
    anchors = np.array([list(bytes.fromhex(colour)) for colour in MAGMA.split()])
    at = np.linspace(0, len(anchors) - 1, 256)
    palette = np.stack([np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T], 1)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0),
        b"PLTE": palette.round().astype(np.uint8).tobytes(),
        b"IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in levels.numpy())),
        b"IEND": b"",
    }
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def flac(sound: Float[Tensor, " time"], rate: int) -> bytes:
    """``sound`` as a 16-bit FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, sound.numpy(), rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _k_weights(length: int, rate: int) -> Float[Tensor, " bin"]:
    turn = 2 * math.pi * torch.fft.rfftfreq(length, 1 / rate).double().clamp(max=K_RATE / 2) / K_RATE
    delays = torch.stack([torch.polar(torch.ones_like(turn), -k * turn) for k in range(3)])
    up, down = (torch.tensor(side, dtype=delays.dtype) @ delays for side in zip(K_SHELF, K_PASS, strict=True))
    return (up / down).abs().square().prod(0)


def _mel(hertz: Tensor) -> Tensor:
    """O'Shaughnessy, "Speech Communication: Human and Machine" (1987), page 150."""
    return 2595 * (1 + hertz / 700).log10()


def _triangles(bands: int, bins: int, rate: int) -> Float[Tensor, "band bin"]:
    """Triangles of height 1 whose corners are evenly spaced in mel."""
    mel = _mel(torch.linspace(0, rate / 2, bins))
    position = mel / mel[-1] * (bands + 1)
    return (1 - (position - torch.arange(1, bands + 1)[:, None]).abs()).clamp(min=0)


def _text(text: str) -> str:
    return escape(text.encode(errors="replace").decode())


def _number(value: float) -> str:
    return f"{value:#.3g}".rstrip(".") if math.isfinite(value) else "–"


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _facts(match: Match) -> list[str]:
    length = f"{len(match.target) / match.rate:.2f} s at {match.rate / 1000:g} kHz"
    spent = f"{match.renders:,} renders in {_number(match.seconds)} s"
    return [f"synth {match.synth}", length, spent, f"seed {match.seed}"]


def _button(index: int, name: str) -> str:
    short = ("Target", "Best")[index] if index < 2 else index
    return f'<button data-play="{index}" aria-pressed="false" aria-label="{name}">{short}</button>'


def _figure(
    index: int, name: str, sound: Float[Tensor, " time"], levels: UInt8[Tensor, "band column"], match: Match
) -> str:
    seconds = len(sound) / match.rate
    picture = _uri("image/png", png(levels.flip(0)))
    stem, note, saving = "target", "", ""
    if index:
        candidate = match.candidates[index - 1]
        stem, settings = stems(index)
        content = _uri("application/json", patch.to_json(match.patch(candidate), match.spec).encode())
        note = f"distance {_number(candidate.distance)}"
        saving = f'<a download="{settings}.json" href="{content}">Save patch</a>'
    return f"""
<figure data-sound="{index}">
<figcaption><button data-play="{index}" aria-pressed="false" aria-label="Play {name}"></button>
<strong>{name}</strong> <span>{note}</span></figcaption>
<div class="plot wave">{_wave(sound, name)}</div>
<div class="plot mel"><img alt="Mel spectrogram of {name}" src="{picture}">{_frequencies(match.rate)}</div>
<div class="axis" aria-hidden="true">{_times(seconds)}</div>
<footer><audio controls preload="none" aria-label="{name}" src="{_uri("audio/flac", flac(sound, match.rate))}"></audio>
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
    top = _mel(torch.tensor(rate / 2))
    heights = {label: (_mel(torch.tensor(float(hertz))) / top).item() for hertz, label in FREQUENCIES.items()}
    return "".join(f'<b style="bottom:{h:.1%}">{label}</b>' for label, h in heights.items() if h < 1)


def _ticks(top: float, at_most: int = 5) -> list[float]:
    """Round numbers from 0 up to ``top``, 1, 2 or 5 times a power of ten apart."""
    rough = max(top, SILENT) / at_most
    decade = 10 ** math.floor(math.log10(rough))
    step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= rough)
    return [i * step for i in range(math.floor(top / step + SILENT) + 1)]


def _times(seconds: float) -> str:
    return "".join(f'<b style="--at:{t / seconds:.1%}">{t:g} s</b>' for t in _ticks(seconds))


def _scores(candidates: list[Candidate]) -> str:
    rows = [{"distance": c.distance, **c.metrics} for c in candidates]
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f'<th scope="col">{i + 1 if i else "Best"}</th>' for i in range(len(rows)))
    body = "".join(_score(name, [row.get(name, math.nan) for row in rows]) for name in names)
    return f'<thead><tr><th scope="col">Score</th>{head}</tr></thead><tbody>{body}</tbody>'


def _score(name: str, values: list[float]) -> str:
    meaning, lower = EXPLAINED.get(name, ("", True))
    finite = [value for value in values if math.isfinite(value)]
    best = (min if lower else max)(finite, default=math.nan)
    cells = "".join(f"<td{' class=best' if value == best else ''}>{_number(value)}</td>" for value in values)
    nearer = f"{'lower' if lower else 'higher'} is nearer" if meaning else ""
    return f'<tr><th scope="row">{_text(name)} <i>{nearer}</i><small>{meaning}</small></th>{cells}</tr>'


def _curve(curve: list[tuple[float, int, float]]) -> str:
    """The best distance against seconds, with the renders made by then, as steps that only go down."""
    points = np.array([point for point in curve if all(map(math.isfinite, point))])
    if not len(points):
        return "<p>The search kept no record of its progress.</p>"
    seconds, renders, distance = points.T
    best, end = np.minimum.accumulate(distance), max(seconds[-1], SILENT)
    kept = np.flatnonzero(np.diff(best, prepend=math.inf))
    top = max(best[0], SILENT)
    steps = "".join(f"H{100 * seconds[i] / end:.2f}V{100 - 100 * best[i] / top:.2f}" for i in kept)
    told = f"Best distance: {_number(best[0])} at first, {_number(best[-1])} after {_number(end)} s"
    below = "".join(
        f'<b style="--at:{t / end:.1%}">{t:g}<br>{np.interp(t, seconds, renders, left=0):,.0f}</b>' for t in _ticks(end)
    )
    left = "".join(f'<b style="bottom:{d / top:.1%}">{d:g}</b>' for d in _ticks(top, 4))
    return f"""
<div class="plot steps"><svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{told}">
<path d="M{100 * seconds[0] / end:.2f} 0{steps}H100"/></svg>{left}</div>
<div class="axis" aria-hidden="true"><b>seconds<br>renders</b>{below}</div>
<p>{told}, {renders[-1]:,.0f} renders.</p>"""


def _settings(index: int, name: str, match: Match) -> str:
    """The parameters of one candidate, a table for each module: the part of the name before the dot."""
    spec, units = match.spec, match.candidates[index - 1].params.detach().cpu().float()
    human = spec.to_human(units).tolist()
    origins = torch.where(spec.column("low") < 0, spec.to_unit(torch.zeros(len(spec))), 0.0).tolist()
    rows = [_row(spec, i, human[i], unit, origins[i]) for i, unit in enumerate(units.tolist())]
    modules = groupby(range(len(spec)), lambda i: spec.names[i].rpartition(".")[0] or spec.synth)
    tables = "".join(
        f"<table><caption>{_text(module)}</caption>{''.join(rows[i] for i in members)}</table>"
        for module, members in modules
    )
    return f'<section data-settings="{index}"><h3>{name}</h3><div class="modules">{tables}</div></section>'


def _row(spec: ParamSpec, index: int, human: float, unit: float, origin: float) -> str:
    """One knob; the bar starts where the human value is zero. A choice has no more or less, so it has no bar."""
    knob, value = spec.names[index].rpartition(".")[2], spec.text(index, human)
    bar = f'<i style="--from:{min(unit, origin):.1%};--to:{max(unit, origin):.1%}"></i>{unit:.3f}'
    travel = "" if spec.params[index].kind == "categorical" else bar
    return f'<tr><th scope="row">{_text(knob)}</th><td>{_text(value)}</td><td>{travel}</td></tr>'
