"""The plots, the words and the map of a report show what was measured, and follow what is heard."""

import math
import re
import sys

import pytest
import torch
from browser import CHROMIUM, Browser
from test_report import HOSTILE, RATE, Page, example, tone

from unsynth.report import page as report, plots


@pytest.fixture(scope="module")
def page():
    return Page(report.page(example()))


def heights(text, index):
    """From 0 (bottom) to 100, of the line of one sound in a plot."""
    (path,) = re.findall(rf'<path data-line="{index}"[^>]* d="([^"]*)"', text)
    return [100 - float(y) for _, y in re.findall(r"([-\d.e]+) ([-\d.e]+)", path)]


def test_loudness_is_drawn_in_decibels():
    text = plots.loudness(torch.stack([tone(440), tone(440) / 10, torch.zeros(RATE // 2)]), RATE, "abc")
    loud, quiet, silent = (heights(text, i) for i in range(3))
    assert loud[100] == pytest.approx(100, abs=1.5)
    assert loud[100] - quiet[100] == pytest.approx(100 * 20 / 80, abs=0.1)
    assert set(silent) == {0}


def test_pitch_is_drawn_on_notes_with_gaps():
    low, high = torch.tensor([220.0, math.nan, 440.0, 440.0]), torch.tensor([440.0] * 4)
    text = plots.pitches([low, high], RATE, 0.08, ["one", "two"])
    first, second = heights(text, 0), heights(text, 1)
    assert len(first) == 3
    assert first[1:] == pytest.approx(second[2:])
    marks = dict(re.findall(r'bottom:([\d.]+)%">(\w♯?\d)</b>', text))
    below, above = float({n: h for h, n in marks.items()}["A3"]), float({n: h for h, n in marks.items()}["A4"])
    assert (first[0], first[1]) == pytest.approx((below, above), abs=0.1)
    assert "two: A4 +0 cents (440.0 Hz)" in text


def test_a_pitch_is_only_shown_of_a_target_that_has_one(page):
    assert "Target: A4 +0 cents (440.0 Hz); Best match: A4 +0 cents (440.0 Hz)." in page.text
    noise = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    assert "Pitch over time" not in Page(report.page(example(target=noise))).text


def test_candidates_are_told_apart_in_words():
    best, other = example().candidates
    other.params, other.differs = torch.tensor([0.5, 0.75, 0.0]), ("osc.frequency", "amp<b>.shape")
    words = " ".join(Page(report.page(example(candidates=[best, other]))).text.split())
    assert "Best match beside the target: alike in" in words
    assert "slightly higher pitch" not in words
    assert "higher pitch (pitch +0.8 semitones)" in words
    assert "Most heard: osc.frequency 515 Hz → 1010 Hz; amp<b>.shape </td>square → saw" in words


def test_nearer_sounds_are_nearer_on_the_map(page):
    places = {
        int(a["data-play"]): [float(x) for x in re.findall(r"(?:left|bottom):(-?[\d.]+)%", a["style"])]
        for a in page.all("button")
        if "style" in a
    }
    assert set(places) == {0, 1, 2}
    across = {
        i: math.dist((plots.MAP_ASPECT * x, y), (plots.MAP_ASPECT * places[0][0], places[0][1]))
        for i, (x, y) in places.items()
    }
    assert across[1] < across[2]
    assert all(0 <= share <= 100 for place in places.values() for share in place)


@pytest.mark.skipif(CHROMIUM is None or sys.platform != "linux", reason="needs Linux and chromium")
def test_the_map_and_the_plots_follow_what_is_heard_in_a_browser(tmp_path):
    (tmp_path / "report.html").write_text(report.page(example(name=HOSTILE)))
    browser = Browser(tmp_path)
    try:
        page = browser.open(f"file://{tmp_path / 'report.html'}")
        page.until("document.documentElement.classList.contains('js')")
        page.run("document.querySelector('.map [data-play=\"2\"]').focus()")
        page.run("document.activeElement.click()")
        page.until("document.documentElement.classList.contains('playing')")
        heard = "[...document.querySelectorAll('.lines path.heard')].map((line) => line.dataset.line).join()"
        assert page.run(heard) == "2"
        page.press("0")
        page.until(f"{heard} === '0,0'")
        inside = """[...document.querySelectorAll('.map button')].every((button) => {
            const [own, card] = [button.getBoundingClientRect(), button.closest('.card').getBoundingClientRect()];
            return own.left >= card.left && own.right <= card.right && own.top >= card.top && own.bottom <= card.bottom;
        })"""
        assert page.run(inside)
        colour = "getComputedStyle(document.querySelector('.lines [data-line=\"2\"]')).stroke"
        colours = set()
        for scheme in ("light", "dark"):
            page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            colours.add(page.run(colour))
        assert len(colours) == 2
        assert page.complaints() == []
        assert {url.partition(":")[0] for url in page.asked()} <= {"file", "data"}
    finally:
        browser.close()
