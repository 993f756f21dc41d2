"""Many matches at a glance: a page that leads to the report of each, and the same as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.report.loudness import levelled
from unsynth.report.markup import number, text
from unsynth.report.pictures import png, spectrograms
from unsynth.report.words import EXPLAINED, TITLES

Json = dict[str, Any]

PREVIEW = "preview.png"
SCORES = ("distance", *TITLES)
COLUMNS = ("target", "folder", "synth", *SCORES, "gain_db", "candidates", "seconds", "renders", "seed", "error")


def preview(
    target: Float[Tensor, " time"], match: Float[Tensor, " time"], rate: int, bands: int = 40, columns: int = 100
) -> bytes:
    """A small PNG of the spectrogram of a target, and that of its match, if it was heard, to the right of it."""
    both = spectrograms(levelled([target, match], rate), rate, bands=bands, columns=columns)
    gap = torch.zeros(bands, 2, dtype=torch.uint8)
    return png(torch.cat([both[0], gap, both[1]], 1).flip(0))


def table(results: Sequence[Json]) -> str:
    """Results (as ``unsynth match --json`` prints them) as CSV, a line for each; what is not known is empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(result) for result in results)
    return file.getvalue().encode(errors="replace").decode()


def page(results: Sequence[Json]) -> str:
    """Results as the text of an HTML file that lies beside their folders."""
    rows = [_flat(result) for result in results]
    done, failed = [row for row in rows if "error" not in row], [row for row in rows if "error" in row]
    template = files("unsynth.report").joinpath("index.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        count=f"{len(done):,} sound{'s' * (len(done) != 1)} matched"
        + (f", {len(failed):,} could not be" if failed else ""),
        heads="".join(_head(name) for name in SCORES),
        rows="".join(map(_row, done)),
        failed="".join(f"<li>{text(str(row['target']))}: {text(str(row['error']))}</li>" for row in failed),
    )


def _flat(result: Json) -> Json:
    folder = {"folder": Path(result["folder"]).name} if "folder" in result else {}
    return {**result, **result.get("metrics", {}), **folder}


def _head(name: str) -> str:
    lower = EXPLAINED[name][1]
    return (
        f'<th scope="col"><button title="{EXPLAINED[name][0]}">{name}</button>'
        f"<small>{'lower' if lower else 'higher'} is nearer</small></th>"
    )


def _row(row: Json) -> str:
    name, where = text(Path(row["target"]).name), quote(row["folder"], errors="surrogateescape")
    values = [row.get(score) for score in SCORES]
    known = [math.nan if value is None else float(value) for value in values]
    cells = "".join(f'<td data-value="{value}">{number(value)}</td>' for value in known)
    return (
        f'<tr><td><img loading="lazy" alt="Spectrograms of {name} and of its match" src="{where}/{PREVIEW}"></td>'
        f'<th scope="row" data-value="{name}"><a href="{where}/report.html">{name}</a>'
        f"<small>{text(str(row['target']))}</small></th><td>{text(str(row['synth']))}</td>{cells}</tr>\n"
    )
