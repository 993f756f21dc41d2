"""The web page in a real browser: a sound goes in, is matched, heard, varied, turned, and its files come out."""

import json
import re
import subprocess
import sys
import time

import pytest
import soundfile
import torch
from browser import CHROMIUM, CONTRAST, Browser
from commands import EXAMPLE, ROOT, process

from unsynth.presets.patch import from_json
from unsynth.synths import synth

pytest.importorskip("fastapi", reason="the extra [web] is not installed")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
    pytest.mark.skipif(sys.platform != "linux", reason="the browser is driven through descriptors 3 and 4"),
]

SECOND = ROOT / "examples" / "bd_boom.flac"
LABELS = "[...document.querySelectorAll('#cards figure')].map((f) => f.dataset.slot).join()"
DONE = "document.getElementById('status').textContent.startsWith('Done') && !document.getElementById('panel').hidden"


@pytest.fixture(scope="module")
def address():
    with process("serve", "--port", "0", "--workers", "1") as server:
        yield re.search(r"http://[^ ]+", server.stdout.readline())[0]
        server.send_signal(2)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            raise


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


@pytest.fixture
def page(browser, address):
    made = browser.open(address)
    made.until("document.querySelectorAll('#synth option').length > 0")
    made.run("document.getElementById('seconds').value = '1'")
    yield made
    made.close()


def matched(page, path=EXAMPLE):
    page.choose_file("#file", path)
    page.until(DONE, patience=180)  # a machine may be busy
    page.until("document.querySelectorAll('#heard .knob').length === 8", patience=60)


def saved(folder, name, patience=20):
    end = time.monotonic() + patience
    while not (folder / name).exists():
        assert time.monotonic() < end, list(folder.glob("*"))
        time.sleep(0.05)
    return folder / name


def test_a_sound_is_matched_played_turned_and_downloaded(page, browser, address):
    matched(page)
    assert page.run(LABELS).startswith("target,1,2")
    assert page.run("document.querySelector('h1').textContent") == EXAMPLE.name
    assert page.run("document.querySelector('[data-slot=\"1\"] img').decode().then(() => true)")

    page.click("#play")
    page.until("document.getElementById('play').textContent === 'Stop'")
    before = page.run("Number(document.getElementById('seek').value)")
    page.until(f"Number(document.getElementById('seek').value) > {before}")
    page.press("1")
    page.until("document.querySelector('figure.heard').dataset.slot === '1'")
    page.press("x")
    page.until("document.querySelector('figure.heard').dataset.slot === 'target'")
    page.press(" ")
    page.until("document.getElementById('play').textContent === 'Play'")

    page.run("const k = document.querySelector('#heard input[type=range]'); k.value = k.max; k.oninput()")
    page.until(f"{LABELS}.endsWith('Edited')")
    page.run("document.querySelector('#heard input[type=range]').focus()")
    for key, heard in (("x", "target"), ("2", "2"), ("e", "Edited")):  # a knob that has the focus needs no letters
        page.press(key)
        page.until(f"document.querySelector('figure.heard').dataset.slot === '{heard}'")
    page.until("document.getElementById('picked').textContent === 'Edited'")
    page.until("document.querySelector('#files a[download=\"patch.json\"]').href.includes('files')")
    page.click("#files a[download='patch.json']")
    patch = from_json(saved(browser.downloads, "patch.json").read_text(), lambda name: synth(name).spec)
    assert 1.0 in patch.params
    page.click("#files a[download='match.wav']")
    sound, _ = soundfile.read(saved(browser.downloads, "match.wav"), dtype="float32")
    expected = synth("voice").render(torch.tensor([patch.params]))[0] * 10 ** (patch.gain_db / 20)
    assert torch.allclose(torch.from_numpy(sound), expected, atol=1e-4)

    assert page.complaints() == []
    assert [url for url in page.asked() if not url.startswith((address, "data:"))] == []


def test_locked_knobs_stay_when_it_is_varied_and_refined(page):
    matched(page)
    page.run("document.querySelector('#modules details').open = true")
    page.click("#modules details .lock input")
    locked = "[...document.querySelectorAll('#modules details')][0].querySelectorAll('.knob output')"
    values = f"[...{locked}].map((o) => o.textContent).join()"
    before = page.run(values)
    for button in ("#vary", "#refine"):
        best = page.run("document.querySelector('[data-slot=\"1\"] img').src")
        page.click(button)
        page.until(f"document.querySelector('[data-slot=\"1\"] img').src !== {json.dumps(best)}")
        page.until(f"{DONE} && {LABELS}.endsWith('Before')", patience=60)
        assert page.run(values) == before
    assert page.complaints() == []


