"""The table of methods, and how each is put together from searches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from unsynth.base import Audio, Estimator, NotFoundError, Params, Search, Synth, UsageError
from unsynth.checkpoint import installed
from unsynth.presets import PITCH, PRIORS, Prior
from unsynth.recipe import restored
from unsynth.search import library
from unsynth.search.chain import Chain, Later
from unsynth.search.diverse import Alternatives
from unsynth.search.draw import Draw
from unsynth.search.embedding import Embedding, feature, feature_of
from unsynth.search.genetic import Genetic
from unsynth.search.gradient import Gradient
from unsynth.search.held import Held
from unsynth.search.index import best_index, name_of
from unsynth.search.known import Known
from unsynth.search.library import Library
from unsynth.search.notes import Notes
from unsynth.search.retrieve import Retrieve
from unsynth.search.retune import Retune
from unsynth.search.sample import Sample
from unsynth.space import JointSpace, best_space, once

SCRATCH = 64  # draws of a prior that a search from scratch begins with
LATE = 0.8  # share of the budget at which draws of a flow come too late
HOLDING = ("chain", "refine", "genetic", "evolve", "gradient", "random")  # methods that can hold parameters
MODEL = ".safetensors"  # what a file of trained weights is called
DRAWN = ("flow", "regression")  # methods that are an estimator's, the better first


def own_presets() -> Library | None:
    """The user's own presets, where there is an index of them."""
    return Library.load(library.own()) if library.own().is_file() else None


@dataclass(frozen=True)
class Setting:
    """What a search is made for, and what it may know of presets.

    Args:
        synth: what renders.
        seed: of every draw.
        prior: patches that are worth a render; those of the synth where None.
        presets: gives the presets to start from, None where there are none.
    """

    synth: Synth
    seed: int = 0
    prior: Prior | None = None
    presets: Callable[[], Library | None] = own_presets


def _random(setting: Setting) -> Search:
    return Sample(seed=setting.seed, prior=setting.prior)


def _presets(setting: Setting) -> Search:
    """The nearest presets, all that the budget allows."""
    presets = setting.presets()
    if presets is None:
        raise NotFoundError("There is no index of your presets; `unsynth index presets FOLDER` makes one.")
    return Known(presets, count=None)


def _evolve(setting: Setting) -> Search:
    return _from_scratch(setting, _cma_es(setting, runs=1, sigma=0.25))


def _cma_es(setting: Setting, sigma: float, runs: int = 8) -> Search:
    from unsynth.search.evolve import Evolve  # brings scipy.stats: a second that no other method should wait for

    return Evolve(sigma=sigma, seed=setting.seed, runs=runs)


def _from_scratch(setting: Setting, search: Search) -> Search:
    """``search`` from random patches: its own uniform ones, or draws of a prior where there is one."""
    if setting.prior is None and setting.synth.name not in PRIORS:
        return search
    return Chain(Sample(count=SCRATCH, seed=setting.seed, prior=setting.prior), search)


def _retrieve(setting: Setting) -> Search:
    return Retrieve(best_index(setting.synth, feature_of(setting.synth)))


def _start(setting: Setting) -> Search:
    """Presets where there are some, each at the best of several notes, what finds more starts, draws of a flow, and all
    at the pitch of the target.
    """
    presets = setting.presets()
    known = [] if presets is None else [Known(presets), Notes()]
    flow = installed(f"{setting.synth.name}-flow").is_file()
    draws = [Later(lambda: _drawn("flow", batch=16, until=LATE)(setting), LATE)] if flow else []
    tuned = [Retune(PITCH[setting.synth.name])] if setting.synth.name in PITCH else []
    return Chain(*known, _more(setting), *draws, *tuned)


