"""Surge XT's .fxp files: a header, and a patch as XML. Without torch: engines import this.

The XML has one element for each parameter (``a_osc1_type``: oscillator 1 of scene A) that holds its value, and what
modulates it by how much. Files are written as revision 22, which Surge XT 1.3.4 opens, and numbered as there.
Facts about the format: 40 factory patches and what the synth makes of them, and the history in
https://github.com/surge-synthesizer/surge, src/common/SurgePatch.cpp.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NoReturn
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from unsynth.errors import PatchError
from unsynth.synths.note import comment, note_in
from unsynth.synths.surge_values import SINE, facts, is_whole, new_patch

REVISION = 22
HEADER = struct.Struct(">4sI4sI4sII28sI")  # of the file: CcnK, size, FPCh, 1, cjs3, 1, 1, name, size of the chunk
CHUNK = struct.Struct("<4s7I")  # of the chunk: sub3, size of the XML, sizes of six wavetables
SIZE_BEFORE = 8  # bytes that the first size of the header does not count
LARGEST = 4 << 20  # bytes; Surge XT refuses more
WHOLE = 1 << 24  # integers beyond are the bits of a float: old files wrote some floats so
LARGEST_FLOAT = (2 - 2**-23) * 2.0**127  # of 32 bits, which is what Surge XT holds
INT32 = range(-(2**31), 2**31)
PLAYED = 3  # the last parameters of the spec: note, velocity, seconds held
SAMPLE_AND_HOLD = 3  # type of an oscillator
LOWEST_CUT, HIGHEST_CUT = -60.0, 70.0  # of the filters that oscillators have, semitones from 440 Hz

Routes = dict[tuple[str, int], float]


@dataclass(frozen=True)
class Preset:
    """A patch of Surge XT.

    Args:
        name: what the synth shows.
        revision: of the file that it was read from.
        values: of its parameters, by XML element, numbered as in revision 22.
        routes: depths of its modulations in units of the parameter, by XML element and source.
        comment: what its maker says about it.
    """

    name: str
    revision: int
    values: Mapping[str, float]
    routes: Mapping[tuple[str, int], float]
    comment: str = ""


def parse(data: bytes) -> Preset:
    """The patch in the bytes of an .fxp file; PatchError where they are none."""
    if len(data) > LARGEST:
        _refuse(f"it has {len(data):,} bytes, more than the {LARGEST:,} that Surge XT reads")
    if len(data) < HEADER.size + CHUNK.size:
        _refuse("it ends before its header does")
    magic, _, kind, _, synth, *_ = HEADER.unpack_from(data)
    chunk, size, *_ = CHUNK.unpack_from(data, HEADER.size)
    if (magic, kind, synth, chunk) != (b"CcnK", b"FPCh", b"cjs3", b"sub3"):
        _refuse("it is not a preset of Surge XT")
    begin = HEADER.size + CHUNK.size
    if size > len(data) - begin:
        _refuse("it ends before its parameters do")
    return _Reader().read(data[begin : begin + size])


class _Reader:
    """Reads a patch's XML as it comes, and refuses document types, so that entities never grow."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.revision, self.name, self.comment = 0, "", ""
        self.values: dict[str, float] = {}
        self.routes: Routes = {}

    def read(self, xml: bytes) -> Preset:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = lambda _: self.path.pop()
        parser.StartDoctypeDeclHandler = lambda *_: _refuse("its XML has a document type, which no patch has")
        try:
            parser.Parse(xml, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise PatchError(f"the preset cannot be read: its XML is damaged ({error}).") from error
        if not self.revision or not self.values:
            _refuse("its XML has no revision or no parameters")
        return Preset(self.name, self.revision, updated(self.values, self.revision), self.routes, self.comment)

    def _start(self, tag: str, told: dict[str, str]) -> None:
        self.path.append(tag)
        match self.path:
            case ["patch"]:
                self.revision = max(0, int(_number(told.get("revision", "0"))))
            case ["patch", "meta"]:
                self.name, self.comment = told.get("name", ""), told.get("comment", "")
            case ["patch", "parameters", element] if "value" in told:
                self.values[element] = _value(told["value"], told.get("type"))
            case ["patch", "parameters", element, "modrouting"] if told.get("muted", "0") == "0":
                source = int(_number(told.get("source", "0")))
                self.routes[element, source] = _number(told.get("depth", "0"))


def _value(text: str, kind: str | None) -> float:
    number = _number(text)
    if kind != "0" or abs(number) < WHOLE:
        return number
    if int(number) not in INT32:
        _refuse(f"{text[:40]!a} is out of range")
    return _finite(struct.unpack("<f", struct.pack("<i", int(number)))[0])


def _number(text: str) -> float:
    try:
        return _finite(float(text))
    except ValueError:
        _refuse(f"{text[:40]!a} is not a number")


def _finite(number: float) -> float:
    return number if abs(number) <= LARGEST_FLOAT else _refuse("one of its values is not finite")


def updated(values: Mapping[str, float], revision: int) -> dict[str, float]:
    """``values`` of a file of any revision, as Surge XT has them after loading it, numbered as in revision 22."""
    new = dict(values)
    if revision < 10:
        new["character"] = 0
    if revision < 16 and new.get("polylimit") == 8:
        new["polylimit"] = 16
    if revision < 17:
        new.pop("volume", None)  # a preset left the volume alone
    for scene in "ab":
        for n in (1, 2, 3):
            _update_oscillator(new, f"{scene}_osc{n}_", revision)
        for n in (1, 2):
            _update_filter(new, f"{scene}_filter{n}_", revision)
    return new


def _update_oscillator(new: dict[str, float], name: str, revision: int) -> None:
    kind, shape = new.get(f"{name}type"), new.get(f"{name}param0", 0)
    if kind == SINE and revision >= 28:  # shapes 1, 3, 5 and 7 were mended; the old ones moved
        new[f"{name}param0"] = {28: 1, 29: 3, 30: 5, 31: 7}.get(round(shape), shape)
    if kind == SINE and revision <= 9:
        new[f"{name}param0"] = 0
    if kind == SINE and revision <= 10:
        new |= {f"{name}param1": 0.0, f"{name}param2": 0, f"{name}retrigger": 1}
    first = {SINE: 3, SAMPLE_AND_HOLD: 2}.get(round(kind or 0))
    if first and revision <= 12:
        new |= {f"{name}param{first}": LOWEST_CUT, f"{name}param{first + 1}": HIGHEST_CUT}


def _update_filter(new: dict[str, float], name: str, revision: int) -> None:
    kind, sub = int(new.get(f"{name}type", 0)), int(new.get(f"{name}subtype", 0))
    if revision < 15:  # one type for what became several
        kind, sub = {
            (6, 3): (23, 0), (6, 4): (23, 1), (6, 5): (23, 2),
            (7, 2): (24, 0), (7, 3): (24, 1),
            (8, 2): (25, 0), (8, 3): (25, 1),
            **{(11, s): ((11, 22, 20, 21)[s % 4], s // 4) for s in range(8)},
        }.get((kind, sub), (kind, sub))  # fmt: skip
    if revision >= 27:  # subtypes were mended; the old ones moved
        sub = {(6, 3): 1, (6, 4): 2, (12, 4): 3}.get((kind, sub), sub)
    for key, value in (("type", kind), ("subtype", sub)):
        if f"{name}{key}" in new:
            new[f"{name}{key}"] = value


def build(preset: Preset) -> bytes:
    """``preset`` as the bytes of an .fxp file of revision 22, with what surge.json keeps fixed."""
    values = {**facts()["fixed"], **preset.values}
    elements = "".join(_element(name, value, values, preset.routes) for name, value in values.items())
    told = "".join(letter for letter in preset.name if letter.isprintable())
    meta = f'<meta name={quoteattr(told)} category="unsynth" comment={quoteattr(preset.comment)} author="" />'
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>'
    xml = f'{head}<patch revision="{REVISION}">{meta}<parameters>{elements}</parameters></patch>'.encode()
    size, name = CHUNK.size + len(xml), told.encode("ascii", "replace")[:27]
    header = HEADER.pack(b"CcnK", HEADER.size + size - SIZE_BEFORE, b"FPCh", 1, b"cjs3", 1, 1, name, size)
    return header + CHUNK.pack(b"sub3", len(xml), *[0] * 6) + xml


def to_preset(raw: Sequence[float], name: str = "unsynth") -> Preset:
    """One patch of raw values, in the order of the spec, with the note to play in the comment."""
    named = list(zip(facts()["params"], raw, strict=True))
    values = {p["element"]: value for p, value in named if p["element"] and "source" not in p}
    routes = {(p["element"], p["source"]): value for p, value in named if "source" in p}
    return Preset(name, REVISION, values, routes, comment(*raw[-PLAYED:]))


def from_preset(preset: Preset) -> list[float]:
    """The raw values of a patch in the order of the spec, with the note that its comment says.

    What the patch does not say is as in a new one, and so is a muted oscillator of a type that the spec has not. The
    scene's octave and pitch are in the oscillators', which may leave their ranges. Extended ranges are not followed.
    """
    values = {name: value for name, value in _tuned(preset.values).items() if not _is_idle(name, preset.values)}
    sound = [
        preset.routes.get((p["element"], p["source"]), 0.0) if "source" in p else values.get(p["element"], new)
        for p, new in zip(facts()["params"], new_patch(), strict=True)
    ]
    return [*sound[:-PLAYED], *note_in(preset.comment)]


def _tuned(values: Mapping[str, float]) -> dict[str, float]:
    """``values`` with the scene's octave and pitch, which the spec has not, added to those of its oscillators."""
    scene_of = {f"a_osc{n}_{what}": f"a_{what}" for n in (1, 2, 3) for what in ("octave", "pitch")}
    return {**values, **{own: values.get(own, 0) + values.get(scene, 0) for own, scene in scene_of.items()}}


def _is_idle(element: str, values: Mapping[str, float]) -> bool:
    """Whether an element belongs to an oscillator that is muted and of a type that the spec has not."""
    oscillator = element.rpartition("_")[0]
    muted = values.get(f"a_mute_o{oscillator[-1:]}") == 1
    known = str(round(values.get(f"{oscillator}_type", 0))) in facts()["shares"]
    return oscillator[:-1] == "a_osc" and muted and not known


def _element(name: str, value: float, values: Mapping[str, float], routes: Mapping[tuple[str, int], float]) -> str:
    number = f'type="0" value="{round(value)}"' if is_whole(name, values) else f'type="2" value="{value:.9g}"'
    flags = _flags(name)
    if name.endswith(("param3", "param4")) and values.get(f"{name[:-6]}type") == SINE:
        flags += ' deactivated="1"'
    inside = "".join(
        f'<modrouting source="{source}" depth="{depth:.9g}" muted="0" source_index="0" />'
        for (element, source), depth in routes.items()
        if element == name and depth
    )
    return f"<{name} {number}{flags}>{inside}</{name}>"


@cache
def _flags(name: str) -> str:
    return "".join(f' {flag}="0"' for flag, names in facts()["flags"].items() if name in names)


def _refuse(what: str) -> NoReturn:
    raise PatchError(f"the preset cannot be read: {what}.")
