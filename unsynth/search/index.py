"""An index of rendered sounds by compact features: a sound is its id, so an entry is one short row of bytes.

The feature of a sound is its point in a joint space, or a summary that needs no training: its log-mel spectrogram
relative to its own maximum, averaged over time segments that widen after the onset. Either is projected on its leading
principal components and stored in eight bits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int8, Int64
from torch import Tensor

from unsynth import crew, folders
from unsynth.base import Audio, NotFoundError, PatchError, SoundIds, Synth
from unsynth.checkpoint import installed, read, write
from unsynth.frontends.mel import log_mel
from unsynth.native import torch_on_one_thread
from unsynth.search import ivf
from unsynth.sounds.ids import params_of, train_ids

FORMAT = "unsynth.index/1"
SCALE = (1102, 441, 64)  # n_fft, hop, mel bands
RANGE_DB = 80.0
FITTED_ON = 8192  # sounds that the projection is fitted on
COMPARED = 1 << 14  # codes that are compared at once: they and their float version stay in the cache
CHUNKS = 16  # chunks that a worker makes at once
EXACT_UP_TO = 1_000_000  # sounds; FAISS, where it is installed, searches larger indexes
EDGES = (0, 1, 2, 3, 5, 8, 12, 18, 26, 36, 48, 64, 84, 110, 142, 180, 226, 280, 340)  # first frame of each segment

Features = Float[Tensor, "batch feature"]


def summary(audio: Audio) -> Features:
    """Segment means of the relative log-mel spectrogram, weighted so that distances count every frame alike."""
    return torch.cat([mean * frames**0.5 for mean, frames in segments(audio)], dim=1)


def segments(audio: Audio) -> list[tuple[Float[Tensor, "batch mel"], int]]:
    """The relative log-mel spectrogram averaged over each segment, and how many frames that has."""
    mel = log_mel(audio, SCALE)
    mel = (mel - mel.amax((1, 2), keepdim=True)).clamp(min=-RANGE_DB)
    edges = [*(e for e in EDGES if e < mel.shape[-1]), mel.shape[-1]]
    return [(mel[..., a:b].mean(-1), b - a) for a, b in pairwise(edges)]


@dataclass(frozen=True)
class Feature:
    """What an index compares: ``of`` gives the features of sounds, ``name`` changes when they do."""

    name: str
    of: Callable[[Audio], Features]


SUMMARY = Feature("summary", summary)


@dataclass(frozen=True)
class Projection:
    """Features to a few bytes: ``(features - mean) @ components / step``."""

    mean: Float[Tensor, " feature"]
    components: Float[Tensor, "feature dim"]
    step: Float[Tensor, " dim"]

    @classmethod
    def fit(cls, features: Features, dim: int) -> Projection:
        """Principal components of ``features``; the step of each lets four standard deviations into eight bits."""
        mean = features.mean(0)
        covariance = torch.cov((features - mean).T)
        components = torch.linalg.eigh(covariance).eigenvectors[:, -dim:].flip(1).contiguous()
        spread = ((features - mean) @ components).std(0)
        return cls(mean, components, spread.max().expand(dim) * 4 / 127)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Projection:
        """The projection in a file; KeyError or ValueError where it is not whole."""
        mean, components, step = (tensors[name] for name in ("mean", "components", "step"))
        whole = all(x.dtype == torch.float32 and x.isfinite().all() for x in (mean, components, step))
        if not whole or components.shape != (*mean.shape, *step.shape) or components.ndim != 2 or (step <= 0).any():
            raise ValueError("no projection")
        return cls(mean, components, step)

    def __call__(self, features: Features) -> Float[Tensor, "batch dim"]:
        if features.shape[1] != len(self.mean):
            raise PatchError("The index is not of sounds as long as these; `unsynth index build` makes a new one.")
        return (features - self.mean) @ self.components / self.step

    def codes(self, features: Features) -> Int8[Tensor, "batch dim"]:
        return self(features).round().clamp(-127, 127).to(torch.int8)


@dataclass(frozen=True)
class Index:
    """The first ``len(codes)`` training sounds of a synth, searchable by sound: exactly, or through ``lists``."""

    projection: Projection
    codes: Int8[Tensor, "sound dim"]
    spec_hash: str
    feature: Feature = SUMMARY
    lists: ivf.Ivf | None = None

    def nearest(self, audio: Audio, k: int) -> SoundIds:
        """Ids of the ``k`` indexed sounds whose features are nearest to those of one sound ``(1, time)``."""
        query = self.projection(self.feature.of(audio))[0]
        rows = self.lists.nearest(query, k) if self.lists else self.exact(query, k)
        return train_ids(0, len(self.codes))[rows]

    def exact(self, query: Float[Tensor, " dim"], k: int) -> Int64[Tensor, " k"]:
        """Rows of the ``k`` codes nearest to ``query``, nearest first, by comparing all."""
        distances = torch.empty(len(self.codes))
        for part, norms, into in zip(*(x.split(COMPARED) for x in (self.codes, self._norms, distances)), strict=True):
            torch.sub(norms, part.float() @ query, alpha=2, out=into)
        return distances.topk(min(k, len(distances)), largest=False).indices

    @cached_property
    def _norms(self) -> Float[Tensor, " sound"]:
        return torch.cat([part.float().square().sum(1) for part in self.codes.split(COMPARED)])

    def save(self, path: Path, exact_up_to: int = EXACT_UP_TO) -> None:
        """Write the index; where FAISS is there and sounds are more than ``exact_up_to``, its lists beside it."""
        tensors = {"codes": self.codes, **vars(self.projection)}
        metadata = {"format": FORMAT, "spec": self.spec_hash, "feature": self.feature.name}
        lists_of(path).unlink(missing_ok=True)
        write(path, {k: v.contiguous() for k, v in tensors.items()}, metadata)
        if len(self.codes) > exact_up_to and ivf.available():
            ivf.build(lists_of(path), self.codes)

    @classmethod
    def load(cls, path: Path, synth: Synth, feature: Feature = SUMMARY) -> Index:
        """Read an index; NotFoundError if there is none, PatchError if damaged or of another synth or feature."""
        if not path.is_file():
            raise NotFoundError(f"There is no index at {path}; `unsynth index build` makes one.")
        tensors, metadata = read(path, "index; `unsynth index build` makes a new one")
        if metadata.get("format") != FORMAT or metadata.get("spec") != synth.spec.hash:
            raise PatchError(f"{path} is an index of another synth or version; `unsynth index build` makes a new one.")
        if metadata.get("feature", SUMMARY.name) != feature.name:
            raise PatchError(f"{path} is an index by another feature; `unsynth index build` makes a new one.")
        try:
            projection, codes = Projection.of(tensors), tensors["codes"]
            if codes.dtype != torch.int8 or codes.shape[1:] != projection.step.shape:
                raise ValueError("no codes")
        except (KeyError, ValueError) as error:
            raise PatchError(f"{path} is not a whole index; `unsynth index build` makes a new one.") from error
        there = lists_of(path).is_file() and ivf.available()
        lists = ivf.Ivf(lists_of(path), len(tensors["codes"])) if there else None
        return cls(projection, tensors["codes"], metadata["spec"], feature, lists)


def lists_of(path: Path) -> Path:
    """Where FAISS's file of an index is."""
    return path.with_suffix(".ivf")


