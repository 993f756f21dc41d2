"""What cannot be done is given up, and the rest goes on: patches that crash an engine, sounds that are gone."""

import json
import logging
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from commands import one_thread, run, tone, write  # noqa: F401
from toy import Toy

from unsynth import batch
from unsynth.base import Budget, EngineError, NotFoundError, Synth
from unsynth.contract import Losses, far_where_lost, forgiven, lost
from unsynth.match import match
from unsynth.params import Param, ParamSpec
from unsynth.sounds.ids import is_train, params_of, train_ids
from unsynth.sounds.live import Live
from unsynth.sounds.shard_building import build
from unsynth.sounds.shards import Shards
from unsynth.synths import SYNTHS, engines
from unsynth.synths.worker import Pool

RENDERS = 24
MOST = 0.8  # a fifth of uniform patches crash


class Fragile(Synth):
    name = "fragile"
    spec = ParamSpec("fragile", [Param("tone.frequency", 200, 2000, "Hz"), Param("tone.strain")])
    rate, seconds, differentiable, most = 44100, 0.1, False, MOST

    def render(self, params, noise=None):
        return engines.played(f"engines:Fragile:{self.most}", 4410, self.spec.to_human(params), 1)


class Hopeless(Fragile):
    most = -1.0


class Dying(Toy):
    """An engine that fails for good in the third batch of a search, and plays again for its candidates."""

    batches = 0

    def render(self, params, noise=None):
        self.batches += 1
        if self.batches == 3:
            raise EngineError("The licence ran out.")
        return super().render(params, noise)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(engines, "Pool", partial(Pool, attempts=1))
    for made in (Fragile, Hopeless, Dying):
        monkeypatch.setitem(SYNTHS, made.__name__.lower(), made)
    yield
    engines._pool.cache_clear()


def found(synth, method="genetic", renders=RENDERS):
    return match(tone(0.1)[:, 0], 44100, synth=synth, method=method, budget=Budget(None, renders))


def test_a_patch_that_crashes_is_an_error_unless_it_is_forgiven():
    params, losses = torch.tensor([[0.5, 0.1], [0.5, 0.9], [0.2, 0.3]]), Losses()
    with pytest.raises(EngineError, match="crashed or hung 1 times on the same patch"):
        Fragile().render(params)
    with forgiven(losses):
        sounds = Fragile().render(params)
        assert len(Fragile().render(params[:0])) == 0
    assert lost(sounds).tolist() == [False, True, False]
    assert sounds[1].isnan().all()
    assert torch.equal(sounds[[0, 2]], Fragile().render(params[[0, 2]]))
    assert (losses.asked, losses.lost) == (3, 1)
    distance = far_where_lost(lambda audio: audio.square().sum(1))
    assert distance(sounds).isfinite().tolist() == [True, False, True]
    with pytest.raises(EngineError):
        Fragile().render(params[1:2])


def test_a_search_goes_on_after_patches_that_crash():
    one, again = found("fragile"), found("fragile")
    assert one.renders == RENDERS
    assert one.trouble.startswith("Patches that cannot be played, and were passed over: ")
    assert all(candidate.params[1] <= MOST and candidate.audio.isfinite().all() for candidate in one.candidates)
    assert torch.equal(one.candidates[0].params, again.candidates[0].params)


def test_an_engine_that_plays_nothing_is_an_error():
    with pytest.raises(EngineError, match=r"\(8 of 8 patches failed\)\.$"):
        found("hopeless")
    with pytest.raises(EngineError, match=r"\(3 of 3 patches failed\)\.$"):
        found("hopeless", renders=3)


@pytest.mark.parametrize(("errors", "told"), [("xxxx....", ""), ("xxxxx...", "5 of 8"), ("....xxxxxx", "5 of 9")])
def test_more_than_half_of_eight_is_too_much(errors, told):
    losses, texts = Losses(), [error.strip(".") for error in errors]
    with pytest.raises(EngineError, match=f"x .{told} patches failed") if told else nullcontext():
        losses.judge(texts)
    losses = Losses()
    losses.judge(texts[:7])  # too few to judge
    assert (losses.asked, losses.lost) == (7, texts[:7].count("x"))


