"""Files that unsynth writes: whether each is whole, and what of it has to be the same whenever it is made."""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile
from safetensors import SafetensorError, safe_open

from unsynth import folders

TIMES = ("seconds", "sounds_per_second", "date")  # what may differ: how long it took, and when that was
PAGE = (  # of a report, what tells the same, and the patches that it has within
    r"<li>[\d,]+ renders in [^<]*</li>",
    r'<div class="plot steps">.*? renders\.</p>',
    r'href="data:application/json;base64,[^"]*"',
)
ERRORS = (ValueError, OSError, RuntimeError, EOFError, SafetensorError, tarfile.TarError, soundfile.LibsndfileError)


def damage(folder: Path) -> list[str]:
    """The files below a folder that are neither whole nor temporary, with the reason."""
    found = []
    for path in files(folder):
        try:
            content(path)
        except ERRORS as error:
            found.append(f"{path.relative_to(folder)}: {error}")
    return found


def contents(folder: Path) -> dict[str, Any]:
    """What of the files below a folder has to be the same, by path."""
    return {str(path.relative_to(folder)): content(path) for path in files(folder)}


def files(folder: Path) -> list[Path]:
    """All files below a folder but those that killed processes left half written."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.match(folders.LEFTOVERS)]


def leftovers(folder: Path) -> list[Path]:
    """What killed processes left half written below a folder."""
    return list(folder.rglob(folders.LEFTOVERS))


def content(path: Path) -> Any:
    """What of a file has to be the same; one of ERRORS where it is not whole."""
    read = READERS.get(path.suffix)
    if read is None:
        raise ValueError("nobody knows this kind of file")
    return read(path)


def timeless(told: Any) -> Any:
    """JSON without times and dates."""
    if isinstance(told, dict):
        return {name: timeless(value) for name, value in told.items() if name not in TIMES}
    return [timeless(value) for value in told] if isinstance(told, list) else told


def _json(path: Path) -> Any:
    return timeless(json.loads(path.read_text()))


def _lines(path: Path) -> Any:
    """Rows; a piece of a last one is for the program to leave out."""
    return [timeless(json.loads(line)) for line in folders.lines(path)]


def _tensors(path: Path) -> Any:
    with safe_open(path, framework="np") as file:
        facts = {name: _parsed(text) for name, text in (file.metadata() or {}).items()}
        return facts, {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118


def _parsed(text: str) -> Any:
    return timeless(json.loads(text)) if text.startswith("{") else text


def _page(path: Path) -> str:
    text = path.read_text()
    if not text.rstrip().endswith("</html>"):
        raise ValueError("the page has no end")
    for pattern in PAGE:
        text = re.sub(pattern, "", text, flags=re.DOTALL)
    return text


def _table(path: Path) -> Any:
    text = path.read_text()
    if not text.endswith("\n"):
        raise ValueError("the table has no end")
    return [timeless(row) for row in csv.DictReader(io.StringIO(text))]


def _picture(path: Path) -> bytes:
    return _ending(path, b"IEND\xaeB`\x82")


def _midi(path: Path) -> bytes:
    return _ending(path, b"\xff\x2f\x00")


def _dx7(path: Path) -> bytes:
    return _ending(path, b"\xf7")


def _ending(path: Path, end: bytes) -> bytes:
    data = path.read_bytes()
    if not data.endswith(end):
        raise ValueError("the file has no end")
    return data


def _sound(path: Path) -> bytes:
    soundfile.read(path)
    return path.read_bytes()


def _tar(path: Path) -> bytes:
    with tarfile.open(path) as opened:
        for member in opened:
            extracted = opened.extractfile(member)
            if extracted is None or len(extracted.read()) != member.size:
                raise ValueError("the archive has no end")
    return path.read_bytes()


READERS: dict[str, Callable[[Path], Any]] = {
    ".json": _json,
    ".jsonl": _lines,
    ".safetensors": _tensors,
    ".fit": _tensors,
    ".part": Path.read_bytes,  # rows of an index, of which a last piece is cut off
    ".html": _page,
    ".csv": _table,
    ".png": _picture,
    ".wav": _sound,
    ".tar": _tar,
    ".mid": _midi,
    ".syx": _dx7,
}
