"""`unsynth export-model`: what is written of a training, and what is refused."""

import pytest
import torch
from commands import one_thread, run  # noqa: F401
from safetensors import safe_open
from test_study import tiny

from unsynth import checkpoint, folders
from unsynth.base import PatchError
from unsynth.recipe import build, parse, restored
from unsynth.synths import synth


def frozen(start, folder, **options):
    """A regression on the encoder of a tiny joint space, which is installed as ``start``, as a training leaves it."""
    space, facts = parse(tiny("tiny-vicreg"))
    joint = build(space)
    checkpoint.save(checkpoint.own(start), checkpoint.halved(joint.state_dict()), facts)
    encoder = tiny("tiny-vicreg")["objective"]["init_args"]["audio"]
    arguments = {"encoder": encoder, "start": start, "frozen": True, "width": 16, "blocks": 1, **options}
    objective = {"class_path": "unsynth.estimators.regression.Regression", "init_args": arguments}
    recipe, facts = parse({**tiny("tiny-vicreg"), "objective": objective})
    model = build(recipe)
    checkpoint.load_into(model.encoder, checkpoint.own(start), checkpoint.ENCODER)
    checkpoint.save(folder / "model.safetensors", model.state_dict(), facts)
    return model


def test_an_encoder_that_an_installed_model_has_is_written_once(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(folders.OWN, str(tmp_path / "data"))
    model = frozen("voice-space", tmp_path / "run").eval()
    assert run(capsys, "export-model", tmp_path / "run")[0] == 0
    path, voice = checkpoint.own("voice-regression"), synth("voice")
    with safe_open(path, "pt") as file:
        assert not any(name.startswith(checkpoint.ENCODER) for name in file.keys())  # noqa: SIM118
    sound = torch.rand(1, 8000, generator=torch.Generator().manual_seed(0)) - 0.5
    torch.testing.assert_close(restored(path, voice).guess(sound), model.guess(sound), rtol=0.01, atol=0.01)
    checkpoint.load_into(model.encoder, path, checkpoint.ENCODER)  # for other trainings it is whole
    tensors, facts = checkpoint.load(checkpoint.own("voice-space"))
    checkpoint.save(checkpoint.own("voice-space"), {k: x + 1 for k, x in tensors.items()}, facts)
    with pytest.raises(PatchError, match=r"another voice-space than is installed; train it again\.$"):
        restored(path, voice)


def test_an_encoder_that_has_learned_is_written(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(folders.OWN, str(tmp_path / "data"))
    frozen("voice-space", tmp_path / "run")
    tensors, facts = checkpoint.load(tmp_path / "run" / "model.safetensors")
    moved = {k: x * 1.1 if k.startswith(checkpoint.ENCODER) else x for k, x in tensors.items()}
    checkpoint.save(tmp_path / "run" / "model.safetensors", moved, facts)
    assert run(capsys, "export-model", tmp_path / "run")[0] == 0
    with safe_open(checkpoint.own("voice-regression"), "pt") as file:
        assert sum(name.startswith(checkpoint.ENCODER) for name in file.keys()) > 5  # noqa: SIM118


def test_what_no_search_uses_is_not_made_the_users(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(folders.OWN, str(tmp_path / "data"))
    recipe, facts = parse(tiny("tiny-diffusion"))
    checkpoint.save(tmp_path / "model.safetensors", build(recipe).state_dict(), facts)
    code, _, err = run(capsys, "export-model", tmp_path / "model.safetensors")
    assert code == 2
    assert "No search uses a model of Diffusion" in err
    assert not (tmp_path / "data").exists()
    assert run(capsys, "export-model", tmp_path / "model.safetensors", tmp_path / "half.safetensors")[0] == 0
    assert run(capsys, "export-model")[0] == 2


def test_weights_that_half_precision_cannot_hold_stay():
    halved = checkpoint.halved(
        {"big": torch.full((2, 2), 1e6), "w": torch.ones(2, 2), "b": torch.ones(2), "n": torch.tensor(1)}
    )
    assert {name: x.dtype for name, x in halved.items()} == {
        "big": torch.float32,
        "w": torch.float16,
        "b": torch.float32,
        "n": torch.int64,
    }
