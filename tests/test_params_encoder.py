"""What the encoders of parameters are told of them."""

from __future__ import annotations

import torch

from unsynth.encoders.params import ParamsMlp, features, used
from unsynth.params import Param, ParamSpec
from unsynth.synths import synth

SPEC = ParamSpec(
    "toy",
    [
        Param("a.level"),
        Param("a.ratio", 0, 4, kind="integer"),
        Param("a.rate", 0, 99, kind="integer"),
        Param("a.wave", 0, 2, kind="categorical", choices=("sine", "saw", "noise")),
    ],
)


def test_choices_and_integers_of_few_values_are_one_hot_and_others_waves():
    human = torch.tensor([[0.5, 3.0, 50.0, 1.0]])
    told = features(SPEC.to_unit(human), SPEC, harmonics=3)[0]
    assert told[1].tolist() == [0, 0, 0, 1, 0]
    assert told[3].tolist() == [0, 1, 0, 0, 0]
    assert torch.allclose(told[0, :3], torch.tensor([0.0, -1.0, 0.0]), atol=1e-6)
    assert used(SPEC, 3).sum(1).tolist() == [3, 5, 3, 3]
    assert not told[~used(SPEC, 3)].any()


def test_gradients_lead_from_one_choice_to_the_next():
    """Towards the value that is wanted, though which it is makes no gradient; what is told is the same."""
    human = torch.tensor([[0.5, 3.0, 50.0, 1.0]])
    params = SPEC.to_unit(human).requires_grad_()
    told = features(params, SPEC, harmonics=3)
    torch.testing.assert_close(told, features(params.detach(), SPEC, harmonics=3))
    for knob, wanted, way in ((1, 4, -1), (1, 0, 1), (3, 0, 1), (3, 2, -1)):
        (slope,) = torch.autograd.grad(-told[0, knob, wanted], params, retain_graph=True)
        assert slope[0, knob] * way > 0
        assert not slope[0, [i for i in range(4) if i != knob]].any()


def test_an_mlp_has_no_weights_for_padding_and_tells_all_values_apart():
    assert ParamsMlp(SPEC, dim=2, width=4, blocks=0).layers[0].in_features == 3 + 5 + 3 + 3
    voice = synth("voice").spec
    assert ParamsMlp(voice, dim=2, width=4, blocks=0).layers[0].in_features == 3 * len(voice)
    ratios = SPEC.to_unit(torch.tensor([[0.5, float(n), 50.0, 1.0] for n in range(5)]))
    assert len(torch.unique(ParamsMlp(SPEC, dim=2, width=64, blocks=1)(ratios), dim=0)) == 5
