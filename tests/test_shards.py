"""Shards: the sounds of their ids, the same bytes whatever happened meanwhile, and damage told in one sentence."""

import io
import json
import multiprocessing
import os
import re
import signal
import tarfile
import threading
from itertools import chain, cycle, islice

import numpy as np
import pytest
import soundfile
import torch
import training
import yaml
from commands import ROOT, is_one_sentence, one_thread, run  # noqa: F401

from unsynth.errors import NotFoundError, PatchError, UnreadableError
from unsynth.params import Param, ParamSpec
from unsynth.sounds.ids import VALIDATION, held_out_ids, is_train, train_ids
from unsynth.sounds.live import Live
from unsynth.sounds.shard_building import build
from unsynth.sounds.shards import Shards
from unsynth.sounds.source import SPLITS
from unsynth.sounds.stream import Stream
from unsynth.train import MODEL

COUNT = 60
SIZES = {"train": 54, "validation": 3, "test": 3}


class Other(training.Chime):
    name = "other"
    spec = ParamSpec("other", [Param("tone.frequency"), Param("tone.level"), Param("tone.unused")])


def made(folder, seed=0):
    build(folder, Live(training.Chime(), seed=seed), COUNT, largest=16)
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def opened(folder):
    return Shards(training.Chime(), str(folder))


def test_shards_have_the_sounds_that_are_rendered_on_the_fly(tmp_path):
    stored, live = opened(made(tmp_path)), Live(training.Chime())
    for split, size in SIZES.items():
        assert stored.size(split) == size
        found, expected = stored.take(split, 0, size), live.take(split, 0, size)
        order = found.ids.argsort()
        assert torch.equal(found.ids[order], expected.ids)
        assert torch.equal(found.params[order], expected.params)
        assert (found.audio[order] - expected.audio).abs().max() <= 1 / 2**16  # half a step of 16 bits


def test_standard_tools_read_a_shard(tmp_path):
    expected = Live(training.Chime()).take("train", 16, 16)
    with tarfile.open(made(tmp_path) / "train-00001.tar") as tar:
        names = tar.getnames()
        assert np.array_equal(np.load(io.BytesIO(tar.extractfile(names[0]).read())), expected.params.numpy())
        assert [int(name.removesuffix(".flac")) for name in names[1:]] == expected.ids.tolist()
        sound, rate = soundfile.read(io.BytesIO(tar.extractfile(names[3]).read()), dtype="float32")
    assert rate == 44100
    np.testing.assert_allclose(sound, expected.audio[2], atol=1 / 2**15)


def test_the_splits_are_apart(tmp_path):
    stored = opened(made(tmp_path))
    ids = {split: stored.take(split, 0, SIZES[split]).ids.sort().values for split in SPLITS}
    assert torch.equal(ids["train"], train_ids(0, 54))
    assert torch.equal(ids["test"], held_out_ids(0, 3))
    assert torch.equal(ids["validation"], held_out_ids(VALIDATION, 3))
    assert is_train(ids["train"]).all()
    assert not is_train(torch.cat([ids["test"], ids["validation"]])).any()


def test_a_training_goes_round_and_round_in_another_order(tmp_path):
    stored = opened(made(tmp_path))
    turns = [stored.take("train", turn * 54, 54).ids.tolist() for turn in range(3)]
    assert len({tuple(turn) for turn in turns}) == 3
    assert {tuple(sorted(turn)) for turn in turns} == {tuple(train_ids(0, 54).tolist())}
    across = Stream(stored, 16, 1, 2, first=50).at(0)  # the second of two processes, where two turns meet
    assert across.ids.tolist() == turns[1][4:12]


def test_a_sound_is_a_pure_function_of_seed_and_index():
    whole, other = (Live(training.Chime(), seed=seed).take("train", 0, 300).params for seed in (1, 2))
    again = Live(training.Chime(), seed=1)
    assert torch.equal(torch.cat([again.take("train", at, 100).params for at in (0, 100, 200)]), whole)
    assert not torch.isclose(whole, other).any(1).all()
    assert len(whole.unique(dim=0)) == 300


def dying(folder, renames):
    """Build, and be killed before the rename after so many."""
    calls, plain = [], os.replace

    def replace(*paths):
        calls.append(paths)
        if len(calls) > renames:
            os.kill(os.getpid(), signal.SIGKILL)
        plain(*paths)

    os.replace = replace
    made(folder)


def test_killed_at_any_moment_and_run_again_every_byte_is_the_same(tmp_path):
    expected = content(made(tmp_path / "calm"))
    assert len(expected) == 7
    fork, folder, lives = multiprocessing.get_context("fork"), tmp_path / "killed", 0
    for renames in islice(chain([0, 1], cycle([2, 3])), 20):
        process = fork.Process(target=dying, args=(folder, renames))
        process.start()
        process.join()
        lives += 1
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        assert len(list(folder.glob(".*.part"))) == 1
        with pytest.raises((NotFoundError, UnreadableError)):
            opened(folder)
    assert 5 < lives < 20
    assert content(folder) == expected


