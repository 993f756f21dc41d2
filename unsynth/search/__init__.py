"""Search: targets to patches by comparing sounds. The table of methods."""

from __future__ import annotations

from collections.abc import Callable

from unsynth.base import Search, Synth, UsageError


def _random(synth: Synth, seed: int) -> Search:
    from unsynth.search.sample import Sample

    return Sample(seed=seed)


def _evolve(synth: Synth, seed: int) -> Search:
    from unsynth.search.evolve import Evolve

    return Evolve(runs=1, sigma=0.25, seed=seed)


def _retrieve(synth: Synth, seed: int) -> Search:
    from unsynth.search.index import SHIPPED, Index
    from unsynth.search.retrieve import Retrieve

    return Retrieve(Index.load(SHIPPED, synth))


def _chain(synth: Synth, seed: int) -> Search:
    from unsynth.search.chain import Chain
    from unsynth.search.evolve import Evolve

    return Chain(_retrieve(synth, seed), Evolve(seed=seed))


def _gradient(synth: Synth, seed: int) -> Search:
    from unsynth.search.chain import Chain
    from unsynth.search.gradient import Gradient

    return Chain(_retrieve(synth, seed), Gradient())


METHODS: dict[str, Callable[[Synth, int], Search]] = {
    "chain": _chain,
    "retrieve": _retrieve,
    "evolve": _evolve,
    "gradient": _gradient,
    "random": _random,
}


def method(name: str, synth: Synth, seed: int) -> Search:
    """The search called ``name``; UsageError where there is none."""
    if name not in METHODS:
        raise UsageError(f"There is no method {name!r}; choose one of: {', '.join(METHODS)}.")
    return METHODS[name](synth, seed)