def test_the_best_so_far_is_kept_where_the_engine_fails_later():
    one = found("dying", "random", 96)
    assert one.renders == 64
    assert one.trouble == "The search ended early. The licence ran out."
    assert not one.interrupted
    assert one.candidates[0].distance == one.curve[-1][2]


def test_match_tells_how_many_patches_crashed_and_knows_its_result_again(capsys, tmp_path):
    words = ("match", write(tmp_path / "a.wav", tone()), "--synth", "fragile", "--method", "genetic")
    words += ("--renders", RENDERS, "--out", tmp_path / "out", "--json")
    told = [run(capsys, *words) for _ in range(2)]
    assert [code for code, _, _ in told] == [0, 0]
    first, second = (json.loads(out) for _, out, _ in told)
    assert "passed over" in first["trouble"]
    assert all(first["trouble"] in err for _, _, err in told)
    assert second == {**first, "resumed": True}


def test_a_sound_that_is_gone_when_its_turn_comes_stops_no_other(tmp_path):
    gone, there = str(tmp_path / "gone.wav"), write(tmp_path / "there.wav", tone())
    task = batch.Task("drum", "random", Budget(None, 1), 1, 0, "cpu")
    first, second = batch.run({gone: None, there: None}, tmp_path / "out", task)
    assert isinstance(first.error, NotFoundError)
    assert str(first.error) == f"{gone} cannot be read any more (No such file or directory)."
    assert second.result["renders"] == 1


def test_shards_have_other_sounds_in_place_of_those_that_crash(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    for name in ("one", "other"):
        build(tmp_path / name, Live(Fragile()), 40, largest=16)
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "other"))
    assert one == other
    planned, spare = train_ids(0, 16), train_ids(36, 16)
    crashes, spoilt = ((params_of(ids, Fragile.spec)[:, 1] > MOST) for ids in (planned, spare))
    missing = int(crashes.sum())
    assert missing
    wanted = planned[~crashes].tolist() + spare[~spoilt][:missing].tolist()
    stored = Shards(Fragile(), str(tmp_path / "one"))
    told = json.loads(one["manifest.json"])["shards"]
    assert stored.opened("train-00000").ids.tolist() == wanted
    assert set(planned[crashes].tolist()) <= set(told["train-00000"]["crashed"])
    assert not set(wanted) & set(told["train-00000"]["crashed"])
    sounds = stored.take("train", 0, 36)
    assert (sounds.audio.abs().amax(1) > 0.4).all()
    assert len(sounds.ids.unique()) == 36
    assert (sounds.params[:, 1] <= MOST).all()
    count = sum(len(shard.get("crashed", [])) for shard in told.values())
    assert f"have others: {count} (manifest.json names them)" in caplog.messages[0]


def test_training_has_other_sounds_in_place_of_those_that_crash():
    source, planned = Live(Fragile()), train_ids(0, 16)
    crashes = params_of(planned, Fragile.spec)[:, 1] > MOST
    assert crashes.any()
    one, again, held = source.take("train", 0, 16), source.take("train", 0, 16), source.take("validation", 0, 16)
    for found, trained in ((one, True), (held, False)):
        assert (found.params[:, 1] <= MOST).all()
        assert torch.equal(found.params, params_of(found.ids, Fragile.spec))
        assert (found.audio.abs().amax(1) > 0.4).all()
        assert (is_train(found.ids) == trained).all()
    assert torch.equal(one.ids[~crashes], planned[~crashes])
    assert (one.ids[crashes] > 7 * 10**7).all()
    assert torch.equal(one.ids, again.ids)
    with pytest.raises(EngineError, match="patches failed"):
        Live(Hopeless()).take("train", 0, 4)


def test_shards_of_an_engine_that_plays_nothing_are_an_error(tmp_path):
    with pytest.raises(EngineError, match="patches failed"):
        build(tmp_path, Live(Hopeless()), 40, largest=16)


def test_an_engine_that_fails_just_below_half_may_run_out_of_spare_patches(tmp_path, monkeypatch):
    monkeypatch.setattr(Losses, "judge", lambda self, errors: None)
    with pytest.raises(EngineError, match=r"The shard train-00000 cannot be rendered: most patches crash"):
        build(tmp_path, Live(Hopeless()), 4)
