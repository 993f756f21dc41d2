"""The page of a calibration: coverage and ranks as plots, and the numbers, with nothing to fetch."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from unsynth.benchmark import curves
from unsynth.benchmark.page import style, table
from unsynth.calibration import Calibration, Check, cells

FACTS = ("synth", "seed", "guidance", "version", "processor", "torch", "date")
RAW = "patches that sound the same count as different"


def page(found: Calibration, document: dict[str, Any], worst: int = 8) -> str:
    """A calibration, of which ``document`` is what its JSON file has, as the text of an HTML file."""
    template = files("unsynth.benchmark").joinpath("calibration.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        style=style(),
        model=escape(str(document["model"])),
        facts="".join(f"<li>{escape(fact)}</li>" for fact in _facts(document)),
        command=escape(str(document["command"])),
        joint=_pair("all parameters", found.joint, document),
        told=_told(document["summary"], len(found.params)),
        all=_coverage("all parameters, one curve each", list(found.params.values()), document),
        worst="".join(_parameter(name, found.params[name], document) for name in found.worst[:worst]),
        numbers=table(cells(found)),
    )


def _facts(document: dict[str, Any]) -> list[str]:
    """What was measured, and with what."""
    first = f"{document['targets']} held-out sounds from number {document['start']} on"
    known = [f"{fact} {document[fact]}" for fact in FACTS if document.get(fact) is not None]
    return [first, f"{document['draws']} draws for each", *known, *([RAW] if document["raw"] else [])]


def _told(summary: dict[str, Any], params: int) -> str:
    error, many = summary["mean_calibration_error"], summary["miscalibrated"]
    return f"{many} of {params} parameters are miscalibrated beyond chance (q); mean calibration error {error:.3f}."


def _parameter(name: str, check: Check, document: dict[str, Any]) -> str:
    return f'<h3>{escape(name)}</h3><div class="squares">{_pair(name, check, document)}</div>'


def _pair(name: str, check: Check, document: dict[str, Any]) -> str:
    picture = curves.histogram(f"Ranks of {name}", check.histogram, document["bin_interval"])
    return _coverage(name, [check], document) + _figure("ranks", picture)


def _coverage(name: str, checks: list[Check], document: dict[str, Any]) -> str:
    lines = [check.coverage for check in checks]
    return _figure("coverage", curves.coverage(f"Coverage of {name}", document["levels"], lines, document["band"]))


def _figure(caption: str, picture: str) -> str:
    return f"<figure><figcaption>{caption}</figcaption>{picture}</figure>"
