"""The same seed and number of renders give the same patch.json to the byte, times aside, on one thread or two."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from unsynth import match
from unsynth.base import Budget
from unsynth.presets.patch import to_json

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "drum_snare_hard.flac"
METHODS = {"voice": ("chain", "embedding", "genetic", "evolve"), "drum": ("chain", "evolve"), "dexed": ("chain",)}
CASES = [(synth, method) for synth, methods in METHODS.items() for method in methods]
SLOW = bool(os.environ.get("UNSYNTH_SLOW"))  # new processes for each: half a minute, or some under load
dexed = pytest.mark.skipif(not find_spec("dexed"), reason="needs dexed-py: pip install 'unsynth[dexed]'")
cases = pytest.mark.parametrize(
    ("synth", "method"), [pytest.param(*case, marks=dexed if "dexed" in case else ()) for case in CASES]
)


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def found(synth, method, threads):
    """The patches of all candidates of a match, as their files have them but for the seconds."""
    torch.set_num_threads(threads)
    made = match(EXAMPLE, synth=synth, method=method, budget=Budget(renders=72), seed=3)
    texts = [to_json(made.patch(candidate), made.spec) for candidate in made.candidates]
    return [re.sub(r'"seconds": [^,]*,', "", text) for text in texts]


@cases
def test_same_seed_same_patch_on_one_thread_or_two(synth, method):
    one = found(synth, method, 1)
    assert len(one) > 1
    assert found(synth, method, 2) == one


@pytest.mark.skipif(not SLOW, reason="set UNSYNTH_SLOW=1")
def test_same_seed_same_patch_in_processes_of_one_thread_or_two():
    one, two, again = (process(threads) for threads in (1, 2, 2))
    assert one == two == again


def process(threads):
    """What a new process of so many threads finds."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_what_sets_candidates_apart_costs_a_share_of_the_renders_whatever_the_pace(monkeypatch):
    spent = []
    monkeypatch.setattr(sys.modules["unsynth.match"], "tell_apart", lambda synth, found, renders: spent.append(renders))
    match(EXAMPLE, method="random", budget=Budget(renders=200), seed=3)
    assert spent == [2]


if __name__ == "__main__":
    wanted = [case for case in CASES if case[0] != "dexed" or find_spec("dexed")]
    print(json.dumps({" ".join(case): found(*case, torch.get_num_threads()) for case in wanted}))
