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

from unsynth.audio import MAX_CHANNELS
from unsynth.base import Audio, UnreadableError
from unsynth.sounds.arrays import File

Place = tuple[int, int]  # of a file in a tar: where it begins, and its bytes
THREADS = 4  # that decode or encode


def places(tar: Path) -> dict[str, Place]:
    """Where each file in a tar is, in their order; UnreadableError where it is damaged."""
    try:
        with File(tar) as file, tarfile.open(fileobj=file, mode="r:") as opened:  # "r:": places are those in the file
            files = [member for member in opened if member.isfile()]
        found = {file.name: (file.offset_data, file.size) for file in files}
        if any(file.issparse() for file in files) or not all(_is_within(place, tar) for place in found.values()):
            raise tarfile.ReadError("it has files that are not whole")
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise UnreadableError(f"{tar} is damaged; get it again.") from error
    return found


def _is_within(place: Place, tar: Path) -> bool:
    return 0 <= place[0] <= sum(place) <= tar.stat().st_size


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
        with soundfile.SoundFile(io.BytesIO(content(tar, place))) as file:
            found, channels = file.samplerate, file.channels
            read = file.read(samples if channels <= MAX_CHANNELS else 0, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise UnreadableError(f"{tar} has a damaged sound; get it again.") from error
    if found != rate:
        raise UnreadableError(f"{tar} has a sound at {found} Hz; render it again at {rate} Hz.")
    sound = torch.from_numpy(read.mean(1))
    if channels > MAX_CHANNELS or not sound.isfinite().all():
        raise UnreadableError(f"{tar} has something that is no sound; get it again.")
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