def name_of(synth: Synth, feature: Feature = SUMMARY) -> str:
    """What an index is called among the user's own and the package's."""
    return f"{synth.name}-index" if feature is SUMMARY else f"{synth.name}-{feature.name}"


def best_index(synth: Synth, feature: Feature = SUMMARY) -> Index:
    """The user's own index, or else the one that comes with the package; NotFoundError where there is neither."""
    return Index.load(installed(name_of(synth, feature)), synth, feature)


def features_of(synth: Synth, ids: SoundIds, feature: Feature = SUMMARY) -> Features:
    return feature.of(synth.render(params_of(ids, synth.spec), ids))


def build(
    path: Path,
    synth: Synth,
    count: int,
    *,
    feature: Feature = SUMMARY,
    dim: int = 64,
    fitted_on: int | None = None,
    chunk: int = 64,
    on_progress: Callable[[int], None] = lambda done: None,
    on_fit: Callable[[int, int], None] = lambda done, count: None,
    who: crew.Crew | None = None,
) -> Index:
    """Index the first ``count`` training sounds; resumes from ``path`` + ``.part`` where an earlier call stopped.

    Args:
        path: the file to write.
        synth: whose sounds.
        count: how many.
        feature: what the index compares.
        dim: bytes of an entry.
        fitted_on: how many sounds the projection is fitted on.
        chunk: sounds that are rendered at once.
        on_progress: gets the number of sounds that are done.
        on_fit: gets how many of the sounds are rendered that the projection is fitted on.
        who: renders; this process where None. The index is the same.

    Raises:
        OutputError: ``path`` cannot be written.
        WorkerError: nobody can do the work.
    """
    folders.make(path.parent)
    part = path.with_name(path.name + ".part")
    with torch_on_one_thread():
        projection = _projection(part.with_suffix(".fit"), synth, feature, dim, fitted_on or FITTED_ON, chunk, on_fit)
    with part.open("ab") as file:
        done = file.tell() // (dim * chunk) * chunk  # a kill may have left a piece, and chunks decide the last bits
        file.truncate(done * dim)
        for codes in _blocks(partial(_codes, synth, feature, projection, chunk), done, count, chunk, who):
            file.write(codes)
            file.flush()
            done += len(codes) // dim
            on_progress(done)
    codes = torch.from_numpy(np.fromfile(part, dtype=np.int8).reshape(-1, dim)[:count].copy())
    index = Index(projection, codes, synth.spec.hash, feature)
    index.save(path)
    part.unlink()
    part.with_suffix(".fit").unlink()
    return index


