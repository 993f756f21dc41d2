"""README's tables are those of results/."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import pytest  # noqa: E402
import tables  # noqa: E402


def test_readme_has_the_tables_of_todays_results():
    readme = (ROOT / "README.md").read_text()
    assert tables.results() in readme
    assert tables.fill(readme) == readme


def test_the_page_of_results_is_of_todays_results():
    page = (ROOT / "docs" / "results.md").read_text()
    assert page == tables.compared()
    assert page.count("| chain minus |") == page.count("\n## ")


def test_tables_name_the_budget_the_machine_and_the_command():
    heads = [line for line in tables.results().splitlines() if line.startswith("**")]
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
