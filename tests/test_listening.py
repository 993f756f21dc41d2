"""The listening test: the standard's anchor and screening, what the page holds, and that it can be done by keyboard."""

import base64
import io
import json
import re
import sys
import time

import numpy as np
import pytest
import soundfile
import torch
from browser import CHROMIUM, Browser
from commands import is_one_sentence, one_thread, run  # noqa: F401
from evaluated import ARMS, made, row
from scipy.signal import freqz
from test_report import Page

from unsynth.base import NotFoundError, UsageError
from unsynth.benchmark import listening, ratings
from unsynth.benchmark.replay import replay
from unsynth.report.loudness import as_loud
from unsynth.synths import synth

RATE = 44_100
VOICE = synth("voice")
NAMES = {"reference", "anchor", *ARMS}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return made(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def text(results):
    header, rows, _ = results
    return listening.page(rows, replay(header, rows, VOICE), "Which </script> is it?")


def embedded(text):
    return json.loads(re.search(r'<script type="application/json" id="test">(.*?)</script>', text)[1])


def test_anchor_is_the_filter_of_the_standard():
    """BS.1534-3: ripple within 0.1 dB up to 3.5 kHz, at least 25 dB down at 4 kHz and 50 dB at 4.5 kHz."""
    hertz, response = freqz(listening.low_pass(RATE), worN=1 << 14, fs=RATE)
    decibels = 20 * np.log10(np.abs(response) + 1e-12)
    assert np.abs(decibels[hertz <= 3500]).max() <= 0.1
    assert decibels[hertz >= 4000].max() <= -25
    assert decibels[hertz >= 4500].max() <= -50


def test_anchor_has_no_delay():
    time = torch.arange(RATE) / RATE
    low = torch.sin(2 * torch.pi * 1000 * time)
    found = listening.anchor(low + torch.sin(2 * torch.pi * 8000 * time), RATE)
    torch.testing.assert_close(found[1000:-1000], low[1000:-1000], atol=0.01, rtol=0)


def test_every_trial_has_all_arms_the_reference_and_the_anchor_equally_loud(text):
    trials = embedded(text)["trials"]
    assert [set(trial["sounds"]) for trial in trials] == [NAMES] * 2
    for trial in trials:
        files = [base64.b64decode(uri.partition("base64,")[2]) for uri in trial["sounds"].values()]
        sounds = [torch.from_numpy(soundfile.read(io.BytesIO(file))[0]).float() for file in files]
        again = as_loud(sounds, RATE)
        torch.testing.assert_close(again, torch.stack(sounds), atol=1e-3, rtol=0)
        assert not torch.equal(sounds[0], sounds[1])


def test_the_page_fetches_nothing_and_its_title_stays_text(text):
    found = Page(text)
    assert "default-src 'none'" in next(a["content"] for a in found.all("meta") if "http-equiv" in a)
    assert not re.search(r"url\(|@import|fetch\(|https?:|\bsrc=", text)
    assert len(found.all("script")) == 2


def test_targets_are_those_that_all_arms_share(results):
    header, rows, _ = results
    first = rows[0].target
    fewer = [one for one in rows if not (one.arm == "mean" and one.target == first)]
    played = replay(header, rows, VOICE)
    found = embedded(listening.page(fewer, played, "t", ["random", "mean"]))["trials"]
    assert first not in str([trial["target"] for trial in found])
    assert [set(trial["sounds"]) for trial in found] == [NAMES - {"oracle"}]
    assert len(embedded(listening.page(rows, played, "t", trials=1))["trials"]) == 1


@pytest.mark.parametrize(
    ("arms", "trials", "told"),
    [(["magic"], 5, "no arm 'magic'"), (None, 0, "--trials"), (["random"] * 11, 5, "at most")],
)
def test_tests_that_cannot_be_made_are_refused(results, arms, trials, told):
    header, rows, _ = results
    with pytest.raises(UsageError, match=told):
        listening.page(rows, replay(header, rows, VOICE), "t", arms, trials)


def test_rows_without_patches_make_no_test(results):
    header, rows, _ = results
    with pytest.raises(UsageError, match="no sound to listen to"):
        listening.page([row("chain", "t", 1)], replay(header, rows, VOICE), "t")


def answers(path, references, page="p", **arms):
    items = [
        {
            "target": f"t{i}",
            "scores": {"reference": value, "anchor": 20, **{arm: given[i] for arm, given in arms.items()}},
        }
        for i, value in enumerate(references)
    ]
    path.write_text(json.dumps({"page": page, "listener": path.stem, "items": items}))
    return path


def test_post_screening_is_that_of_the_standard(tmp_path):
    """More than 15 % of the items below 90: 3 of 20 are 15 %, 4 are not."""
    kept = ratings.read([answers(tmp_path / "kept.json", [90] * 17 + [89] * 3)])
    left = ratings.read([answers(tmp_path / "left.json", [100] * 16 + [89] * 4)])
    assert ratings.screened(kept + left) == kept
    with pytest.raises(UsageError, match="No listener"):
        ratings.cells(left)


def test_means_are_of_all_listeners_that_are_kept(capsys, tmp_path):
    files = [
        answers(tmp_path / "ann.json", [100, 100], chain=[80, 60], random=[10, 10]),
        answers(tmp_path / "bob.json", [100, 90], chain=[60, 40], random=[10, 10]),
        answers(tmp_path / "eve.json", [100, 20], chain=[0, 0], random=[100, 100]),
    ]
    code, told, _ = run(capsys, "ratings", *files)
    assert code == 0
    assert "| reference | 97.5 |" in told
    assert "| chain | 60.0 | 40.0 to 80.0 |" in told
    assert "| random | 10.0 | 10.0 to 10.0 |" in told
    assert told.index("reference") < told.index("chain") < told.index("anchor") < told.index("random")
    assert told.endswith("2 of 3 listeners; left out: eve\n")


def test_interval_is_wider_than_if_answers_were_independent():
    """Listeners that differ and items that do not: the interval is that of the listeners' means."""
    means = np.random.default_rng(0).normal(50, 10, 30)
    middle, low, high = ratings.mean_and_interval(np.repeat(means[:, None], 12, 1))
    assert middle == pytest.approx(means.mean())
    assert high - low == pytest.approx(2 * 1.96 * means.std() / 30**0.5, rel=0.1)


def test_missing_answers_do_not_count():
    scores = np.array([[10.0, np.nan], [10.0, 30.0]])
    assert ratings.mean_and_interval(scores)[0] == pytest.approx(50 / 3)


def test_files_that_are_no_answers_are_refused(capsys, tmp_path):
    good, other = answers(tmp_path / "a.json", [100]), answers(tmp_path / "b.json", [100], page="q")
    with pytest.raises(UsageError, match="different listening pages"):
        ratings.read([good, other])
    with pytest.raises(NotFoundError):
        ratings.read([tmp_path / "none.json"])
    broken = tmp_path / "broken.json"
    for content in ("", "[]", "{}", '{"page": 1, "listener": 2, "items": []}', good.read_text().replace("100", "101")):
        broken.write_text(content)
        code, _, err = run(capsys, "ratings", broken)
        assert code == 2
        assert is_one_sentence(err)


def test_command_writes_the_page(capsys, tmp_path, results):
    out = tmp_path / "deep" / "test.html"
    code, told, _ = run(capsys, "report", "--listening", results[2], "--trials", "1", "--arms", "random", "--out", out)
    assert (code, told) == (0, f"{out}\n")
    assert len(embedded(out.read_text())["trials"]) == 1


# in a browser


def in_a_browser(test):
    return pytest.mark.skipif(CHROMIUM is None or sys.platform != "linux", reason="needs Linux and chromium")(test)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


@in_a_browser
def test_a_test_is_done_by_keyboard_and_saved(browser, tmp_path, text, capsys):
    (tmp_path / "test.html").write_text(text)
    page = browser.open(f"file://{tmp_path / 'test.html'}#seed=5")
    page.until("document.title === 'Which </script> is it?'")
    page.run("document.getElementById('listener').value = 'Ann B.'")
    page.click("#begin")
    orders = [rate_by_keyboard(page, trial) for trial in (1, 2)]
    assert orders[0] != orders[1]
    page.until("document.activeElement.id === 'thanks'")
    page.click("#save")
    path, end = browser.downloads / "answers-Ann-B--5.json", time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, list(browser.downloads.glob("*"))
        time.sleep(0.05)
    (session,) = ratings.read([path])
    assert session.page == embedded(text)["page"]
    given = {"reference": 100, "anchor": 0, **{arm: 10 * (i + 1) for i, arm in enumerate(ARMS)}}
    assert list(session.scores.values()) == [given, given]
    assert "| reference | 100.0 |" in run(capsys, "ratings", path)[1]
    assert page.complaints() == []


def rate_by_keyboard(page, trial):
    """Give the reference 100, the anchor 0 and the arms 10, 20, ... by keys alone; the order of the sounds."""
    page.until(f"document.getElementById('where').textContent === 'Trial {trial} of 2'")
    page.run("ready")
    order = page.run("trials[at].order")
    assert page.run("one('next').disabled")
    page.press("r")
    page.until("playing === 'open'")
    for i, name in enumerate(order):
        page.press("abcdefghijkl"[i])
        page.until(f"playing === {i} && document.activeElement.id === 'slider-{i}'")
        page.press("End" if name == "reference" else "Home")
        for _ in range(10 * (ARMS.index(name) + 1) if name in ARMS else 0):
            page.press("ArrowRight")
    assert page.run("one('told').textContent") == ""
    page.press(" ")
    page.until("playing === null")
    page.press("n")
    return order


@in_a_browser
def test_orders_are_drawn_by_the_seed(browser, tmp_path, text):
    (tmp_path / "test.html").write_text(text)
    orders = []
    for seed in ("#seed=7", "#seed=7", "#seed=8", ""):
        page = browser.open(f"file://{tmp_path / 'test.html'}{seed}")
        page.until("document.title !== ''")
        orders.append(page.run("[seed, trials.map((trial) => [trial.target, trial.order])]"))
        page.close()
    assert orders[0] == orders[1]
    assert orders[0][1] != orders[2][1]
    assert orders[3][0] not in (0, 7, 8)
    assert all({*order} == NAMES for _, trials in orders for _, order in trials)
