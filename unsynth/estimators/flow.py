"""Rectified flow from noise to the parameters of a sound: as many different answers as are asked for.

One token per parameter in a transformer that reads the tokens of the sound. Sources: Liu et al., "Flow Straight and
Fast", https://arxiv.org/abs/2209.03003, eq. 1; Hayes et al., "Audio synthesizer inversion in symmetric parameter spaces
with approximately equivariant flow matching" (ISMIR 2025), section 3; Peebles and Xie, "Scalable Diffusion Models with
Transformers", https://arxiv.org/abs/2212.09748, section 3.2 (adaLN-Zero).
"""

from __future__ import annotations

from typing import Literal, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from unsynth.base import Audio, Batch, Encoder, Estimator, Params, Tokens
from unsynth.encoders.layers import Attention, Residual, positions
from unsynth.params import ParamSpec

States = Float[Tensor, "batch param state"]
SPREAD = 3**0.5  # makes the variance of a uniform number in [-1, 1] one


def states(params: Params, spec: ParamSpec) -> States:
    """Parameters as the flow sees them: in [-sqrt 3, sqrt 3], a choice as one such number for each of its values."""
    widest = max(1, *(len(p.choices) for p in spec.params))
    values = F.pad((2 * params - 1)[..., None], (0, widest - 1))
    if widest > 1:
        choice = (spec.to_human(params) - spec.column("low").to(params)).long().clamp(0, widest - 1)
        one_hot = 2.0 * F.one_hot(choice, widest) - 1
        categorical = torch.tensor([p.kind == "categorical" for p in spec.params], device=params.device)
        values = torch.where(categorical[:, None], one_hot, values)
    return SPREAD * values * used(spec).to(values)


def used(spec: ParamSpec) -> Bool[Tensor, "param state"]:
    """Which of the padded numbers mean something."""
    widest = max(1, *(len(p.choices) for p in spec.params))
    sizes = torch.tensor([len(p.choices) if p.kind == "categorical" else 1 for p in spec.params])
    return torch.arange(widest) < sizes[:, None]


def params_from(x: States, spec: ParamSpec) -> Params:
    """The inverse of :func:`states`: the likeliest choice where there are several."""
    continuous = (x[..., 0] / SPREAD + 1) / 2
    sizes = used(spec).to(x.device).sum(1)
    choice = x.masked_fill(~used(spec).to(x.device), -torch.inf).argmax(-1)
    categorical = torch.tensor([p.kind == "categorical" for p in spec.params], device=x.device)
    return torch.where(categorical, (choice + 0.5) / sizes, continuous).clamp(0, 1)


