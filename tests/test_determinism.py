"""The same seed and number of renders give the same patch.json to the byte, times aside, on one thread or two."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "drum_snare_hard.flac"
CASES = [
    *(("voice", method) for method in ("chain", "embedding", "genetic", "evolve")),
    *(("drum", method) for method in ("chain", "evolve")),
    ("dexed", "chain"),
]


def found(synth, method):
    """The patches of all candidates of a match, as their files have them but for the seconds."""
    from unsynth import Budget, match
    from unsynth.presets.patch import to_json

    made = match(EXAMPLE, synth=synth, method=method, budget=Budget(renders=80), seed=3)
    texts = [to_json(made.patch(candidate), made.spec) for candidate in made.candidates]
    return [re.sub(r'"seconds": [^,]*,', "", text) for text in texts]


@pytest.fixture(scope="module")
def runs():
    """What processes of one and of two threads find, and one of two threads again."""
    return [process(threads) for threads in (1, 2, 2)]


def process(threads):
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(("synth", "method"), CASES)
def test_same_seed_same_patch_whatever_the_threads(runs, synth, method):
    if synth == "dexed":
        pytest.importorskip("dexed", reason="needs dexed-py: pip install 'unsynth[dexed]'")
    one, two, again = (run[f"{synth} {method}"] for run in runs)
    assert len(one) > 1
    assert one == two
    assert two == again


if __name__ == "__main__":
    from importlib.util import find_spec

    wanted = [case for case in CASES if case[0] != "dexed" or find_spec("dexed")]
    print(json.dumps({" ".join(case): found(*case) for case in wanted}))
