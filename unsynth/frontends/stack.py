"""The bands of several front ends on top of each other."""

from __future__ import annotations

from typing import final

import torch
from torch import nn

from unsynth.base import Audio, Frames, Frontend, UsageError


@final
class Stack(Frontend):
    """Several front ends of one frame rate as one, for instance a fine one in frequency and a fine one in time.

    Args:
        parts: the front ends.

    Raises:
        UsageError: their frame rates differ.
    """

    def __init__(self, parts: list[Frontend]) -> None:
        super().__init__()
        if len({part.frame_rate for part in parts}) != 1:
            raise UsageError("Front ends can only be stacked at one frame rate: give them the same hop.")
        self.parts = nn.ModuleList(parts)
        self.bands, self.frame_rate = sum(part.bands for part in parts), parts[0].frame_rate

    def analyse(self, audio: Audio) -> Frames:
        frames = [part(audio) for part in self.parts]
        shortest = min(f.shape[-1] for f in frames)
        return torch.cat([f[..., :shortest] for f in frames], dim=1)
