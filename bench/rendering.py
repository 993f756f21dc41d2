"""How fast the Voice is: one core, two cores, with gradient; against torchsynth where it is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import torch

from bench.reference import Reference
from bench.timing import Measure, Plan, interleaved, measure, on_cores, ratios, spread, table
from unsynth.base import Audio, Params, SoundIds
from unsynth.native import instruction_sets
from unsynth.sounds.ids import params_of
from unsynth.synths.voice import Voice
from unsynth.synths.voice_native import render_native, render_native_differentiable
from unsynth.synths.voice_torch import SPEC, render_torch

Render = Callable[[Params, SoundIds], Audio]
Contestant = tuple[str, int]  # name and batch
References = Mapping[str, Reference]


def sounds_of(turn: int, batch: int) -> SoundIds:
    return torch.arange(turn * batch, (turn + 1) * batch)


def ours() -> dict[str, Render]:
    """Every way that unsynth renders on a CPU, by name, the fastest first."""
    native = {f"unsynth, {isa}": lambda p, i, isa=isa: render_native(p, i, isa) for isa in instruction_sets()}
    return native | {"unsynth, torch backend": torch.no_grad()(render_torch)}


def rendering(render: Render, batch: int, at_least: float) -> Measure:
    """Times sound ids to audio: what torchsynth does for a batch index."""

    def work(turn: int) -> Audio:
        ids = sounds_of(turn, batch)
        return render(params_of(ids, SPEC), ids)

    return measure(work, at_least)


def realtime(seconds: list[float], batch: int) -> list[float]:
    return [batch * Voice.seconds / s for s in seconds]


def comparison(times: Mapping[Contestant, list[float]]) -> str:
    """A table of multiples of real time, and one of the ratios between ours and torchsynth's where it took part."""
    speed = {key: realtime(seconds, key[1]) for key, seconds in times.items()}
    rows = [[name, str(batch), spread(values)] for (name, batch), values in speed.items()]
    tables = [table(["", "batch", "times real time"], rows)]
    others = [key for key in speed if key[0].startswith("torchsynth")]
    if others:
        header = ["times as fast as", *(f"{name}, batch {batch}" for name, batch in others)]
        rows = [
            [f"{key[0]}, batch {key[1]}", *(spread(ratios(values, speed[other])) for other in others)]
            for key, values in speed.items()
            if key not in others
        ]
        tables.append(table(header, rows))
    return "\n\n".join(tables)


def one_core(plan: Plan, references: References) -> str:
    """## Renderer on one core

    Sound ids to audio: random parameters, then sounds of 4 s. Each round renders the same sounds with all.
    """
    contestants = {(n, b): rendering(r, b, plan.at_least) for b in plan.batches for n, r in ours().items()}
    contestants |= {(n, b): r.measure("render", b, plan.at_least) for b in plan.batches for n, r in references.items()}
    with on_cores(1):
        return comparison(interleaved(contestants, plan.rounds))


def two_cores(plan: Plan, references: References) -> str:
    """## Renderer on two cores

    The same with one thread and with two, on two cores, parameters given.
    """
    if len(os.sched_getaffinity(0)) < 2:
        return "Not measured: this process may use one core only."
    ids = torch.arange(plan.threaded)
    params = params_of(ids, SPEC)

    def work(render: Render, threads: int) -> Callable[[int], Audio]:
        def run(turn: int) -> Audio:
            torch.set_num_threads(threads)
            return render(params, ids)

        return run

    rows = []
    for name, render in ours().items():
        with on_cores(2):
            times = interleaved({n: measure(work(render, n), plan.at_least) for n in (1, 2)}, plan.rounds)
        speeds = [spread(realtime(times[n], plan.threaded)) for n in (1, 2)]
        rows.append([name, *speeds, spread(ratios(times[1], times[2]))])
    return table([f"batch {plan.threaded}, times real time", "1 thread", "2 threads", "factor"], rows)


def gradient(render: Render, batch: int, at_least: float) -> Measure:
    """Times forward and backward passes of the mean square of the audio."""

    def work(turn: int) -> None:
        ids = sounds_of(turn, batch)
        params = params_of(ids, SPEC).requires_grad_()
        render(params, ids).square().mean().backward()

    return measure(work, at_least)


def forward_backward(plan: Plan, references: References) -> str:
    """## Forward and backward on one core

    The gradient of the mean square of the audio with respect to all parameters.
    """
    isas = instruction_sets()
    native = {f"unsynth, {isa}": lambda p, i, isa=isa: render_native_differentiable(p, i, isa) for isa in isas}
    renders: dict[str, Render] = native | {"unsynth, torch backend": render_torch}
    contestants = {
        (name, plan.gradient): gradient(render, plan.gradient, plan.at_least) for name, render in renders.items()
    }
    for name, reference in references.items():
        contestants[name, plan.gradient] = reference.measure("gradient", plan.gradient, plan.at_least)
    with on_cores(1):
        return comparison(interleaved(contestants, plan.rounds))
