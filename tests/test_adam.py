"""The searches' own Adam: torch's to the last digits, and without what torch's imports."""

import subprocess
import sys

import torch

from unsynth.search.adam import Adam


def test_it_is_torchs():
    start = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    optimizer, own = torch.optim.Adam([theirs], lr=0.01), Adam(ours)

    def loss(x):
        return ((x - 0.5) ** 2 * torch.arange(1, 8)).sum() + x.sin().prod(1).sum()

    for step in range(40):
        optimizer.param_groups[0]["lr"] = 0.01 / (1 + step)
        optimizer.zero_grad()
        loss(theirs).backward()
        optimizer.step()
        own.step(loss(ours), 0.01 / (1 + step))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_it_stays_in_the_unit_interval():
    x = torch.tensor([0.001, 0.999]).requires_grad_()
    adam = Adam(x)
    for _ in range(5):
        adam.step((x * torch.tensor([1.0, -1.0])).sum(), 0.1)
    assert x.tolist() == [0.0, 1.0]


def test_no_search_imports_torchs_compiler():
    code = """
import sys, torch
from unsynth.match import match
sound = torch.sin(torch.arange(44100) / 20)
for method in ("embedding", "gradient"):
    match(sound, 44100, method=method, budget=2.0)
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
