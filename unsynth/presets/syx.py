"""DX7 voices as files: banks of 32 and single voices as system exclusive messages (.syx), and packed voices (.dx7).

Source: Yamaha, "DX7 Digital Programmable Algorithm Synthesizer Owner's Manual" (1983), "MIDI data format".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from unsynth.base import Params, PatchError, UsageError
from unsynth.presets.files import parsed, require_within
from unsynth.synths import dexed

Place = tuple[int, int, int]  # byte of the packed voice, lowest bit, bits

BANK, SINGLE = bytes.fromhex("F0 43 00 09 20 00"), bytes.fromhex("F0 43 00 00 01 1B")  # the third byte has the channel
CHANNEL = 2
END = 0xF7
VOICES = 32
PACKED = 128  # bytes of a voice in a bank
UNPACKED = 155  # bytes of a voice on its own
NAME = 10  # its last bytes
SIZES = {BANK: VOICES * PACKED, SINGLE: UNPACKED}  # data bytes of the messages that have voices
PADDING = bytes([0x00, END, 0xFF])  # what some programs leave at the end
FOREIGN = "There is no DX7 voice or bank here, or not only: it is another file, or damaged."
LARGEST = 1 << 20  # bytes of a file that is read
MIDI_BYTE = 0x7F

_OPERATOR = [
    *((byte, 0, 7) for byte in range(11)),
    *((11, 0, 2), (11, 2, 2), (12, 0, 3), (13, 0, 2), (13, 2, 3), (14, 0, 7), (15, 0, 1), (15, 1, 5), (16, 0, 7)),
    (12, 3, 4),
]
_COMMON = [
    *((byte, 0, 7) for byte in range(102, 110)),
    *((110, 0, 5), (111, 0, 3), (111, 3, 1)),
    *((byte, 0, 7) for byte in range(112, 116)),
    *((116, 0, 1), (116, 1, 3), (116, 4, 3), (117, 0, 7)),
]
PLACES: list[Place] = [*((17 * n + byte, bit, bits) for n in range(6) for byte, bit, bits in _OPERATOR), *_COMMON]


@dataclass(frozen=True)
class Voice:
    """One voice as a bank has it: 128 bytes, bits without meaning included.

    Raises:
        PatchError: that is not 128 bytes of 7 bits.
    """

    packed: bytes

    def __post_init__(self) -> None:
        if len(self.packed) != PACKED or max(self.packed) > MIDI_BYTE:
            raise PatchError("A packed DX7 voice has 128 bytes of 7 bits: this is none, or damaged.")

    @classmethod
    def of(cls, numbers: list[int], name: str) -> Voice:
        """The voice with these 145 numbers, in the order of the single voice message, and this name (10 characters)."""
        packed = bytearray(PACKED)
        for number, (byte, bit, bits) in zip(numbers, PLACES, strict=True):
            packed[byte] |= (number & ((1 << bits) - 1)) << bit
        packed[-NAME:] = _name(name)
        return cls(bytes(packed))

    @property
    def name(self) -> str:
        return "".join(chr(c) if 32 <= c < 127 else " " for c in self.packed[-NAME:]).strip()

    @property
    def numbers(self) -> list[int]:
        """The 145 numbers, as they are: a few voices hold some that the DX7 has no meaning for."""
        return [self.packed[byte] >> bit & ((1 << bits) - 1) for byte, bit, bits in PLACES]


def to_params(voices: list[Voice], note: int = 60, velocity: int = 100, seconds: float = 1.0) -> Params:
    """The voices as parameters of Dexed, playing one note; ``(voice, param)``. What is out of range is clamped.

    Raises:
        UsageError: there is no such note.
    """
    for name, value in (("note.pitch", note), ("note.velocity", velocity), ("note.length", seconds)):
        require_within(dexed.SPEC, name, value)
    numbers = torch.tensor([voice.numbers for voice in voices]).reshape(-1, len(PLACES))
    return dexed.to_params(numbers, torch.tensor([[note, velocity, seconds]]).expand(len(voices), -1))


def from_params(params: Params, names: list[str]) -> list[Voice]:
    """The voices that ``params`` play; their notes are left out (:mod:`unsynth.presets.midi`)."""
    numbers = dexed.to_numbers(params).round().int().tolist()
    return [Voice.of(row, name) for row, name in zip(numbers, names, strict=True)]


def bank(voices: list[Voice]) -> bytes:
    """A bank of 4104 bytes with ``voices`` in its first slots and the DX7's initial voice in the others.

    Raises:
        UsageError: there are more than 32.
    """
    if len(voices) > VOICES:
        raise UsageError(f"A DX7 bank holds {VOICES} voices, not {len(voices)}; write several banks.")
    data = b"".join(voice.packed for voice in [*voices, *[INITIAL] * (VOICES - len(voices))])
    return BANK + data + bytes([checksum(data), END])


def single(voice: Voice) -> bytes:
    """A message of 163 bytes for one voice."""
    data = bytes(voice.numbers) + voice.packed[-NAME:]
    return SINGLE + data + bytes([checksum(data), END])


def checksum(data: bytes) -> int:
    """What makes the sum of a message's data bytes a multiple of 128."""
    return -sum(data) & MIDI_BYTE


