"""Presets of a small synth, and what a library takes of them."""

import math

import pytest
import torch

from unsynth.base import EngineError, Synth
from unsynth.params import Param, ParamSpec
from unsynth.presets import patch
from unsynth.search.collect import Collector
from unsynth.synths import SYNTHS

LEVELS = ("silent", "heard", "broken")


class Tones(Synth):
    """Harmonics of a note, some of which are louder."""

    name = "tones"
    spec = ParamSpec(
        "tones",
        [
            Param("note.pitch", 24, 96, kind="integer"),
            Param("level", 0, 2, kind="categorical", choices=LEVELS),
            *(Param(f"harmonic_{n}") for n in range(1, 9)),
        ],
    )
    rate, seconds, differentiable = 44100, 1.0, False
    rendered = 0

    def render(self, params, noise=None):
        pitch, level, *strengths = self.spec.to_human(params).unbind(1)
        if LEVELS.index("broken") in level.tolist():
            raise EngineError("The engine failed.")
        Tones.rendered += len(params)
        time = torch.arange(self.rate) / self.rate
        hertz = 440 * 2 ** ((pitch[:, None] - 69) / 12)
        waves = [a[:, None] * torch.sin(2 * math.pi * n * hertz * time) for n, a in enumerate(strengths, start=1)]
        return torch.stack(waves).sum(0) * (-3 * time).exp() * level[:, None] / 20


SPEC = Tones.spec


@pytest.fixture(autouse=True)
def known(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setitem(SYNTHS, "tones", Tones)
    monkeypatch.setattr(Tones, "rendered", 0)


def params(seed, level="heard", note=60):
    strengths = torch.rand(8, generator=torch.Generator().manual_seed(seed)) ** 4
    return SPEC.to_unit(torch.cat([torch.tensor([float(note), float(LEVELS.index(level))]), strengths]))


def write(path, row):
    made = patch.Patch("tones", SPEC.hash, tuple(row.tolist()), 0, 0.0, 0.0, {}, 0.0, 0, 0, "0")
    path.write_text(patch.to_json(made, SPEC))
    return path


@pytest.fixture(name="folder")
def twelve(tmp_path):
    (tmp_path / "mine").mkdir()
    for seed in range(12):
        write(tmp_path / "mine" / f"{seed}.json", params(seed))
    return tmp_path / "mine"


def taken(folder, path, **options):
    """The library, what rendered how many presets, and what was told about the others."""
    told = []
    collector = Collector(path, group=4, **options)
    found = collector([folder], lambda done, files: None, told.append)
    return found, collector, told


def same(one, other):
    return list(one.files) == list(other.files) and all(
        a.stamp == b.stamp and len(a.presets) == len(b.presets) and all(map(same_preset, a.presets, b.presets))
        for a, b in zip(one.files.values(), other.files.values(), strict=True)
    )


def same_preset(one, other):
    facts = [(h.preset.synth, h.preset.name, h.preset.slot, h.preset.noise) for h in (one, other)]
    tensors = [(h.preset.params, h.semitones, h.features) for h in (one, other)]
    return facts[0] == facts[1] and all(a.dtype == b.dtype and a.equal(b) for a, b in zip(*tensors, strict=True))
