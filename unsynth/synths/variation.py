"""Patches near patches: cross-overs of whole modules, sparse moves, and another note for each; of any synth."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.params import ParamSpec

Patches = Float[Tensor, "batch param"]
Note = tuple[str, str, str]  # names of the parameters that are its MIDI number, its velocity and how long it is held

NOTES = (36.0, 84.0)  # MIDI, C2 to C6
VELOCITIES = (40.0, 127.0)


def near(
    patches: Patches,
    count: int,
    spec: ParamSpec,
    note: Note,
    generator: torch.Generator,
    *,
    crossed: float = 0.4,
    moved: float = 0.05,
    step: float = 0.1,
) -> Patches:
    """``count`` patches around ``patches``.

    Args:
        patches: patches to start from, unit interval.
        count: how many to draw.
        spec: of their synth; a module is what the name of a parameter has before its dot.
        note: which parameters are the note, drawn anew.
        generator: the only source of chance.
        crossed: share of the draws that take about half of their modules from a second patch.
        moved: median share of the other parameters that are moved; spread log-normally.
        step: median size of a move, spread log-normally; choices are drawn anew instead.

    Shape: ``(count, param)``.
    """
    first, second = (patches[torch.randint(len(patches), (count,), generator=generator)] for _ in range(2))
    module = _modules(spec)
    taken = torch.rand(count, int(module.max()) + 1, generator=generator) < 0.5
    swapped = (torch.rand(count, 1, generator=generator) < crossed) & taken[:, module]
    params = torch.where(swapped, second, first)
    shares, sizes = torch.randn(2, count, 1, generator=generator).exp()
    moves = torch.rand(params.shape, generator=generator) < moved * shares
    nearby = 1 - ((params + step * sizes * torch.randn(params.shape, generator=generator)).remainder(2) - 1).abs()
    anew = torch.rand(params.shape, generator=generator)
    changed = torch.where(moves, torch.where(spec.categorical, anew, nearby), params)
    return with_notes(changed, spec, note, generator)


def with_notes(params: Patches, spec: ParamSpec, note: Note, generator: torch.Generator) -> Patches:
    """``params`` with notes drawn anew: pitch and velocity uniform, the length uniform on its knob."""
    chance = torch.rand(len(params), len(note), generator=generator)
    columns = [spec.index(name) for name in note]
    ends = torch.zeros(2, len(spec))
    ends[:, columns[0]], ends[:, columns[1]] = torch.tensor(NOTES), torch.tensor(VELOCITIES)
    low, high = spec.to_unit(ends)
    low[columns[2]], high[columns[2]] = 0.0, 1.0
    params = params.clone()
    params[:, columns] = low[columns] + (high - low)[columns] * chance
    return params


def _modules(spec: ParamSpec) -> Tensor:
    """The number of each parameter's module."""
    modules = [name.split(".")[0] for name in spec.names]
    return torch.tensor([list(dict.fromkeys(modules)).index(module) for module in modules])
