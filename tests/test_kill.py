"""Killed before some operation on a file, and run again, everything ends up as if nothing had been.

`python -m bench.kill` does that to the commands themselves, hundreds of times, at any moment.
"""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time

import pytest
import torch
from commands import ROOT, one_thread, tone, write  # noqa: F401
from toy import Toy

sys.path.insert(0, str(ROOT))

from bench import artefacts
from bench.mortal import count_operations
from unsynth import batch, evaluate, folders, scores
from unsynth.base import Budget
from unsynth.params import Param, ParamSpec
from unsynth.search import index
from unsynth.synths import SYNTHS
from unsynth.targets import held_out

KILLS = None if os.environ.get("UNSYNTH_SLOW") else 5  # before every operation: some minutes


class Bell(Toy):
    name = "bell"
    spec = ParamSpec("bell", [Param("tone.frequency", 200, 2000, "Hz"), Param("tone.level"), Param("tone.unused")])


SYNTHS["bell"] = Bell


def matching(out):
    task = batch.Task("bell", "chain", Budget(renders=8), 2, 0, "cpu")
    list(batch.run(batch.targets([str(out.parent / "sounds")]), out, task, lambda name, problem: None))


def evaluating(out):
    targets = list(held_out(Bell(), 3))
    evaluate.run(
        evaluate.Conditions(Bell(), Budget(renders=8)), targets, ["oracle", "genetic", "mean"], out / "rows.jsonl"
    )


def indexing(out):
    index.build(out / "own.safetensors", Bell(), 40, dim=8, fitted_on=32, chunk=8)


def lived(work, out, last=0):
    """Exit status of a process that works, killed before its ``last`` operation on a file; how many it got to."""
    fork = multiprocessing.get_context("fork")
    got = fork.SimpleQueue()

    def live():
        torch.set_num_threads(1)  # what is forked has only the thread that forks
        told = count_operations(out, last)
        work(out)
        got.put(told())

    process = fork.Process(target=live)
    process.start()
    process.join()
    return process.exitcode, 0 if got.empty() else got.get()


@pytest.mark.parametrize("work", [matching, evaluating, indexing])
def test_killed_before_an_operation_on_a_file_it_ends_up_the_same(work, tmp_path):
    for name in ("one", "other"):
        write(tmp_path / "sounds" / f"{name}.wav", tone())
    out, draw = tmp_path / "out", random.Random(0)
    out.mkdir()
    status, operations = lived(work, out)
    expected = artefacts.contents(out)
    assert (status, len(expected) > 0, operations > 8) == (0, True, True)
    for last in draw.sample(range(1, operations + 1), KILLS or operations):
        shutil.rmtree(out)
        out.mkdir()
        for kill in (last, draw.randint(1, operations)):
            status, _ = lived(work, out, kill)
            assert status in (-signal.SIGKILL, 0)
            assert artefacts.damage(out) == []
        assert lived(work, out)[0] == 0
        assert artefacts.contents(out) == expected


def test_what_a_killed_process_left_goes_when_it_is_old(tmp_path):
    half, other = tmp_path / f".{'a' * 32}.part", tmp_path / ".mine.part"
    half.write_bytes(b"ha")
    other.write_bytes(b"not ours")
    assert folders.is_unused(tmp_path) is False
    with folders.whole(tmp_path / "new") as path:
        path.write_bytes(b"whole")
    assert half.exists()
    os.utime(half, (time.time() - 2 * folders.ABANDONED,) * 2)
    with folders.whole(tmp_path / "new") as path:
        path.write_bytes(b"again")
    assert sorted(tmp_path.iterdir()) == [other, tmp_path / "new"]


def test_a_folder_with_nothing_but_a_half_written_file_is_matched_into(tmp_path):
    sound = write(tmp_path / "sounds" / "kick.wav", tone())
    half = tmp_path / "out" / "kick" / f".{'0' * 32}.part"
    half.parent.mkdir(parents=True)
    half.touch()
    task = batch.Task("bell", "random", Budget(renders=2), 1, 0, "cpu")
    (outcome,) = batch.run({sound: None}, tmp_path / "out", task, lambda name, problem: None)
    assert outcome.result["folder"] == str(tmp_path / "out" / "kick")
    assert not half.exists()


@pytest.mark.parametrize("left", [1, 40, -1])
def test_rows_whose_last_was_cut_by_a_kill_go_on(tmp_path, left):
    evaluating(tmp_path)
    path = tmp_path / "rows.jsonl"
    whole, expected = path.read_text(), artefacts.content(path)
    before, last = whole.splitlines(keepends=True)[:-1], whole.splitlines()[-1]
    path.write_text("".join(before) + last[:left])
    assert len(scores.load(path)[1]) == len(before) - 1
    evaluating(tmp_path)
    assert artefacts.content(path) == expected
    path.write_text(whole.rstrip("\n"))
    assert len(scores.load(path)[1]) == len(before)


def test_an_index_whose_last_rows_were_cut_by_a_kill_ends_up_the_same(tmp_path):
    indexing(tmp_path)
    expected = artefacts.contents(tmp_path)

    def stop(done):
        if done == 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.build(tmp_path / "own.safetensors", Bell(), 40, dim=8, fitted_on=32, chunk=8, on_progress=stop)
    part = tmp_path / "own.safetensors.part"
    part.write_bytes(part.read_bytes()[:-13])
    indexing(tmp_path)
    assert artefacts.contents(tmp_path) == expected