def _blocks(
    codes: Callable[[tuple[int, int]], bytes], first: int, count: int, chunk: int, who: crew.Crew | None
) -> Iterator[bytes]:
    """The codes of the sounds from ``first`` to ``count``, in order; those that come too early wait."""
    who = who or crew.Alone()
    size = chunk if who.alone else chunk * CHUNKS
    blocks = ((start, min(start + size, count)) for start in range(first, count, size))
    early: dict[int, bytes] = {}
    for (start, _), found in crew.share(codes, blocks, who, name="the sounds {0[0]} to {0[1]}".format):
        early[start] = found
        while first in early:
            yield early.pop(first)
            first += size


def _codes(synth: Synth, feature: Feature, projection: Projection, chunk: int, block: tuple[int, int]) -> bytes:
    """Codes of the training sounds from the first of ``block`` to before its second."""
    start, end = block
    with torch_on_one_thread():
        parts = (train_ids(at, min(chunk, end - at)) for at in range(start, end, chunk))
        return b"".join(projection.codes(features_of(synth, ids, feature)).numpy().tobytes() for ids in parts)


def _projection(
    path: Path, synth: Synth, feature: Feature, dim: int, count: int, chunk: int, on_fit: Callable[[int, int], None]
) -> Projection:
    """Fit on sounds spread over the training ids, or reuse the fit that an interrupted build left."""
    recipe = json.dumps([synth.spec.hash, feature.name, dim, count])
    if path.is_file():
        tensors, metadata = read(path, "fit; remove it")
        if metadata.get("recipe") == recipe:
            try:
                return Projection.of(tensors)
            except (KeyError, ValueError) as error:
                raise PatchError(f"{path} is not a whole fit; remove it.") from error
    path.with_suffix(".part").unlink(missing_ok=True)
    features = []
    for first in range(0, count, chunk):
        features.append(features_of(synth, train_ids(10**7 + first, min(chunk, count - first)), feature))
        on_fit(min(first + chunk, count), count)
    projection = Projection.fit(torch.cat(features), dim)
    write(path, {k: v.contiguous() for k, v in vars(projection).items()}, {"recipe": recipe})
    return projection
