"""Build the fixed set of real one-shots that matching is tuned and tested on: ``python bench/one_shots.py OUT_DIR``.

The set is the committed list ``one_shots.csv``, or with ``--sounds drums`` that of real drums, ``drums.csv``;
docs/sounds-and-splits.md says how they were chosen. Sounds are notes of the FluidR3 General MIDI soundfont (MIT),
samples of Sonic Pi (CC0) and Hydrogen's drum kits (GPL and others), from Debian packages, which are installed where
missing. Written are ``OUT_DIR/{validation,test}/{family}/{name}.wav`` (mono, 44.1 kHz, 16 bit, at most 4 s) and
``OUT_DIR/manifest.csv``, the list with the seconds, RMS and CRC-32 that were measured. Run it again to resume.
"""

from __future__ import annotations

import csv
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import soundfile
from jaxtyping import Float, Int16
from jsonargparse import auto_cli
from numpy import ndarray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unsynth.base import NotFoundError, UnreadableError, UnsynthError, UnusableError
from unsynth.folders import whole

LISTS = {name: Path(__file__).with_name(f"{name}.csv") for name in ("one_shots", "drums")}
SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
SAMPLES = Path("/usr/share/sonic-pi/samples")
KITS = Path("/usr/share/hydrogen/data/drumkits")
FLUIDSYNTH = {"fluidsynth": Path("/usr/bin/fluidsynth"), "fluid-soundfont-gm": SOUNDFONT}
PACKAGES = {  # by source
    "gm": FLUIDSYNTH,
    "gm-drums": FLUIDSYNTH,
    "sonic-pi": {"sonic-pi-samples": SAMPLES},
    "hydrogen": {"hydrogen-drumkits": KITS},
}
RATE = 44100
MELODIC_CHANNEL, DRUM_CHANNEL = 0, 9
INT16_MAX = 32767

Pcm = Int16[ndarray, " time"]


@dataclass(frozen=True)
class OneShot:
    """A row of the list: where the sound comes from, and what it measured when the list was made."""

    name: str
    split: str  # validation or test
    family: str
    group: str  # sounds made of the same recordings; a group is never in both splits
    source: str  # gm, gm-drums, sonic-pi or hydrogen
    program: str  # General MIDI program or drum kit, counted from 0
    note: str  # MIDI note
    file: str  # of Sonic Pi, or of a kit of Hydrogen
    seconds: float
    rms: float  # full scale is 1
    crc32: int  # of the 16-bit little-endian samples

    def path(self, root: Path) -> Path:
        return root / self.split / self.family / f"{self.name}.wav"


def read_list(path: Path = LISTS["one_shots"]) -> list[OneShot]:
    """The one-shots of a list or manifest, in its order."""
    with path.open(newline="") as file:
        return [_one_shot(row) for row in csv.DictReader(file)]


def _one_shot(row: Mapping[str, str]) -> OneShot:
    numbers = {"seconds": float(row["seconds"]), "rms": float(row["rms"]), "crc32": int(row["crc32"])}
    return OneShot(**{field.name: row[field.name] for field in fields(OneShot)} | numbers)  # pyright: ignore[reportArgumentType]


def install(packages: Mapping[str, Path]) -> None:
    """Install the Debian packages whose path is missing.

    Raises:
        NotFoundError: packages are missing, and this is not root on Debian, or apt-get failed.
    """
    missing = [package for package, path in packages.items() if not path.exists()]
    if not missing:
        return
    command = f"apt-get update && apt-get install --yes --no-install-recommends {' '.join(missing)}"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise NotFoundError(
            f"Debian packages are missing, and only root on Debian can add them: run `{command}` there."
        )
    if subprocess.run(command, shell=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}).returncode:
        raise NotFoundError(f"Debian packages could not be installed: see why with `{command}`.")


def midi_file(channel: int, program: int, note: int, velocity: int = 100, gate: int = 2000, end: int = 4000) -> bytes:
    """A Standard MIDI File (format 0) of one note that begins at once; ``gate`` and ``end`` are in milliseconds.

    Source: Standard MIDI Files 1.0 (https://midi.org/standard-midi-files); 1000 ticks to a beat of one second.
    """
    events = (
        b"\x00\xff\x51\x03" + (1_000_000).to_bytes(3, "big"),  # tempo, microseconds per beat
        bytes([0, 0xC0 | channel, program]),
        bytes([0, 0x90 | channel, note, velocity]),
        _delta(gate) + bytes([0x80 | channel, note, 0]),
        _delta(end - gate) + b"\xff\x2f\x00",
    )
    track_data = b"".join(events)
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 1000) + b"MTrk" + struct.pack(">I", len(track_data)) + track_data


def _delta(ticks: int) -> bytes:
    """A delta time under 2**14 ticks as a variable-length quantity."""
    return bytes([ticks >> 7 | 0x80, ticks & 0x7F])


