"""What commands read of their own output: results of evaluations, answers of listeners, records of matches."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from random import Random

from bench.fuzz.damage import Text, encoded
from bench.fuzz.trial import Target
from unsynth import batch
from unsynth.base import Budget
from unsynth.benchmark import ratings
from unsynth.commands.evaluate import report_results, summarise_ratings
from unsynth.synths import synth

METRICS = {"MSS": 1.5, "wMFCC": 2.5, "SOT": 0.01, "RMS": 0.9}
HEADER = {
    "budget": {"seconds": None, "renders": 1}, "seed": 0, "synth": "drum", "sounds": "", "distance": "MSS",
    "version": "0",
    "processor": "x", "cores": 1, "torch": "2", "date": "2026-11-26", "command": "unsynth evaluate",
}  # fmt: skip


def _lines(with_patches: bool) -> list[Text]:
    spec = synth("drum").spec
    rows = [
        {"arm": arm, "target": f"id-{1000 + i}", "family": "held-out", "metrics": METRICS, "seconds": 1.0, "renders": 5,
         "params": [0.5] * len(spec) if with_patches else None, "noise": 0}
        for arm in ("chain", "random", "oracle") for i in range(2)
    ]  # fmt: skip
    return [Text(json.dumps(line)) for line in ({**HEADER, "spec": spec.hash}, *rows)]


def tables(folder: Path) -> Target:
    """The page of `unsynth report`; its sounds are played for a few of the inputs only, which takes long."""
    lines, played = _lines(False), _lines(True)
    path = folder / "results.jsonl"

    def make(rng: Random) -> bytes:
        own = played if rng.random() < 0.02 else lines
        hurt = rng.sample(range(len(own)), rng.choice((1, 1, 2)))
        texts = [line.damaged(rng) if i in hurt else line.text for i, line in enumerate(own)]
        texts = texts[: rng.randrange(len(texts) + 1)] if rng.random() < 0.1 else texts
        return encoded(rng, "\n".join(texts))

    def give(data: bytes) -> None:
        path.write_bytes(data)
        with redirect_stdout(io.StringIO()):
            report_results(str(path), out=str(folder / "report.html"), worst=1)
            if b"[0.5, 0.5, 0.5" in data:
                report_results(str(path), out=str(folder / "listening.html"), listening=True, trials=1)

    return Target("results", make, give)


def answers(folder: Path) -> Target:
    scores = {"reference": 100, "anchor": 10, "chain": 60.5, "random": 20}
    items = [{"target": f"id-{i}", "scores": scores} for i in range(2)]
    text = Text(json.dumps({"listener": "ann", "page": "0123456789ab", "items": items}))
    paths = [folder / "ann.json", folder / "bob.json"]
    paths[1].write_text(text.text)

    def give(data: bytes) -> None:
        paths[0].write_bytes(data)
        ratings.screened(ratings.read(paths))
        if len(data) % 16:  # the bootstrap takes half a second
            return
        with redirect_stdout(io.StringIO()) as printed:
            summarise_ratings(list(map(str, paths)))
        assert all(line.isprintable() for line in printed.getvalue().split("\n"))

    return Target("ratings", lambda rng: encoded(rng, text.damaged(rng)), give)


def records(folder: Path) -> Target:
    """What an earlier match left in its folder, from which a run goes on and makes the overview."""
    sound = folder / "kick.wav"
    sound.write_bytes(b"")
    task = batch.Task("drum", "random", Budget(None, 1), 1, 0, "cpu")
    result = {
        "folder": "out/kick", "synth": "drum", "distance": 1.0, "metrics": METRICS, "gain_db": 0.0, "candidates": 1,
        "seconds": 1.0, "renders": 5, "seed": 0, "interrupted": False, "unheard": "",
    }  # fmt: skip
    text = Text(json.dumps({"job": batch._job(sound, task), "result": result}))
    for name in ("kick", "snare"):
        (folder / "out" / name).mkdir(parents=True)
        (folder / "out" / name / batch.RECORD).write_text(text.text)

    def give(data: bytes) -> None:
        for name in (*batch.PROMISED, batch.HEARD):
            (folder / "out" / "kick" / name).touch()  # one that was refused before took them away
        (folder / "out" / "kick" / batch.RECORD).write_bytes(data)
        for outcome in batch.run({str(sound): None}, folder / "out", task, lambda name, at: None):
            outcome.line()
            json.dumps(outcome.json(), allow_nan=False)
            if outcome.error:
                raise outcome.error

    return Target("record", lambda rng: encoded(rng, text.damaged(rng)), give)


TARGETS = {"results": tables, "ratings": answers, "record": records}
