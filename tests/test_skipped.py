"""A batch that is not finite: its step is left out, and nothing of it stays."""

import json
from dataclasses import replace

from torch import nn
from training import options, rows, train

from unsynth.base import Encoder
from unsynth.sounds.live import Live


class Plain(Encoder):
    """Without normalisation, whose statistics one bad sound would spoil."""

    def __init__(self):
        super().__init__(8, 1)
        self.out = nn.Linear(2205, 8)

    def tokens(self, audio):
        return audio[:, None]

    def vector(self, tokens):
        return self.out(tokens[:, 0])


def spoil(monkeypatch, number):
    """Have the batch with the training sound of this id be one of NaN, as sounds from somewhere else could be."""
    take = Live.take

    def spoilt(self, *told):
        batch = take(self, *told)
        return replace(batch, audio=batch.audio * float("nan")) if (batch.ids == number).any() else batch

    monkeypatch.setattr(Live, "take", spoilt)


def test_a_batch_that_is_not_finite_spoils_no_statistics(tmp_path, monkeypatch):
    spoil(monkeypatch, 9216 + 1024)
    model = train(tmp_path, {"steps": 3})
    assert rows(tmp_path)[-1]["skipped"] == 1
    assert all(x.isfinite().all() for x in model.state_dict().values())
    assert rows(tmp_path)[-1]["rate"] > 0


def test_a_step_whose_gradient_is_not_finite_is_left_out(tmp_path, monkeypatch):
    spoil(monkeypatch, 9216 + 1024 + 16)
    objective = options("Contrastive")["objective"]
    objective["init_args"]["audio"] = {"class_path": "test_skipped.Plain"}
    model = train(tmp_path, {"steps": 4, "objective": objective})
    assert [row["skipped"] for row in rows(tmp_path)] == [0, 0, 1, 1]
    assert [row["loss"] is None for row in rows(tmp_path)] == [False, False, True, False]
    assert all(p.isfinite().all() for p in model.parameters())
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[2])["gradient"] is None
