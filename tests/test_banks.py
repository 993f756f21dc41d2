"""Priors from presets: no bank that is held out, and no near-duplicate of its voices, has a say in a training sound."""

import hashlib
import os
from pathlib import Path

import pytest
import torch

from unsynth.base import UsageError
from unsynth.presets import fxp, patch, syx
from unsynth.sounds import banks
from unsynth.sounds.live import Live
from unsynth.sounds.source import SPLITS
from unsynth.synths.dexed import SPEC, Dexed
from unsynth.synths.surge import Surge

REAL = os.environ.get("UNSYNTH_DX7")  # a folder of DX7 banks
VOICES = 3
NOTE = [0, 1, 2]  # its columns


def random_voices(seed, count=VOICES):
    chance = torch.rand(count, len(SPEC), generator=torch.Generator().manual_seed(seed))
    return syx.from_params(chance, [""] * count)


def random_banks(folder, count):
    folder.mkdir(parents=True)
    for seed in range(count):
        write(folder / f"bank-{seed}.dx7", random_voices(seed))
    return folder


def write(path, voices):
    path.write_bytes(b"".join(voice.packed for voice in voices))


def files(folder):
    return banks.read(folder, SPEC).files


def training(folder):
    return Live(Dexed(), f"presets:{folder}").params("train", torch.arange(200))


def put(folder, name, seed=1000):
    """Other voices in a bank, such that every bank stays in its split."""
    before = files(folder)
    while True:
        write(folder / name, random_voices(seed))
        now = files(folder)
        if all(set(now[split]) == set(before[split]) for split in SPLITS):
            return now
        seed += 1


def test_what_is_in_a_held_out_bank_changes_no_training_sound(tmp_path):
    folder = random_banks(tmp_path / "banks", 8)
    first, before = training(folder), files(folder)
    for split in ("test", "validation"):
        (name,) = before[split]
        assert put(folder, name)[split] != before[split]
        assert torch.equal(training(folder), first)
    put(folder, next(iter(before["train"])))
    assert not torch.equal(training(folder), first)


def test_each_split_has_the_voices_of_its_own_banks(tmp_path):
    folder = random_banks(tmp_path / "banks", 8)
    found = banks.read(folder, SPEC)
    assert {split: len(names) for split, names in found.files.items()} == {"train": 6, "validation": 1, "test": 1}
    for split in SPLITS:
        own = torch.cat([syx.to_params(syx.read(folder / name)) for name in found.files[split]])
        assert torch.equal(found.patches[split].unique(dim=0), own.unique(dim=0))
        for name, digest in found.files[split].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_neither_names_nor_copies_of_banks_have_a_say(tmp_path):
    folder = random_banks(tmp_path / "banks", 5)
    before = files(folder)
    (tested,) = before["test"]
    (folder / "deep").mkdir()
    write(folder / "deep" / "another.DX7", syx.read(folder / tested))
    (folder / "other.json").write_text(f'{{"schema": "{patch.SCHEMA}/1"}}')
    after = files(folder)
    assert list(banks.read(folder, SPEC).left_out) == ["other.json"]
    assert {split: set(after[split].values()) for split in SPLITS} == {s: set(before[s].values()) for s in SPLITS}
    assert torch.equal(training(folder), Live(Dexed(), f"presets:{folder}").params("train", torch.arange(200)))


def test_links_to_banks_elsewhere_are_banks_of_the_folder(tmp_path):
    theirs, folder = random_banks(tmp_path / "theirs", 4), tmp_path / "mine"
    folder.mkdir()
    for path in theirs.iterdir():
        (folder / path.name).symlink_to(path)
    digests = [{split: set(found.values()) for split, found in files(where).items()} for where in (theirs, folder)]
    assert digests[0] == digests[1]


def changed(voice, count):
    """A voice with so many numbers changed."""
    numbers = voice.numbers
    for i in range(count):
        numbers[i] = (numbers[i] + 30) % 99  # rates, levels and depths of operator 6
    return syx.Voice.of(numbers, "CHANGED")


def test_near_duplicates_of_held_out_voices_are_not_trained_on():
    held = syx.to_params(random_voices(0), note=40)
    near, far = (syx.to_params([changed(voice, n) for voice in random_voices(0)], note=80) for n in (7, 8))
    fresh = syx.to_params(random_voices(1))
    every = {"test": held, "validation": fresh[:1], "train": torch.cat([near, far, far, fresh])}
    kept = banks.different(every, NOTE)
    assert torch.equal(kept["test"], held)
    assert torch.equal(kept["train"], torch.cat([far, fresh[1:]]))


def test_what_cannot_be_split_is_told(tmp_path):
    folder = random_banks(tmp_path / "two", 2)
    with pytest.raises(UsageError, match="2 different banks"):
        files(folder)
    folder = random_banks(tmp_path / "same", 2)
    for number in range(3):
        write(folder / f"{number}.dx7", [changed(voice, number) for voice in syx.read(folder / "bank-0.dx7")])
    with pytest.raises(UsageError, match="copies of others"):
        files(folder)


def test_patches_are_pure_functions_near_the_presets_of_their_split(tmp_path):
    live = Live(Dexed(), f"presets:{random_banks(tmp_path / 'banks', 5)}", seed=4)
    ids = torch.tensor([5, 700, 64, 63, 5])
    alone = torch.cat([live.params("train", row[None]) for row in ids])
    assert torch.equal(live.params("train", ids), alone)
    assert torch.equal(alone[0], alone[4])
    voices = banks.read(tmp_path / "banks", SPEC).patches
    for split in SPLITS:
        drawn = live.params(split, torch.arange(300))
        like = (drawn[:, None, 3:] == voices[split][None, :, 3:]).float().mean(2).amax(1)
        assert like.median() > 0.7


def test_presets_of_surge_are_banks_too(tmp_path):
    drawn = torch.rand(6, len(Surge.spec), generator=torch.Generator().manual_seed(0))
    for number, row in enumerate(drawn):
        (tmp_path / f"{number}.fxp").write_bytes(fxp.write(row))
    live = Live(Surge(), f"presets:{tmp_path}")
    assert {split: len(names) for split, names in live.facts["banks"].items()} == {
        "train": 4,
        "validation": 1,
        "test": 1,
    }
    heard = Surge.spec.index("play.note")
    assert live.params("train", torch.arange(50))[:, heard].unique().numel() > 20


@pytest.mark.skipif(not REAL, reason="UNSYNTH_DX7 names no folder with DX7 banks")
def test_real_cartridges_share_nothing_across_splits():
    found = banks.read(Path(REAL or ""), SPEC)
    told = {split: syx_numbers(found.patches[split]) for split in SPLITS}
    for split in ("test", "validation"):
        for numbers in told[split]:
            assert min(sum(a != b for a, b in zip(numbers, other, strict=True)) for other in told["train"]) > 7


def syx_numbers(params):
    return [voice.numbers for voice in syx.from_params(params, [""] * len(params))]
