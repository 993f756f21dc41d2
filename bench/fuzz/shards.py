"""Shards: manifests and tars, signed anew after the damage, as whoever makes them can do; and rendered Surge sets."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import torch

from bench.fuzz.damage import EXTREMES, WORDS, Text, damaged, encoded
from bench.fuzz.sounds import sound
from bench.fuzz.trial import Target
from bench.fuzz.weights import Blend
from unsynth.sounds import shards, surge_rendered, tars
from unsynth.sounds.source import SPLITS
from unsynth.synths import surge

NAMES = ["scene/0/osc/0/type", "scene/0/osc/0/p/0", "scene/0/filterunit/0/cutoff", "note", "hold_s"]
HEADERS = (
    "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000, 2), }",
    "{'descr': '<f4', 'fortran_order': True, 'shape': (), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2), }",
    "{'descr': '<c16', 'fortran_order': False, 'shape': (1, 2), }",
    "{'descr': '<U9', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 99999999999999999999), }", "(" * 3000,
    "__import__('os')", "{" * 500,
)  # fmt: skip
PATHS = (
    "../../x.flac",
    "/etc/passwd",
    "params.npy",
    "0.flac",
    "a.flac",
    "",
    "\0",
    "9" * 30 + ".flac",
    "-1.flac",
    "a/" * 60,
)
BLOCK = 512
Files = dict[str, bytes]


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def damaged_npy(rng: Random, data: bytes) -> bytes:
    """An array whose header says something else, or damaged anywhere, or a pickle."""
    if rng.random() < 0.05:
        return pickle.dumps(["pickled"]) if rng.random() < 0.5 else npy_of_objects()
    if rng.random() < 0.5:
        head = rng.choice(HEADERS).encode()
        return data[:8] + len(head).to_bytes(2, "little") + head + data[-64:]
    return damaged(rng, data)


def npy_of_objects() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    return file.getvalue()


def damaged_tar(rng: Random, files: Files) -> bytes:
    """A tar of other names, orders and kinds of members, whose headers are damaged but have right checksums."""
    made = io.BytesIO()
    with tarfile.open(
        fileobj=made, mode="w", format=rng.choice((tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
    ) as tar:
        for name, data in files.items():
            told = tarfile.TarInfo(rng.choice(PATHS) if rng.random() < 0.1 else name)
            told.size, told.linkname = len(data), "/etc/passwd"
            if rng.random() < 0.05:
                told.type = rng.choice(
                    (tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, tarfile.CHRTYPE)
                )
            if rng.random() < 0.05:
                told.pax_headers = {
                    rng.choice(("size", "GNU.sparse.map", "GNU.sparse.size", "path")): rng.choice(
                        ("9" * 20, "-1", "a", "1,2")
                    )
                }
            tar.addfile(told, io.BytesIO(data))
    data = made.getvalue()
    for _ in range(rng.randint(0, 2)):
        data = _rechecked(rng, data)
    return damaged(rng, data) if rng.random() < 0.2 else data


def _rechecked(rng: Random, data: bytes) -> bytes:
    """A damaged header of a member, with its checksum."""
    at = BLOCK * rng.randrange(len(data) // BLOCK)
    head = bytearray(damaged(rng, data[at : at + BLOCK]).ljust(BLOCK, b"\0")[:BLOCK])
    if rng.random() < 0.3:
        head[124:136] = rng.choice((b"77777777777\0", b"\x80" + rng.choice(EXTREMES).to_bytes(11, "big"), b"\xff" * 12))
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return data[:at] + bytes(head) + data[at + BLOCK :]


def one_shard() -> tuple[Files, dict[str, object]]:
    """The files of a shard of the quickest synth, and a manifest for three such."""
    blend = Blend()
    params = torch.rand(3, 2, generator=torch.Generator().manual_seed(0))
    files = {"params.npy": npy(params.numpy())} | {
        f"{i:012}.flac": sound("FLAC", "PCM_16", 44_100, 1) for i in range(3)
    }
    told = {
        "format": shards.FORMAT,
        "synth": blend.name,
        "spec": blend.spec.hash,
        "rate": 44_100,
        "seconds": 1.0,
        "count": 9,
    }
    each = {f"{split}-00000": {"sounds": 3, "sha256": ""} for split in SPLITS}
    return files, {**told, "largest": 3, "shards": each}


def manifests(folder: Path) -> Target:
    files, told = one_shard()
    data = tars.packed(files)
    for one in told["shards"]:
        (folder / f"{one}.tar").write_bytes(data)
        told["shards"][one]["sha256"] = hashlib.sha256(data).hexdigest()
    return Target("manifest", partial(_manifest, Text(json.dumps(told))), partial(_use, folder))


def _manifest(text: Text, rng: Random) -> Files:
    return {shards.MANIFEST: encoded(rng, _signed(text.damaged(rng)))}


def _signed(text: str) -> str:
    """A manifest with the checksum of itself, where it is an object."""
    try:
        told = json.loads(text)
        return json.dumps({**told, "sha256": hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()})
    except (ValueError, TypeError, RecursionError):
        return text


def tarred(folder: Path) -> Target:
    files, told = one_shard()

    def make(rng: Random) -> Files:
        mine = {**files, "params.npy": damaged_npy(rng, files["params.npy"])} if rng.random() < 0.4 else files
        if rng.random() < 0.2:
            mine = {**mine, "000000000001.flac": damaged(rng, files["000000000001.flac"])}
        data = damaged_tar(rng, mine)
        each = {f"{split}-00000": {"sounds": 3, "sha256": hashlib.sha256(data).hexdigest()} for split in SPLITS}
        return {shards.MANIFEST: _signed(json.dumps({**told, "shards": each})).encode()} | {
            f"{one}.tar": data for one in each
        }

    return Target("shard", make, partial(_use, folder))


def _use(folder: Path, files: Files) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    source = shards.Shards(Blend(), str(folder))
    batch = source.take(SPLITS[len(files[shards.MANIFEST]) % 3], 0, 2)
    assert batch.params.shape == (2, 2)
    assert batch.audio.shape == (2, 44_100)
    assert batch.params.isfinite().all()


def surge_sets(folder: Path) -> Target:
    sounds = {f"{i:08}.ogg": sound("FLAC", "PCM_16", 44_100, 1) for i in range(12)}
    values = np.array([[1, 21, i - 10.5, 40 + i, 1.25] for i in range(12)], np.float32)
    arrays = {"params": npy(values), "names": npy(np.array(NAMES)), "gain": npy(np.full(12, 0.5, np.float32))}
    return Target("surge shard", partial(_surge_set, sounds, arrays, tars.packed(sounds)), partial(_use_surge, folder))


def _surge_set(sounds: Files, arrays: Files, whole: bytes, rng: Random) -> Files:
    tar = damaged_tar(rng, sounds) if rng.random() < 0.3 else whole
    made = dict(arrays)
    for name in rng.sample(sorted(made), rng.choice((0, 1, 1, 2))):
        made[name] = damaged_npy(rng, made[name]) if rng.random() < 0.6 else npy(rng.choice(ARRAYS))
    return {"a.tar": tar, "a.npz": rng.choice(AS_FILE)(rng, made)}


def _zipped(rng: Random, arrays: Files) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as made:
        for name, data in arrays.items():
            made.writestr(f"{name}.npy", data)
    return damaged(rng, file.getvalue()) if rng.random() < 0.3 else file.getvalue()


AS_FILE: tuple[Callable[[Random, Files], bytes], ...] = (
    *[_zipped] * 30,
    lambda rng, arrays: arrays["params"],
    lambda rng, arrays: pickle.dumps("pickled"),
    lambda rng, arrays: rng.choice(WORDS)[:500].encode(errors="replace"),
)
ARRAYS = (
    np.zeros((12, 5), np.float32), np.full((12, 5), np.nan), np.full((12, 5), 1e30), np.zeros((12, 5), complex),
    np.zeros(12),
    np.full(12, np.inf), np.full((12, 5), "a"), np.array(["note"] * 5), np.array(["nothing"] * 5),
    np.array([["note"] * 5]),
    np.zeros((0, 5)), np.arange(5), np.array(3.0), np.zeros((12, 5), "M8[s]"), np.zeros((12, 5), bool),
    np.array([b"\xff"] * 5),
)  # fmt: skip


def _use_surge(folder: Path, files: Files) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    source = surge_rendered.SurgeRendered(surge.Surge(), str(folder))
    batch = source.take("train", 0, 2)
    assert batch.params.shape == (2, len(surge.SPEC))
    assert batch.params.isfinite().all()
    assert batch.audio.isfinite().all()


TARGETS = {"manifest": manifests, "shard": tarred, "surge shard": surge_sets}
