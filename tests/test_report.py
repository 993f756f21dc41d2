"""The report is one well-formed page with everything in it, and saving a match writes what the page promises."""

import base64
import dataclasses
import io
import math
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
import torch

from unsynth.base import OutputError
from unsynth.candidates import Candidate
from unsynth.match import Match
from unsynth.params import Param, ParamSpec
from unsynth.presets.patch import from_json
from unsynth.report import page as report
from unsynth.report.loudness import k_weights
from unsynth.report.pictures import mel, png, spectrograms

RATE = 16000
SPEC = ParamSpec(
    "toy",
    [
        Param("osc.frequency", 20, 2000, "Hz"),
        Param("osc.tuning", -24, 24, "semitones"),
        Param("amp<b>.shape", kind="categorical", choices=("saw", "</td>square")),
    ],
)
HOSTILE = "\udcff\"><script>alert('$name')</script>&amp;.wav"
VOID = {"meta", "img", "input", "br"}


def tone(hertz, seconds=0.5, level=0.5):
    time = torch.arange(round(RATE * seconds)) / RATE
    return level * torch.sin(2 * math.pi * hertz * time)


def candidate(audio, distance, **metrics):
    return Candidate(torch.tensor([0.25, 0.75, 1.0]), 3, audio, -2.0, distance, metrics)


def example(**changes):
    fields = {
        "name": "tone.wav",
        "spec": SPEC,
        "rate": RATE,
        "target": tone(440),
        "candidates": [
            candidate(tone(440, level=0.1), 0.1, MSS=1.0, RMS=0.99),
            candidate(tone(460, seconds=0.4), 0.2, MSS=0.5, RMS=math.nan),
        ],
        "curve": [(0.1, 10, math.inf), (0.2, 20, 2.0), (0.3, 30, 1.0), (0.4, 40, 1.0), (0.5, 50, 0.1)],
        "seconds": 0.5,
        "renders": 50,
        "seed": 0,
    }
    return Match(**{**fields, **changes})