def parse(data: bytes) -> list[Voice]:
    """The voices in a file: bank and single voice messages, one after another, or packed voices alone.

    Whole messages of other kinds, such as the supplements of a DX7II, are passed over, and so is padding at the end.

    Raises:
        PatchError: that is no such file, or a damaged one.
    """
    if len(data) > LARGEST:
        raise PatchError(f"The file has more than {LARGEST:,} bytes: it is no DX7 bank.")
    if data and len(data) % PACKED == 0 and max(data) <= MIDI_BYTE:
        return [Voice(data[i : i + PACKED]) for i in range(0, len(data), PACKED)]
    voices: list[Voice] = []
    rest = data
    while rest[:1] == BANK[:1]:
        other = _other(rest)
        found, rest = ([], rest[other:]) if other else _message(rest)
        voices += found
    if not voices or rest.strip(PADDING):
        raise PatchError(FOREIGN)
    return voices


def read(path: Path) -> list[Voice]:
    """The voices in a file, as :func:`parse` has them.

    Raises:
        NotFoundError: no such file, or it may not be read.
        PatchError: as :func:`parse`, with the name of the file.
    """
    return parsed(path, parse, LARGEST, "a .syx file")


def _kind(data: bytes) -> bytes:
    """How the message begins, of any channel."""
    return data[:CHANNEL] + bytes(byte & 0xF0 for byte in data[CHANNEL : CHANNEL + 1]) + data[CHANNEL + 1 : len(BANK)]


def _other(data: bytes) -> int:
    """The size of a whole message that is of no voices; 0 where it is of voices, or cut off."""
    end = data.find(END) + 1
    return 0 if _kind(data) in SIZES or not end or max(data[1 : end - 1], default=0) > MIDI_BYTE else end


def _message(data: bytes) -> tuple[list[Voice], bytes]:
    """The voices of the message that ``data`` begins with, and what follows it."""
    kind = _kind(data)
    if kind not in SIZES:
        raise PatchError(FOREIGN)
    size = len(kind) + SIZES[kind] + 2
    body, tail, rest = data[len(kind) : size - 2], data[size - 2 : size], data[size:]
    if len(tail) < 2:
        raise PatchError(f"A message of {size} bytes ends after {len(data)}: the file is cut off.")
    if tail[1] != END or tail[0] != checksum(body) or max(body) > MIDI_BYTE:
        raise PatchError("The checksum or the end of a message is wrong: the file is damaged.")
    if kind == BANK:
        return [Voice(body[i : i + PACKED]) for i in range(0, len(body), PACKED)], rest
    return [Voice.of(list(body[:-NAME]), body[-NAME:].decode("ascii"))], rest


def _name(name: str) -> bytes:
    return name.encode("ascii", "replace")[:NAME].ljust(NAME)


def _initial() -> Voice:
    """INIT VOICE: a sine of operator 1 that is on while the key is down."""
    envelope, keyboard = [99] * 7 + [0], [39, 0, 0, 0, 0, 0, 0, 0]
    operators = [*envelope, *keyboard, 0, 0, 1, 0, 7] * 5 + [*envelope, *keyboard, 99, 0, 1, 0, 7]
    return Voice.of([*operators, *[99] * 4, *[50] * 4, 0, 0, 1, 35, 0, 0, 0, 1, 0, 3, 24], "INIT VOICE")


INITIAL = _initial()
