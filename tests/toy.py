"""A synth whose inverse is known: one sine of a frequency and a level. The oracle of the search tests."""

import math

import torch

from unsynth.base import Synth
from unsynth.params import Param, ParamSpec


class Toy(Synth):
    name = "toy"
    spec = ParamSpec("toy", [Param("frequency", 200, 2000, "Hz"), Param("level"), Param("unused")])
    rate = 44100
    seconds = 0.25
    differentiable = True

    def render(self, params, noise=None):
        hertz, level, _ = self.spec.to_human(params).unbind(1)
        time = torch.arange(round(self.rate * self.seconds)) / self.rate
        return (0.1 + 0.9 * level[:, None]) * torch.sin(2 * math.pi * hertz[:, None] * time)
