"""SaShiMi: any length, causal where it says so, and trained as its papers train it."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from unsynth import checkpoint
from unsynth.base import Frontend, UsageError
from unsynth.encoders.s4 import DECAY, S4D
from unsynth.encoders.sashimi import SaShiMi
from unsynth.frontends.pqmf import Pqmf
from unsynth.optimizers import groups, peaks
from unsynth.recipe import build, read
from unsynth.train import MODEL, fit

RECIPE = Path(__file__).parent.parent / "recipes" / "tiny-sashimi.yaml"


class Samples(Frontend):
    """Four samples a frame: silence is zeros."""

    bands, frame_rate = 4, 11025.0

    def analyse(self, audio):
        return nn.functional.pad(audio, (0, -audio.shape[-1] % 4)).unflatten(1, (-1, 4)).transpose(1, 2)


def encoder(seed=0, **options):
    torch.manual_seed(seed)
    small = {"dim": 7, "widths": (6, 12), "pools": (2, 4), "depth": 1, "states": 8}
    return SaShiMi(Samples(), **{**small, **options}).eval()


def test_any_length_gives_tokens_and_one_vector():
    model, counts = encoder(), []
    for length in (1, 31, 32, 33, 4000, 44100):
        tokens = model.tokens(torch.randn(2, length))
        counts.append(tokens.shape[1])
        assert tokens.shape == (2, math.ceil(length / 32), model.channels)
        assert model.vector(tokens).shape == (2, model.dim)
    assert counts == sorted(counts)


def test_a_causal_encoder_hears_what_comes_only_when_it_comes():
    model, sound = encoder(bidirectional=False), torch.randn(1, 3200)
    longer = torch.cat([sound, torch.zeros(1, 1700)], dim=1)
    torch.testing.assert_close(model.tokens(longer)[:, :100], model.tokens(sound), atol=1e-4, rtol=1e-4)
    later = sound.clone()
    later[0, 1600:] = 0
    difference = (model.tokens(later) - model.tokens(sound)).abs().amax(dim=(0, 2))
    assert difference[:50].max() < 1e-4 < 1e-2 < difference[50:].max()


def test_a_bidirectional_encoder_knows_the_end_from_the_beginning():
    model, sound = encoder(bidirectional=True), torch.randn(1, 320)
    later = sound.clone()
    later[0, -32:] += 1
    assert (model.tokens(later) - model.tokens(sound))[:, 0].abs().max() > 1e-3


def test_a_sound_does_not_depend_on_its_batch():
    model, sounds = encoder(), torch.randn(3, 1000)
    torch.testing.assert_close(model(sounds)[1:2], model(sounds[1:2]), atol=1e-5, rtol=1e-4)


def test_bfloat16_stays_near_float32():
    model, sounds = encoder(), torch.randn(4, 4000)
    exact = model(sounds)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(sounds)
    assert (rough.float() - exact).norm() < 0.05 * exact.norm()


def test_gradients_reach_everything():
    model = SaShiMi(Pqmf(), dim=8, widths=(8, 16), pools=(4, 4), depth=1, states=8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.randn(2, 20000)).float().square().mean().backward()
    for name, p in model.named_parameters():
        assert torch.isfinite(p.grad).all(), name


def test_a_pool_for_each_width():
    with pytest.raises(UsageError, match="2 widths but 3 pools"):
        encoder(pools=(2, 2, 2))


def test_state_spaces_do_not_decay():
    model = encoder()
    parts = groups(model, weight_decay=0.1)
    owned = [p for part in parts for p in part["params"]]
    assert sorted(map(id, owned)) == sorted(map(id, model.parameters()))
    spaces = [m for m in model.modules() if isinstance(m, S4D)]
    assert not {p for m in spaces for p in m.parameters()} & set(parts[0]["params"])
    slow = {p for m in spaces for p in (m.log_step, m.log_decay, m.frequency, m.drive)}
    assert set(parts[-1]["params"]) == slow
    assert parts[-1]["weight_decay"] == 0


@pytest.mark.parametrize(("lr", "expected"), [(0.004, [0.004, 0.004, 0.001]), (0.0002, [0.0002] * 3)])
def test_state_spaces_learn_at_the_papers_rate_at_most(lr, expected):
    assert peaks(torch.optim.AdamW(groups(encoder(), weight_decay=0.1), lr=lr)) == expected


def test_glorot_leaves_the_state_spaces_as_they_are():
    recipe, _ = read(RECIPE, ["initialise=xavier"])
    spaces = [m for m in build(recipe).modules() if isinstance(m, S4D)]
    assert spaces
    for space in spaces:
        torch.testing.assert_close(space.log_decay.exp(), torch.full_like(space.log_decay, DECAY))


def test_the_tiny_recipe_trains(tmp_path):
    recipe, facts = read(RECIPE, ["steps=3"])
    before = build(recipe).state_dict()
    model = fit(recipe, facts, tmp_path, device="cpu", log_steps=1)
    log = (tmp_path / "log.jsonl").read_text().splitlines()
    assert len(log) == 3
    assert "NaN" not in "".join(log)
    after = model.state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before if k.endswith("log_decay"))
    tensors, _ = checkpoint.load(tmp_path / MODEL)
    build(recipe).load_state_dict(tensors)
