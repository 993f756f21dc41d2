"""Hostile input: a few hundred of each kind that `python -m bench.fuzz` makes, and those that once found a defect."""

import subprocess
import sys

import pytest
from commands import ROOT

from bench.fuzz import TARGETS, target
from bench.fuzz.damage import Text, damaged
from bench.fuzz.trial import Target, generator, trials
from unsynth.base import PatchError

SLOW = {"recipe": 12, "model": 12, "results": 60, "surge shard": 60, "shard": 80, "web": 150, "yaml": 60}  # inputs


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_what_reads_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path / "data"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "canary.py").write_text("class Canary: ...\n")
    account = trials(target(name, tmp_path), 1, range(SLOW.get(name, 200)))
    assert account.failures == {}
    assert account.accepted or account.inputs < 50  # else all are stopped at the first check, and nothing is tested
    assert account.refused
    assert "canary" not in sys.modules


def test_inputs_are_the_same_again_and_differ():
    made = Target("any", lambda rng: damaged(rng, b"some bytes to damage"), lambda data: None)
    inputs = [[made.make(generator(made, seed, n)) for n in range(50)] for seed in (0, 0, 1)]
    assert inputs[0] == inputs[1] != inputs[2]
    assert len(set(inputs[0])) > 40


def test_words_of_a_text_are_exchanged():
    text = Text('{"a": [1, {"b": 2}], "c": "d"}', ["X"])
    made = {text.damaged(generator(Target("t", str, str), 0, n)) for n in range(300)}
    assert {'{"a": X, "c": "d"}', '{"a": [X, {"b": 2}], "c": "d"}', '{"a": [1, {"b": 2}], X: "d"}', "X"} <= made


def give(error):
    def raising(made):
        raise error

    return raising


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ValueError("x"), "ValueError"), (PatchError("not a sentence"), "WrongError"), (MemoryError(), "MemoryError")],
)
def test_what_is_no_refusal_is_a_failure(error, kind):
    account = trials(Target("bad", lambda rng: b"", give(error)), 0, range(3))
    ((what, (first, count)),) = account.failures.items()
    assert what.startswith(kind)
    assert (first, count, account.refused) == (0, 3, 0)


def test_a_refusal_and_an_accepted_input_are_counted():
    account = trials(Target("fine", lambda rng: b"", give(PatchError("This is one."))), 0, range(3))
    assert (account.inputs, account.refused, account.accepted) == (3, 3, 0)
    assert trials(Target("fine", lambda rng: b"", lambda made: None), 0, range(3)).accepted == 3


def test_an_input_that_takes_too_long_is_a_failure():
    def spin(made):
        while True:
            pass

    account = trials(Target("slow", lambda rng: b"", spin), 0, range(1), limit=0.05)
    assert [what.partition(" ")[0] for what in account.failures] == ["SlowError:"]


def test_the_process_of_a_target_notes_what_it_may_not_do(tmp_path):
    code = (
        "import sys, subprocess; from pathlib import Path; from bench.fuzz.guard import Guard; "
        f"inside, outside = Path({str(tmp_path / 'in')!r}), Path({str(tmp_path / 'out')!r}); "
        "inside.mkdir(); guard = Guard(inside); (inside / 'a').touch(); "
        "outside.touch(); subprocess.run(['true']); print([seen.split()[0] for seen in guard.seen])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"open", "subprocess.Popen"} <= set(eval(done.stdout))


def test_the_program_writes_what_became_of_the_inputs(tmp_path):
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "bench.fuzz", "--inputs", "40", "--only", "syx", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    found = __import__("json").loads(out.read_text())
    syx = found["targets"]["syx"]
    assert (syx["inputs"], syx["failures"]) == (40, {})
    assert syx["accepted"] + syx["refused"] == 40
    assert 50 < syx["peak_mb"] < 1000
    assert found["machine"]["processor"]
