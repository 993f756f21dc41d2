"""Safetensors files: checkpoints, models, the state of a training, indexes, and what an interrupted build left."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import torch

from bench.fuzz.damage import Text, damaged, encoded
from bench.fuzz.trial import ROOT, Target
from unsynth import checkpoint, recipe
from unsynth.base import Synth
from unsynth.params import Param, ParamSpec
from unsynth.presets.saved import Preset
from unsynth.search import index, library
from unsynth.synths import synth

RATE = 44_100
NOISE = torch.rand(RATE, generator=torch.Generator().manual_seed(0)) - 0.5
SINE = torch.linspace(0, 2000, RATE).sin()
BLEND = (NOISE + SINE)[None]


def taken_apart(path: Path) -> tuple[Text, Text, bytes]:
    """The header of a safetensors file, its facts (or files) alone, and the tensors."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    told = head.get("__metadata__", {})
    inner = told.get("facts") or told.get("files") or "{}"
    return Text(json.dumps(head)), Text(inner), data[8 + size :]


def put_together(parts: tuple[Text, Text, bytes], rng: Random) -> bytes:
    """A file with a damaged header, damaged facts (of a right checksum), damaged tensors, or damaged anywhere."""
    head, facts, tensors = parts
    how, text = rng.random(), head.text
    if how < 0.4:
        text = head.damaged(rng)
    elif how < 0.8:
        told = json.loads(text)
        key = "files" if "files" in told.get("__metadata__", {}) else "facts"
        told.setdefault("__metadata__", {})[key] = facts.damaged(rng)
        text = json.dumps(told)
    encoding = encoded(rng, text)
    data = len(encoding).to_bytes(8, "little") + encoding + tensors
    return damaged(rng, data) if how > 0.85 else data


def _target(name: str, path: Path, read: Callable[[Path], object], seeds: Sequence[Path]) -> Target:
    parts = [taken_apart(seed) for seed in seeds]

    def give(data: bytes) -> None:
        path.write_bytes(data)
        read(path)

    return Target(name, lambda rng: put_together(rng.choice(parts), rng), give)


def checkpoints(folder: Path) -> Target:
    path = folder / "seed.safetensors"
    tensors = {"a": torch.ones(3, 4), "b": torch.ones(2, dtype=torch.bfloat16), "n": torch.tensor(3)}
    checkpoint.save(path, tensors, {"recipe": {"steps": 3}, "spec": "x", "step": 3, "seconds": 1.0, "skipped": 0})
    return _target("checkpoint", folder / "a.safetensors", checkpoint.load, [path])


def models(folder: Path) -> Target:
    """The whole way of a model: its recipe is checked, the model built and filled."""
    torch.set_num_threads(1)
    chosen, facts = recipe.read(ROOT / "recipes" / "tiny-vicreg.yaml", ["objective.criterion.widths=[8,8]"])
    path = folder / "seed.safetensors"
    checkpoint.save(path, recipe.build(chosen).state_dict(), facts)
    voice = synth("voice")
    return _target("model", folder / "a.safetensors", lambda file: recipe.restored(file, voice), [path])


class Blend(Synth):
    """The quickest synth there is, for what is fuzzed of indexes."""

    name, rate, seconds, differentiable = "blend", RATE, 1.0, False
    spec = ParamSpec("blend", [Param("a.level"), Param("a.other")])

    def render(self, params: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        return params @ torch.stack([NOISE, SINE])


def indexes(folder: Path) -> Target:
    path, blend = folder / "seed.safetensors", Blend()
    index.build(path, blend, 80, dim=4, fitted_on=80)

    def read(file: Path) -> None:
        found = index.Index.load(file, blend).nearest(BLEND, 3)
        assert len(found) <= 3

    return _target("index", folder / "a.safetensors", read, [path])


def libraries(folder: Path) -> Target:
    path = folder / "seed.safetensors"
    stamp = library.Stamp(3, 4, "drum", synth("drum").spec.hash, 1)
    params = torch.full((len(synth("drum").spec),), 0.5)
    sounds = library.features(torch.nn.functional.pad(BLEND, (0, library.SAMPLES - RATE)))
    heard = [
        library.Heard(Preset("drum", f"name {i}", i, params * i / 2), torch.tensor([0], dtype=torch.int8), sounds)
        for i in (1, 2)
    ]
    library.Library({"/a.json": library.File(stamp, heard), "/b.json": library.File(stamp, heard[:1])}).save(path)

    def read(file: Path) -> None:
        for near in library.Library.load(file).nearest(BLEND, 3):
            library.note_of(near)
            json.dumps([near.distance, near.preset.name, near.preset.slot], allow_nan=False)

    return _target("presets index", folder / "a.safetensors", read, [path])


def fits(folder: Path) -> Target:
    """What an interrupted build of an index left, from which the next goes on."""
    seed, blend = folder / "seed.fit", Blend()
    fitted = index.Projection.fit(index.summary(blend.render(torch.rand(80, 2))), 4)
    told = json.dumps([blend.spec.hash, index.SUMMARY.name, 4, 8])
    checkpoint.write(seed, {name: x.contiguous() for name, x in vars(fitted).items()}, {"recipe": told})

    def read(file: Path) -> None:
        index.build(file.with_suffix(""), blend, 2, dim=4, fitted_on=8)

    return _target("fit", folder / "a.safetensors.fit", read, [seed])


TARGETS = {
    "checkpoint": checkpoints,
    "model": models,
    "index": indexes,
    "presets index": libraries,
    "fit": fits,
}
