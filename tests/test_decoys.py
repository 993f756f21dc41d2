"""Decoys: parameters without a sound, made by a joint objective for the criterion that can use them."""

import pytest
import torch

from unsynth.base import Batch, Encoder, UsageError
from unsynth.encoders.params import ParamsMlp
from unsynth.objectives.joint import Contrastive, Joint, Prediction, VICReg
from unsynth.synths import synth

SPEC = synth("voice").spec


class Mean(Encoder):
    def __init__(self):
        super().__init__(4, 4)

    def tokens(self, audio):
        return audio[:, None, :4]

    def vector(self, tokens):
        return tokens[:, 0]


def joint(criterion=Contrastive, **options):
    return Joint(SPEC, Mean(), lambda spec: ParamsMlp(spec, dim=4, width=8, blocks=1), criterion, **options)


def test_near_copies_differ_in_a_few_parameters_and_random_ones_in_all():
    params = torch.rand(8, 78, generator=torch.Generator().manual_seed(0))
    others = joint(decoys=16, near=2, moved=0.1)._others(params)
    assert others.shape == (32, 78)
    assert ((others >= 0) & (others <= 1)).all()
    share = (others[16:] != params.repeat(2, 1)).float().mean()
    assert 0.05 < share < 0.15
    assert not (others[:16, None] == params).all(-1).any()
    nearest = joint(near=1, moved=0.0)._others(params)
    assert ((nearest != params).sum(1) == 1).all()  # an exact copy would be the right answer


def test_decoys_make_the_task_harder():
    torch.manual_seed(0)
    batch = Batch(torch.arange(8), torch.rand(8, 78), torch.randn(8, 100))
    easy, hard = joint(), joint(decoys=64, near=4)
    hard.load_state_dict(easy.state_dict())
    assert hard.loss(batch, "all")["loss"] > easy.loss(batch, "all")["loss"] + 0.1


@pytest.mark.parametrize("criterion", [VICReg, Prediction])
def test_a_criterion_without_use_for_decoys_refuses_them(criterion):
    joint(criterion)
    with pytest.raises(UsageError, match="decoys"):
        joint(criterion, decoys=8)
