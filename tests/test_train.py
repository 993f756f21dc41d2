"""fit(): exact when killed and resumed, blind to held-out sounds, and left alone by validation."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from training import Chime, Small, options, rows, train

from unsynth import checkpoint
from unsynth.base import Objective
from unsynth.errors import OutputError, PatchError, UsageError
from unsynth.recipe import build, parse
from unsynth.sounds.ids import is_train
from unsynth.train import fit, place
from unsynth.trainer import average_into, train_mode

ADVERSARIAL = Path(__file__).parent.parent / "recipes" / "tiny-adversarial.yaml"
STEPS = 30
LONG = {"steps": STEPS, "objective": options("Prediction")["objective"]}  # it draws random numbers in every step


def losses(out):
    return [(row["step"], row["loss"]) for row in rows(out) if "loss" in row]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    train(out, LONG, save_minutes=0)
    assert [step for step, _ in losses(out)] == list(range(1, STEPS + 1))
    return out


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training"])
    return context


def logged(out):
    path = out / "log.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def stop(processes, out, number, after):
    """A training process that gets the signal ``number`` a moment after ``after`` lines of log; its exit code."""
    process = processes.Process(target=train, args=(str(out), LONG), kwargs={"save_minutes": 0})
    process.start()
    while logged(out) < after and process.is_alive():
        time.sleep(0.001)
    time.sleep(random.random() * 0.03)
    os.kill(process.pid, number)
    process.join()
    return process.exitcode


def assert_equal(out, whole):
    assert losses(out) == losses(whole)
    for name in ("state.safetensors", "model.safetensors"):
        ours, theirs = checkpoint.load(out / name)[0], checkpoint.load(whole / name)[0]
        assert ours.keys() == theirs.keys()
        assert [key for key, x in ours.items() if not torch.equal(x, theirs[key])] == []


def test_killed_at_any_moment_it_goes_on_as_if_nothing_had_been(whole, processes, tmp_path):
    codes = [stop(processes, tmp_path, signal.SIGKILL, after) for after in (0, 3, 11, 19)]
    assert codes == [-signal.SIGKILL] * 4
    assert 0 < logged(tmp_path) < STEPS
    train(tmp_path, LONG)
    assert_equal(tmp_path, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_the_step_it_is_in(whole, tmp_path, number):
    def press(progress):
        if progress.step == 7:
            os.kill(os.getpid(), number)

    handler = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, LONG, on_progress=press)
    assert signal.getsignal(number) is handler
    assert checkpoint.load(tmp_path / "state.safetensors")[1]["step"] == 7
    train(tmp_path, LONG)
    assert_equal(tmp_path, whole)


def test_a_failure_within_a_step_leaves_the_last_whole_state(whole, tmp_path, monkeypatch):
    from unsynth.trainer import Trainer

    def fail(self, name, batch):
        return move(self, name, batch) if self.step < 5 else pytest.fail("between two halves of a step")

    move = Trainer._move
    monkeypatch.setattr(Trainer, "_move", fail)
    with pytest.raises(pytest.fail.Exception):
        train(tmp_path, LONG, save_minutes=0)
    monkeypatch.undo()
    train(tmp_path, LONG)
    assert_equal(tmp_path, whole)


def test_validation_moves_nothing(whole, tmp_path):
    def validate(objective):
        assert not objective.training
        objective.sound(torch.randn(8, 2205))
        return {"drawn": torch.rand(()).item()}

    train(tmp_path, LONG, validate=validate, validate_steps=1)
    assert_equal(tmp_path, whole)
    drawn = {row["drawn"] for row in rows(tmp_path) if "drawn" in row}
    assert len(drawn) == 1


def test_minutes_stop_it_saved(tmp_path):
    train(tmp_path, LONG, minutes=0)
    assert checkpoint.load(tmp_path / "state.safetensors")[1]["step"] == 0


def test_another_recipe_or_a_damaged_state_is_refused(whole, tmp_path):
    with pytest.raises(PatchError, match="another recipe"):
        train(whole, {**LONG, "seed": 1})
    state = tmp_path / "state.safetensors"
    state.write_bytes((whole / "state.safetensors").read_bytes()[:-10])
    with pytest.raises(PatchError, match="not a whole checkpoint"):
        train(tmp_path, LONG)


def test_where_nothing_can_be_written_or_run(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        train(tmp_path / "file" / "run")
    recipe, facts = parse(options())
    for wrong in ({"device": "abacus"}, {"device": "cpu", "devices": 3}, {"device": "cpu", "devices": 0}):
        with pytest.raises(UsageError):
            fit(recipe, facts, tmp_path, **wrong)


def test_only_training_sounds_are_rendered(tmp_path, monkeypatch):
    asked = []

    def spy(self, params, noise=None):
        asked.append(noise)
        return render(self, params, noise)

    render = Chime.render
    monkeypatch.setattr(Chime, "render", spy)
    train(tmp_path, {"steps": 4, "batch": 32})
    ids = torch.cat(asked)
    assert is_train(ids).all()
    assert ids.min() < 9216 < 10240 <= ids.max()  # on both sides of a held-out block
    assert len(ids.unique()) == len(ids) >= 4 * 32


def test_ema_is_its_recursion(tmp_path):
    torch.set_num_threads(1)
    averaged, decay = [torch.tensor([1.0]), torch.tensor([5.0])], 0.3
    expected = [1.0, 5.0]
    for n in range(1, 8):
        current = [n**0.5, -2.0 * n]
        share = min(decay, (1 + n) / (10 + n))
        expected = [share * a + (1 - share) * x for a, x in zip(expected, current, strict=True)]
        average_into(averaged, [torch.tensor([x]) for x in current], n, decay)
    assert [x.item() for x in averaged] == pytest.approx(expected, rel=1e-6)


def test_the_model_that_is_kept_is_the_average_of_the_weights_after_every_step(tmp_path):
    seen = []

    def remember(objective):  # the averaged one; the state has both
        state = checkpoint.load(tmp_path / "state.safetensors")[0] if seen else None
        seen.append(state)
        return {}

    train(tmp_path, {"steps": 6, "ema": 0.9}, validate=remember, validate_steps=1, save_minutes=0)
    states = [*seen[1:], checkpoint.load(tmp_path / "state.safetensors")[0]]
    assert len(states) == 6
    name = "encoder.out.weight"
    expected = states[0][f"model/{name}"].double()
    for n, state in enumerate(states[1:], 1):
        share = min(0.9, (1 + n) / (10 + n))
        expected = share * expected + (1 - share) * state[f"model/{name}"].double()
    torch.testing.assert_close(checkpoint.load(tmp_path / "model.safetensors")[0][name].double(), expected)


class Head(Objective):
    """A regression on a frozen encoder."""

    def __init__(self, spec):
        super().__init__()
        self.encoder, self.head = Small(), nn.Linear(16, len(spec))
        self.encoder.requires_grad_(False)

    def loss(self, batch, player):
        return {"loss": (self.head(self.encoder(batch.audio)) - batch.params).square().mean()}


def test_a_frozen_encoder_keeps_its_weights_and_batch_norm_statistics(tmp_path):
    head = {"class_path": "test_train.Head"}
    before = build(parse(options(objective=head))[0]).state_dict()
    train(tmp_path, {"objective": head, "steps": 3})
    after = checkpoint.load(tmp_path / "model.safetensors")[0]
    moved = {name for name, x in after.items() if not torch.equal(x, before[name])}
    assert moved == {"head.weight", "head.bias"}
    model = build(parse(options())[0])
    train_mode(model)
    assert all(module.training for module in model.modules())


def test_predicted_coordinates_are_normalised_over_the_batch_from_the_first_step_on():
    """No parameter of that normalisation learns, but it is not frozen for that."""
    model = build(parse(options("Prediction"))[0])
    train_mode(model)
    for side, size in (("audio", model.encoder.dim), ("params", model.params.dim)):
        z = model.criterion.projectors[side](5 + 3 * torch.randn(64, size))
        torch.testing.assert_close(z.mean(0), torch.zeros(z.shape[1]), rtol=0, atol=1e-4)
        torch.testing.assert_close(z.std(0, correction=0), torch.ones(z.shape[1]), rtol=0, atol=1e-2)
        assert model.criterion.projectors[side][-1].mean.any()


def test_what_the_recipe_starts_from_may_be_gone_when_it_goes_on(tmp_path):
    train(tmp_path / "before", {"steps": 1})
    start = tmp_path / "start.safetensors"
    (tmp_path / "before" / "model.safetensors").rename(start)
    train(tmp_path / "out", {"steps": 2, "start": str(start)}, minutes=0)
    start.unlink()
    train(tmp_path / "out", {"steps": 2, "start": str(start)})
    assert rows(tmp_path / "out")[-1]["step"] == 2


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"weight_decay": 0.2}}}, "of the recipe"),
        ({"compiled": True, "objective": yaml.safe_load(ADVERSARIAL.read_text())["objective"]}, "players"),
    ],
)
def test_options_that_would_do_nothing_or_fail_are_refused(tmp_path, changes, match):
    with pytest.raises(UsageError, match=match):
        train(tmp_path, changes)


@pytest.mark.parametrize(("there", "precision"), [(False, "32-true"), (True, "bf16-mixed")])
def test_a_processor_that_only_emulates_bfloat16_computes_in_32_bits(monkeypatch, there, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": there})
    fabric = place(parse(options("VICReg", precision="bf16-mixed"))[0], "cpu", 1, 1)
    assert fabric.strategy.precision.precision == precision
