"""What every audio encoder promises, and what is particular to each."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from unsynth import recipe
from unsynth.encoders.fusion import Fusion, kept
from unsynth.encoders.layers import BatchNorm
from unsynth.encoders.mobilenet import Depthwise, MobileNet, rounded
from unsynth.encoders.prime import Prime, PrimeConvolution, prime_taps
from unsynth.encoders.temporal import Temporal
from unsynth.encoders.transformer import Transformer
from unsynth.frontends.cqt import Cqt
from unsynth.frontends.mel import LogMel
from unsynth.train import fit

RATE = 44_100
RECIPES = Path(__file__).parent.parent / "recipes"
COARSE = {"n_fft": 4096, "hop": 2205, "mels": 40}


def fusion(dropout=0.5):
    return Fusion([Temporal(LogMel(**COARSE), 24, (16, 24)), transformer()], 32, 48, dropout=dropout)


def transformer(**options):
    return Transformer(LogMel(**COARSE), 32, 48, depth=2, **options)


MAKE = {
    "temporal": lambda: Temporal(LogMel(**COARSE), 32, (16, 24)),
    "mobilenet": lambda: MobileNet(LogMel(**COARSE), 32, 0.25, channels=48),
    "mobilenet, tokens near each other": lambda: MobileNet(LogMel(**COARSE), 32, 0.25, channels=48, frames=2),
    "transformer": transformer,
    "transformer on squares": lambda: transformer(frames=5, stride=5, bands=16),
    "prime": lambda: Prime(Cqt(12, 6.5, 55.0, 2205), 32, (4, 6, 8), 24),
    "fusion": fusion,
}


@pytest.fixture(params=MAKE)
def encoder(request):
    torch.manual_seed(0)
    return MAKE[request.param]()


def sounds(seconds, batch=2):
    return torch.randn(batch, round(seconds * RATE), generator=torch.Generator().manual_seed(1)) * 0.1


def test_any_length_gives_tokens_and_one_vector(encoder):
    counts = []
    for seconds in (1 / RATE, 0.3, 4, 7):
        tokens = encoder.tokens(sounds(seconds))
        assert tokens.shape == (2, tokens.shape[1], encoder.channels)
        assert encoder.vector(tokens).shape == (2, encoder.dim)
        counts.append(tokens.shape[1])
    assert counts == sorted(counts)
    assert counts[1] < counts[2] < counts[3]


def test_evaluation_is_deterministic_and_knows_no_neighbours(encoder):
    settled(encoder)
    pair = sounds(1.5)
    together = encoder(pair)
    assert torch.equal(together, encoder(pair))
    torch.testing.assert_close(together[1:], encoder(pair[1:]), rtol=1e-3, atol=1e-4)


def settled(encoder):
    """In evaluation, with the statistics of one batch: without any, deep encoders give nearly constants."""
    norms = [m for m in encoder.modules() if isinstance(m, BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    encoder.train()(sounds(2, 4))
    return encoder.eval()


def test_the_whole_clip_counts(encoder):
    settled(encoder)
    late = sounds(7)
    late[:, -RATE // 2 :] = 0
    assert (encoder(late) - encoder(sounds(7))).abs().max() > 1e-3


def test_gradients_reach_every_parameter(encoder):
    torch.manual_seed(1)
    encoder(sounds(4, batch=8)).square().sum().backward()
    for name, p in encoder.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.ndim < 2 or p.grad.any(), name


def test_silence_is_finite(encoder):
    for training in (True, False):
        vector = encoder.train(training)(torch.zeros(2, RATE))
        vector.sum().backward()
        assert vector.isfinite().all()
        assert all(p.grad.isfinite().all() for p in encoder.parameters())


def test_a_frozen_encoder_keeps_its_statistics(encoder):
    norms = [m for m in encoder.modules() if isinstance(m, BatchNorm)]
    before = {k: v.clone() for k, v in encoder.named_buffers()}
    encoder.eval()(sounds(1))
    assert all(torch.equal(v, before[k]) for k, v in encoder.named_buffers())
    encoder.train()(sounds(1))
    assert sum(not torch.equal(v, before[k]) for k, v in encoder.named_buffers()) == 2 * len(norms)


@pytest.mark.parametrize("name", ["mobilenet", "transformer", "prime", "fusion"])
def test_the_recipe_steps(name, tmp_path):
    chosen, facts = recipe.read(RECIPES / f"tiny-{name}.yaml")
    objective = fit(chosen, facts, tmp_path, device="cpu", log_steps=1)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, chosen.steps + 1))
    assert all(math.isfinite(row["loss"]) and row["gradient"] > 0 for row in rows)
    assert rows[-1]["loss"] < 2 * rows[0]["loss"]
    assert objective.encoder(sounds(1)).isfinite().all()


def test_mobilenet_has_the_size_of_the_published_one():
    body = MobileNet(LogMel())
    count = sum(p.numel() for part in (body.stem, body.blocks) for p in part.parameters())
    published, last, colours = 927_008, 96 * 576 + 2 * 576, 2 * 16 * 3 * 3  # all features, of which ours folds the last
    assert count == published - last - colours


def test_channels_are_multiples_of_eight_and_at_most_a_tenth_fewer():
    for wanted in range(1, 600):
        assert rounded(wanted) % 8 == 0
        assert 0.9 * wanted <= rounded(wanted) < wanted + 8


def test_depthwise_convolution_under_autocast_is_that_of_float32():
    torch.manual_seed(0)
    layer, x = Depthwise(8, 5, (2, 1)), torch.randn(2, 8, 9, 11)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(x.bfloat16())
    expected = F.conv2d(x.bfloat16().float(), layer.weight, stride=(2, 1), padding=2, groups=8)
    assert torch.equal(mixed, expected.bfloat16())


def test_patches_are_those_of_a_convolution_over_the_picture():
    encoder, picture = transformer(frames=5, stride=3, bands=16), torch.randn(2, 40, 31)
    kernel = encoder.patches.weight[:, None]
    expected = F.conv2d(F.pad(picture[:, None], (2, 2, 0, 8)), kernel, encoder.patches.bias, stride=(16, 3))
    torch.testing.assert_close(encoder.embed(picture), expected.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)


def test_prime_taps_are_the_intervals_of_the_harmonics():
    assert prime_taps((2, 3, 5, 7), 12) == [-12, -10, -7, -4, 0, 4, 7, 10, 12]
    for prime, tap in zip((3, 5, 7, 11, 13), (0.585, 0.322, 0.807, 0.459, 0.700), strict=True):
        assert prime_taps((prime,), 1000)[-1] == pytest.approx(1000 * tap, abs=1)


def test_prime_convolution_is_a_dense_one_with_zeros():
    torch.manual_seed(0)
    layer, x = PrimeConvolution(3, (2, 3, 5), 12), torch.randn(2, 3, 30, 7)
    dense = torch.zeros(3, 3, 25, 1)
    for n, tap in enumerate((-12, -7, -4, 0, 4, 7, 12)):
        dense[:, :, 12 + tap, 0] = layer.mix.weight[:, 3 * n : 3 * n + 3, 0, 0]
    torch.testing.assert_close(layer(x), F.conv2d(x, dense, padding=(12, 0)), rtol=1e-4, atol=1e-5)


def test_parts_are_missing_as_often_as_asked_but_never_all():
    torch.manual_seed(0)
    keep = kept(100_000, 3, 0.4)
    assert keep.any(1).all()
    assert 1 - keep.float().mean().item() == pytest.approx(0.4 - 0.4**3 / 3, abs=0.005)
    assert kept(100, 4, 1.0).sum(1).eq(1).all()
    torch.manual_seed(0)
    assert torch.equal(keep, kept(100_000, 3, 0.4))


def test_a_missing_part_is_replaced_in_training_only():
    encoder = fusion(dropout=1.0)
    whole = encoder.eval().tokens(sounds(1, 16))
    assert not (whole[:, :2] == encoder.missing).all(2).any()
    tokens = encoder.train().tokens(sounds(1, 16))
    gone = (tokens[:, :2] == encoder.missing).all(2)
    assert gone.sum(1).eq(1).all()
    assert gone.any(0).all()
    mine = encoder.parts[0].tokens(sounds(1)).shape[1]
    details = tokens[:, 2 : 2 + mine]
    assert torch.equal((details == encoder.missing[0]).all(2).all(1), gone[:, 0])
