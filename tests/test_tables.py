"""README's tables are those of results/."""

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import pytest  # noqa: E402
import tables  # noqa: E402

from unsynth.benchmark.pitch import PitchError  # noqa: E402
from unsynth.scores import METRICS, Row  # noqa: E402
from unsynth.sounds.live import Live  # noqa: E402


def test_readme_has_the_tables_of_todays_results():
    readme = (ROOT / "README.md").read_text()
    assert tables.compared.results() in readme
    assert tables.fill(readme) == readme


def test_the_page_of_results_is_of_todays_results():
    page = (ROOT / "docs" / "results.md").read_text()
    assert page == tables.compared.compared()
    files = [*tables.compared.TABLES, "voice-held-out-60s.jsonl"]
    assert page.count(" minus | targets |") == sum((ROOT / "results" / name).is_file() for name in files)


def test_budgets_are_compared_on_the_same_targets(tmp_path, monkeypatch):
    monkeypatch.setattr(tables.compared, "RESULTS", tmp_path)
    assert tables.compared.budgets() == ""
    for seconds, mss in ((1, 3.0), (60, 2.0)):
        budget = {"budget": {"seconds": seconds, "renders": None}, "cores": 2, "torch": "2", "date": "today"}
        header = {**budget, "processor": "P", "command": "unsynth evaluate"}
        rows = [Row(arm, "id-1", "held-out", dict.fromkeys(METRICS, mss), 1.0, 9) for arm in ("chain", "evolve")]
        lines = [json.dumps(header), *(json.dumps(asdict(row)) for row in rows)]
        (tmp_path / f"voice-held-out-{seconds}s.jsonl").write_text("".join(f"{line}\n" for line in lines))
    page = tables.compared.budgets()
    assert "| chain, 1 s | 1 | 3.00" in page
    assert "| evolve, 60 s minus |" in page
    assert "| chain, 1 s | 1 | -1.00" in page


def test_memory_is_that_of_the_process_that_was_started():
    small = tables.compared.memory.peak("-c", "pass")
    assert 3 < small < 60
    large = tables.compared.memory.peak("-c", "bytearray(b'x') * 200 * 2**20")
    assert 190 < large - small < 210
    with pytest.raises(RuntimeError, match="nonsense"):
        tables.compared.memory.peak("-c", "nonsense")


def test_a_shipped_space_is_measured_on_the_test_split(monkeypatch):
    spaces, heard, take = tables.compared.spaces, [], Live.take
    monkeypatch.setattr(Live, "take", lambda self, split, *at: heard.append(split) or take(self, split, *at))
    found = spaces.measured("drum", among=16, timed=2)
    assert set(heard) == {"test"}
    assert found["recall@1"] > 0.9
    assert all(0 < taken < 60 for taken in found["seconds"].values())
    assert [line[0] for line in spaces.cells({"drum": found})] == ["synth", "drum"]


def test_pitches_come_back_from_their_file(tmp_path):
    path, found = tmp_path / "pitch.json", [PitchError("chain", 3.5), PitchError("mean", math.inf)]
    told = {"processor": "P", "files": {"a.jsonl": tables.compared.pitch.written(found)}}
    path.write_text(json.dumps(told, allow_nan=False))
    assert tables.compared.pitch.read(path) == ({"processor": "P"}, {"a.jsonl": found})


def test_tables_name_the_budget_the_machine_and_the_command():
    heads = [line for line in tables.compared.results().splitlines() if line.startswith("- **")]
    assert heads
    for head in heads:
        assert "seconds" in head or "renders" in head
        assert "cores" in head
        assert "`unsynth evaluate" in head


def test_the_page_of_reliability_has_the_tables_of_todays_results():
    page = (ROOT / "docs" / "reliability.md").read_text()
    assert tables.reliable(page) == page
    for name, made in tables.reliability.tables(ROOT / "results").items():
        assert made in page, name
        assert "| failures |" not in made or "| **all** |" in made


@pytest.mark.skipif(not tables.STUDY.is_file(), reason="the study has not been run for this version")
def test_the_page_of_the_study_is_of_todays_results():
    assert (ROOT / "docs" / "study.md").read_text() == tables.study()


@pytest.mark.skipif(not tables.TRANSFER.is_file(), reason="the study of transfer has not been run for this version")
def test_the_page_about_transfer_is_of_todays_results():
    assert (ROOT / "docs" / "transfer.md").read_text() == tables.transfer()


@pytest.mark.skipif(not all(path.is_file() for path in tables.DRUMS), reason="drums have not been matched yet")
def test_the_page_about_drums_is_of_todays_results():
    page = (ROOT / "docs" / "drums.md").read_text()
    assert page == tables.drums()
    assert all(f"| {family} |" in page for family in ("kick", "snare", "tom", "hat", "clap", "cymbal"))


def test_the_page_of_surge_has_the_table_of_todays_results():
    text = (ROOT / "docs" / "surge.md").read_text()
    assert tables.known_of_surge() in text
    assert tables.fill_surge(text) == text
