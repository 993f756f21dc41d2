"""The gallery is what its files say: the page is theirs, its patches play what its scores are of."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import soundfile
import torch
from commands import one_thread  # noqa: F401

from unsynth import cli
from unsynth.commands import arguments
from unsynth.evaluate import score
from unsynth.presets import patch, syx
from unsynth.synths import synth
from unsynth.targets import recording

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import gallery  # noqa: E402

TEXT = gallery.PAGE.read_text()


class Links(HTMLParser):
    """The addresses in a page, and what its pictures and sounds are called."""

    def __init__(self, text):
        super().__init__()
        self.links, self.names = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.links += [given[key] for key in ("src", "href") if key in given]
        self.names += [given.get("alt") or given.get("aria-label")] if tag in ("img", "audio") else []


def test_the_page_is_that_of_the_files():
    assert gallery.page() == TEXT
    commands = re.findall(r"^unsynth .*$", TEXT, re.MULTILINE)
    assert len(commands) == len(gallery.SYNTHS)
    for words in commands:
        arguments.parse(words.split()[1:], cli.COMMANDS)


def test_everything_it_shows_is_there_and_little():
    found = Links(TEXT)
    files = {gallery.PAGE.parent / link for link in found.links}
    assert files | {gallery.FOLDER / gallery.FACTS} == set(gallery.FOLDER.iterdir())
    assert all(found.names)
    assert sum(path.stat().st_size for path in files if path.suffix in (".mp3", ".png")) < 900_000
    for sound in gallery.SOUNDS:
        clips = [soundfile.info(gallery.FOLDER / f"{sound}-{name}.mp3") for name in ("target", *gallery.SYNTHS)]
        assert len({clip.frames for clip in clips}) == 1
        assert 0.3 < clips[0].duration < 4.2


@pytest.mark.parametrize("name", gallery.SYNTHS)
@pytest.mark.parametrize("sound", gallery.SOUNDS)
def test_every_patch_can_be_read_and_plays_what_was_scored(sound, name):
    found = patch.read(gallery.FOLDER / f"{sound}-{name}.json", lambda known: synth(known).spec)
    assert found.renders == gallery.RENDERS[name]
    if name == "dexed":
        assert len(syx.read(gallery.FOLDER / f"{sound}-dexed.syx")) == 32
        return
    instrument = synth(name)
    target = recording(instrument, ROOT / "examples" / f"{sound}.flac").sound
    scores = score(instrument, target, torch.tensor([found.params]), found.noise)
    assert scores["MSS"] == pytest.approx(found.metrics["MSS"], abs=0.05)
