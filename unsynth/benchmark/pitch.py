"""How far the pitch of a match is from its target's, in cents, as pYIN hears both.

Source: Mauch & Dixon, "pYIN: A fundamental frequency estimator using probabilistic threshold distributions",
https://doi.org/10.1109/ICASSP.2014.6853678, as librosa has it.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import librosa
import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from unsynth.benchmark.comparison import share
from unsynth.benchmark.replay import Replay
from unsynth.scores import Row, by_arm, spread

LOWEST, HIGHEST = "C1", "C7"  # what pYIN looks for, 33 Hz to 2.1 kHz
FRAME, HOP = 4096, 1024  # samples; three periods of the lowest note at 44.1 kHz
LEAST_VOICED = 0.1  # probability; pYIN's path keeps a pitch through noise and inharmonic sounds at its floor of 0.01
SOUNDING_DB = 60.0  # frames that are further below the loudest do not count
VOICED_SHARE, VOICED_FRAMES = 0.5, 10  # a sound has a pitch if this much of what sounds, and so many frames, have one
NEAR_CENTS = 50.0  # half a semitone

Track = npt.NDArray[np.floating]  # Hz of each frame, NaN where there is no pitch


@dataclass(frozen=True)
class PitchError:
    """One row's median absolute error in cents; infinite where the match has no pitch while its target has one."""

    arm: str
    cents: float


def track(sound: Float[Tensor, " time"], rate: int) -> Track:
    """Fundamental frequency in Hz of each frame; NaN where there is none, or the frame is far below the loudest."""
    samples = sound.detach().cpu().numpy()
    low, high = librosa.note_to_hz([LOWEST, HIGHEST])
    hertz, voiced, sure = librosa.pyin(samples, fmin=low, fmax=high, sr=rate, frame_length=FRAME, hop_length=HOP)
    return np.where(voiced & (sure >= LEAST_VOICED) & sounding(samples), hertz, np.nan)


def sounding(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Which frames of :func:`track` are loud enough to count."""
    level = librosa.feature.rms(y=samples, frame_length=FRAME, hop_length=HOP)[0]
    return (level > 0) & (level >= level.max() * 10 ** (-SOUNDING_DB / 20))


def is_pitched(found: Track, sound: Float[Tensor, " time"]) -> bool:
    """Whether enough of a sound with this track has a pitch."""
    voiced = np.isfinite(found).sum()
    return bool(voiced >= max(VOICED_FRAMES, VOICED_SHARE * sounding(sound.detach().cpu().numpy()).sum()))


def cents(target: Track, match: Track) -> float:
    """Median absolute error of the frames in which both have a pitch; infinite where there are none."""
    both = np.isfinite(target) & np.isfinite(match)
    return float(np.median(np.abs(1200 * np.log2(match[both] / target[both])))) if both.any() else math.inf


def errors(rows: list[Row], replay: Replay) -> list[PitchError]:
    """The error of every row with a patch whose target has a pitch. Takes about a second for each sound."""
    found, rate = [], replay.synth.rate
    targets = {row.key: replay.target(row)[0] for row in rows if row.params}
    tracks = {key: track(sound, rate) for key, sound in targets.items()}
    pitched = {key for key, sound in targets.items() if is_pitched(tracks[key], sound)}
    for row in rows:
        if row.params and row.key in pitched:
            found.append(PitchError(row.arm, cents(tracks[row.key], track(replay.match(row)[0], rate))))
    return found


def pitch_cells(rows: list[Row], found: list[PitchError]) -> list[list[str]]:
    """One line for each arm: the median over its pitched targets, and how many it has within half a semitone."""
    heading = ["arm", "pitched targets", "median error in cents", f"within {NEAR_CENTS:g} cents (95 %)", "no pitch"]
    own = {arm: [error.cents for error in found if error.arm == arm] for arm in by_arm(rows)}
    return [heading, *(_line(arm, values) for arm, values in own.items() if values)]


def _line(arm: str, values: list[float]) -> list[str]:
    near, median = statistics.mean(value <= NEAR_CENTS for value in values), statistics.median(values)
    low, high = share(near, len(values))
    likely = spread(100 * low, 100 * high, 0)
    middle = f"{median:.1f}" if math.isfinite(median) else "–"
    return [arm, str(len(values)), middle, f"{100 * near:.0f}{likely} %", str(sum(map(math.isinf, values)))]
