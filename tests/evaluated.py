"""Results of evaluate for tests: a few rows that were made, and rows that were only thought up."""

from unsynth import evaluate, scores
from unsynth.base import Budget
from unsynth.synths import synth
from unsynth.targets import held_out

ARMS = ["oracle", "random", "mean"]


def made(folder, count=2):
    """Header, rows and path of a little evaluation on validation sounds."""
    voice, path = synth("voice"), folder / "results.jsonl"
    targets = list(held_out(voice, count, start=100_000))
    evaluate.run(evaluate.Conditions(voice, Budget(renders=4)), targets, ARMS, path)
    return *scores.load(path), path


def row(arm, target, mss, family="f", **metrics):
    measured = {"MSS": mss, "wMFCC": mss, "SOT": mss / 100, "RMS": 1 - mss / 100}
    return scores.Row(arm, target, family, {**measured, **metrics}, 1.0, 10)
