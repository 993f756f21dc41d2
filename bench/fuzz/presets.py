"""Patches and presets: patch.json, .syx and .dx7, .fxp, .vital, and profiles of plugins."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import torch

from bench.fuzz.damage import WORDS, Text, damaged, dumped, encoded
from bench.fuzz.trial import Target
from unsynth.presets import fxp, patch, saved, syx, vital
from unsynth.synths import plugin, surge_patch, synth

XML = re.compile(r'"[^"]*"|<[^<>]*/>')
XML_WORDS = (
    *(f'"{word}"' for word in WORDS if not set(word) & set('"<&') and len(word) < 6000),
    *('"&#0;"', '"&lt;"', '"&x;"', '<!DOCTYPE a [<!ENTITY x "y">]>', "<a>" * 50_000, "<a" + ' b="c"' * 2, "<patch>",
    "</patch>"),
    *('"0"', '"1"', '"28"', '"9"', '"-1"', '"2"', "<?xml encoding='utf-16'?>", "<![CDATA[", "<!--", "\0", "\ud800"),
)  # fmt: skip
Bytes = Callable[[Random], bytes]


def _file(name: str, ending: str, make: Bytes, folder: Path) -> Target:
    """A target that gives a preset file to what `unsynth index presets` reads it with."""
    path = folder / f"file{ending}"

    def give(data: bytes) -> None:
        path.write_bytes(data)
        for preset in saved.read(path):
            assert preset.params.isfinite().all()
            assert preset.params.min() >= 0
            assert preset.params.max() <= 1

    return Target(name, make, give)


def _row(name: str) -> torch.Tensor:
    return torch.rand(1, len(synth(name).spec), generator=torch.Generator().manual_seed(0))


def patches(folder: Path) -> Target:
    spec = synth("drum").spec
    found = patch.Patch("drum", spec.hash, (0.5,) * len(spec), 1, -6.0, 1.0, {"MSS": 1.0}, 1.0, 1, 0, "0")
    text = Text(patch.to_json(found, spec))
    return _file("patch.json", ".json", lambda rng: encoded(rng, text.damaged(rng)), folder)


def dx7(folder: Path) -> Target:
    voices = syx.from_params(_row("dexed").repeat(3, 1), ["ONE", "TWO", "THREE"])
    seeds = [syx.bank(voices), *(syx.single(voice) for voice in voices), b"".join(voice.packed for voice in voices)]
    return _file("syx", ".syx", partial(_messages, seeds), folder)


def _messages(seeds: list[bytes], rng: Random) -> bytes:
    """Messages, most of which have seven bits and the right checksum for what is in them."""
    whole = b"".join(_message(rng, rng.choice(seeds)) for _ in range(rng.randint(1, 3)))
    return whole if rng.random() < 0.7 else damaged(rng, whole, seeds)


def _message(rng: Random, seed: bytes) -> bytes:
    head, size = seed[: len(syx.BANK)], len(seed) - len(syx.BANK) - 2
    body = damaged(rng, seed[len(head) : -2])[:size].ljust(size, b"\0")
    body = bytes(byte & syx.MIDI_BYTE for byte in body)
    return head + body + bytes([syx.checksum(body), syx.END])


def surge(folder: Path) -> Target:
    whole = fxp.write(_row("surge")[0], "name")
    begin = surge_patch.HEADER.size + surge_patch.CHUNK.size
    text = Text(whole[begin:].decode(), XML_WORDS, XML)
    return _file("fxp", ".fxp", partial(_chunk, whole, text), folder)


def _chunk(whole: bytes, text: Text, rng: Random) -> bytes:
    """A file with damaged XML of the size that its header has, or damaged anywhere."""
    if rng.random() < 0.3:
        return damaged(rng, whole, [whole])
    xml = encoded(rng, text.damaged(rng))
    begin = surge_patch.HEADER.size + surge_patch.CHUNK.size
    return whole[: begin - 28] + len(xml).to_bytes(4, "little") + whole[begin - 24 : begin] + xml


def vitals(folder: Path) -> Target:
    text = Text(vital.write(_row("vital")[0]).decode())
    return _file("vital", ".vital", lambda rng: encoded(rng, text.damaged(rng)), folder)


def profiles(folder: Path) -> Target:
    steps = {"kind": "categorical", "low": 0, "high": 2, "choices": ["a", "b", "c"], "values": [0.0, 0.5, 1.0]}
    params = [
        {"host_name": "Cut", "index": 0, "default": 0.5, "name": "cut", "kind": "continuous", "low": 20.0,
        "high": 2e4, "unit": "Hz"},
        {"host_name": "Wave", "index": 1, "default": 0.0, "name": "wave", **steps},
        {"host_name": "Oct", "index": 2, "default": 0.0, "name": "oct", "kind": "integer", "low": -2.0, "high": 2.0,
        "unit": "", "values": [0.0, 0.25, 0.5, 0.75, 1.0]},
    ]  # fmt: skip
    told = {
        "schema": "unsynth.plugin/1",
        "path": "/x.vst3",
        "seconds": 3.0,
        "rate": 44100,
        "reset": "flush",
        "params": params,
    }
    text, path = dumped(told), folder / "profile.json"

    def give(data: bytes) -> None:
        path.write_bytes(data)
        made = plugin.Plugin(str(path))
        rows = made.rows(torch.tensor([[0.0], [0.5], [1.0]]).expand(3, len(made.spec)))
        assert rows.isfinite().all()
        assert round(made.rate * made.seconds) < 1 << 26

    return Target("profile", lambda rng: encoded(rng, text.damaged(rng)), give)


TARGETS = {"patch.json": patches, "syx": dx7, "fxp": surge, "vital": vitals, "profile": profiles}
