"""Sounds in tar files, each read where it lies when it is asked for."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio, UnreadableError

Place = tuple[int, int]  # of a file in a tar: where it begins, and its bytes
THREADS = 4  # that decode or encode


def places(tar: Path) -> dict[str, Place]:
    """Where each file in a tar is, in their order; UnreadableError where it is damaged."""
    try:
        with tarfile.open(tar) as opened:
            return {member.name: (member.offset_data, member.size) for member in opened if member.isfile()}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UnreadableError(f"{tar} is damaged ({error}); get it again.") from error


def content(tar: Path, place: Place) -> bytes:
    """The bytes of a file in a tar."""
    try:
        with tar.open("rb") as file:
            file.seek(place[0])
            return file.read(place[1])
    except OSError as error:
        raise UnreadableError(f"{tar} cannot be read ({error.strerror}); get it again.") from error


def sounds(where: Sequence[tuple[Path, Place]], rate: int, samples: int) -> Audio:
    """The sounds at these places: mono, so many samples, ``(batch, samples)``.

    Raises:
        UnreadableError: one is damaged, or has another rate.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        return torch.stack([*pool.map(lambda one: _sound(one[0], one[1], rate, samples), where)])


def _sound(tar: Path, place: Place, rate: int, samples: int) -> Float[Tensor, " time"]:
    try:
        file = io.BytesIO(content(tar, place))
        read, found = soundfile.read(file, frames=samples, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise UnreadableError(f"{tar} has a damaged sound ({error}); get it again.") from error
    if found != rate:
        raise UnreadableError(f"{tar} has a sound at {found} Hz; render it again at {rate} Hz.")
    sound = torch.from_numpy(read.mean(1))
    return torch.nn.functional.pad(sound, (0, samples - len(sound)))


def packed(files: Mapping[str, bytes]) -> bytes:
    """A tar of these files: the same bytes whoever makes it, whenever."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            told = tarfile.TarInfo(name)
            told.size = len(data)
            tar.addfile(told, io.BytesIO(data))
    return made.getvalue()
