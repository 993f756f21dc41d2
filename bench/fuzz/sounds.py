"""Sound files: what `unsynth match` and the web page decode."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import soundfile

from bench.fuzz.damage import damaged
from bench.fuzz.trial import Target
from unsynth import audio

RATE, SECONDS = 44_100, 4.0  # as the Voice asks
KINDS = (  # format, subtype, rate, channels
    *(("WAV", subtype, 8000, 1) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM")),
    *(("WAV", "PCM_16", 44_100, 2), ("WAVEX", "PCM_32", 22_050, 6), ("RF64", "PCM_16", 8000, 1), ("W64", "PCM_16",
    8000, 1)),
    *(("FLAC", "PCM_16", 44_100, 1), ("FLAC", "PCM_24", 8000, 2), ("OGG", "VORBIS", 22_050, 1), ("OGG", "OPUS",
    48_000, 1)),
    *(("MP3", "MPEG_LAYER_III", 44_100, 2), ("AIFF", "PCM_16", 8000, 1), ("AIFF", "FLOAT", 8000, 2)),
    *(("AU", "PCM_16", 8000, 1), ("CAF", "ALAC_16", 8000, 1), ("CAF", "PCM_16", 8000, 1)),
)  # fmt: skip


def sound(kind: str, subtype: str, rate: int, channels: int, seconds: float = 0.06) -> bytes:
    """A short tone in one of the formats."""
    at = np.arange(round(rate * seconds)) / rate
    tone = np.sin(2 * np.pi * 440 * at)[:, None] * np.exp(-9 * at)[:, None] * np.ones(channels) / 2
    file = io.BytesIO()
    soundfile.write(file, tone, rate, format=kind, subtype=subtype)
    return file.getvalue()


def sounds(folder: Path) -> Target:
    path, seeds = folder / "sound", [sound(*kind) for kind in KINDS]
    return Target("audio", partial(_made, seeds), partial(_read, path))


def _made(seeds: list[bytes], rng: Random) -> bytes:
    return damaged(rng, rng.choice(seeds), seeds)


def _read(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    audio.duration(path)
    heard = audio.read(path, RATE, SECONDS)
    audio.fit(heard, RATE, round(RATE * SECONDS))


TARGETS = {"audio": sounds}
