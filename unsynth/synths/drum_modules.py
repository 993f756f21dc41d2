"""The parts of the drum voice as pure, differentiable torch functions: modes, metal, noise, transient.

A sound is made of blocks of 294 samples, 600 at most; ``blocks`` says how many, as most drums are short. A decaying
partial is ``exp(s t)`` with complex ``s``, and ``exp`` of a sum is a product, so its samples are the outer product of
its block starts and the 294 first samples; the sum of many partials is one matrix product. Sources are named where they
are used; the decomposition into modes, filtered noise and a transient is that of Shier, Caspe, Robertson, Sandler,
Saitis, McPherson, "Differentiable Modelling of Percussive Audio with Transient and Spectral Synthesis"
(https://arxiv.org/abs/2309.06649), with closed forms instead of networks.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

RATE = 44100
BLOCKS, BLOCK = 600, 294
SAMPLES = BLOCKS * BLOCK
T60 = math.log(1000.0)  # nepers in 60 dB
FAINT = -60.0  # nepers; what decays stays there, since numbers too small for float32's normal range are slow
NYQUIST_FADE = (18000.0, 21000.0)  # Hz; partials between fade, those above are left out
# Hz of the six square waves of the TR-808's cymbal and hats. Source: Werner, Abel, Smith, "The TR-808 Cymbal: a
# Physically-Informed, Circuit-Bendable, Digital Model" (ICMC 2014).
SQUARES = (205.3, 304.4, 369.6, 522.7, 540.0, 800.0)
HARMONICS = 8  # odd ones of each square
FRAME, HOP = 512, 256
FRAMES = SAMPLES // HOP + 2
NOISE_RMS = 0.25  # so that peaks stay within full scale
DAMPED_HZ = 1000.0  # noise is damped alike below
ROWS, SEED = 32, 808
CLICK = 4096  # samples of a transient
CLICK_FFT = 2 * CLICK
SHORTEST = -(-CLICK_FFT // BLOCK)  # blocks that a click and the longest burst fit into
IMPULSE = 8.0  # about as loud as a short burst of noise of unit RMS
MOST_BURSTS = 4
LONGEST_BURST = 0.03  # s from one to the next
BURST_DECAY = 0.3  # time constant of a burst, in units of the time to the next

Value = Float[Tensor, "batch 1"]
Values = Float[Tensor, "batch partial"]
Sound = Float[Tensor, "batch time"]


@cache
def _times(device: str) -> tuple[Tensor, Tensor]:
    """Seconds of the block starts, and of the samples of a block, in float64."""
    return (torch.arange(BLOCKS).double() * BLOCK / RATE).to(device), (torch.arange(BLOCK).double() / RATE).to(device)


@cache
def _every(device: str, dtype: torch.dtype) -> Float[Tensor, " time"]:
    return (torch.arange(SAMPLES).double() / RATE).to(device, dtype)


def times(like: Tensor, blocks: int) -> Float[Tensor, " time"]:
    """Seconds since the onset of every sample."""
    return _every(str(like.device), like.dtype)[: blocks * BLOCK]


def hertz(midi: Tensor) -> Tensor:
    return 440 * torch.exp2((midi - 69) / 12)


def audible(frequency: Tensor) -> Tensor:
    """1 for frequencies below the Nyquist frequency, 0 for those above, with a fade."""
    low, high = NYQUIST_FADE
    return ((high - frequency) / (high - low)).clamp(0, 1)


def falling(nepers: Tensor) -> Tensor:
    """``exp`` of what is negative, down to 520 dB."""
    return torch.exp(nepers.clamp(min=FAINT))


def decay(t60: Value, blocks: int) -> tuple[Float[Tensor, "batch block 1"], Float[Tensor, "batch 1 sample"]]:
    """``exp(-t)`` falling by 60 dB in ``t60`` seconds, as the factors of an outer product."""
    starts, inside = _times(str(t60.device))
    rate = -T60 / t60[..., None]
    return falling(rate.mT * starts[:blocks].to(t60)[:, None]), falling(rate * inside.to(t60))


def modes(frequency: Values, level: Values, t60: Values, sweep: Value, sweep_t60: Value, blocks: int = BLOCKS) -> Sound:
    """Sum of decaying sines whose frequencies fall together: ``frequency * (1 + sweep * exp(-t))``.

    The membrane's modes share the fall of its tension after the stroke, as the bridged-T resonators of the TR-808 share
    their pitch envelope (Werner, Abel, Smith, "A Physically-Informed, Circuit-Bendable, Digital Model of the Roland
    TR-808 Bass Drum Circuit", DAFx 2014). The phase is the integral in closed form; cycles are counted in float64 per
    block, so that late samples are as exact as early ones.
    """
    starts, inside = _times(str(frequency.device))
    fast, slow = decay(sweep_t60, blocks)
    swept = (sweep * sweep_t60 / T60)[..., None] * (1 - fast * slow)
    base = (frequency[..., None].double() * starts[:blocks]).remainder(1).to(frequency) * 2 * math.pi
    step = (frequency[..., None].double() * inside).to(frequency) * 2 * math.pi
    total = torch.zeros_like(swept)
    for k in range(frequency.shape[1]):
        angle = base[:, k, :, None] + step[:, k, None, :]
        angle = torch.addcmul(angle, swept, (2 * math.pi * frequency[:, k])[:, None, None])
        block, sample = decay(t60[:, k : k + 1], blocks)
        gain = (level[:, k] * audible(frequency[:, k]))[:, None, None]
        total = torch.addcmul(total, torch.sin(angle) * sample, block * gain)
    return total.flatten(1)


def partials(
    frequency: Values, level: Values, t60: Values, phase: Float[Tensor, " partial"], blocks: int = BLOCKS
) -> Sound:
    """Sum of any number of decaying sines of fixed frequencies, as one matrix product; ``phase`` in cycles."""
    starts, inside = _times(str(frequency.device))
    starts = starts[:blocks]
    rate = -T60 / t60[..., None]
    cycles = (frequency[..., None].double() * starts + phase[:, None]).remainder(1).to(frequency) * 2 * math.pi
    step = (frequency[..., None].double() * inside).to(frequency) * 2 * math.pi
    left = falling(rate * starts.to(rate)) * (level * audible(frequency))[..., None]
    right = falling(rate * inside.to(rate))
    outer = torch.cat([left * torch.sin(cycles), left * torch.cos(cycles)], dim=1)
    inner = torch.cat([right * torch.cos(step), right * torch.sin(step)], dim=1)
    return (outer.mT @ inner).flatten(1)


@cache
def _square_bank(device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Frequency relative to the lowest square's, harmonic number, and start phase of each partial of the metal."""
    squares, numbers = torch.tensor(SQUARES), 1 + 2.0 * torch.arange(HARMONICS)
    ratio = (squares[:, None] / squares[0]).expand(-1, HARMONICS).flatten()
    harmonic = numbers.expand(len(squares), -1).flatten()
    phase = torch.rand(len(ratio), generator=torch.Generator().manual_seed(SEED))
    return ratio.to(device), harmonic.to(device), phase.to(device)


def metal(
    frequency: Value, spread: Value, low: Value, tilt: Value, t60: Value, damping: Value, blocks: int = BLOCKS
) -> Sound:
    """Six inharmonic squares through a high-pass of 24 dB per octave at ``low`` Hz, of unit energy at the onset.

    Args:
        frequency: Hz of the lowest square.
        spread: exponent of the squares' frequency ratios; 1 gives those of the TR-808.
        low: corner in Hz.
        tilt: exponent of the harmonics' level; a square has -1.
        t60: seconds in which the partials at ``low`` fall by 60 dB.
        damping: exponent of how much faster higher partials fall.
        blocks: length.
    """
    ratio, harmonic, phase = _square_bank(str(frequency.device))
    hz = frequency * ratio**spread * harmonic
    octaves = torch.log(hz / low)
    level = torch.exp(tilt * torch.log(harmonic) - F.softplus(-8 * octaves) / 2)
    level = level * audible(hz)
    level = level / (level.square().sum(1, keepdim=True) + 1e-6).sqrt()
    return partials(hz, level, t60 * torch.exp(-damping * octaves.clamp(min=0)), phase, blocks)


@cache
def _noise_bank(device: str) -> Float[Tensor, "row frame bin 2"]:
    """Spectra of the frames of the fixed rows of white Gaussian noise; a sound uses row ``id mod 32``."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(ROWS, FRAMES, FRAME // 2 + 1, 2, generator=generator).div(math.sqrt(2)).to(device)


@cache
def _window(device: str) -> Float[Tensor, " sample"]:
    return torch.sin(math.pi * (torch.arange(FRAME) + 0.5) / FRAME).to(device)


def noise(
    rows: Tensor, low: Value, high: Value, slope: Value, t60: Value, damping: Value, blocks: int = BLOCKS
) -> Sound:
    """White noise of unit RMS between ``low`` and ``high`` Hz whose highs fall faster, by frames of its spectrum.

    Args:
        rows: which noise each sound uses, ``(batch,)``.
        low, high: corners in Hz.
        slope: order of both filters (one is 6 dB per octave), with the magnitude of Butterworth's.
        t60: seconds of the envelope that the noise will get, by which its highs are damped.
        damping: exponent of how much faster what is above 1 kHz falls than that envelope.
        blocks: length.
    """
    samples = blocks * BLOCK
    count = samples // HOP + 2
    bins = torch.arange(FRAME // 2 + 1, device=low.device).to(low).clamp(min=0.5) * RATE / FRAME
    above, below = torch.log(bins / high), torch.log(low / bins)
    gain = torch.exp(-(F.softplus(2 * slope * above) + F.softplus(2 * slope * below)) / 2)
    gain = gain / (gain.square().mean(1, keepdim=True) + 1e-8).sqrt()
    extra = torch.exp(damping * torch.log(bins / DAMPED_HZ).clamp(min=0)) - 1
    starts = torch.arange(count, device=low.device).to(low) * HOP / RATE
    fall = falling(-(T60 / t60 * extra)[:, None] * starts[:, None])
    spectra = _noise_bank(str(low.device))[rows % ROWS, :count] * (gain[:, None] * fall)[..., None]
    frames = torch.fft.irfft(torch.view_as_complex(spectra), FRAME, norm="ortho") * _window(str(low.device))
    return (frames[:, :-1, HOP:] + frames[:, 1:, :HOP]).flatten(1)[:, :samples]


def bursts(
    count: Value, spacing: Value, attack: Value, t60: Value, tail: Value, tail_t60: Value, blocks: int = BLOCKS
) -> Sound:
    """Envelope of ``count`` short bursts (a part of one is a softer one), then an attack and a decay in two stages.

    Source of the bursts: the clap of the TR-909, a sawtooth before the reverberation (Roland TR-909 service notes).
    """
    seconds = times(count, blocks)
    first = count * spacing
    main = torch.addcmul(-first / attack, seconds, 1 / attack).clamp(0, 1)
    (fast, fast_in), (slow, slow_in) = decay(t60, blocks), decay(tail_t60, blocks)
    weighted = torch.cat([(1 - tail)[..., None] * fast, tail[..., None] * slow], dim=2)
    stages = (weighted @ torch.cat([fast_in, slow_in], dim=1)).flatten(1)
    early = seconds[: round(MOST_BURSTS * LONGEST_BURST * RATE)]
    weights = (count - torch.arange(MOST_BURSTS, device=count.device)).clamp(0, 1)
    since = early - torch.arange(MOST_BURSTS, device=count.device)[:, None] * spacing[..., None]
    each = torch.where(since >= 0, falling(-since.clamp(min=0) / (BURST_DECAY * spacing[..., None])), 0)
    clapped = (weights[..., None] * each).sum(1)
    return main * stages + F.pad(clapped, (0, len(seconds) - len(early)))


def band_pass(frequency: Value, q: Value, bins: int) -> Complex[Tensor, "batch bin"]:
    """Response of the state-variable filter's band-pass with unit peak, by the bilinear transform.

    Source: Zavalishin, "The Art of VA Filter Design", section 4 (trapezoidal state-variable filter).
    """
    warped = torch.tan(math.pi * frequency / RATE)
    turn = torch.linspace(0, math.pi / 2, bins, device=frequency.device, dtype=frequency.dtype)[:-1]
    s = torch.tan(turn) / warped
    response = (1j * s / q) / (1 - s.square() + 1j * s / q)
    return F.pad(response, (0, 1))


def transient(rows: Tensor, frequency: Value, q: Value, t60: Value, noisy: Value, blocks: int = BLOCKS) -> Sound:
    """A click: an impulse and a falling burst of noise (``noisy`` of it) through a band-pass; causal."""
    seconds = times(frequency, BLOCKS)[:CLICK]
    white = _click_bank(str(frequency.device))[rows % ROWS]
    burst = white * falling(-T60 / t60 * seconds) * noisy
    impulse = F.pad(1 - noisy, (0, CLICK - 1)) * IMPULSE
    spectrum = torch.fft.rfft(burst + impulse, CLICK_FFT) * band_pass(frequency, q, CLICK_FFT // 2 + 1)
    return F.pad(torch.fft.irfft(spectrum, CLICK_FFT), (0, blocks * BLOCK - CLICK_FFT))


@cache
def _click_bank(device: str) -> Float[Tensor, "row sample"]:
    return torch.randn(ROWS, CLICK, generator=torch.Generator().manual_seed(SEED + 1)).to(device)


def output(total: Sound, drive: Value, level: Value, length: Value, release: Value) -> Sound:
    """Saturated as a long-tailed pair does (tanh of ``drive`` times the sound), faded out over ``release`` seconds
    from ``length`` on, and turned down where the peak is above 1."""
    fade = torch.addcmul(1 + length / release, times(total, total.shape[1] // BLOCK), -1 / release).clamp(0, 1)
    loud = torch.tanh(total * drive) * fade
    gain = level / torch.tanh(drive)
    peak = torch.maximum(loud.amax(1, keepdim=True), -loud.amin(1, keepdim=True))
    return loud * (gain / (gain * peak).clamp(min=1))
