"""Workers on this machine: the results of one process, whatever happens to them, and nothing lost or done twice."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
import work
from commands import ROOT, is_one_sentence, one_thread, process, run, tone, write  # noqa: F401
from test_shards import COUNT, content, made
from training import Chime

from unsynth import batch, crew, evaluate, scores
from unsynth.base import Budget, UnusableError, UsageError, WorkerError
from unsynth.checkpoint import read
from unsynth.crew.processes import Processes
from unsynth.search import index
from unsynth.sounds.live import Live
from unsynth.sounds.shard_building import build
from unsynth.synths import synth
from unsynth.targets import held_out

VOICE = synth("voice")
TASK = batch.Task("voice", "random", Budget(renders=2), 1, 0, "cpu")


def kill(who):
    """All workers that are at work."""
    for worker in who.busy:
        worker.process.kill()
    return len(who.busy)


def is_running(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def gone(pids, seconds=10):
    until = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(is_running, pids))


# the mechanism


def test_every_item_comes_once_and_is_taken_when_there_is_somebody_to_do_it():
    taken = []
    items = (taken.append(n) or n for n in range(9))
    for done, (item, result) in enumerate(crew.share(work.doubled, items, Processes(2))):
        assert result == 2 * item
        assert len(taken) <= done + 2
    assert sorted(taken) == list(range(9))


def test_an_error_of_the_work_is_raised_here_and_says_where_it_was():
    with pytest.raises(UnusableError, match="2 is silent") as caught:
        list(crew.share(work.refusing, range(5), Processes(2)))
    assert "work.py" in caught.value.__notes__[0]


def test_what_a_worker_died_of_is_done_again_but_not_forever(tmp_path):
    each = partial(work.dying, tmp_path)
    found = list(crew.share(each, [1, 2, 13, 3], Processes(2), given_up=lambda item, error: str(error)))
    assert sorted(map(str, dict(found))) == ["1", "13", "2", "3"]
    told = dict(found)[13]
    assert told.startswith("13 cannot be done: its process ended with status -9")
    assert is_one_sentence(f"unsynth: {told}\n")
    assert all(item == result for item, result in found if item != 13)
    with pytest.raises(WorkerError, match="13 cannot be done"):
        list(crew.share(each, [13], Processes(2)))


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    monkeypatch.setattr("unsynth.crew.processes.cores", lambda: 6)
    found = [result for _, result in crew.share(work.whoami, range(6), Processes(3))]
    assert {threads for _, threads, _ in found} == {2}
    assert {engines for _, _, engines in found} == {min(2, len(os.sched_getaffinity(0)))}
    assert gone({pid for pid, _, _ in found})


def started(folder, count):
    """Process ids of so many workers that have begun."""
    while len(found := {int(path.name.partition("-")[2]) for path in folder.iterdir()}) < count:
        time.sleep(0.05)
    return found


def test_workers_are_stopped_when_nobody_wants_more(tmp_path):
    found = crew.share(partial(work.forever, tmp_path), range(3), Processes(2))
    assert next(found) == (0, None)
    pids = started(tmp_path, 2)
    assert any(map(is_running, pids))
    found.close()
    assert gone(pids)


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    code = "import sys, work; from functools import partial; from unsynth import crew; "
    code += "list(crew.share(partial(work.forever, sys.argv[1]), 'ab', crew.of(2)))"
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT / "tests")
    pids = started(tmp_path, 2)
    parent.kill()
    parent.wait()
    assert gone(pids)


def test_what_workers_load_first_does_without_torch():
    code = "import sys, unsynth.crew.processes, unsynth.crew.cluster; assert not {'torch', 'ray'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# the four commands


def sounds_in(folder):
    """Six: two of one name, one silent."""
    for place, seconds in (("x/kick", 0.2), ("y/kick", 0.3), ("y/one", 0.1), ("y/two", 0.15), ("y/three", 0.25)):
        write(folder / f"{place}.wav", tone(seconds))
    write(folder / "x" / "silent.wav", 0 * tone())
    return folder


def patches(out):
    """All that a match wrote, without the times."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.suffix == ".json" and path.name != "result.json":
            found[path.relative_to(out)] = {**json.loads(path.read_text()), "seconds": 0}
        elif path.is_file():
            found[path.relative_to(out)] = path.read_bytes() if path.suffix == ".wav" else ""
    return found


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """Sounds, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("serial")
    sounds = batch.targets([str(sounds_in(folder / "sounds"))])
    list(batch.run(sounds, folder / "out", TASK))
    return sounds, folder / "out"


def test_match_with_workers_that_are_killed(serial, tmp_path):
    sounds, expected = serial
    who, killed, outcomes = Processes(2), 0, []
    for outcome in batch.run(sounds, tmp_path, TASK, who=who):
        killed += kill(who) if len(outcomes) in (0, 2) else 0
        outcomes.append(outcome)
    assert killed >= 2
    assert sorted(outcome.target for outcome in outcomes) == sorted(sounds)
    assert ["silent.wav" in str(one.error) for one in outcomes if one.error] == [True], outcomes
    assert patches(tmp_path) == patches(expected)
    assert (tmp_path / "summary.csv").read_text().count("kick") >= 2


def test_match_goes_on_with_workers(capsys, tmp_path):
    folder = sounds_in(tmp_path / "sounds")
    words = ["match", folder / "y", "--out", tmp_path / "out", "--renders", 2, "--candidates", 1, "--json"]
    code, out, _ = run(capsys, *words[:1], folder / "y" / "one.wav", *words[2:])
    assert code == 0
    code, out, _ = run(capsys, *words, "--workers", 2)
    assert code == 0
    resumed = {Path(told["target"]).stem: told["resumed"] for told in map(json.loads, out.splitlines())}
    assert resumed == {"kick": False, "one": True, "two": False, "three": False}
    code, out, _ = run(capsys, *words, "--workers", 2)
    assert [json.loads(line)["resumed"] for line in out.splitlines()] == [True] * 4


def test_evaluate_with_workers(tmp_path):
    targets, arms = list(held_out(VOICE, 3, start=100_000)), ["random", "oracle", "mean"]
    rows = {}
    for name, who in (("alone", None), ("shared", Processes(2))):
        path = tmp_path / f"{name}.jsonl"
        evaluate.run(evaluate.Conditions(VOICE, Budget(renders=5)), targets[1:2], ["mean"], path)
        for _ in range(2):
            told = evaluate.run(evaluate.Conditions(VOICE, Budget(renders=5)), targets, arms, path, who=who)
        rows[name] = [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()[1:]]
        assert told == scores.load(path)[1]
    assert rows["shared"] == rows["alone"]
    assert len(rows["alone"]) == 9


def same_index(one, other):
    """Whether tensors and facts are the same, to the bit (safetensors writes the facts in any order)."""
    (tensors, facts), (others, told) = read(one, ""), read(other, "")
    return facts == told and all(torch.equal(x, others[name]) for name, x in tensors.items())


def test_an_index_with_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "CHUNKS", 2)
    small = {"dim": 16, "fitted_on": 96, "chunk": 16}
    for name, who in (("alone", None), ("shared", Processes(2))):
        seen = []
        index.build(tmp_path / name, VOICE, 150, **small, on_progress=seen.append, who=who)
        assert seen == sorted({*seen, 150})
        if who:
            assert len(seen) == 5
    assert same_index(tmp_path / "alone", tmp_path / "shared")


def test_shards_with_workers_that_are_killed(tmp_path):
    expected, who, killed = content(made(tmp_path / "alone")), Processes(2), []

    def kill_twice(done):
        killed.append(kill(who) if len(killed) < 2 else 0)

    build(tmp_path / "shared", Live(Chime()), COUNT, kill_twice, largest=16, who=who)
    assert (len(killed), sum(killed) >= 2) == (6, True)
    assert content(tmp_path / "shared") == expected


# the command line


def test_options_that_make_no_sense(capsys, tmp_path):
    for command in (["match", "x.wav"], ["evaluate"], ["index", "build"], ["shards", "build"]):
        for options, told in ((["--workers", 0], "0 workers"), (["--workers", 2, "--ray", "auto"], "Either")):
            code, _, err = run(capsys, *command, *options, "--out", tmp_path / "out")
            assert code == UsageError.exit_code
            assert is_one_sentence(err)
            assert told in err
    assert run(capsys, "evaluate", "--calibration", "--workers", 2)[0] == UsageError.exit_code


def test_ctrl_c_keeps_what_is_done(tmp_path):
    folder = sounds_in(tmp_path / "sounds") / "y"
    words = ["match", folder, "--out", tmp_path / "out", "--candidates", 1, "--workers", 2, "--json", "--budget"]
    with process(*words, 4) as running:
        first = json.loads(running.stdout.readline())
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Traceback" not in err
    kept = [path.parent for path in (tmp_path / "out").glob("*/result.json") if json.loads(path.read_text())["result"]]
    assert Path(first["folder"]) in kept
    assert len(kept) < 4