def flipped(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_shard_is_refused_in_one_sentence_and_made_again(tmp_path, damage):
    expected = content(made(tmp_path))
    path = tmp_path / "validation-00000.tar"
    if damage == "flip":
        flipped(path, 5000)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-600])
    else:
        path.unlink()
    stored = opened(tmp_path)
    stored.take("train", 0, 4)
    with pytest.raises(UnreadableError) as caught:
        stored.take("validation", 0, 3)
    assert is_one_sentence(f"unsynth: {caught.value}\n")
    assert "validation-00000.tar" in str(caught.value)
    assert content(made(tmp_path)) == expected


def test_a_damaged_manifest_is_refused(tmp_path):
    path = made(tmp_path) / "manifest.json"
    whole = path.read_text()
    for wrong in (whole.replace('"count": 60', '"count": 61'), whole[:90], "[]", "{}"):
        path.write_text(wrong)
        with pytest.raises(UnreadableError, match=r"manifest\.json"):
            opened(tmp_path)
        with pytest.raises(UnreadableError, match=r"manifest\.json"):
            made(tmp_path)


def test_shards_of_something_else_are_refused(tmp_path):
    with pytest.raises(NotFoundError, match="unsynth shards build"):
        opened(tmp_path)
    made(tmp_path)
    with pytest.raises(PatchError, match="something else"):
        made(tmp_path, seed=1)
    with pytest.raises(PatchError, match="not of this other"):
        Shards(Other(), str(tmp_path))


def test_they_are_made_while_torch_trains_on_several_threads(tmp_path):
    stored, threads = opened(made(tmp_path)), set()
    plain = stored.take
    stored.take = lambda *arguments: threads.add(threading.get_ident()) or plain(*arguments)
    torch.set_num_threads(2)
    batches = Stream(stored, 4).since(3)
    assert torch.equal(next(batches).ids, stored.take("train", 12, 4).ids)
    batches.close()
    torch.set_num_threads(1)
    assert len(threads - {threading.get_ident()}) == 1


def test_a_training_on_shards_goes_on_exactly(tmp_path):
    sounds = {"class_path": "unsynth.sounds.shards.Shards", "init_args": {"folder": str(made(tmp_path / "shards"))}}
    whole = training.train(tmp_path / "whole", {"sounds": sounds})
    training.train(tmp_path / "parts", {"sounds": sounds}, minutes=0)
    parts = training.train(tmp_path / "parts", {"sounds": sounds})
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


def test_build_says_what_is_wrong(capsys, tmp_path):
    said = [
        (("build", "--count", "0"), "0 sounds"),
        (("build", "--workers", "0"), "0 workers"),
        (("build", "--synth", "drum", "--prior", "presets:x"), "uniform, invented."),
        (("build", "--prior", "normal"), "uniform, invented, presets:FOLDER"),
        (("build", "--prior", f"presets:{tmp_path}"), "holds no presets"),
    ]
    for words, told in said:
        code, _, err = run(capsys, "shards", *words, "--out", tmp_path)
        assert code in (2, 3)
        assert is_one_sentence(err)
        assert told in err


def test_dexed_from_banks_to_a_trained_space(capsys, tmp_path):
    pytest.importorskip("dexed", reason="needs dexed-py: pip install 'unsynth[dexed]'")
    from test_banks import random_banks

    banks, folder = random_banks(tmp_path / "banks", 5), tmp_path / "shards"
    (banks / "odd.syx").write_bytes(b"no bank")
    words = ("--synth", "dexed", "--out", folder, "--count", 30, "--prior", f"presets:{banks}", "--workers", 1)
    code, out, err = run(capsys, "shards", "build", *words)
    assert (code, out) == (0, f"{folder}\n")
    assert re.search(r"left out: .*odd\.syx: .*no DX7 voice", err)
    assert {split: len(of) for split, of in json.loads((folder / "manifest.json").read_text())["banks"].items()} == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }
    options = yaml.safe_load((ROOT / "tests" / "tiny-dexed.yaml").read_text())
    options |= {"sounds": {"class_path": "unsynth.sounds.shards.Shards", "init_args": {"folder": str(folder)}}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(options))
    code, _, err = run(capsys, "pretrain", tmp_path / "tiny.yaml", "--out", tmp_path / "run", "--validate-steps", 2)
    assert code == 0, err
    rows = [row for row in training.rows(tmp_path / "run") if "recall@1" in row]
    assert [row["step"] for row in rows] == [2, 4]
    assert all(row["recall@10"] == 1 for row in rows)  # of two validation sounds
    for estimator, more in (("regression.Regression", {"width": 16}), ("flow.Flow", {"width": 16, "depth": 1})):
        arguments = {"encoder": options["objective"]["init_args"]["audio"], "start": str(tmp_path / "run" / MODEL)}
        made = {"class_path": f"unsynth.estimators.{estimator}", "init_args": arguments | more}
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**options, "objective": made}))
        assert run(capsys, "pretrain", tmp_path / "tiny.yaml", "--out", tmp_path / estimator)[0] == 0
        trained, validated = training.rows(tmp_path / estimator)
        assert (trained["step"], validated["step"]) == (4, 4)
        assert validated["validation_loss"] > 0
