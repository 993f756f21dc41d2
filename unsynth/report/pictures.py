"""Sounds as files inside a page: spectrograms as PNG, samples as FLAC."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import soundfile
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unsynth.report.loudness import SILENT, Sounds

MAGMA = "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf"  # S. van der Walt, N. Smith, CC0
SPAN_DB = 80.0  # from the loudest point to the darkest colour


def spectrograms(
    sounds: Sounds, rate: int, bands: int = 128, window: int = 2048, columns: int = 480
) -> UInt8[Tensor, "sound band column"]:
    """Mel spectrograms on one scale: 255 at the loudest point of all, 0 at ``SPAN_DB`` below it; low bands first."""
    hop = min(max(sounds.shape[1] // columns, 1), window // 2)
    bins = torch.stft(
        sounds, 2 * window, hop, window, torch.hann_window(window), pad_mode="constant", return_complex=True
    )
    decibels = 10 * (_triangles(bands, bins.shape[1], rate) @ bins.abs().square() + SILENT).log10()
    return ((decibels - decibels.max()) / SPAN_DB + 1).clamp(0, 1).mul(255).byte()


def png(levels: UInt8[Tensor, "row column"]) -> bytes:
    """A picture of ``levels`` in the colours of magma, first row on top.

    Source: Portable Network Graphics (PNG) Specification, third edition, https://www.w3.org/TR/png-3/, sections 5, 11.
    """
    height, width = levels.shape
    anchors = np.array([list(bytes.fromhex(colour)) for colour in MAGMA.split()])
    at = np.linspace(0, len(anchors) - 1, 256)
    palette = np.stack([np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T], 1)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0),
        b"PLTE": palette.round().astype(np.uint8).tobytes(),
        b"IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in levels.numpy())),
        b"IEND": b"",
    }
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def flac(sound: Float[Tensor, " time"], rate: int) -> bytes:
    """``sound`` as a 16-bit FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, sound.numpy(), rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def mel(hertz: Tensor) -> Tensor:
    """O'Shaughnessy, "Speech Communication: Human and Machine" (1987), page 150."""
    return 2595 * (1 + hertz / 700).log10()


def _triangles(bands: int, bins: int, rate: int) -> Float[Tensor, "band bin"]:
    """Triangles of height 1 whose corners are evenly spaced in mel."""
    pitch = mel(torch.linspace(0, rate / 2, bins))
    position = pitch / pitch[-1] * (bands + 1)
    return (1 - (position - torch.arange(1, bands + 1)[:, None]).abs()).clamp(min=0)
