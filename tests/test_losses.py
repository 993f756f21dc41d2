"""The losses against the formulas of their papers, written again in float64 numpy."""

import numpy as np
import pytest
import torch

from unsynth.objectives import losses
from unsynth.objectives.joint import Contrastive

ROWS, DIM = 24, 7


@pytest.fixture
def pair():
    generator = np.random.default_rng(1)
    a = generator.normal(0.3, 0.6, (ROWS, DIM))
    return a, a @ generator.normal(size=(DIM, DIM)) * 0.2 + generator.normal(size=(ROWS, DIM))


def tensors(*arrays):
    return [torch.tensor(x, dtype=torch.float32) for x in arrays]


def near(found, expected):
    assert float(found) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_vicreg(pair):
    a, b = pair
    x, y = tensors(a, b)
    near(losses.invariance_term(x, y), sum((a[i] - b[i]) @ (a[i] - b[i]) for i in range(ROWS)) / ROWS / DIM)
    deviations = [np.sqrt(np.sum((a[:, j] - a[:, j].mean()) ** 2) / (ROWS - 1) + 1e-4) for j in range(DIM)]
    near(losses.variance_term(x), sum(max(0, 1 - s) for s in deviations) / DIM)
    covariance = sum(np.outer(row - a.mean(0), row - a.mean(0)) for row in a) / (ROWS - 1)
    off = sum(covariance[i, j] ** 2 for i in range(DIM) for j in range(DIM) if i != j)
    near(losses.covariance_term(x), off / DIM)


def test_info_nce(pair):
    a, b = pair
    cosines = [[u @ v / np.sqrt((u @ u) * (v @ v)) / 0.2 for v in b] for u in a]
    s = np.array(cosines)
    terms = [-s[i, i] + np.log(np.exp(s[i]).sum()) for i in range(ROWS)]
    terms += [-s[i, i] + np.log(np.exp(s[:, i]).sum()) for i in range(ROWS)]
    near(losses.info_nce(*tensors(a, b), 0.2), np.sum(terms) / 2 / ROWS)


def epps_pulley(x, points=17, reach=5.0):
    """N times the weighted squared gap of characteristic functions, trapezoid by trapezoid."""
    t = np.linspace(-reach, reach, points)
    empirical = np.array([np.exp(1j * u * x).mean() for u in t])
    value = np.abs(empirical - np.exp(-(t**2) / 2)) ** 2 * np.exp(-(t**2) / 2)
    return len(x) * sum((t[k + 1] - t[k]) * (value[k] + value[k + 1]) / 2 for k in range(points - 1))


def test_epps_pulley(pair):
    (x,) = tensors(pair[0])
    for found, column in zip(losses.epps_pulley(x), pair[0].T, strict=True):
        near(found, epps_pulley(column))


def closed_form(x):
    """The whole integral, from pairs of samples: Gaussians integrate in closed form (Epps and Pulley, 1983)."""
    n, gaps = len(x), x[:, None] - x
    pairs = np.sqrt(2 * np.pi) * np.exp(-(gaps**2) / 2).sum() / n
    crossed = 2 * np.sqrt(np.pi) * np.exp(-(x**2) / 4).sum()
    return pairs - crossed + n * np.sqrt(2 * np.pi / 3)


def test_epps_pulley_is_the_integral_on_the_whole_line(pair):
    x = pair[1][:, 0]
    found = losses.epps_pulley(torch.tensor(x)[:, None], points=129, reach=12.0)
    near(found, closed_form(x))


def test_epps_pulley_is_small_for_a_normal_sample_only():
    torch.manual_seed(0)
    normal, uniform = torch.randn(4000, 50), (torch.rand(4000, 50) - 0.5) * 12**0.5
    told = {"normal": normal, "uniform": uniform, "wide": 2 * normal, "collapsed": torch.zeros(4000, 1)}
    found = {name: losses.epps_pulley(x).mean().item() for name, x in told.items()}
    expected = np.sqrt(2 * np.pi) - np.sqrt(2 * np.pi / 3)  # what sampling alone leaves: the mean under the null
    assert found["normal"] == pytest.approx(expected, rel=0.15)
    assert 5 * found["normal"] < found["uniform"] < found["wide"] < found["collapsed"]
    assert losses.epps_pulley(uniform[:1000]).mean() < 0.5 * losses.epps_pulley(uniform).mean()


def test_sigreg_is_the_mean_over_directions_whatever_their_length():
    torch.manual_seed(0)
    x, directions = torch.randn(64, 5), torch.randn(5, 9)
    unit = directions.double() / directions.double().square().sum(0).sqrt()
    expected = np.mean([epps_pulley(column) for column in (x.double() @ unit).T.numpy()])
    near(losses.sigreg(x, 7 * directions), expected)


def test_decoys_are_wrong_answers_for_sounds_only():
    generator = torch.Generator().manual_seed(0)
    a, b, decoys = (torch.randn(n, 8, generator=generator, dtype=torch.float64) for n in (5, 5, 9))
    unit = [x / x.norm(dim=1, keepdim=True) for x in (a, b, decoys)]
    there = (unit[0] @ torch.cat(unit[1:]).T / 0.1).log_softmax(1).diagonal()
    back = (unit[1] @ unit[0].T / 0.1).log_softmax(1).diagonal()
    torch.testing.assert_close(losses.info_nce(a, b, 0.1, decoys), -(there.mean() + back.mean()) / 2)
    assert losses.info_nce(a, b, 0.1, decoys) > losses.info_nce(a, b, 0.1)


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: losses.info_nce(a, b, 0.01),
        lambda a, b: losses.covariance_term(a),
        lambda a, b: losses.sigreg(a, b.T),
    ],
)
def test_losses_are_exact_under_autocast(pair, loss):
    """bfloat16 has steps of 0.5 where similarities over a temperature of 0.01 are."""
    a, b = tensors(*pair)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = loss(a, b)
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, loss(a, b))


def test_what_is_far_from_a_sound_changes_neither_its_loss_nor_its_gradients():
    """Partners that are found, and some that are as far as can be."""
    generator = torch.Generator().manual_seed(0)
    a = torch.nn.functional.normalize(torch.randn(64, 8, generator=generator, dtype=torch.float64), dim=1)
    b = torch.cat([a[:60], -a[60:]])
    decoys = -a[:5]
    found, expected = [], []
    for told, loss in ((found, losses.info_nce), (expected, plain_info_nce)):
        x, y = a.clone().requires_grad_(), b.clone().requires_grad_()
        value = loss(x, y, 0.01, decoys)
        value.backward()
        told += [value.detach(), x.grad, y.grad]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def plain_info_nce(a, b, temperature, decoys):
    unit = [torch.nn.functional.normalize(x, dim=1) for x in (a, b, decoys)]
    there = (unit[0] @ torch.cat(unit[1:]).T / temperature).log_softmax(1).diagonal()
    back = (unit[1] @ unit[0].T / temperature).log_softmax(1).diagonal()
    return -(there.mean() + back.mean()) / 2


def test_the_temperature_comes_back_from_its_floor():
    """A clamped value would have no gradient, and stay there for good."""
    criterion = Contrastive(4, 4, dim=4, temperature=0.001, coldest=0.01)
    criterion(torch.randn(8, 4), torch.randn(8, 4))["loss"].backward()
    assert float(criterion.log_temperature.detach().exp()) == pytest.approx(0.01)
    assert float(criterion.log_temperature.grad) < 0
