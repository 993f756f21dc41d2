"""Audio metrics of sound matching: how far a candidate is from a target, as the field measures it.

The definitions, with every constant, of the audio reconstruction metrics of Hayes, Saitis, Fazekas, "Audio synthesizer
inversion in symmetric parameter spaces with approximately equivariant flow matching" (ISMIR 2025,
https://arxiv.org/abs/2506.07199), for mono sound at 44.1 kHz. Numbers are comparable only when all constants are the
same, so there is nothing to set. The signal processing follows librosa 0.11 (zero-padded centred frames, Slaney mel
scale and normalisation).

Each metric takes a target and candidates of shape ``(batch, time)``, where a batch of one is compared with all of the
other batch; cuts both to the shorter length; and returns ``(batch,)`` in the dtype and on the device of its inputs.
A long batch is best given in parts: each four-second pair needs some ten megabytes.

Known quirks of the published definitions, kept so that results stay comparable:

- ``mss`` is blind to gain, as each clip is measured against its own maximum (until bands fall under the 1e-10 floor).
- Silence at the same place in both sounds adds zeros to ``mss``: padding flatters.
- A clip of silence is its own maximum, so ``mss`` sees 0 dB everywhere, as if it were full-scale noise; two silent
  clips are identical.
- ``wmfcc`` charges 0.57 for each dB of level error (in the first coefficient), so level has to be predicted or matched.
- ``sot`` has no mass to move in a silent frame; against a sounding frame that costs up to 1, commonly about 0.9.
- ``rms`` is a similarity: higher is better. It is blind to gain, and undefined for silence, where we return 0, even for
  two silent clips.
- Evaluations of stereo sound share the maximum and ``top_db`` of ``mss`` between the channels and stack the
  coefficients of ``wmfcc``. Here sound is mono, which is the value for two equal channels.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unsynth.base import UnusableError, UsageError

Sounds = Float[Tensor, "#batch _"]
Scores = Float[Tensor, " batch"]

RATE = 44_100
MSS_SCALES = ((441, 220, 32), (1102, 441, 64), (4410, 2205, 128))  # n_fft, hop, mels: 10, 25 and 100 ms
MFCC_FFT, MFCC_HOP, MFCC_MELS, MFCC_COUNT = 2205, 441, 128, 20
SOT_FFT, SOT_HOP, SOT_FLOOR = 2205, 882, 1e-6
RMS_FRAME, RMS_HOP, RMS_FLOOR = 2205, 1102, 1e-12
DB_FLOOR, DB_RANGE = 1e-10, 80.0

# Slaney's mel scale (Auditory Toolbox, 1998): linear to 1 kHz, then 27 steps for each factor of 6.4.
MEL_HZ = 200 / 3
MEL_KNEE_HZ = 1000.0
MEL_LOG_STEP = math.log(6.4) / 27


def mss(target: Sounds, candidate: Sounds) -> Scores:
    """Multi-scale spectral distance in dB: mean absolute difference of three mel spectrograms; lower is better.

    Raises:
        UsageError: an input is not ``(batch, time)``, or the two batches do not fit.
        UnusableError: a sound has no samples.
    """
    target, candidate = _cut(target, candidate)
    terms = [
        (_relative_mel(target, *scale) - _relative_mel(candidate, *scale)).abs().mean((-2, -1)) for scale in MSS_SCALES
    ]
    return torch.stack(terms).mean(0)


def wmfcc(target: Sounds, candidate: Sounds) -> Scores:
    """Mean absolute difference of 20 MFCC after dynamic time warping; lower is better. Raises as :func:`mss` does."""
    target, candidate = _cut(target, candidate)
    return dtw(torch.cdist(mfcc(target), mfcc(candidate), p=1) / MFCC_COUNT)


def sot(target: Sounds, candidate: Sounds) -> Scores:
    """Spectral optimal transport: mean over frames of the Wasserstein-1 distance of magnitude spectra; lower is better.

    The unit is the whole frequency axis: 1 moves everything from 0 Hz to the Nyquist frequency. Raises as :func:`mss`.
    """
    target, candidate = _cut(target, candidate)
    return (_spectral_cdf(target) - _spectral_cdf(candidate)).abs().mean((-2, -1))


def rms(target: Sounds, candidate: Sounds) -> Scores:
    """Cosine similarity of the RMS envelopes, 0 to 1; higher is better; 0 for silence. Raises as :func:`mss` does."""
    target, candidate = _cut(target, candidate)
    return F.cosine_similarity(_envelope(target), _envelope(candidate), dim=-1, eps=RMS_FLOOR)


def metrics(target: Sounds, candidate: Sounds) -> dict[str, Scores]:
    """All four published metrics by name; MSS, wMFCC and SOT are lower, RMS higher where better."""
    return {name: metric(target, candidate) for name, metric in METRICS.items()}


METRICS = {"MSS": mss, "wMFCC": wmfcc, "SOT": sot, "RMS": rms}


def mfcc(audio: Float[Tensor, "batch _"]) -> Float[Tensor, "batch frame coefficient"]:
    """The 20 mel-frequency cepstral coefficients of each frame: orthonormal DCT-II over 128 mel bands in dB (ref 1)."""
    decibels = _clip_range(_decibels(_mel_spectrogram(audio, MFCC_FFT, MFCC_HOP, MFCC_MELS)))
    return (dct(MFCC_MELS, MFCC_COUNT).to(audio) @ decibels).mT


def dtw(cost: Float[Tensor, "batch row column"]) -> Scores:
    """Dynamic time warping distance of local costs, normalised by rows + columns.

    The step pattern is symmetric2, where a diagonal step counts twice (Sakoe & Chiba, "Dynamic programming algorithm
    optimization for spoken word recognition", 1978, https://doi.org/10.1109/TASSP.1978.1163055, table I, P = 0).
    The first cell counts once, as in dtw-python, so a constant cost c gives c * (1 - 1 / (rows + columns)).
    All cells of an anti-diagonal depend on the two before it only, so each is computed at once for the whole batch.
    """
    first, *rest = _antidiagonals(cost).unbind()
    border = (1, 0)  # an unreachable cell above the first row
    before = torch.full_like(F.pad(first, border), math.inf)
    last = F.pad(first, border, value=math.inf)
    for local in rest:
        straight = torch.minimum(last[:, 1:], last[:, :-1])
        reached = torch.minimum(straight, before[:, :-1] + local) + local
        before, last = last, F.pad(reached, border, value=math.inf)
    return last[:, -1] / sum(cost.shape[1:])


def _antidiagonals(cost: Float[Tensor, "batch row column"]) -> Float[Tensor, "diagonal batch row"]:
    """Entry [d, :, i] is cost[:, i, d - i], infinite outside of the matrix: shifts row i by i through one reshape."""
    batch, rows, columns = cost.shape
    diagonals = rows + columns - 1
    flat = F.pad(cost, (0, rows), value=math.inf).flatten(1)[:, : rows * diagonals]
    return flat.view(batch, rows, diagonals).permute(2, 0, 1).contiguous()


def _cut(target: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor]:
    """Both signals cut to the shorter length, or an error that says why they cannot be compared."""
    if target.ndim != 2 or candidate.ndim != 2:
        raise UsageError(f"Give sounds as (batch, time), not {tuple(target.shape)} and {tuple(candidate.shape)}.")
    if len(target) != len(candidate) and 1 not in (len(target), len(candidate)):
        raise UsageError(f"Compare equal batches, or one sound with many, not {len(target)} with {len(candidate)}.")
    length = min(target.shape[-1], candidate.shape[-1])
    if length == 0:
        raise UnusableError("A sound without samples cannot be compared: give at least one sample.")
    return target[:, :length], candidate[:, :length]


def magnitudes(audio: Tensor, n_fft: int, hop: int) -> Float[Tensor, "batch bin frame"]:
    """Magnitudes of the short-time Fourier transform: zero-padded centred frames under a periodic Hann window."""
    window = torch.hann_window(n_fft, dtype=audio.dtype, device=audio.device)
    return torch.stft(audio, n_fft, hop, window=window, pad_mode="constant", return_complex=True).abs()


def _mel_spectrogram(audio: Tensor, n_fft: int, hop: int, mels: int) -> Float[Tensor, "batch mel frame"]:
    return mel_filterbank(RATE, n_fft, mels).to(audio) @ magnitudes(audio, n_fft, hop).square()


def _decibels(power: Tensor) -> Tensor:
    return 10 * power.clamp(min=DB_FLOOR).log10()


def _clip_range(decibels: Tensor) -> Tensor:
    """Nothing lies further than 80 dB under the maximum of its clip."""
    return decibels.maximum(decibels.amax((-2, -1), keepdim=True) - DB_RANGE)


def _relative_mel(audio: Tensor, n_fft: int, hop: int, mels: int) -> Float[Tensor, "batch mel frame"]:
    """Mel spectrogram in dB under the clip's own maximum: 0 to -80, and 0 everywhere for silence."""
    decibels = _decibels(_mel_spectrogram(audio, n_fft, hop, mels))
    return _clip_range(decibels - decibels.amax((-2, -1), keepdim=True))


def _spectral_cdf(audio: Tensor) -> Float[Tensor, "batch bin frame"]:
    bins = magnitudes(audio, SOT_FFT, SOT_HOP)
    return (bins / bins.sum(-2, keepdim=True).clamp(min=SOT_FLOOR)).cumsum(-2)


def _envelope(audio: Tensor) -> Float[Tensor, "batch frame"]:
    padded = F.pad(audio, (RMS_FRAME // 2, RMS_FRAME // 2))
    frames = padded.unfold(-1, RMS_FRAME, RMS_HOP)
    return torch.linalg.vector_norm(frames, dim=-1) / math.sqrt(RMS_FRAME)  # unlike sqrt, has a gradient at silence


@cache
def mel_filterbank(rate: int, n_fft: int, mels: int) -> Float[Tensor, "mel bin"]:
    """Triangular filters of equal area from 0 Hz to the Nyquist frequency, evenly spaced on Slaney's mel scale."""
    if min(rate, n_fft, mels) < 1:
        raise UsageError(f"There are no {mels} mel bands of {n_fft} samples at {rate} Hz; give 1 or more of each.")
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(rate / 2), mels + 2))[:, None]
    bins = np.fft.rfftfreq(n_fft, 1 / rate)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre)).clip(min=0)
    return torch.from_numpy(triangles * 2 / (upper - lower))


def _hz_to_mel(hz: float) -> float:
    return (min(hz, MEL_KNEE_HZ) / MEL_HZ) + math.log(max(hz, MEL_KNEE_HZ) / MEL_KNEE_HZ) / MEL_LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    knee = MEL_KNEE_HZ / MEL_HZ
    return np.minimum(mel, knee) * MEL_HZ * np.exp(np.maximum(mel - knee, 0) * MEL_LOG_STEP)


@cache
def dct(size: int, count: int) -> Float[Tensor, "coefficient mel"]:
    """The first rows of the orthonormal DCT-II matrix."""
    angles = np.pi / size * np.outer(np.arange(count), np.arange(size) + 0.5)
    scale = np.where(np.arange(count) == 0, 1, np.sqrt(2))[:, None] / np.sqrt(size)
    return torch.from_numpy(scale * np.cos(angles))
