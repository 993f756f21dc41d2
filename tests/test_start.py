"""A joint space on the encoder that another objective learned: started from it, and with it frozen."""

from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import pytest
import torch
import yaml

from unsynth import checkpoint
from unsynth.base import Batch, NotFoundError, PatchError
from unsynth.encoders.temporal import Temporal
from unsynth.frontends.mel import LogMel
from unsynth.optimizers import groups
from unsynth.recipe import parse, read, rebuild
from unsynth.synths import synth
from unsynth.train import fit

RECIPE = Path(__file__).parent.parent / "recipes" / "tiny-diffusion.yaml"
SPEC = synth("voice").spec


def joint(start="", frozen=False, dim=32, initialise="torch"):
    """The options of a small joint space with the encoder of the tiny diffusion autoencoder."""
    options = yaml.safe_load(RECIPE.read_text())
    audio = options["objective"]["init_args"]["encoder"]
    audio["init_args"]["dim"] = dim
    params = {"class_path": "unsynth.encoders.params.ParamsMlp", "init_args": {"dim": 32, "width": 32, "blocks": 1}}
    criterion = {"class_path": "unsynth.objectives.joint.VICReg", "init_args": {"widths": [32, 32]}}
    arguments = {"audio": audio, "params": params, "criterion": criterion, "start": str(start), "frozen": frozen}
    objective = {"class_path": "unsynth.objectives.joint.Joint", "init_args": arguments}
    return options | {"objective": objective, "initialise": initialise}


def weights(module):
    return {name: x.clone() for name, x in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A trained diffusion autoencoder on disk, and the weights of its encoder."""
    out = tmp_path_factory.mktemp("backbone")
    recipe, facts = read(RECIPE, ["steps=2"])
    return out / "model.safetensors", weights(fit(recipe, facts, out, device="cpu").encoder)


@pytest.mark.parametrize("initialise", ["torch", "xavier"])
def test_a_training_starts_from_the_encoder_of_a_checkpoint(backbone, tmp_path, initialise):
    path, learned = backbone
    recipe, facts = parse(joint(path, initialise=initialise))
    assert same(weights(fit(recipe, facts, tmp_path / "started", device="cpu", minutes=0).encoder), learned)
    recipe, facts = parse(joint(initialise=initialise))
    assert not same(weights(fit(recipe, facts, tmp_path / "fresh", device="cpu", minutes=0).encoder), learned)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_keeps_its_weights_and_statistics(backbone, tmp_path, frozen):
    path, learned = backbone
    recipe, facts = parse(joint(path, frozen))
    trained, fresh = fit(recipe, facts, tmp_path, device="cpu", log_steps=1), recipe.objective(SPEC)
    moved = {name for name, x in weights(trained.encoder).items() if not x.equal(learned[name])}
    assert moved == (set() if frozen else set(learned))
    assert any(not p.equal(q) for p, q in zip(trained.params.parameters(), fresh.params.parameters(), strict=True))


def test_a_frozen_encoder_is_in_no_optimiser_and_still_passes_gradients_to_the_sound():
    objective = parse(joint(frozen=True))[0].objective(SPEC)
    stepped = {id(p) for group in groups(objective, 0.05) for p in group["params"]}
    assert stepped.isdisjoint(id(p) for p in objective.encoder.parameters())
    audio = torch.randn(4, 8000, requires_grad=True)
    objective.sound(audio).square().sum().backward()
    assert audio.grad is not None
    assert audio.grad.norm() > 0


def head(space, start):
    """A regression by the error in a space."""
    encoder = joint()["objective"]["init_args"]["audio"]
    arguments = {"encoder": encoder, "error": "embedding", "space": str(space), "start": str(start), "frozen": True}
    name = "unsynth.estimators.regression.Regression"
    return joint() | {"objective": {"class_path": name, "init_args": {**arguments, "width": 32, "blocks": 1}}}


def test_a_head_on_the_frozen_encoder_of_its_space_hears_each_sound_once(tmp_path):
    model, copy = tmp_path / "run" / "model.safetensors", tmp_path / "copy.safetensors"
    fit(*parse(joint()), model.parent, device="cpu")
    copyfile(model, copy)
    heads = [fit(*parse(head(model, start)), tmp_path / start.stem, device="cpu") for start in (model, copy)]
    assert [head.hears for head in heads] == ["vector", ""]
    audio, params = torch.rand(4, 44100) - 0.5, torch.rand(4, len(SPEC))
    batch = Batch(torch.arange(4), params, audio)
    once, twice = (head.eval().loss(batch, "all")["embedding"] for head in heads)
    torch.testing.assert_close(once, twice)
    heard = replace(batch, audio=audio[:, :0], heard=heads[0].encoder(audio))
    torch.testing.assert_close(heads[0].loss(heard, "all")["embedding"], once)


def test_a_part_may_leave_out_what_its_module_has_not(tmp_path):
    """An encoder that takes statistics of the frames starts from one that pools them by attention."""
    mel = LogMel(1024, 882, 8)
    learned, without = Temporal(mel, 8, (8, 16)), Temporal(mel, widths=(8, 16), pool="statistics")
    weights = {f"{checkpoint.ENCODER}{name}": x for name, x in learned.state_dict().items()}
    checkpoint.save(tmp_path / "a.safetensors", weights, {})
    checkpoint.load_into(without, tmp_path / "a.safetensors", checkpoint.ENCODER)
    sound = torch.rand(2, 20_000) - 0.5
    tokens = learned.eval().tokens(sound)
    expected = torch.cat([tokens.mean(1), tokens.std(1, unbiased=False), tokens.amax(1)], dim=1)
    torch.testing.assert_close(without.eval()(sound), expected, atol=1e-3, rtol=1e-3)
    assert expected.shape[1] == without.dim == 48


def test_another_encoder_or_no_checkpoint_is_refused_in_a_sentence(backbone, tmp_path):
    encoder = parse(joint(dim=48))[0].objective(SPEC).encoder
    with pytest.raises(PatchError, match=r"has no encoder like this one; [^.]*\.$"):
        checkpoint.load_into(encoder, backbone[0], checkpoint.ENCODER)
    checkpoint.save(tmp_path / "other.safetensors", {"weight": torch.zeros(1)}, {})
    with pytest.raises(PatchError, match="has no encoder like this one"):
        checkpoint.load_into(encoder, tmp_path / "other.safetensors", checkpoint.ENCODER)
    recipe, facts = parse(joint(tmp_path / "none.safetensors"))
    with pytest.raises(NotFoundError, match="There is no checkpoint at"):
        fit(recipe, facts, tmp_path, device="cpu")


def test_a_model_is_built_again_without_the_checkpoint_it_started_from(tmp_path):
    _, facts = parse(joint(tmp_path / "gone.safetensors", frozen=True))
    assert rebuild(facts).objective(SPEC).encoder.dim == 32
