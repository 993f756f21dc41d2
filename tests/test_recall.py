"""Recall: of points whose neighbours are known, with ties and numbers that are none; logged by ``unsynth pretrain``."""

import json

import pytest
import torch
import training
import yaml
from commands import one_thread, run  # noqa: F401

from unsynth.recipe import build, parse
from unsynth.sounds.ids import VALIDATION, held_out_ids, is_train, params_of
from unsynth.sounds.live import Live
from unsynth.study.recall import points, ranks, recall, validation


def test_ranks_are_those_of_sorted_distances():
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(300, 5, generator=generator)
    sounds = patches + 0.5 * torch.randn(300, 5, generator=generator)
    expected = [
        sorted(range(300), key=lambda j, i=i: float((sounds[i] - patches[j]).norm())).index(i) for i in range(300)
    ]
    assert ranks(sounds, patches, chunk=128).tolist() == expected
    assert recall(torch.tensor(expected))["recall@1"] == pytest.approx(sum(x == 0 for x in expected) / 300)
    assert recall(torch.tensor([0, 1, 9, 10])) == {"recall@1": 0.25, "recall@10": 0.75}


def test_a_collapsed_or_broken_space_finds_nothing():
    assert ranks(torch.ones(20, 3), torch.ones(20, 3)).tolist() == [19] * 20
    assert ranks(torch.full((20, 3), torch.nan), torch.rand(20, 3)).tolist() == [19] * 20


def test_points_are_of_the_validation_sounds_themselves():
    joint = build(parse(training.options("Contrastive"))[0]).eval()
    ids, synth = held_out_ids(VALIDATION, 5), training.Chime()
    assert not is_train(ids).any()
    params = params_of(ids, synth.spec)
    sounds, patches = points(joint, Live(synth), 5, chunk=2)
    with torch.no_grad():
        torch.testing.assert_close(sounds, joint.sound(synth.render(params, ids)))
        torch.testing.assert_close(patches, joint.patch(params))


def test_other_objectives_have_a_loss_unless_they_have_several_players():
    class Level(torch.nn.Module):
        def __init__(self, *players):
            super().__init__()
            self.guess, self.names = torch.nn.Parameter(torch.tensor(0.5)), players

        def players(self):
            return dict.fromkeys(self.names, self)

        def loss(self, batch, player):
            return {"loss": (batch.params - self.guess).square().mean()}

    source = Live(training.Chime())
    params = source.take("validation", 0, 512).params
    told = validation(source)(Level("all"))  # pyright: ignore[reportArgumentType]
    assert told == {"validation_loss": pytest.approx(float((params - 0.5).square().mean().detach()))}
    assert validation(source)(Level("one", "other")) == {}  # pyright: ignore[reportArgumentType]


def test_pretrain_logs_it_and_the_losses_stay_the_same(capsys, tmp_path):
    recipe = training.packaged(training.options("Contrastive", steps=40))
    (tmp_path / "bell.yaml").write_text(yaml.safe_dump(recipe))
    found = {}
    for often in ("20", "0"):
        out = tmp_path / often
        run(capsys, "pretrain", tmp_path / "bell.yaml", "--out", out, "--device", "cpu", "--validate-steps", often)
        rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        found[often] = [row for row in rows if "recall@1" in row], [row["loss"] for row in rows if "loss" in row]
    assert [row["step"] for row in found["20"][0]] == [20, 40]
    assert all(0 <= row["recall@1"] <= row["recall@10"] <= 1 for row in found["20"][0])
    assert found["0"][0] == []
    assert found["20"][1] == found["0"][1]