class Page(HTMLParser):
    """Collects the elements of a page, and fails where tags do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def content(uri):
    return base64.b64decode(uri.partition("base64,")[2])


def pixels(file):
    """Colours of a PNG with palette and without filters, shape (row, column, 3); every checksum is verified."""
    chunks, at = {}, 8
    while at < len(file):
        (length,) = struct.unpack_from(">I", file, at)
        kind, data = file[at + 4 : at + 8], file[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", file, at + 8 + length) == (zlib.crc32(kind + data),)
        chunks[kind], at = data, at + 12 + length
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)[rows[:, 1:]]


@pytest.fixture(scope="module")
def page():
    return Page(report.page(example()))


def test_every_sound_is_embedded_as_long_and_as_loud_as_the_others(page):
    sounds = [soundfile.read(io.BytesIO(content(a["src"]))) for a in page.all("audio")]
    assert [(len(sound), rate) for sound, rate in sounds] == [(RATE // 2, RATE)] * 3
    target, quiet, _ = (torch.from_numpy(sound).float() for sound, _ in sounds)
    assert target.abs().max() <= 0.9 + 1e-3
    torch.testing.assert_close(target, quiet, atol=2**-14, rtol=0)


def test_nothing_is_fetched(page):
    links = [a[k] for _, a in page.elements for k in ("src", "href", "srcset", "data", "action") if k in a]
    assert len(links) == 3 + 3 + 2
    assert all(link.startswith("data:") for link in links)
    assert not re.search(r"url\(|@import|\bimport\b|fetch\(|https?:|[\"'(]//", page.text)
    (policy,) = (a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert "default-src 'none'" in policy


def test_every_control_and_picture_has_a_name(page):
    assert all(a["alt"] for a in page.all("img"))
    assert all(a["aria-label"] for a in page.all("svg") + page.all("audio") + page.all("input"))
    assert sum("data-play" in a and bool(a["aria-label"]) for a in page.all("button")) == 9


def test_the_patches_of_the_page_can_be_read(page):
    match = example()
    files = {a["download"]: content(a["href"]).decode() for a in page.all("a") if "href" in a}
    assert list(files) == ["patch.json", "candidate-2.json"]
    assert from_json(files["patch.json"], lambda _: SPEC) == match.patch(match.candidates[0])


def test_the_page_tells_scores_and_settings(page):
    words = " ".join(page.text.split())
    for told in ("515 Hz", "12 semitones", "</td>square", "0.990", "–", "50 renders", "higher is nearer"):
        assert told in words


def test_a_choice_has_no_bar(page):
    """One knob of three is a choice; two candidates."""
    assert sum("--from" in a.get("style", "") for a in page.all("i")) == 2 * 2


def test_hostile_names_stay_text():
    text = report.page(example(name=HOSTILE))
    named = Page(text)
    assert len(named.all("script")) == 1
    assert "<script>alert('$name')</script>&amp;.wav" in named.text
    assert "amp<b>" in named.text
    assert text.encode()


def test_scores_mark_the_nearest():
    text = report.page(example())
    assert [float(x) for x in re.findall(r"<td class=best>([\d.]+)", text)] == [0.1, 0.5, 0.99]


@pytest.mark.parametrize("curve", [[], [(0.0, 1, math.nan)], [(0.0, 0, 0.0)], [(1.0, 5, 3.0)]])
def test_any_curve_can_be_drawn(curve):
    Page(report.page(example(curve=curve)))


@pytest.mark.parametrize("sound", [torch.zeros(100), torch.full((RATE,), math.nan), torch.ones(1)])
def test_any_sound_can_be_shown(sound):
    Page(report.page(example(candidates=[candidate(sound, 1.0)])))


def test_the_curve_only_goes_down():
    curve = [(0.1 * i, i, value) for i, value in enumerate([4.0, 2.0, 3.0, 1.0])]
    (path,) = re.findall(r'<path d="(M[^"]*H100)"', report.page(example(curve=curve)))
    assert [float(v) for v in re.findall(r"V([\d.]+)", path)] == [0, 50, 75]


def test_loudness_is_that_of_the_standard():
    """BS.1770-4 gives a 997 Hz sine 0.691 dB of K-weighting, and low sounds less: here against the same at 40 Hz."""
    rate = 48000
    weights = k_weights(rate, rate)
    assert 10 * math.log10(weights[997]) == pytest.approx(0.691, abs=0.01)
    assert weights[20] < weights[997] < weights[10000]


def test_the_spectrogram_shows_a_tone_where_it_is():
    levels = spectrograms(torch.stack([tone(1000), tone(1000) / 10]), RATE)
    loud, quiet = levels[0].float().mean(1), levels[1].float().mean(1)
    share = mel(torch.tensor(1000.0)) / mel(torch.tensor(RATE / 2))
    assert abs(loud.argmax() - share * 129 + 1) <= 1
    assert loud.max() - quiet.max() == pytest.approx(255 * 20 / 80, abs=2)


def test_a_picture_has_the_colours_of_magma():
    picture = pixels(png(torch.tensor([[0, 255], [0, 0]], dtype=torch.uint8)))
    assert picture.tolist() == [[[0, 0, 4], [252, 253, 191]], [[0, 0, 4], [0, 0, 4]]]


def test_low_frequencies_are_at_the_bottom_of_the_picture(page):
    brightness = pixels(content(page.all("img")[0]["src"])).sum(2).mean(1)
    assert brightness.argmax() > len(brightness) / 2


def test_saving_writes_every_file(tmp_path):
    match = example(name=HOSTILE)
    match.save(tmp_path / "new" / "folder")
    files = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert files == {"match.wav", "patch.json", "candidate-2.wav", "candidate-2.json", "report.html"}
    second = (tmp_path / "new" / "folder" / "candidate-2.json").read_text()
    assert from_json(second, lambda _: SPEC) == dataclasses.replace(
        match.patch(match.candidates[1]), metrics=pytest.approx(match.candidates[1].metrics, nan_ok=True)
    )
    sound, rate = soundfile.read(tmp_path / "new" / "folder" / "match.wav")
    assert rate == RATE
    np.testing.assert_allclose(sound, match.candidates[0].audio, atol=1e-4)


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="folder"):
        example().save(tmp_path / "file" / "out")