class _Block(nn.Module):
    """Attention among parameters, attention to the sound, and a layer; how much of each depends on the time."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.among, self.to_sound = Attention(width, heads), Attention(width, heads)
        self.layer = Residual(width, 4 * width)
        self.gates = nn.Linear(width, 5 * width)
        nn.init.zeros_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)

    def forward(self, x: Tensor, sound: Tensor, time: Tensor) -> Tensor:
        scale, shift, *gates = self.gates(F.silu(time))[:, None].chunk(5, dim=-1)
        parts = (lambda y: self.among.read(y, y), lambda y: self.to_sound.read(y, sound), self.layer.layers)
        for gate, part in zip(gates, parts, strict=True):
            x = torch.addcmul(x, gate, part(torch.addcmul(shift, x, 1 + scale)))
        return x


@final
class Flow(Estimator):
    """A rectified flow whose velocity a transformer tells, one token per parameter.

    Args:
        spec: of the synth.
        encoder: hears the sounds.
        width: of the tokens.
        depth: blocks.
        heads: of each attention.
        velocity: error of the velocity that is made small.
        dropout: share of the sounds that are hidden in training, for guidance.
        blur: the most noise, in their own standard deviations, that the sound's tokens get in training; how much is
            told. With some of it (``heard``) a draw relies less on what no rendered sound has.
        coupling: whether noise is paired with parameters at random, or by minibatch optimal transport, with which
            paths cross least.
        start: path or name of a model with whose encoder's weights a training begins.
        frozen: whether the encoder stays as it is.
        steps: of the sampler.
        guidance: how far the velocity goes beyond the one without the sound; 1 is none.
        interval: times between which there is guidance.
        heard: noise on the sound's tokens when drawing.
    """

    hears = "tokens"
    mask: Tensor

    def __init__(
        self,
        spec: ParamSpec,
        encoder: Encoder,
        width: int = 128,
        depth: int = 4,
        heads: int = 2,
        velocity: Literal["mae", "mse"] = "mae",
        dropout: float = 0.1,
        blur: float = 0.5,
        coupling: Literal["independent", "optimal"] = "independent",
        start: str = "",
        frozen: bool = False,
        steps: int = 16,
        guidance: float = 2.0,
        interval: tuple[float, float] = (0.15, 0.95),
        heard: float = 0.0,
    ) -> None:
        super().__init__()
        self.spec, self.encoder, self.velocity, self.coupling = spec, encoder, velocity, coupling
        self.dropout, self.blur, self.start = dropout, blur, start
        self.steps, self.guidance, self.interval, self.heard = steps, guidance, interval, heard
        self.encoder.requires_grad_(not frozen)
        mask = used(spec).float()
        self.width = width
        self.register_buffer("mask", mask, persistent=False)
        self.into = nn.Parameter(torch.randn(len(spec), mask.shape[1], width) * mask.sum(1)[:, None, None] ** -0.5)
        self.which = nn.Parameter(torch.randn(len(spec), width) * 0.5)
        self.hear = nn.Linear(encoder.channels, width)
        self.unheard = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.when = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Parameter(torch.zeros(len(spec), width, mask.shape[1]))

    def tokens(self, heard: Tokens) -> Tokens:
        """What the flow makes of the encoder's tokens of each sound."""
        tokens = self.hear(heard)
        return tokens + positions(tokens.shape[1], self.width, tokens.device).to(tokens)

    def field(self, x: States, time: Float[Tensor, " batch"], blur: Float[Tensor, " batch"], sound: Tokens) -> States:
        """Velocity of each parameter at a time between 0 (noise) and 1 (parameters)."""
        told = self.when(torch.cat([_waves(time, self.width), _waves(blur, self.width)], dim=1))
        tokens = torch.einsum("bps,psw->bpw", x, self.into) + self.which
        for block in self.blocks:
            tokens = block(tokens, sound, told)
        return torch.einsum("bpw,pws->bps", self.norm(tokens), self.out) * self.mask

    def loss(self, batch: Batch, player: str) -> dict[str, Tensor]:
        end = states(batch.params, self.spec)
        begin = torch.randn_like(end) * self.mask
        if self.coupling == "optimal":
            begin = begin[_paired(begin, end)]
        time = torch.randn(len(end), device=end.device).sigmoid()  # logit-normal
        blur = self.blur * torch.rand(len(end), device=end.device)
        heard = self.encoder.tokens(batch.audio) if batch.heard is None else batch.heard
        sound = self._dropped(self._blurred(self.tokens(heard), blur))
        x = begin + time[:, None, None] * (end - begin)
        error = self.field(x, time, blur, sound).float() - (end - begin)
        error = error.abs() if self.velocity == "mae" else error.square()
        return {"loss": error.sum() / (len(end) * self.mask.sum())}

    @torch.no_grad()
    def sample(self, audio: Audio, n: int, generator: torch.Generator) -> Float[Tensor, "n batch param"]:
        blur = torch.full((len(audio) * n,), self.heard, device=audio.device)
        heard = self._blurred(self.tokens(self.encoder.tokens(audio)).repeat(n, 1, 1), blur, generator)
        shape = (len(audio) * n, *self.mask.shape)
        x = torch.randn(shape, generator=generator, device=audio.device) * self.mask
        for step in range(self.steps):
            x = x + self._guided(x, step / self.steps, blur, heard) / self.steps
        return params_from(x, self.spec).unflatten(0, (n, len(audio)))

    def _guided(self, x: States, at: float, blur: Tensor, sound: Tokens) -> States:
        time = torch.full((len(x),), at, device=x.device)
        heard = self.field(x, time, blur, sound)
        if self.guidance == 1 or not self.interval[0] <= at <= self.interval[1]:
            return heard
        without = self.field(x, time, blur, self.unheard.expand(*sound.shape))
        return without + self.guidance * (heard - without)

    def _blurred(self, sound: Tokens, blur: Tensor, generator: torch.Generator | None = None) -> Tokens:
        spread = sound.std(dim=(1, 2), keepdim=True).detach()
        noise = torch.randn(sound.shape, generator=generator, device=sound.device, dtype=sound.dtype)
        return sound + (blur[:, None, None] * spread).to(sound) * noise

    def _dropped(self, sound: Tokens) -> Tokens:
        hidden = torch.rand(len(sound), 1, 1, device=sound.device) < self.dropout
        return torch.where(hidden, self.unheard.to(sound), sound)


def _waves(number: Float[Tensor, " batch"], width: int, finest: float = 1000.0) -> Float[Tensor, "batch width"]:
    rates = torch.exp(torch.linspace(0, 1, width // 2, device=number.device) * torch.log(torch.tensor(finest)))
    angles = number[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _paired(begin: States, end: States) -> Tensor:
    """For each end the beginning that makes all paths of the batch shortest together."""
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(end.flatten(1), begin.flatten(1)).square()
    return torch.as_tensor(linear_sum_assignment(cost.cpu().numpy())[1], device=begin.device)
