"""Search in a joint space: JADE on known functions, the search on a space that is exact, checkpoints of a small one."""

import dataclasses
import math
import time

import pytest
import torch
from toy import Toy

from unsynth import checkpoint
from unsynth.base import Budget, PatchError, Problem, Solution
from unsynth.presets import PRIORS
from unsynth.recipe import build, read
from unsynth.search import index as ix
from unsynth.search.embedding import Embedding
from unsynth.search.jade import Jade
from unsynth.sounds.ids import params_of, train_ids
from unsynth.space import JointSpace, once
from unsynth.synths import synth


def minimised(function, dim, generations, categorical=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    params = torch.rand(32, dim, generator=generator)
    categorical = torch.zeros(dim, dtype=torch.bool) if categorical is None else categorical
    return Jade(categorical)(function, Solution(params, function(params)), generations, generator)


def test_jade_finds_the_bottom_of_a_bowl_and_of_a_valley():
    bowl = minimised(lambda x: (x - 0.3).square().sum(1), 10, 150)
    assert bowl.distances.min() < 1e-6

    def rosenbrock(u):
        x = 4 * u - 2
        return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(1)

    assert minimised(rosenbrock, 4, 400).distances.min() < 1e-3


def test_jade_keeps_every_member_that_no_child_beats():
    seen = []

    def judge(x):
        seen.append(x)
        return torch.full((len(x),), float("inf"))

    start = torch.rand(16, 3)
    kept = Jade(torch.zeros(3, dtype=torch.bool))(judge, Solution(start, torch.ones(16)), 5, torch.Generator())
    assert torch.equal(kept.params, start)
    assert len(seen) == 5
    assert all(((x >= 0) & (x <= 1)).all() for x in seen)


def test_jade_never_adds_choices_up():
    def judge(x):  # of eight choices, the fifth is right, and its neighbours are worst
        step = (x[:, 0] * 8).floor()
        return torch.where(step == 4, 0.0, torch.where((step - 4).abs() == 1, 9.0, 1.0)) + x[:, 1]

    found = minimised(judge, 2, 60, torch.tensor([True, False]))
    assert found.distances.min() < 0.01


class ExactSpace:
    """The joint space of the toy synth that training would end in: its points are frequency and level, in [0, 1]."""

    def sounds(self, audio):
        angle = torch.acos(audio[:, 2].double() / (2 * audio[:, 1].double()))
        hertz, level = angle * Toy.rate / (2 * math.pi), (audio[:, 1] / angle.sin() - 0.1) / 0.9
        return Toy.spec.to_unit(torch.stack([hertz, level, level], dim=1))[:, :2]

    def patches(self, params):
        return params[:, :2]

    def distances(self, point, params):
        return (self.patches(params) - point).square().mean(1)


TRUTH = torch.tensor([[0.37, 0.81, 0.5]])
NOTHING = Solution(torch.empty(0, 3), torch.empty(0))


@pytest.fixture
def problem():
    target = Toy().render(TRUTH)
    return Problem(Toy(), target, lambda audio: (audio - target).abs().mean(1), Budget(renders=1000))


def test_the_search_ends_where_the_space_says_and_renders_only_then(problem):
    space = ExactSpace()
    torch.testing.assert_close(space.sounds(problem.target), TRUTH[:, :2], atol=1e-4, rtol=0)
    found = Embedding(space, generations=10, rendered=8)(problem, NOTHING)
    assert problem.renders == 8
    torch.testing.assert_close(found.params[0, :2], TRUTH[0, :2], atol=2e-3, rtol=0)


def test_evolution_and_descent_each_come_nearer(problem):
    def nearest(**kind):
        search = Embedding(ExactSpace(), **kind)
        return float(ExactSpace().distances(TRUTH[:, :2], search.nearest(problem)[:1]))

    drawn = nearest(generations=0, steps=0)
    assert nearest(generations=16, steps=0) < drawn / 4
    assert nearest(generations=0, steps=60) < drawn / 4


def test_a_search_without_an_index_starts_from_the_prior(problem, monkeypatch):
    def still(count, generator):
        return torch.cat([torch.rand(count, 2, generator=generator), torch.full((count, 1), 0.25)], dim=1)

    drawn = {"generations": 0, "steps": 0}
    assert (Embedding(ExactSpace(), prior=still, **drawn).nearest(problem)[:, 2] == 0.25).all()
    assert (Embedding(ExactSpace(), **drawn).nearest(problem)[:, 2] != 0.25).all()
    monkeypatch.setitem(PRIORS, problem.synth.name, lambda: still)
    assert (Embedding(ExactSpace(), **drawn).nearest(problem)[:, 2] == 0.25).all()


def test_the_search_is_never_worse_than_its_start(problem):
    found = Embedding(ExactSpace(), generations=0, steps=0)(problem, Solution(TRUTH, torch.zeros(1)))
    assert torch.equal(found.params[0], TRUTH[0])


def test_the_search_leaves_half_of_its_time_for_rendering(problem):
    patient = dataclasses.replace(problem.budget, renders=None, seconds=1e-6)
    hurried = Problem(problem.synth, problem.target, problem.distance, patient)
    begun = time.perf_counter()
    found = Embedding(ExactSpace(), generations=10**6, steps=10**6).nearest(hurried)
    assert time.perf_counter() - begun < 5
    assert len(found) == 64


def test_the_same_seed_gives_the_same_candidates(problem):
    one, again, other = (Embedding(ExactSpace(), seed=seed).nearest(problem) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


SMALL = """
objective:
  class_path: unsynth.objectives.joint.Joint
  init_args:
    audio:
      class_path: unsynth.encoders.temporal.Temporal
      init_args:
        frontend: {class_path: unsynth.frontends.mel.RelativeLogMel, init_args: {n_fft: 1024, hop: 4410, mels: 32}}
        dim: 16
        widths: [16, 16]
    params: {class_path: unsynth.encoders.params.ParamsMlp, init_args: {dim: 16, width: 16, blocks: 1}}
    criterion: {class_path: unsynth.objectives.joint.Contrastive, init_args: {dim: 8}}
optimizer: {class_path: torch.optim.AdamW}
"""


@pytest.fixture(scope="module")
def checkpoint_of_a_space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("space")
    (folder / "small.yaml").write_text(SMALL)
    recipe, facts = read(folder / "small.yaml")
    joint = build(recipe)
    checkpoint.save(folder / "space.safetensors", joint.state_dict(), facts)
    return folder / "space.safetensors", joint


def test_a_space_comes_back_from_its_checkpoint(checkpoint_of_a_space):
    path, joint = checkpoint_of_a_space
    voice = synth("voice")
    space = JointSpace(path, voice)
    params = torch.rand(4, len(voice.spec), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(space.patches(params), joint.eval().patch(params))
        torch.testing.assert_close(space.sounds(voice.render(params)), joint.sound(voice.render(params)))
    assert float(space.distances(space.patches(params[:1]), params)[0]) < 1e-10


def test_a_space_of_another_synth_or_with_other_weights_is_refused(checkpoint_of_a_space, tmp_path):
    path, _ = checkpoint_of_a_space
    with pytest.raises(PatchError, match="another synth"):
        JointSpace(path, Toy())
    tensors, facts = checkpoint.load(path)
    checkpoint.save(tmp_path / "less", dict(list(tensors.items())[1:]), facts)
    with pytest.raises(PatchError, match="do not fit"):
        JointSpace(tmp_path / "less", synth("voice"))


def test_an_index_by_a_space_finds_its_own_sounds_and_is_refused_to_others(checkpoint_of_a_space, tmp_path):
    voice = synth("voice")
    space = JointSpace(checkpoint_of_a_space[0], voice)
    feature = ix.Feature(space.name, space.sounds)
    path = tmp_path / "index"
    index = ix.build(path, voice, 64, feature=feature, dim=8, fitted_on=64, chunk=32)
    target = train_ids(7, 1)
    assert index.nearest(voice.render(params_of(target, voice.spec), target), 1).tolist() == target.tolist()
    assert torch.equal(ix.Index.load(path, voice, feature).codes, index.codes)
    with pytest.raises(PatchError, match="another feature"):
        ix.Index.load(path, voice)


def test_a_model_is_made_once_for_each_state_of_its_file(tmp_path):
    path, voice = tmp_path / "a", synth("voice")
    path.write_text("one")

    def load(path, synth):
        return [path.read_text(), synth]

    first = once(load, path, voice)
    assert once(load, path, synth("voice")) is first
    path.write_text("another")
    assert once(load, path, voice) == ["another", voice]
    path.unlink()
    with pytest.raises(FileNotFoundError):
        once(load, path, voice)