def play_note(one_shot: OneShot, gain: float = 1.2) -> Float[ndarray, "time channel"]:
    """A General MIDI note from a fresh FluidSynth without reverb and chorus, so that equal notes are equal sounds."""
    channel = DRUM_CHANNEL if one_shot.source == "gm-drums" else MELODIC_CHANNEL
    with TemporaryDirectory() as folder:
        midi, wav = Path(folder, "note.mid"), Path(folder, "note.wav")
        midi.write_bytes(midi_file(channel, int(one_shot.program), int(one_shot.note)))
        flags = ["-q", "-n", "-i", "-R0", "-C0", f"-g{gain}", f"-r{RATE}", "-z64", "-o", "synth.cpu-cores=1"]
        output = ["-o", "synth.dynamic-sample-loading=1", "-T", "wav", "-O", "float", "-F", str(wav)]
        subprocess.run(["fluidsynth", *flags, *output, str(SOUNDFONT), str(midi)], check=True, capture_output=True)
        return soundfile.read(wav, always_2d=True)[0]


def read_sample(one_shot: OneShot) -> Float[ndarray, "time channel"]:
    """A sample as it is.

    Raises:
        UnreadableError: the sample has another rate than 44.1 kHz.
    """
    ((package, folder),) = PACKAGES[one_shot.source].items()
    audio, rate = soundfile.read(folder / one_shot.file, always_2d=True)
    if rate != RATE:
        raise UnreadableError(f"{one_shot.file} has {rate} Hz instead of {RATE}: install Debian's {package}.")
    return audio


def to_pcm(audio: Float[ndarray, "time channel"], seconds: float = 4.0, fade: float = 0.02) -> Pcm:
    """The mean of the channels in 16 bit; what is longer than ``seconds`` is cut there, with a linear fade-out.

    Raises:
        UnusableError: the sound leaves [-1, 1].
    """
    mono, limit = audio.mean(axis=1), round(seconds * RATE)
    if len(mono) > limit:
        mono = mono[:limit].copy()
        mono[-round(fade * RATE) :] *= np.linspace(1, 0, round(fade * RATE))
    if np.abs(mono).max() > 1:
        raise UnusableError("A one-shot is louder than full scale: lower the gain it is rendered with.")
    return np.round(mono * INT16_MAX).astype("<i2")


def measure(one_shot: OneShot, pcm: Pcm) -> OneShot:
    """The row with the duration, RMS and checksum of ``pcm``."""
    rms = float(np.sqrt(np.mean(np.square(pcm / INT16_MAX))))
    return replace(one_shot, seconds=round(len(pcm) / RATE, 6), rms=round(rms, 6), crc32=zlib.crc32(pcm.tobytes()))


def agrees(one_shot: OneShot, measured: OneShot, tolerance: float = 0.02) -> bool:
    """Whether a sound is the listed one: the same length, and the same RMS up to a relative ``tolerance``.

    Checksums need not agree, because another processor or FluidSynth rounds otherwise.
    """
    return one_shot.seconds == measured.seconds and abs(measured.rms - one_shot.rms) <= tolerance * one_shot.rms


def build_one(one_shot: OneShot, root: Path) -> OneShot:
    """Make a sound and write its file, unless a good one is there already. Returns the row as measured."""
    path = one_shot.path(root)
    if path.exists():
        measured = measure(one_shot, soundfile.read(path, dtype="int16")[0])
        if agrees(one_shot, measured):
            return measured
    pcm = to_pcm(play_note(one_shot) if PACKAGES[one_shot.source] is FLUIDSYNTH else read_sample(one_shot))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as temporary:
        soundfile.write(temporary, pcm, RATE, format="WAV", subtype="PCM_16")
    return measure(one_shot, pcm)


def write_manifest(measured: Iterable[OneShot], root: Path) -> None:
    """Write the measured rows, with the path of each file relative to ``root``."""
    rows = [asdict(row) | {"path": row.path(Path()).as_posix()} for row in measured]
    with whole(root / "manifest.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def counts(one_shots: Iterable[OneShot]) -> Table:
    """How many sounds each family has in each split."""
    number = Counter((row.family, row.split) for row in one_shots)
    splits = sorted({split for _, split in number}, reverse=True)
    table = Table("family", *splits)
    for family in dict.fromkeys(family for family, _ in number):
        table.add_row(family, *(str(number[family, split]) for split in splits))
    table.add_row("all", *(str(sum(n for key, n in number.items() if key[1] == split)) for split in splits))
    return table


def build(out_dir: Path, sounds: Literal["one_shots", "drums"] = "one_shots") -> None:
    """Build the set of real one-shots, check it against the committed list, and print how many there are.

    Args:
        out_dir: where the sounds and manifest.csv go; sounds that are there already are kept.
        sounds: which list.

    Raises:
        NotFoundError: the Debian packages are missing and cannot be installed.
        UnusableError: sounds differ from the list.
    """
    one_shots = read_list(LISTS[sounds])
    install({package: path for row in one_shots for package, path in PACKAGES[row.source].items()})
    measured = [
        build_one(one_shot, out_dir) for one_shot in track(one_shots, "one-shots", console=Console(stderr=True))
    ]
    write_manifest(measured, out_dir)
    pairs = list(zip(one_shots, measured, strict=True))
    identical = sum(listed.crc32 == made.crc32 for listed, made in pairs)
    Console().print(counts(measured), f"{identical} of {len(measured)} are bit-identical to {LISTS[sounds].name}")
    if different := [listed.name for listed, made in pairs if not agrees(listed, made)]:
        raise UnusableError(
            f"{len(different)} sounds differ from {LISTS[sounds].name} (the first: {different[0]}), so figures will "
            "not compare with published ones: use the packages of Debian 12."
        )


if __name__ == "__main__":
    try:
        auto_cli(build)
    except UnsynthError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