def _more(setting: Setting) -> Search:
    """Search in the joint space where there is one of the synth, else retrieval, else the best of random patches.

    An index holds uniform patches; a prior is better than those.
    """
    synth = setting.synth
    if installed(f"{synth.name}-space").is_file():
        return _embedding(setting, generations=24, steps=0)  # as good a start as with Adam, and twice as fast
    indexed = synth.name not in PRIORS and installed(name_of(synth)).is_file()
    return _retrieve(setting) if indexed else Sample(seed=setting.seed, batch=32, until=0.75, prior=setting.prior)


def _embedding(setting: Setting, space: JointSpace | None = None, **options: int) -> Search:
    """In a joint space, from an index by its points where there is one; in that of the synth where None is given."""
    synth, space = setting.synth, space or best_space(setting.synth)
    indexed = installed(name_of(synth, feature(space))).is_file()
    index = best_index(synth, feature(space)) if indexed else None
    return Embedding(space, index, setting.prior, seed=setting.seed, **options)


def _drawn(kind: str, batch: int = 64, until: float = 0.0) -> Callable[[Setting], Search]:
    def made(setting: Setting) -> Search:
        model = once(restored, installed(f"{setting.synth.name}-{kind}"), setting.synth)
        return Draw(model, seed=setting.seed, batch=batch, until=until)

    return made


def _chain(setting: Setting) -> Search:
    """Retrieval, then evolution of the nearest, then of those that lost, so that there are several answers."""
    seed = setting.seed
    return Chain(_start(setting), Genetic(until=0.1, seed=seed), Alternatives(seed=seed))


def _genetic(setting: Setting) -> Search:
    return _from_scratch(setting, Genetic(seed=setting.seed))


def _refine(setting: Setting) -> Search:
    """Retrieval, then CMA-ES from the nearest."""
    return Chain(_start(setting), _cma_es(setting, sigma=0.05))


def _gradient(setting: Setting) -> Search:
    return Chain(_start(setting), Gradient())


METHODS: dict[str, Callable[[Setting], Search]] = {
    "chain": _chain,
    "embedding": _embedding,
    "flow": _drawn("flow"),
    "regression": _drawn("regression"),
    "retrieve": _retrieve,
    "presets": _presets,
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
    kinds = [name] if name in DRAWN else list(DRAWN) if name == "chain" else []
    there = [kind for kind in kinds if installed(f"{synth.name}-{kind}").is_file()]
    if not there:
        raise UsageError(synth.lacks())
    draw = _drawn(there[0])(Setting(synth, seed))
    assert isinstance(draw, Draw)
    return draw.params(target, count)


def trained(path: Path, setting: Setting) -> Search:
    """What a model finds alone: the best of an estimator's draws, or of a search in a joint space.

    Raises:
        NotFoundError: there is no such file.
        PatchError: it is damaged, of another synth, or a model that finds no parameters.
    """
    model = once(restored, path, setting.synth)
    if isinstance(model, Estimator):
        return Draw(model, seed=setting.seed)
    return _embedding(setting, once(JointSpace, path, setting.synth))


def made(name: str, setting: Setting, more: Mapping[str, Callable[[Setting], Search]] = METHODS) -> Search:
    """The search called ``name``, or that of a model, ``mine/model.safetensors``.

    Raises:
        UsageError: there is none, or it cannot hold parameters and has to.
    """
    require(name, more)
    if isinstance(setting.synth, Held) and name not in HOLDING:
        raise UsageError(f"The method {name!r} cannot hold parameters; choose one of: {', '.join(HOLDING)}.")
    return more[name](setting) if name in more else trained(Path(name), setting)


def require(name: str, known: Collection[str], what: str = "method") -> None:
    """UsageError where ``name`` is neither known nor the file of a model."""
    if name not in known and Path(name).suffix != MODEL:
        raise UsageError(f"There is no {what} {name!r}; choose one of: {', '.join(known)}, or a model{MODEL} of yours.")


def method(name: str, synth: Synth, seed: int) -> Search:
    """The search called ``name``; UsageError where there is none."""
    return made(name, Setting(synth, seed))
