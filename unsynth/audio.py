"""Sound files: the only module that reads or writes them. libsndfile decodes, soxr resamples to mono float32."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
from jaxtyping import Float
from torch import Tensor

from unsynth import folders
from unsynth.base import NotFoundError, UnreadableError, UnusableError, UsageError

SUFFIXES = {f".{name}" for name in ("wav", "w64", "flac", "ogg", "oga", "opus", "mp3", "aif", "aiff", "au", "caf")}
RATES = (1_000, 1_000_000)  # Hz; a header that says anything else is damaged
MAX_CHANNELS = 32  # of an array; more means that its axes are not what they seem
LOUDEST = 1e6  # +120 dB over full scale; nothing above it is a sound
AUDIBLE = 10 ** (-60 / 20)  # half of the peak-to-peak swing, full scale is 1: where a sound begins
SILENT = 10 ** (-80 / 20)  # a sound that never swings more than this is silent (3 steps of a 16-bit file)
FLOOR_DB = -200.0  # loudness of digital silence
STILL_SECONDS, LARGEST_OFFSET = 0.01, 0.05  # of an offset; more of the peak is part of the sound: of a square wave, say
BLOCK_SECONDS, BLOCK_VALUES = 0.25, 2**20  # values of all channels: bounds a block whatever its header says
MOST_VALUES = 2**30  # of all channels: more leading silence is not looked through, of which a small file can hold years

Block = Mono = npt.NDArray[np.float32]  # (time, channels); (time,)


def find(paths: Iterable[str | Path]) -> list[Path]:
    """The sound files that ``paths`` name, each once: folders recursively and sorted, without hidden files.

    A file that is named itself is taken whatever its suffix; in folders the suffix must be one of ``SUFFIXES``.

    Raises:
        NotFoundError: a path does not exist, or a folder holds no sounds.
    """
    return list(dict.fromkeys(file for path in paths for file in _sounds_at(Path(path))))


def _sounds_at(path: Path) -> list[Path]:
    if not os.path.isdir(path):
        _require_file(path)
        return [path]
    sounds = sorted(p for p in folders.visible(path) if p.suffix.lower() in SUFFIXES and os.path.isfile(p))
    if not sounds:
        raise NotFoundError(f"{path} holds no sound files; name a folder with wav, flac, ogg, mp3 or aiff files.")
    return sounds


def _require_file(path: Path) -> None:
    if not os.path.exists(path):
        raise NotFoundError(f"{path} does not exist or is out of reach; check the spelling.")
    if not os.path.isfile(path):
        raise NotFoundError(f"{path} is not a file; name a sound file.")


def read(path: str | Path, rate: int, seconds: float = 10.0) -> Float[Tensor, " time"]:
    """The beginning of the sound in a file: mono (mean of the channels), float32, resampled to ``rate``.

    Goes block by block, so that memory stays bounded and a long file costs only its leading silence. The sound begins
    with the first block that swings past -60 dB re full scale (past -80 dB, in a file that never does); the block
    before it is kept, and :func:`fit` trims exactly.

    Args:
        path: anything libsndfile decodes, any depth and channels. A wav whose end is missing gives what it has.
        rate: Hz, of the result.
        seconds: how much of the sound matters.

    Shape: ``(time,)``; at least two samples, at most ``seconds`` and two blocks (half a second).

    Raises:
        NotFoundError: no such file.
        UnreadableError: not audio, damaged, or not permitted.
        UnusableError: no samples; NaN, infinite or absurdly large samples; or silent, which is to swing by no more than
            -80 dB re full scale, as do a constant, a single sample, and sounds too high or too short for ``rate``.
    """
    path = Path(path)
    with _opened(path) as file:
        rate_in = file.samplerate
    if not RATES[0] <= rate_in <= RATES[1]:
        raise UnreadableError(f"{path} claims a sample rate of {rate_in} Hz and must be damaged; export it again.")
    return _load(str(path), lambda: _file_blocks(path), rate_in, rate, seconds)


def duration(path: str | Path) -> float:
    """Seconds that a file lasts by its header; errors as of :func:`read`."""
    with _opened(Path(path)) as file:
        return file.frames / max(1, file.samplerate)


def from_array(
    samples: npt.ArrayLike | Tensor, rate_in: int, rate: int, seconds: float = 10.0
) -> Float[Tensor, " time"]:
    """What :func:`read` would give for a file with these samples.

    Args:
        samples: ``(time,)``, ``(channels, time)`` or ``(time, channels)``: the shorter axis is the channels (the first
            where equal). Floats are taken as they are, integers are scaled by their type's full scale.
        rate_in: Hz, of ``samples``.
        rate, seconds: as in :func:`read`.

    Raises:
        UsageError: not real numbers, more than two axes, more than 32 channels, or a rate that no sound has.
        UnusableError: as in :func:`read`, whose shape the result has.
    """
    if not RATES[0] <= rate_in <= RATES[1]:
        raise UsageError(f"A sample rate of {rate_in} Hz makes no sense; give the array's own rate in Hz.")
    frames = _frames(samples)
    step = _block_frames(rate_in, frames.shape[1])
    starts = range(0, len(frames), step)
    return _load("The array", lambda: (_floats(frames[i : i + step]) for i in starts), rate_in, rate, seconds)


def _frames(samples: npt.ArrayLike | Tensor) -> np.ndarray:
    """``samples`` as ``(time, channels)``, still of their own type."""
    if isinstance(samples, Tensor):
        samples = samples.detach().cpu()
        samples = (samples.float() if samples.is_floating_point() else samples).numpy()
    array = np.asarray(samples)
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
        raise UsageError(f"A sound is one or two axes of real numbers, not {array.ndim} of {array.dtype}.")
    if not array.size:
        return array.reshape(0, 1)
    if array.ndim == 1 or array.shape[0] <= array.shape[1]:
        array = np.atleast_2d(array).T
    if array.shape[1] > MAX_CHANNELS:
        raise UsageError(f"An array with {array.shape[1]} channels is no sound; give (time,) or (channels, time).")
    return array


def _floats(block: np.ndarray) -> Block:
    """``block`` as float32 with a full scale of 1."""
    if block.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what becomes infinite is refused later
            return block.astype(np.float32)
    half = 2.0 ** (8 * block.dtype.itemsize - 1)
    return ((block.astype(np.float64) - half * (block.dtype.kind == "u")) / half).astype(np.float32)


class _Forward(soundfile.SoundFile):
    """A file read from front to back: soundfile would seek after every read, which garbles mp3."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[_Forward]:
    """The decoder of ``path``, with everything that goes wrong while it is open told as ours."""
    try:
        _require_file(path)
        # By descriptor, since from a name soundfile and libsndfile would guess headerless formats.
        with open(path, "rb") as raw, _Forward(raw.fileno(), closefd=False) as file:
            yield file
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    except soundfile.SoundFileError as error:
        raise UnreadableError(f"{path} is damaged or not audio; choose another file or export it again.") from error


