"""How well patches of Surge are known from rendered sounds that no training has seen: the test split of a folder.

``python -m bench.surge FOLDER`` for what needs no learning and ``python -m bench.surge FOLDER NAME=MODEL ...`` for
estimators write results/surge-rendered.jsonl; bench/tables.py makes the table of docs/surge.md from it. No engine is
needed: patches are compared, not sounds.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from unsynth import audio, checkpoint
from unsynth.base import Audio, Encoder, Estimator, Params, Vector
from unsynth.evaluate import machine
from unsynth.recipe import build, rebuild, restored
from unsynth.search.index import summary
from unsynth.sounds.source import Split
from unsynth.sounds.surge_rendered import CORE, SurgeRendered
from unsynth.synths.surge import SPEC, Surge

OUT = Path(__file__).parent.parent / "results" / "surge-rendered.jsonl"
TOGETHER = 64  # sounds
Score = Callable[[Tensor, Tensor], float]  # of patches in human units, guessed and true
Json = dict[str, Any]


def _away(name: str) -> Score:
    """Mean absolute error of a parameter."""
    column = SPEC.index(name)
    return lambda guess, truth: float((guess - truth)[:, column].abs().mean())


def _right(name: str) -> Score:
    """Share of the patches that have the right step."""
    column = SPEC.index(name)
    return lambda guess, truth: float((guess == truth)[:, column].float().mean())


def _cents(human: Tensor) -> Tensor:
    """Pitch that the first oscillator plays."""
    note, octave, pitch = (human[:, SPEC.index(name)] for name in ("play.note", "osc1.octave", "osc1.pitch"))
    return 100 * (note + 12 * octave + pitch)


def _within(pitch: Callable[[Tensor], Tensor]) -> Score:
    return lambda guess, truth: float(((pitch(guess) - pitch(truth)).abs() <= 100).float().mean())


def _median(pitch: Callable[[Tensor], Tensor]) -> Score:
    return lambda guess, truth: float((pitch(guess) - pitch(truth)).abs().median())


def _note(human: Tensor) -> Tensor:
    return 100 * human[:, SPEC.index("play.note")]


def _core(stepped: bool) -> list[int]:
    return [column for column in CORE if (SPEC.params[column].kind == "categorical") == stepped]


SCORES: dict[str, tuple[str, Score]] = {  # measure: (format, score)
    "note within a semitone": (".1%", _within(_note)),
    "note, median error, cents": (".0f", _median(_note)),
    "pitch of oscillator 1 (note, octave, tuning) within a semitone": (".1%", _within(_cents)),
    "the same, median error, cents": (".0f", _median(_cents)),
    "type of oscillator 1": (".1%", _right("osc1.type")),
    "type of oscillator 2": (".1%", _right("osc2.type")),
    "oscillator 2 on or muted": (".1%", _right("mixer.osc2_mute")),
    "noise on or muted": (".1%", _right("mixer.noise_mute")),
    "FM on or off": (".1%", _right("fm.routing")),
    "type of the filter": (".1%", _right("filter1.type")),
    "waveshaper": (".1%", _right("filters.shaper")),
    "cutoff, semitones": (".1f", _away("filter1.cutoff")),
    "amplitude attack, octaves of time": (".2f", _away("env1.attack")),
    "amplitude decay, octaves of time": (".2f", _away("env1.decay")),
    "amplitude sustain": (".3f", _away("env1.sustain")),
    "amplitude release, octaves of time": (".2f", _away("env1.release")),
    "key held, s": (".2f", _away("play.hold")),
    "all choices": (
        ".1%",
        lambda guess, truth: float((guess == truth)[:, _core(stepped=True)].float().mean()),
    ),
    "all others, of the range": (
        ".3f",
        lambda guess, truth: float((SPEC.to_unit(guess) - SPEC.to_unit(truth))[:, _core(stepped=False)].abs().mean()),
    ),
}


def scores(guess: Params, truth: Params) -> dict[str, float]:
    """Every score of patches, ``(batch, param)`` in the unit interval."""
    one, other = SPEC.to_human(guess), SPEC.to_human(truth)
    return {name: score(one, other) for name, (_, score) in SCORES.items()}


def usual(params: Params) -> Params:
    """The one patch that a guesser without ears would always name: medians, and the most frequent steps."""
    stepped = torch.tensor([p.kind != "continuous" for p in SPEC.params])
    return torch.where(stepped, SPEC.snap(params).mode(0).values, params.median(0).values)[None]


def nearest(heard: Vector, known: Vector) -> Tensor:
    """For each sound the nearest of those that are known."""
    return torch.cat([torch.cdist(part, known).argmin(1) for part in heard.split(TOGETHER)])


def heard(source: SurgeRendered, split: Split, ears: Mapping[str, Callable[[Audio], Tensor]]) -> dict[str, Tensor]:
    """The patches of a split, and what each of ``ears`` makes of its sounds."""
    found: dict[str, list[Tensor]] = {name: [] for name in ("params", *ears)}
    for first in range(0, int(source.size(split)), TOGETHER):
        batch = source.take(split, first, min(TOGETHER, int(source.size(split)) - first))
        found["params"].append(batch.params)
        for name, ear in ears.items():
            found[name].append(ear(batch.audio).float())
    return {name: torch.cat(parts) for name, parts in found.items()}


def of_the_voice() -> Encoder:
    """The encoder of sounds of the Voice's space."""
    path = checkpoint.installed("voice-space")
    encoder = build(rebuild(checkpoint.load(path)[1])).encoder.eval()
    checkpoint.load_into(encoder, path, checkpoint.ENCODER)
    return encoder


@torch.no_grad()
def without_learning(source: SurgeRendered) -> dict[str, Json]:
    """Scores on the test split of who has learned no patches, only has the training sounds at hand."""
    ears = {"summary": summary, "encoder's vector": of_the_voice()}
    known, asked = heard(source, "train", ears), heard(source, "test", ears)
    truth = asked["params"]
    patches = {"always the same": usual(known["params"]).expand(len(truth), -1)}
    patches |= {f"nearest by the {ear}": known["params"][nearest(asked[ear], known[ear])] for ear in ears}
    return {arm: scores(guess, truth) for arm, guess in patches.items()}


@torch.no_grad()
def learned(source: SurgeRendered, models: Mapping[str, Path]) -> dict[str, Json]:
    """Scores on the test split of estimators by name."""

    def guess(path: Path) -> Callable[[Audio], Tensor]:
        estimator = cast(Estimator, restored(path, source.synth))
        return lambda sounds: estimator.sample(sounds, 1, torch.Generator())[0]

    found = heard(source, "test", {name: guess(path) for name, path in models.items()})
    return {name: scores(found[name], found["params"]) for name in models}


def read() -> dict[str, Json]:
    """Rows of the results by arm."""
    rows = [json.loads(line) for line in OUT.read_text().splitlines()] if OUT.is_file() else []
    return {row["arm"]: row for row in rows}


def main(folder: str, *models: str) -> None:
    torch.set_num_threads(1)
    source, named = SurgeRendered(Surge(), folder), dict(model.split("=", 1) for model in models)
    found = learned(source, {name: Path(path) for name, path in named.items()}) if named else without_learning(source)
    command = shlex.join(["python", "-m", "bench.surge", folder, *models])
    facts = {"sounds": source.size("test"), **machine(), "command": command}
    rows = read() | {arm: {"arm": arm, "scores": told, **facts} for arm, told in found.items()}
    audio.write_text(OUT, "".join(f"{json.dumps(row)}\n" for row in rows.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
