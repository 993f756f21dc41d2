"""The page of a study: plots with intervals, readable anywhere."""

import json
import re
import sys
from dataclasses import asdict

import pytest
from browser import CHROMIUM, CONTRAST, Browser
from commands import is_one_sentence, one_thread, run  # noqa: F401
from test_report import Page
from test_study import row

from unsynth.benchmark.comparison import share
from unsynth.study.page import over_seeds, page


def test_the_report_has_every_recipe_with_its_interval(capsys, tmp_path):
    rows = [row("one", 0, 0.25), row("three", 0, 0.5), row("three", 1, 0.7), row("three", 2, 0.6)]
    path = tmp_path / "study.jsonl"
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in rows))
    code, out, _ = run(capsys, "report", path, "--out", tmp_path / "page" / "study.html")
    assert (code, out) == (0, f"{tmp_path / 'page' / 'study.html'}\n")
    text = (tmp_path / "page" / "study.html").read_text()
    found = Page(text)
    plots = found.all("svg")
    assert len(plots) == 6
    assert all(a["aria-label"] for a in plots)
    assert not re.search(r"url\(|@import|<script|src=|href=|https?:", text)
    recall, mss = text.split("<figure>")[1], text.split("MSS, searched</figcaption>")[1].split("</figure>")[0]
    assert recall.count('class="interval"') == 2  # of the share of sounds, and over seeds
    assert mss.count('class="interval"') == 1  # one seed has none
    assert recall.count('class="dot"') == 3
    assert "600 sounds" in found.text
    assert "$" not in text
    path.write_text(f"{path.read_text()}half a li")
    code, _, err = run(capsys, "report", path)
    assert code == 2
    assert is_one_sentence(err)


@pytest.mark.skipif(CHROMIUM is None or sys.platform != "linux", reason="needs Linux and chromium")
def test_the_report_is_seen_in_a_browser(tmp_path):
    """As wide as a phone too: its plots shrink, its table scrolls by itself, every text is in contrast."""
    rows = [row("one", 0, 0.25), row("three", 0, 0.5), row("three", 1, 0.7)]
    (tmp_path / "study.html").write_text(page(rows))
    browser = Browser(tmp_path)
    try:
        shown = browser.open(f"file://{tmp_path / 'study.html'}")
        shown.until("document.querySelectorAll('svg').length === 6")
        assert shown.run("[...document.querySelectorAll('svg')].every((one) => one.clientHeight > 50)")
        assert shown.run(CONTRAST) == []
        shown.show(400, 800, "dark")
        shown.until("innerWidth === 400")
        assert shown.run(CONTRAST) == []
        assert shown.run("document.documentElement.scrollWidth <= innerWidth")
        assert shown.complaints() == []
        assert {url.partition(":")[0] for url in shown.asked()} <= {"file", "data"}
    finally:
        browser.close()


def test_intervals_are_those_of_textbooks():
    """Student's t with two degrees of freedom is 4.303; Wilson's interval of 50 of 100 is 0.4038 to 0.5962."""
    assert over_seeds([1.0, 2.0, 3.0]) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
    assert share(0.5, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)
