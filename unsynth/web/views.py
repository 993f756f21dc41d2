"""What the page shows, as JSON, pictures and files."""

from __future__ import annotations

import math
import re
from typing import Any

from jaxtyping import Float
from torch import Tensor

from unsynth import audio
from unsynth.base import Synth
from unsynth.match import Match
from unsynth.presets.patch import to_json
from unsynth.report.pictures import png, spectrograms
from unsynth.report.words import told
from unsynth.synths import usable

Json = dict[str, Any]

UNNAMED = "sound"
TITLES = {
    "voice": "Voice: two oscillators and noise",
    "drum": "Drum: kicks to cymbals",
    "dexed": "Dexed: FM, the DX7",
    "vital": "Vital: wavetables",
    "surge": "Surge XT",
}


def describe(found: Match, number: int, label: str) -> Json:
    """The best of ``found`` under the number and label that the page knows it by."""
    candidate = found.candidates[0]
    human = found.spec.to_human(candidate.params).tolist()
    return {
        "id": number,
        "label": label,
        "synth": found.synth,
        "distance": candidate.distance if math.isfinite(candidate.distance) else None,
        "scores": told(candidate.metrics),
        "params": candidate.params.tolist(),
        "texts": [found.spec.text(i, value) for i, value in enumerate(human)],
    }


def clean(name: str, most: int = 80) -> str:
    """What a visitor calls a sound, as a word to show: no folder, no control characters, not too long."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(c for c in last if c.isprintable())[:most].strip(" .") or UNNAMED


def files(found: Match) -> dict[str, bytes]:
    """What can be downloaded of a candidate, by name: sound, patch, and what the synth itself reads."""
    candidate = found.candidates[0]
    return {
        "match.wav": audio.wav(candidate.audio, found.rate),
        "patch.json": to_json(found.patch(candidate), found.spec).encode(),
        **found.presets(),
    }


def instruments() -> list[Json]:
    """The synths to choose from, those first that need nothing more; whether each can be played here."""
    made = usable()[0]
    names = [name for name in {**TITLES, **made} if name in made]
    return [{"name": n, "title": TITLES.get(n, n), "here": not made[n].lacks()} for n in names]


def params_of(synth: Synth) -> Json:
    """The knobs of a synth for the page."""
    told = [
        {
            "name": p.name,
            "module": p.name.rpartition(".")[0] or synth.name,
            "knob": p.name.rpartition(".")[2],
            "steps": 0 if p.kind == "continuous" else round(p.high - p.low) + 1,
            "choices": p.choices,
        }
        for p in synth.spec.params
    ]
    return {"name": synth.name, "seconds": synth.seconds, "params": told}


def picture(sounds: Float[Tensor, "sound time"], rate: int) -> bytes:
    """The spectrogram of the last of ``sounds`` on the scale of all, as a PNG."""
    return png(spectrograms(sounds, rate)[-1].flip(0))
