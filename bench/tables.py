"""Write the results tables of README.md from results/: `python bench/tables.py`. A test checks that they did."""

from __future__ import annotations

import re
from pathlib import Path

from unsynth import evaluate

ROOT = Path(__file__).parent.parent
TABLES = {  # results file: what it shows
    "voice-held-out.jsonl": "Held-out sounds of the Voice, found again",
    "voice-one-shots.jsonl": "Real one-shots (instruments and drums, test split), matched with the Voice",
}
BLOCK = re.compile(r"(<!-- results -->\n).*(<!-- /results -->)", re.DOTALL)


def section(path: Path, title: str) -> str:
    """Heading, conditions and table of one results file."""
    header, rows = evaluate.load(path)
    budget = header["budget"]
    assert isinstance(budget, dict)
    limits = [f"{budget[unit]:g} {unit}" for unit in ("seconds", "renders") if budget[unit]]
    machine = f"{header['processor']}, {header['cores']} cores, torch {header['torch']}, {header['date']}"
    return (
        f"**{title}** ({' and '.join(limits)} for each; {machine}; `{header['command']}`)\n\n{evaluate.table(rows)}\n"
    )


def results() -> str:
    """All tables whose results exist."""
    found = [
        section(ROOT / "results" / name, title) for name, title in TABLES.items() if (ROOT / "results" / name).is_file()
    ]
    return "\n".join(found)


def fill(readme: str) -> str:
    """``readme`` with the tables of today's results between its marks."""
    return BLOCK.sub(lambda marks: f"{marks[1]}\n{results()}\n{marks[2]}", readme)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(fill(path.read_text()))
