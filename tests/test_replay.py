"""Replay: sounds that a frozen encoder heard are learned from again, and a stopped training goes on to the bit."""

from dataclasses import replace

import pytest
import torch
from training import Chime, Small, options, rows, train

from unsynth import checkpoint
from unsynth.base import Batch
from unsynth.errors import UsageError
from unsynth.estimators.flow import Flow
from unsynth.recipe import build, parse
from unsynth.sounds.replay import Replay
from unsynth.trainer import Trainer


def settings(start, **changes):
    recipe = options("Contrastive", steps=6, replay=3, again=2, **changes)
    recipe["objective"]["init_args"] |= {"start": str(start), "frozen": True}
    return recipe


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A checkpoint whose encoder can be frozen."""
    path = tmp_path_factory.mktemp("start") / "model.safetensors"
    recipe, facts = parse(options("Contrastive"))
    checkpoint.save(path, build(recipe).state_dict(), facts)
    return path


def batch(first, rows=4):
    ids = torch.arange(first, first + rows)
    return Batch(ids, ids[:, None] / 100.0, torch.zeros(rows, 8), heard=ids[:, None].float())


def test_it_keeps_the_last_batches_without_audio_and_their_rows_together():
    replay = Replay(2)
    for first in (0, 10, 20):
        replay.add(batch(first))
    drawn = [replay.draw() for _ in range(50)]
    assert {int(i) for b in drawn for i in b.ids} == {10, 11, 12, 13, 20, 21, 22, 23}
    assert all(b.audio.shape == (4, 0) and torch.equal(b.heard[:, 0], b.ids.float()) for b in drawn)
    assert all(torch.equal(b.params, b.ids[:, None] / 100.0) for b in drawn)
    assert all(b.audio.untyped_storage().nbytes() == 0 for b in replay.kept)  # a view would keep all samples in memory


def test_what_is_restored_is_where_the_training_is():
    """The next batch comes from there, and no draw may mix two devices."""
    replay, other = Replay(3), Replay(3)
    replay.add(batch(0))
    other.restore(replay.tensors(), 4, "meta")
    assert {b.ids.device.type for b in other.kept} == {b.heard.device.type for b in other.kept} == {"meta"}


def test_a_draw_is_what_indexing_all_that_is_kept_gives():
    replay = Replay(3)
    for first in (0, 10, 20):
        replay.add(batch(first))
    for seed in range(9):
        torch.manual_seed(seed)
        drawn = replay.draw()
        torch.manual_seed(seed)
        which = torch.randperm(12)[:4]
        assert torch.equal(drawn.ids, replay.tensors()["ids"][which])
        assert torch.equal(drawn.heard, replay.tensors()["heard"][which])


def test_a_replayed_training_goes_on_as_if_it_had_not_been_stopped(start, tmp_path):
    whole = train(tmp_path / "whole", settings(start), save_minutes=0)
    train(tmp_path / "parts", settings(start), save_minutes=0, minutes=0)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", settings(start), on_progress=stop)
    parts = train(tmp_path / "parts", settings(start))
    assert [row["loss"] for row in rows(tmp_path / "parts")] == [row["loss"] for row in rows(tmp_path / "whole")]
    ours, theirs = parts.state_dict(), whole.state_dict()
    assert [name for name, x in ours.items() if not torch.equal(x, theirs[name])] == []


def stop(progress):
    import os
    import signal

    if progress.step % 2 == 0 or progress.step == 3:
        os.kill(os.getpid(), signal.SIGINT)


def test_every_step_takes_as_many_turns_as_it_says_and_hears_each_sound_once(start, tmp_path, monkeypatch):
    turns, heard = [], []
    turn, hear = Trainer._turn, Trainer._heard
    monkeypatch.setattr(Trainer, "_turn", lambda self, b: turns.append(b) or turn(self, b))
    monkeypatch.setattr(Trainer, "_heard", lambda self, audio: heard.append(len(audio)) or hear(self, audio))
    train(tmp_path, settings(start))
    assert (len(turns), heard) == (6 * 3, [16] * 6)
    assert all(b.heard is not None and b.audio.shape[1] == 0 for b in turns)


def test_a_flow_learns_from_tokens_what_it_learns_from_their_audio():
    torch.manual_seed(0)
    model, audio = Flow(Chime.spec, Small(), width=16, depth=1, frozen=True).eval(), torch.randn(4, 512)
    assert model.hears == "tokens"
    fresh = Batch(torch.arange(4), torch.rand(4, 3), audio)
    again = replace(fresh, audio=audio[:, :0], heard=model.encoder.tokens(audio))
    losses = []
    for batch in (fresh, again):
        torch.manual_seed(1)
        losses.append(model.loss(batch, "all")["loss"])
    assert losses[0] == losses[1]
    assert losses[0] != model.loss(again, "all")["loss"]  # other noise


def test_what_still_learns_cannot_be_replayed(tmp_path):
    with pytest.raises(UsageError, match="frozen"):
        train(tmp_path, options("Contrastive", replay=2))
