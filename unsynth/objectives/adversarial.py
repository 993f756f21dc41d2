"""An adversarial autoencoder of spectrograms: a decoder makes them from the encoder's output, a critic judges them.

Source: after Pasini and Schlüter, "Musika!", https://arxiv.org/abs/2208.08706, section 3: a compact bounded code, a
reconstruction loss, and a critic with the hinge loss and a gradient penalty. Here of mel bands, without phases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from unsynth.base import Audio, Batch, Encoder, Frames, Frontend, Objective
from unsynth.objectives.blocks import Decoder
from unsynth.params import ParamSpec

Scores = list[Tensor]  # one entry for each scale: (batch, 1, band patch, frame patch)


@final
class Critic(nn.Module):
    """Scores of patches of spectrograms, from small patches at full resolution to large ones at lower resolutions.

    Args:
        widths: channels of the convolutions, each of which halves bands and frames.
        scales: how many resolutions are judged, each by convolutions of its own.
        slope: of the leaky rectifiers.

    Shape: ``(batch, band, frame)`` in.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64), scales: int = 2, slope: float = 0.2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(self._scale(widths, slope) for _ in range(scales))

    @staticmethod
    def _scale(widths: tuple[int, ...], slope: float) -> nn.Sequential:
        layers: list[nn.Module] = []
        for into, out in zip((1, *widths[:-1]), widths, strict=True):
            layers += [nn.Conv2d(into, out, 3, 2, padding=1), nn.LeakyReLU(slope)]
        return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, frames: Frames) -> Scores:
        x, scores = frames[:, None], []
        for scale in self.scales:
            scores.append(scale(x))
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        return scores


def hinge(real: Scores, fake: Scores) -> Tensor:
    """What the critic makes small: it wants scores above 1 for real patches and below -1 for made ones.

    Source: Lim and Ye, "Geometric GAN", https://arxiv.org/abs/1705.02894, eq. 14; the mean over the scales.
    """
    sides = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(sides).mean()


def gradient_penalty(scores: Scores, frames: Frames) -> Tensor:
    """Half the squared slope at real spectrograms (R1), for each patch as if it alone were judged; the mean over all.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?",
    https://arxiv.org/abs/1801.04406, eq. 9 without its weight.

    Args:
        scores: of the critic for ``frames``.
        frames: real ones, which need a gradient.
    """
    slopes = [torch.autograd.grad(s.sum(), frames, create_graph=True)[0] for s in scores]
    patches = [s[0].numel() for s in scores]
    return torch.stack([x.square().sum((1, 2)).mean() / n / 2 for x, n in zip(slopes, patches, strict=True)]).mean()


@final
class Adversarial(Objective):
    """Learns an encoder whose vector and few-channelled tokens are enough to make the spectrogram of each sound again.

    Args:
        spec: of the synth.
        encoder: what is learned.
        frontend: makes the frames that are decoded, of about unit variance.
        kept: channels of the tokens that the decoder gets besides the vector.
        widths: channels of the decoder at each frame rate, from the lowest; multiples of 8.
        kernel: frames that the decoder's convolutions see.
        critic: channels of the critic's convolutions.
        scales: resolutions that the critic judges.
        reconstruction: weight of the mean absolute error.
        adversarial: weight of the critic's opinion.
        penalty: weight of the critic's gradient penalty.
    """

    def __init__(
        self,
        spec: ParamSpec,
        encoder: Encoder,
        frontend: Frontend,
        kept: int = 4,
        widths: tuple[int, ...] = (256, 192, 128),
        kernel: int = 3,
        critic: tuple[int, ...] = (16, 32, 64),
        scales: int = 2,
        reconstruction: float = 1.0,
        adversarial: float = 0.02,
        penalty: float = 10.0,
    ) -> None:
        super().__init__()
        self.encoder, self.frontend = encoder, frontend
        self.decoder = Decoder(encoder.channels, kept, frontend.bands, encoder.dim, widths, kernel)
        self.critic = Critic(critic, scales)
        self.reconstruction, self.adversarial, self.penalty = reconstruction, adversarial, penalty

    def players(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": nn.ModuleList([self.encoder, self.decoder]), "critic": self.critic}

    def reconstruct(self, audio: Audio, frames: int) -> Frames:
        """Spectrograms of so many frames, made from what the encoder says of the sounds; in units of the front end.

        Shape: ``(batch, time)`` in, ``(batch, band, frame)`` out.
        """
        tokens = self.encoder.tokens(audio)
        return self.decoder(tokens, self.encoder.vector(tokens), frames).float()

    def loss(self, batch: Batch, player: str) -> dict[str, Tensor]:
        frames = self.frontend(batch.audio)
        return self._judge(batch, frames) if player == "critic" else self._make(batch, frames)

    def _make(self, batch: Batch, frames: Frames) -> dict[str, Tensor]:
        made = self.reconstruct(batch.audio, frames.shape[-1])
        weights = {name: p.detach() for name, p in self.critic.named_parameters()}
        opinion = -torch.stack([s.mean() for s in functional_call(self.critic, weights, made)]).mean()
        error = F.l1_loss(made, frames)
        loss = self.reconstruction * error + self.adversarial * opinion
        return {"loss": loss, "reconstruction": error, "adversarial": opinion}

    def _judge(self, batch: Batch, frames: Frames) -> dict[str, Tensor]:
        with torch.no_grad():
            made = self.reconstruct(batch.audio, frames.shape[-1])
        with torch.autocast(frames.device.type, enabled=False):
            real = self.critic(frames.requires_grad_())
            wrong, steep = hinge(real, self.critic(made)), gradient_penalty(real, frames)
        return {"loss": wrong + self.penalty * steep, "hinge": wrong, "penalty": steep}
