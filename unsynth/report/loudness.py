"""Sounds made equally loud, so that they are compared for what they are.

Source: Recommendation ITU-R BS.1770-4, annex 1, tables 1 and 2, https://www.itu.int/rec/R-REC-BS.1770.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

Sounds = Float[Tensor, "sound time"]

K_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
K_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
K_RATE = 48000
SILENT = 1e-12


def levelled(sounds: list[Float[Tensor, " time"]], rate: int, peak: float = 0.9) -> Sounds:
    """The sounds as :func:`as_loud` has them; the loudest sample of all is at ``peak``."""
    rows = as_loud(sounds, rate)
    return rows * (peak / rows.abs().max().clamp(min=SILENT))


def as_loud(sounds: list[Float[Tensor, " time"]], rate: int) -> Sounds:
    """The sounds, padded to one length and as loud as the first.

    Loudness is K-weighted over the whole sound, without gate (the responses of the standard's two filters multiply the
    spectrum).
    """
    length = max(len(sound) for sound in sounds)
    clean = [sound.detach().cpu().float().nan_to_num(0, 0, 0) for sound in sounds]
    rows = torch.stack([torch.nn.functional.pad(sound, (0, length - len(sound))) for sound in clean])
    energy = (torch.fft.rfft(rows.double()).abs().square() * k_weights(length, rate)).sum(1)
    audible = energy > SILENT * energy.max()
    gains = torch.where(audible & audible[0], (energy[0] / energy).sqrt(), 1.0).float()
    return rows * gains[:, None]


def k_weights(length: int, rate: int) -> Float[Tensor, " bin"]:
    """What the K-weighting makes of the power in each bin of the spectrum of ``length`` samples."""
    turn = 2 * math.pi * torch.fft.rfftfreq(length, 1 / rate).double().clamp(max=K_RATE / 2) / K_RATE
    delays = torch.stack([torch.polar(torch.ones_like(turn), -k * turn) for k in range(3)])
    up, down = (torch.tensor(side, dtype=delays.dtype) @ delays for side in zip(K_SHELF, K_PASS, strict=True))
    return (up / down).abs().square().prod(0)
