"""The index page and the table of many matches."""

import csv
import json
import sys

import pytest
from browser import CHROMIUM, Browser
from commands import matched, one_thread, tone, write  # noqa: F401
from test_report import HOSTILE, Page

from unsynth.report import index

DONE = {
    "target": f"/sounds/{HOSTILE}",
    "folder": "out/50% <b>",
    "synth": "voice",
    "distance": 1.5,
    "metrics": {"MSS": 1.25, "RMS": None},
    "seconds": 10.0,
}
FAILED = {"target": "/sounds/gone.wav", "error": "it is <not> there.", "exit_code": 3}


@pytest.fixture(name="folder")
def three(capsys, tmp_path):
    """Two sounds that were matched and one that is not there."""
    sounds = [write(tmp_path / f"{name}.wav", tone(seconds)) for name, seconds in (("b", 0.2), ("a", 0.3))]
    assert matched(capsys, *sounds, tmp_path / "gone.wav", "--out", tmp_path / "out")[0] == 8
    return tmp_path / "out"


def test_hostile_names_stay_text():
    text = index.page([DONE, FAILED])
    page = Page(text)
    assert len(page.all("script")) == 1
    assert [a["href"] for a in page.all("a")] == ["50%25%20%3Cb%3E/report.html"]
    assert "it is <not> there." in page.text
    assert "1 sound matched, 1 could not be" in page.text
    assert text.encode()


def test_the_table_has_a_line_for_each():
    first, second = csv.DictReader(index.table([DONE, FAILED]).splitlines())
    assert (first["folder"], first["MSS"], first["RMS"], first["error"]) == ("50% <b>", "1.25", "", "")
    assert (second["target"], second["error"], second["MSS"]) == ("/sounds/gone.wav", "it is <not> there.", "")


def test_a_batch_has_an_overview_of_all_that_its_folder_holds(capsys, tmp_path, folder):
    page = Page((folder / "index.html").read_text())
    assert [a["href"] for a in page.all("a")] == ["a/report.html", "b/report.html"]
    assert all((folder / a["src"]).is_file() for a in page.all("img"))
    rows = list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))
    assert [row["folder"] for row in rows] == ["a", "b", ""]
    result = json.loads((folder / "a" / "result.json").read_text())["result"]
    assert float(rows[0]["MSS"]) == result["metrics"]["MSS"]
    assert matched(capsys, write(tmp_path / "c.wav", tone(0.25)), "--out", folder)[0] == 0
    assert len(Page((folder / "index.html").read_text()).all("a")) == 3


def test_one_sound_needs_no_overview_and_files_of_others_are_kept(capsys, tmp_path):
    out = tmp_path / "out"
    sounds = [write(tmp_path / f"{name}.wav", tone()) for name in "ab"]
    matched(capsys, sounds[0], "--out", out)
    assert [path.name for path in out.iterdir()] == ["a"]
    (out / "index.html").write_text("<!doctype html><p>mine")
    (out / "summary.csv").mkdir()
    assert matched(capsys, *sounds, "--out", out)[0] == 0
    assert (out / "index.html").read_text() == "<!doctype html><p>mine"


@pytest.mark.skipif(CHROMIUM is None or sys.platform != "linux", reason="needs Linux and chromium")
def test_it_is_sorted_by_what_is_pressed(tmp_path, folder):
    browser = Browser(tmp_path)
    names = "[...document.querySelectorAll('tbody a')].map((a) => a.textContent).join()"
    try:
        page = browser.open(f"file://{folder / 'index.html'}")
        page.until(f"{names} === 'a.wav,b.wav'")
        page.until("[...document.images].every((image) => image.naturalWidth > 200)")
        for expected in ("a.wav,b.wav", "b.wav,a.wav"):
            page.run("document.querySelector('thead button').focus()")
            page.run("document.activeElement.click()")
            assert page.run(names) == expected
        assert page.run("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
        assert page.complaints() == []
    finally:
        browser.close()
