"""Random Dexed patches that are worth a render: near real voices, or put together as voices usually are.

Of 148 independent uniform numbers hardly any make a sound that somebody would keep.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Params
from unsynth.synths.dexed import SPEC
from unsynth.synths.variation import Note, near, with_notes

Columns = dict[str, Tensor]  # human values of parameters by name, (count,) each

NOTE: Note = ("note.pitch", "note.velocity", "note.length")
# The carriers of algorithm 1 to 32, the operators that are heard. Source: the DX7's front panel.
CARRIERS = (
    *("13", "13", "14", "14", "135", "135", "13", "13", "13", "14", "14", "13", "13", "13", "13", "1", "1", "1", "145"),
    *("124", "1245", "1345", "1245", "12345", "12345", "124", "124", "136", "1235", "1236", "12345", "123456"),
)
# What operators do with their envelopes: rates 1 to 4, levels 1 to 4.
ENVELOPES = (
    (95, 40, 30, 55, 99, 75, 0, 0),  # struck
    (99, 60, 45, 65, 99, 40, 0, 0),  # plucked
    (80, 50, 40, 60, 99, 92, 88, 0),  # held
    (99, 99, 99, 80, 99, 99, 99, 0),  # organ
    (45, 35, 30, 45, 99, 90, 85, 0),  # slow
    (99, 75, 70, 75, 99, 20, 0, 0),  # click
)
RATIOS = ((0, 2), (1, 10), (2, 4), (3, 3), (4, 2), (5, 1), (7, 1), (9, 1), (11, 1), (14, 1))  # coarse, how often


def prior(
    voices: Float[Tensor, "voice param"],
    count: int,
    generator: torch.Generator,
    *,
    crossed: float = 0.4,
    moved: float = 0.05,
    step: float = 0.1,
) -> Params:
    """``count`` patches around ``voices``, ``(count, param)``; the other arguments are those of :func:`near`."""
    return near(voices, count, SPEC, NOTE, generator, crossed=crossed, moved=moved, step=step)


def invent(count: int, generator: torch.Generator) -> Params:
    """``count`` voices as voices are usually made, for who has no banks; ``(count, param)``.

    Carriers are loud, operators share the shape of their envelopes, frequencies are small whole multiples.
    """
    algorithms = torch.randint(len(CARRIERS), (count,), generator=generator)
    shapes = torch.randint(len(ENVELOPES), (count, 1), generator=generator)
    columns: Columns = {name: low.expand(count) for name, low in zip(SPEC.names, _neutral(), strict=True)}
    columns["voice.algorithm"] = algorithms.float()
    columns["voice.feedback"] = torch.randint(8, (count,), generator=generator).float()
    for operator in range(1, 7):
        carries = torch.tensor([str(operator) in carriers for carriers in CARRIERS])[algorithms]
        values = _operator(carries, shapes, generator)
        columns |= {f"operator_{operator}.{name}": value for name, value in values.items()}
    human = torch.stack([columns[name] for name in SPEC.names], dim=1)
    return with_notes(SPEC.to_unit(human), SPEC, NOTE, generator)


def _neutral() -> Tensor:
    """What a knob that nobody touched says, in human values."""
    middle = {f"pitch_envelope.level_{stage}": 50.0 for stage in range(1, 5)}
    fast = {f"pitch_envelope.rate_{stage}": 99.0 for stage in range(1, 5)}
    return torch.tensor(
        [{**middle, **fast}.get(param.name, 0.0 if param.low < 0 else param.low) for param in SPEC.params]
    )


def _operator(carries: Tensor, shapes: Tensor, generator: torch.Generator) -> Columns:
    """Human values of one operator of each voice."""
    count = len(carries)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    def some(share: float) -> Tensor:
        return torch.rand(count, generator=generator) < share

    own = torch.randint(len(ENVELOPES), (count, 1), generator=generator)
    kinds = torch.where(some(0.5)[:, None], shapes, own)[:, 0]
    envelope = torch.tensor(ENVELOPES).float()[kinds] + 8 * normal(count, 8)
    envelope[:, 4] = 99
    coarse, often = torch.tensor(RATIOS).float().T
    names = [f"{part}_{stage}" for part in ("rate", "level") for stage in range(1, 5)]
    return {
        **dict(zip(names, envelope.clamp(0, 99).T, strict=True)),
        "output_level": torch.where(carries, 95 + 4 * normal(count), 68 + 16 * normal(count)).clamp(0, 99),
        "frequency_coarse": coarse[torch.multinomial(often, count, replacement=True, generator=generator)],
        "frequency_fine": torch.where(some(0.15), 99 * torch.rand(count, generator=generator), 0.0),
        "detune": (2 * normal(count)).clamp(-7, 7),
        "velocity_sensitivity": torch.randint(4, (count,), generator=generator).float(),
        "rate_scaling": torch.randint(4, (count,), generator=generator).float(),
    }
