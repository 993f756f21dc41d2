"""What encoders are made of."""

import pytest
import torch
from torch.nn import functional as F

from unsynth.encoders.layers import attend


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 0.02)], ids=str)
def test_attention_is_torchs_own_forward_and_backward(dtype, error):
    generator = torch.Generator().manual_seed(0)
    exact = [torch.randn(2, 3, n, 8, generator=generator, requires_grad=True) for n in (5, 7, 7)]
    F.scaled_dot_product_attention(*exact).square().sum().backward()
    ours = [x.detach().to(dtype).requires_grad_() for x in exact]
    attend(*ours).float().square().sum().backward()
    for x, y in zip(exact, ours, strict=True):
        assert (x.grad - y.grad).abs().max() < error * x.grad.abs().max()
