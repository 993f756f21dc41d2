"""A blind listening test of a file of results as one HTML page, MUSHRA style: answers download as JSON.

Source: Recommendation ITU-R BS.1534-3, "Method for the subjective assessment of intermediate quality level of audio
systems", https://www.itu.int/rec/R-REC-BS.1534: a hidden reference and a low-passed anchor among the arms, one
continuous scale from 0 to 100. Its mid-range anchor (7 kHz) is left out.
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from string import Template

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import fftconvolve, firwin, kaiserord
from torch import Tensor

from unsynth.base import UsageError
from unsynth.benchmark.replay import Key, Replay
from unsynth.report.loudness import levelled
from unsynth.report.markup import uri
from unsynth.report.pictures import flac
from unsynth.scores import Row, by_arm

REFERENCE, ANCHOR = "reference", "anchor"
MOST = 12  # signals of one trial, the hidden reference and the anchor among them
ANCHOR_HZ, STOP_HZ = 3500.0, 4000.0
STOP_DB = 60.0  # BS.1534-3 asks for 25 dB at 4 kHz and 50 dB at 4.5 kHz, and 0.1 dB of ripple below 3.5 kHz


def page(rows: list[Row], replay: Replay, title: str, arms: list[str] | None = None, trials: int = 10) -> str:
    """The test as the text of an HTML file.

    Args:
        rows: of a file of results.
        replay: plays them.
        title: what listeners see; it should not tell what is compared.
        arms: which to compare; all if None.
        trials: how many targets, spread evenly over those that every arm has a patch for.

    Raises:
        UsageError: an arm is not in the results or there are too many, or no target has a patch of every arm.
        NotFoundError: a target is not in its folder.
    """
    chosen = _chosen(rows, arms or list(by_arm(rows)))
    keys = list(chosen)
    if trials < 1 or not keys:
        raise UsageError("There is no sound to listen to; give --trials above 0 and arms that share targets.")
    picked = np.unique(np.linspace(0, len(keys) - 1, min(trials, len(keys))).round().astype(int))
    test = [_trial(keys[i], chosen[keys[i]], replay) for i in picked]
    data = {"title": title, "page": hashlib.sha256(json.dumps(test).encode()).hexdigest()[:12], "trials": test}
    template = files("unsynth.benchmark").joinpath("listening.html").read_text(encoding="utf-8")
    return Template(template).substitute(test=json.dumps(data).replace("<", "\\u003c"))


def _chosen(rows: list[Row], arms: list[str]) -> dict[Key, list[Row]]:
    """The rows of these arms on each target that every one of them has a patch for."""
    known = by_arm(rows)
    unknown = [arm for arm in arms if arm not in known]
    if unknown:
        raise UsageError(f"The results have no arm {unknown[0]!r}; choose from: {', '.join(known)}.")
    if len(arms) > MOST - 2:
        raise UsageError(f"Nobody can compare {len(arms)} arms at once; name at most {MOST - 2} with --arms.")
    found: dict[Key, list[Row]] = {}
    for row in (row for arm in arms for row in known[arm] if row.params):
        found.setdefault(row.key, []).append(row)
    return {key: own for key, own in found.items() if len(own) == len(arms)}


def _trial(key: Key, rows: list[Row], replay: Replay) -> dict[str, object]:
    """One target: its sounds as data: URIs, all equally loud."""
    target, rate = replay.target(rows[0])[0], replay.synth.rate
    sounds = [target, anchor(target, rate), *(replay.match(row)[0] for row in rows)]
    names = [REFERENCE, ANCHOR, *(row.arm for row in rows)]
    heard = dict(zip(names, levelled(sounds, rate), strict=True))
    return {
        "target": "/".join(key),
        "sounds": {name: uri("audio/flac", flac(sound, rate)) for name, sound in heard.items()},
    }


def anchor(sound: Float[Tensor, " time"], rate: int) -> Float[Tensor, " time"]:
    """``sound`` through the low-pass of the standard's low anchor, 3.5 kHz, with linear phase and no delay."""
    filtered = fftconvolve(sound.detach().cpu().double().numpy(), low_pass(rate), mode="same")
    return torch.from_numpy(filtered).float()


def low_pass(rate: int) -> np.ndarray:
    """Taps of the anchor's filter, an odd number."""
    length, beta = kaiserord(STOP_DB, (STOP_HZ - ANCHOR_HZ) / (rate / 2))
    taps = firwin(length | 1, (ANCHOR_HZ + STOP_HZ) / 2, window=("kaiser", beta), fs=rate)  # type: ignore[arg-type]
    return np.asarray(taps)
