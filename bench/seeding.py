"""What it costs to draw the parameters of a sound id."""

from __future__ import annotations

from bench.rendering import References, ours, rendering, sounds_of
from bench.timing import Plan, interleaved, measure, on_cores, ratios, spread, table
from unsynth.sounds.ids import params_of
from unsynth.synths.voice_torch import SPEC


def seeding(plan: Plan, references: References) -> str:
    """## Sound ids to parameters

    Microseconds for each sound on one core, and the share of the time from id to audio.
    """
    batch = plan.batches[-1]
    render = next(iter(ours().values()))
    draw = {"unsynth": measure(lambda turn: params_of(sounds_of(turn, batch), SPEC), plan.at_least)}
    whole = {"unsynth": rendering(render, batch, plan.at_least)}
    for name, reference in references.items():
        draw[name] = reference.measure("seeding", batch, plan.at_least)
        whole[name] = reference.measure("render", batch, plan.at_least)
    contestants = {("draw", n): m for n, m in draw.items()} | {("whole", n): m for n, m in whole.items()}
    with on_cores(1):
        times = interleaved(contestants, plan.rounds)
    rows = []
    for name in draw:
        microseconds = [1e6 * s / batch for s in times["draw", name]]
        percent = [100 * r for r in ratios(times["draw", name], times["whole", name])]
        rows.append([name, spread(microseconds), spread(percent, 2)])
    return table([f"batch {batch}", "µs per sound", "% of id to audio"], rows)