def test_a_wrong_file_gets_a_sentence_and_the_page_goes_on(page, tmp_path):
    wrong = tmp_path / "letter.wav"
    wrong.write_text("Dear Sir or Madam")
    page.choose_file("#file", wrong)
    page.until("!document.getElementById('error').hidden")
    told = page.run("document.getElementById('error').textContent")
    assert told == "letter.wav is damaged or not audio; choose another file or export it again."
    matched(page)
    assert page.run("document.getElementById('error').hidden")


def test_what_only_the_browser_can_decode_is_matched_too(page):
    """A recording of the browser's own beeps: WebM with Opus, which libsndfile does not read, sent as a wav."""
    page.click("#record")
    page.until("document.getElementById('record').textContent === 'Stop recording'")
    time.sleep(2.5)  # the beeps come once a second
    page.click("#record")
    page.until(DONE, patience=60)
    assert page.run("document.querySelector('h1').textContent") == "recording.wav"


def test_two_sessions_at_once_and_leaving(page, browser, address):
    """One worker: the second waits for the first, both get their own; a tab that is closed frees the worker."""
    other = browser.open(address)
    other.until("document.querySelectorAll('#synth option').length > 0")
    other.run("document.getElementById('seconds').value = '60'")
    other.choose_file("#file", SECOND)
    other.until("document.getElementById('status').textContent.includes('sounds tried')", patience=60)
    page.choose_file("#file", EXAMPLE)
    page.until("document.getElementById('status').textContent === 'Waiting: number 1 in the line.'")
    assert other.run("document.querySelector('h1').textContent") == SECOND.name
    assert page.run("document.querySelector('h1').textContent") == EXAMPLE.name
    other.run("location.href = 'about:blank'")
    page.until(DONE, patience=30)
    other.close()


def test_another_synth_is_chosen_and_a_candidate_picked_by_keyboard(page):
    page.run("document.getElementById('synth').value = 'drum'")
    matched(page)
    modules = "[...document.querySelectorAll('#modules summary')].map((s) => s.textContent)"
    assert {"body", "metal", "noise"} <= set(page.run(modules))
    page.press("2")
    page.press("p")
    page.until("document.getElementById('picked').textContent === 'Candidate 2'")
    page.until("document.getElementById('play').textContent === 'Stop'")
    titles = page.run("[...document.getElementById('synth').options].map((o) => [o.value, o.textContent, o.disabled])")
    assert {name for name, *_ in titles} == {"voice", "drum", "dexed", "surge", "vital"}
    assert all(("not installed" in title) == disabled for _, title, disabled in titles)
    assert page.run("document.querySelectorAll('#meanings dd').length") == 4


def test_everything_can_be_reached_with_tab_and_the_focus_is_seen(page):
    matched(page)
    told = "const e = document.activeElement, s = getComputedStyle(e.id === 'file' ? e.previousElementSibling : e);"
    seen = []
    for _ in range(14):
        page.press("Tab")
        seen.append(page.run(f"(() => {{ {told} return [e.id || e.className || e.dataset.slot, s.outlineStyle]; }})()"))
    names = [name for name, _ in seen]
    assert names[:6] == ["file", "record", "synth", "seconds", "search", "play"]
    assert names[6:8] == ["target", "1"]
    assert {"loop", "seek", "hear"} <= set(names)
    assert {outline for _, outline in seen} == {"solid"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_are_readable_and_nothing_sticks_out(page, scheme):
    """Contrast as WCAG 2.2 wants it (1.4.3), and no scrolling sideways at 320 px (1.4.10)."""
    matched(page)
    page.run("for (const d of document.querySelectorAll('details')) d.open = true")
    page.show(320, 700, scheme)
    assert page.run(CONTRAST) == []
    assert page.run("document.documentElement.scrollWidth") <= 320


def test_everything_can_be_named(page):
    """Every control has a name for those who cannot see it (the browser's own accessibility tree)."""
    matched(page)
    page.run("for (const d of document.querySelectorAll('details')) d.open = true")
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "checkbox", "slider", "combobox", "link")
    controls = [n for n in nodes if not n["ignored"] and n["role"]["value"] in roles]
    assert len(controls) > 150
    assert [json.dumps(n["role"]) for n in controls if not n.get("name", {}).get("value")] == []
