"""Search: targets to patches by comparing sounds. The table of methods."""

from __future__ import annotations

from collections.abc import Callable

from unsynth.base import Audio, Params, Search, Synth, UsageError


def _random(synth: Synth, seed: int) -> Search:
    from unsynth.search.sample import Sample

    return Sample(seed=seed)


def _evolve(synth: Synth, seed: int) -> Search:
    from unsynth.search.evolve import Evolve

    return Evolve(runs=1, sigma=0.25, seed=seed)


def _retrieve(synth: Synth, seed: int) -> Search:
    from unsynth.search.index import best_index
    from unsynth.search.retrieve import Retrieve

    return Retrieve(best_index(synth))


def _start(synth: Synth, seed: int) -> Search:
    """The user's own presets where there is an index of them, then what finds more starts."""
    from unsynth.search import library
    from unsynth.search.chain import Chain
    from unsynth.search.known import Known

    more = _more(synth, seed)
    own = library.own()
    return Chain(Known(library.Library.load(own)), more) if own.is_file() else more


def _more(synth: Synth, seed: int) -> Search:
    """Search in the joint space where there is one of the synth, else retrieval, else the best of random patches.

    An index holds uniform patches; a prior is better than those.
    """
    from unsynth.checkpoint import installed
    from unsynth.presets import PRIORS
    from unsynth.search.index import name_of
    from unsynth.search.sample import Sample

    if installed(f"{synth.name}-space").is_file():
        return _embedding(synth, seed, generations=24, steps=0)  # as good a start as with Adam, and twice as fast
    indexed = synth.name not in PRIORS and installed(name_of(synth)).is_file()
    return _retrieve(synth, seed) if indexed else Sample(seed=seed, batch=32, until=0.75)


def _embedding(synth: Synth, seed: int, **options: int) -> Search:
    from unsynth.checkpoint import installed
    from unsynth.search.embedding import Embedding, feature
    from unsynth.search.index import best_index, name_of
    from unsynth.space import best_space

    space = best_space(synth)
    indexed = installed(name_of(synth, feature(space))).is_file()
    return Embedding(space, best_index(synth, feature(space)) if indexed else None, seed=seed, **options)


def _drawn(kind: str) -> Callable[[Synth, int], Search]:
    def made(synth: Synth, seed: int) -> Search:
        from unsynth.checkpoint import installed
        from unsynth.recipe import restored
        from unsynth.search.draw import Draw

        return Draw(restored(installed(f"{synth.name}-{kind}"), synth), seed=seed)

    return made


def _chain(synth: Synth, seed: int) -> Search:
    """Retrieval, then evolution of the nearest, then of those that lost, so that there are several answers."""
    from unsynth.search.chain import Chain
    from unsynth.search.diverse import Alternatives
    from unsynth.search.genetic import Genetic

    return Chain(_start(synth, seed), Genetic(until=0.1, seed=seed), Alternatives(seed=seed))


def _genetic(synth: Synth, seed: int) -> Search:
    from unsynth.search.genetic import Genetic

    return Genetic(seed=seed)


def _refine(synth: Synth, seed: int) -> Search:
    """Retrieval, then CMA-ES from the nearest."""
    from unsynth.search.chain import Chain
    from unsynth.search.evolve import Evolve

    return Chain(_start(synth, seed), Evolve(sigma=0.05, seed=seed))


def _gradient(synth: Synth, seed: int) -> Search:
    from unsynth.search.chain import Chain
    from unsynth.search.gradient import Gradient

    return Chain(_start(synth, seed), Gradient())


DRAWN = ("flow", "regression")  # methods that are an estimator's, the better first
METHODS: dict[str, Callable[[Synth, int], Search]] = {
    "chain": _chain,
    "embedding": _embedding,
    "flow": _drawn("flow"),
    "regression": _drawn("regression"),
    "retrieve": _retrieve,
    "refine": _refine,
    "genetic": _genetic,
    "evolve": _evolve,
    "gradient": _gradient,
    "random": _random,
}


def guesses(name: str, synth: Synth, target: Audio, count: int, seed: int) -> Params:
    """At most so many patches, the best guess first, from an estimator alone: for a synth that nothing here plays.

    Args:
        name: ``flow`` or ``regression``, or ``chain`` for the first of them that there is.
        synth: what has no engine.
        target: one sound, ``(1, time)``.
        count: how many different patches at most.
        seed: of the draws.

    Raises:
        UsageError: the method renders, or there is no estimator.
    """
    from unsynth.checkpoint import installed
    from unsynth.search.draw import Draw

    kinds = [name] if name in DRAWN else list(DRAWN) if name == "chain" else []
    there = [kind for kind in kinds if installed(f"{synth.name}-{kind}").is_file()]
    if not there:
        raise UsageError(synth.lacks())
    draw = _drawn(there[0])(synth, seed)
    assert isinstance(draw, Draw)
    return draw.params(target, count)


def method(name: str, synth: Synth, seed: int) -> Search:
    """The search called ``name``; UsageError where there is none."""
    if name not in METHODS:
        raise UsageError(f"There is no method {name!r}; choose one of: {', '.join(METHODS)}.")
    return METHODS[name](synth, seed)
