"""What one hears of a sound as a whole, as numbers whose differences are about equally large to the ear.

Source: the descriptors of Peeters, "A large set of audio features for sound description" (CUIDADO, IRCAM 2004):
log-attack time, effective duration, spectral centroid, spectral flatness.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unsynth.distances import magnitudes
from unsynth.frontends.statistics import centroid_and_bandwidth, flatness, rms
from unsynth.pitch import Track
from unsynth.report.loudness import SILENT, Sounds

N_FFT, HOP = 2048, 1024
FLOOR_DB = 80.0  # under the loudest bin of a sound, below which its spectrum counts as flat
STEP_SECONDS, STEPS = 0.0025, 4  # between frames of the envelope, and steps of one frame
BEGINS_DB, FULL_DB, LASTS_DB = -20.0, -3.0, -30.0  # re the loudest frame: attack from and to, end of the sound
ONSET_SECONDS = 0.05  # of the beginning, whose level is that of the attack

Feature = Float[Tensor, " sound"]


def features(sounds: Sounds, rate: int, pitches: Sequence[Track]) -> dict[str, Feature]:
    """Numbers of each sound; the sounds should be equally loud.

    ``centroid``: of the spectrum, in octaves. ``length``: from its beginning to where it is ``LASTS_DB`` down for good,
    and ``attack``: from ``BEGINS_DB`` to ``FULL_DB``, both as binary logarithms of seconds. ``onset``: level of its
    beginning in dB. ``flatness``: of the spectrum in dB, mean by power. ``pitch``: the median in semitones, NaN where
    there is none.

    Args:
        sounds: shape ``(sound, time)``.
        rate: samples per second.
        pitches: of each sound, without any pitch for those that have no clear one.
    """
    spectra = magnitudes(sounds, N_FFT, HOP)
    return {
        "centroid": _centroid(spectra, rate),
        "flatness": _flatness(spectra.square()),
        "pitch": torch.stack([12 * found.nanmedian().log2() for found in pitches]),
        **_envelope(sounds, rate),
    }


def _centroid(spectra: Float[Tensor, "sound bin frame"], rate: int) -> Feature:
    """Of the mean spectrum, in which loud moments count more."""
    share, _ = centroid_and_bandwidth(spectra.mean(2, keepdim=True).clamp(min=SILENT))
    return (share[:, 0] * rate / 2).log2()


def _flatness(power: Float[Tensor, "sound bin frame"]) -> Feature:
    floor = power.amax((1, 2), keepdim=True) * 10 ** (-FLOOR_DB / 10)
    weights = power.sum(1).clamp(min=SILENT)
    return (flatness(power.maximum(floor)) * weights).sum(1) / weights.sum(1)


def _envelope(sounds: Sounds, rate: int) -> dict[str, Feature]:
    step = max(1, round(rate * STEP_SECONDS))
    levels = rms(F.pad(sounds, (STEPS * step, STEPS * step)), STEPS * step, step)
    under = levels - levels.amax(1, keepdim=True)
    begins, full, lasts = (_first(under >= decibels) for decibels in (BEGINS_DB, FULL_DB, LASTS_DB))
    ends = under.shape[1] - _first((under >= LASTS_DB).flip(1))
    within = torch.arange(levels.shape[1]) - begins[:, None]
    onset = ((within >= 0) & (within < round(ONSET_SECONDS / STEP_SECONDS))).float()
    seconds = step / rate
    return {
        "length": ((ends - lasts) * seconds).log2(),
        "attack": ((full - begins + 1) * seconds).log2(),  # a jump takes about as long as a frame
        "onset": 10 * ((10 ** (levels / 10) * onset).sum(1) / onset.sum(1)).log10(),
    }


def _first(true: Tensor) -> Tensor:
    """Index of the first true frame of each sound."""
    return true.int().argmax(1)
