"""The report of results: one well-formed page with nothing to fetch, whose sounds are those that were scored."""

import base64
import dataclasses
import io
import json
import re
import sys
from itertools import pairwise

import pytest
import soundfile
import torch
from browser import CHROMIUM, Browser
from commands import is_one_sentence, one_thread, run, tone, write  # noqa: F401
from evaluated import ARMS, made, row
from test_report import Page

from unsynth import distances
from unsynth.base import NotFoundError, UsageError
from unsynth.benchmark.page import Results, page
from unsynth.benchmark.plots import Line, plot, ticks
from unsynth.benchmark.replay import replay
from unsynth.synths import synth

VOICE = synth("voice")
HEADER = {"budget": {"seconds": None, "renders": 4}, "command": "unsynth evaluate", "synth": "voice"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return made(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def text(results):
    header, rows, _ = results
    return page(Results(header, rows, replay=replay(header, rows, VOICE)), worst=1)


def test_what_is_played_is_what_was_scored(results):
    header, rows, _ = results
    player = replay(header, rows, VOICE)
    for one in rows:
        found = distances.metrics(player.target(one), player.match(one))
        assert {name: value.item() for name, value in found.items()} == pytest.approx(one.metrics, abs=1e-6)


def test_the_page_is_whole_and_fetches_nothing(text):
    found = Page(text)
    links = [a[k] for _, a in found.elements for k in ("src", "href") if k in a]
    assert len(links) == 2 * (1 + len(ARMS))
    assert all(link.startswith("data:") for link in links)
    assert not re.search(r"url\(|@import|fetch\(|https?:", text)
    assert all(a["aria-label"] for a in found.all("svg") + found.all("audio"))
    assert len(found.all("svg")) == 8
    assert "budget 4 renders" in found.text
    assert "$" not in text


def test_the_worst_target_is_shown_with_every_arm_equally_loud(results, text):
    _, rows, _ = results
    worst = max((one for one in rows if one.arm == "random"), key=lambda one: one.metrics["MSS"])
    found = Page(text)
    labels = [a["aria-label"] for a in found.all("audio")]
    assert labels == [f"target {worst.target}", *(f"{arm}, of {worst.target}" for arm in ARMS)]
    contents = [base64.b64decode(a["src"].partition("base64,")[2]) for a in found.all("audio")]
    sounds = [torch.from_numpy(soundfile.read(io.BytesIO(content))[0]).float() for content in contents]
    assert distances.mss(sounds[0][None], sounds[1][None]) < worst.metrics["MSS"]
    assert torch.stack(sounds).abs().max() == pytest.approx(0.9, abs=1e-3)


def test_results_of_old_are_shown_without_sounds_and_names_stay_text():
    rows = [row(arm, "<script>|**t**", 1, family="<b>&$x") for arm in ("oracle", "chain")]
    found = Page(page(Results(HEADER, rows, silent="nothing to hear")))
    assert len(found.all("script")) == 1
    assert "<script>|" in found.text
    assert "<b>&$x" in found.text
    assert "nothing to hear" in found.text
    assert not found.all("audio")


def test_one_arm_alone_can_be_shown():
    Page(page(Results(HEADER, [row("chain", "t", 1)])))


def test_recordings_are_found_again_or_asked_for(tmp_path, results):
    header, rows, _ = results
    write(tmp_path / "kick" / "one.wav", tone())
    one = dataclasses.replace(rows[0], target="one", family="kick")
    assert replay({**header, "sounds": str(tmp_path)}, rows, VOICE).target(one).shape == (1, 4 * 44_100)
    with pytest.raises(UsageError, match="--sounds"):
        replay(header, rows, VOICE).target(one)
    with pytest.raises(NotFoundError, match="kick/two"):
        replay(header, rows, VOICE, str(tmp_path)).target(dataclasses.replace(one, target="two"))


def test_patches_of_another_synth_are_refused(results):
    header, rows, _ = results
    with pytest.raises(UsageError, match="not of this"):
        replay({**header, "spec": "other"}, rows, VOICE)
    with pytest.raises(UsageError, match="older version"):
        replay(header, [row("chain", "t", 1)], VOICE)


def test_evaluate_and_report_write_pages(capsys, tmp_path):
    out, folder = tmp_path / "rows.jsonl", tmp_path / "deep" / "folder"
    options = ["--targets", "1", "--start", "100000", "--renders", "2", "--arms", "random,mean", "--out", out]
    code, told, _ = run(capsys, "evaluate", *options, "--report", folder)
    assert (code, told.splitlines()[-1]) == (0, str(folder / "report.html"))
    assert "random minus" in Page((folder / "report.html").read_text()).text
    code, told, _ = run(capsys, "report", out, "--first", "mean", "--worst", "0")
    assert (code, told) == (0, f"{tmp_path / 'report.html'}\n")
    assert "mean minus" in Page((tmp_path / "report.html").read_text()).text


@pytest.mark.parametrize(
    ("content", "code"), [(None, 3), ("", 2), ("not json", 2), ('{"step": 1}\n', 2), (json.dumps(HEADER), 2)]
)
def test_files_that_are_no_results_are_refused(capsys, tmp_path, content, code):
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    found, _, err = run(capsys, "report", path)
    assert found == code
    assert is_one_sentence(err)
    assert run(capsys, "report")[0] == 2


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-3.2, 7.9), (0, 1e-5), (5.5, 5.5), (-1e4, 0)])
def test_ticks_are_round_and_enclose(low, high):
    found = ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    assert 2 <= len(found) <= 10
    steps = {round(b - a, 12) for a, b in pairwise(found)}
    assert max(steps) == pytest.approx(min(steps))
    assert all(f"{step:.0e}"[0] in "125" for step in steps)


def test_a_plot_draws_values_in_proportion():
    text = plot("name", "dB", [Line("a", 5.0, (0.0, 10.0), [0.0, 2.5, 10.0])])
    left, quarter, right = (float(x) for x in re.findall(r'class="dot" cx="([\d.]+)"', text))
    (middle,) = (float(x) for x in re.findall(r'class="mean" cx="([\d.]+)"', text))
    assert quarter - left == pytest.approx((right - left) / 4, abs=0.2)
    assert middle == pytest.approx((left + right) / 2, abs=0.2)
    assert f'd="M{left} ' in text
    assert f"H{right}" in text


@pytest.mark.parametrize("missing", ["librosa", "scipy"])
def test_missing_packages_are_told_before_anything_is_searched(capsys, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    out = tmp_path / "rows.jsonl"
    for argv in (["evaluate", "--report", tmp_path, "--out", out], ["report", out], ["ratings", out]):
        code, _, err = run(capsys, *argv)
        assert code == 2
        assert "unsynth[eval]" in err
    assert not out.exists()


@pytest.mark.skipif(CHROMIUM is None or sys.platform != "linux", reason="needs Linux and chromium")
def test_one_sound_plays_at_a_time_in_a_browser(tmp_path, text):
    (tmp_path / "report.html").write_text(text)
    browser = Browser(tmp_path)
    try:
        page = browser.open(f"file://{tmp_path / 'report.html'}")
        page.until("document.querySelectorAll('audio').length === 4")
        page.run("players[0].play()")
        page.run("players[1].play()")
        page.until("players.map((player) => player.paused).join() === 'true,false,true,true'")
        assert page.run("players[1].duration") == pytest.approx(4, abs=0.01)
        assert page.run("Promise.all([...document.images].map((image) => image.decode())).then(() => true)")
        assert page.complaints() == []
        assert {url.partition(":")[0] for url in page.asked()} <= {"file", "data"}
    finally:
        browser.close()