def _file_blocks(path: Path) -> Iterator[Block]:
    with _opened(path) as file:
        frames, left = _block_frames(file.samplerate, file.channels), MOST_VALUES
        while len(block := file.read(frames, dtype="float32", always_2d=True)):
            if (left := left - block.size) < 0:
                raise UnusableError(f"{path} begins with hours of silence; cut them off.")
            yield np.asarray(block, np.float32)


def _block_frames(rate: int, channels: int) -> int:
    return max(1, min(round(BLOCK_SECONDS * rate), BLOCK_VALUES // channels))


def _load(name: str, blocks: Callable[[], Iterable[Block]], rate_in: int, rate: int, seconds: float) -> Tensor:
    """The checked sound of ``blocks()``, which may be gone through twice: the second time for what is very soft."""
    for level in (AUDIBLE, SILENT):
        mono = (_mono(block, name) for block in blocks())
        sound = soxr.resample(_from_onset(mono, level, round(seconds * rate_in)), rate_in, rate)
        if _swing(sound) > SILENT:
            return torch.from_numpy(sound)
    raise UnusableError(f"{name} is empty or silent (-80 dB, as mono at {rate} Hz); give a louder one, or one channel.")


def _mono(block: Block, name: str) -> Mono:
    if not (np.abs(block) <= LOUDEST).all():  # NaN compares as False
        raise UnusableError(f"{name} has samples that are NaN, infinite or absurdly large; export it again.")
    return block.mean(axis=1)


def _from_onset(blocks: Iterator[Mono], level: float, needed: int) -> Mono:
    """The samples from the block before the first that swings past ``level``; empty where none does."""
    before = np.empty(0, np.float32)
    for block in blocks:
        pair = np.concatenate([before, block])
        if _swing(pair) > level:
            return np.concatenate([pair, *islice(blocks, needed // len(block))])
        before = block
    return before[:0]


def _swing(mono: Mono) -> float:
    """Half of the distance from the lowest to the highest sample: an amplitude that ignores a constant offset."""
    return float(np.ptp(mono)) / 2 if len(mono) else 0.0


def fit(
    sound: Float[Tensor, " time"],
    rate: int,
    samples: int,
    threshold_db: float = -60.0,
    lead: float = 0.002,
    fade: float = 0.01,
) -> Float[Tensor, " samples"]:
    """``sound`` without leading silence, or an offset that hides it, padded with zeros or cut to ``samples``.

    Args:
        sound: mono audio, at least one sample.
        rate, samples: Hz; length of the result.
        threshold_db: the sound begins with the first sample above this, relative to its peak.
        lead: seconds to keep before that.
        fade: seconds of raised-cosine fade to zero at the end of a sound that had to be cut.
    """
    threshold = 10 ** (threshold_db / 20)
    sound = sound - _offset(sound, round(STILL_SECONDS * rate), threshold)
    above = (sound.abs() > sound.abs().amax() * threshold).nonzero()
    start = max(0, int(above[0]) - round(lead * rate)) if len(above) else 0
    sound = sound[start:]
    if len(sound) <= samples:
        return torch.nn.functional.pad(sound, (0, samples - len(sound)))
    steps = min(samples, round(fade * rate))
    ramp = torch.linspace(0, torch.pi, steps + 1, device=sound.device)[1:].cos() / 2 + 0.5
    return torch.cat([sound[: samples - steps], sound[samples - steps : samples] * ramp])


def _offset(sound: Float[Tensor, " time"], frame: int, threshold: float) -> float:
    """The level of the stillest frame where that is still, yet louder than ``threshold`` of the peak; else 0."""
    frames = sound.unfold(0, min(frame, len(sound)), min(frame, len(sound)))
    swings, peak = frames.amax(1) - frames.amin(1), float(sound.abs().amax())
    level = float(frames[swings.argmin()].mean())
    return level if swings.amin() < threshold * peak <= abs(level) < LARGEST_OFFSET * peak else 0.0


def loudness(sound: Float[Tensor, "*batch time"]) -> Float[Tensor, "*batch"]:
    """RMS level in dB re full scale (a full-scale square wave has 0), -200 dB for silence."""
    return 10 * sound.square().mean(-1).clamp(min=10 ** (FLOOR_DB / 10)).log10()


def match_level(
    sound: Float[Tensor, "*batch time"], target: Float[Tensor, "*#batch other"]
) -> tuple[Float[Tensor, "*batch time"], Float[Tensor, "*batch"]]:
    """``sound`` with the RMS level of ``target``, and the gain in dB that it took. Silence stays silence, at 0 dB.

    Shape: ``(*batch, time)`` and a target of any length (one, or one for each row); ``(*batch, time)``, ``(*batch,)``.
    """
    level = loudness(sound)
    gain_db = torch.where(level > FLOOR_DB, loudness(target) - level, 0.0)
    return sound * (10 ** (gain_db / 20)).unsqueeze(-1), gain_db


def write(path: str | Path, sound: Float[Tensor, " time"], rate: int) -> None:
    """Write a wav: 24 bits where ``sound`` is within full scale, else float32. Errors as of :func:`write_bytes`."""
    write_bytes(path, wav(sound, rate))


def wav(sound: Float[Tensor, " time"], rate: int) -> bytes:
    """The content of the file that :func:`write` writes."""
    subtype, file = "PCM_24" if bool((sound.abs() <= 1).all()) else "FLOAT", io.BytesIO()
    soundfile.write(file, sound.detach().cpu().numpy(), rate, format="WAV", subtype=subtype)
    return _undated(file.getvalue())


def _undated(content: bytes) -> bytes:
    """A wav without the time of its making, which libsndfile notes in the PEAK chunk after name, size and version."""
    head, peak, rest = content.partition(b"PEAK")
    return head + peak + rest[:8] + bytes(4) + rest[12:] if peak and b"data" not in head else content


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all; OutputError as of :func:`write_bytes`. Half letters become ``?``."""
    write_bytes(path, text.encode(errors="replace"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all: into a temporary file beside it, which then takes its place.

    Raises:
        OutputError: no such folder, no permission, disk full, or ``path`` is there and is no regular file. What stood
            at ``path`` before is still there, and nothing else is.
    """
    with folders.whole(path) as temporary:
        temporary.write_bytes(data)
