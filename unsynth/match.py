"""The one public verb: find the patches that make a sound. And what a match is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from unsynth import __version__, audio, folders
from unsynth.base import Budget, EngineError, Params, Problem, Search, Solution, Synth, UsageError
from unsynth.candidates import Candidate, of, stems, tell_apart, unheard
from unsynth.contract import Losses, far_where_lost, forgiven
from unsynth.native import torch_on_one_thread
from unsynth.params import ParamSpec
from unsynth.presets import exported, patch
from unsynth.report.page import page
from unsynth.search.held import Held
from unsynth.search.methods import guesses, method as method_of
from unsynth.search.objective import MatchDistance
from unsynth.sounds import ids
from unsynth.synths import synth as synth_of

APART_SECONDS = 0.1  # spent on what sets the candidates apart, at the search's own pace of rendering
APART_SHARE = 0.01  # of the renders, where they are the only budget: as many whatever the pace


@dataclass
class Match:
    """The answer to "which patch makes this sound?".

    Args:
        name: what to call the target, usually its file name.
        spec: the parameters of the synth.
        rate: samples per second of the target and of the candidates.
        target: the sound to match, shape ``(time,)``.
        candidates: at least one, best first.
        curve: the best distance so far as ``(seconds, renders, distance)``.
        seconds: wall clock of the search.
        renders: sounds rendered by the search.
        seed: seed of the search.
        interrupted: whether Ctrl-C ended the search before its budget was spent.
        unheard: why nothing was rendered, so that the candidates have no sound and no scores; empty where it was.
        trouble: how many patches the engine could not play, and why the search ended early; empty where all went well.
    """

    name: str
    spec: ParamSpec
    rate: int
    target: Float[Tensor, " time"]
    candidates: list[Candidate]
    curve: list[tuple[float, int, float]]
    seconds: float
    renders: int
    seed: int
    interrupted: bool = False
    unheard: str = ""
    trouble: str = ""

    @property
    def synth(self) -> str:
        return self.spec.synth

    def patch(self, candidate: Candidate) -> patch.Patch:
        """``candidate`` as a patch that can be written to a file."""
        return patch.Patch(
            synth=self.synth,
            spec_hash=self.spec.hash,
            params=tuple(candidate.params.float().tolist()),
            noise=candidate.noise,
            gain_db=candidate.gain_db,
            distance=patch.UNHEARD if self.unheard else candidate.distance,
            metrics=candidate.metrics,
            seconds=self.seconds,
            renders=self.renders,
            seed=self.seed,
            version=__version__,
        )

    def save(self, folder: str | Path) -> None:
        """Write match.wav, patch.json, the other candidates as candidate-2.wav and .json ..., and report.html.

        What was not heard has no .wav.
        The synth's own preset files come beside them (docs/match-output.md). Every file appears whole or not at all,
        and the report comes last.

        Raises:
            OutputError: ``folder`` cannot be made or written to.
            EngineError: as :meth:`presets`, when all else is written.
        """
        folder = Path(folder)
        folders.make(folder)
        for rank, candidate in enumerate(self.candidates, start=1):
            sound, settings = stems(rank)
            if not self.unheard:
                audio.write(folder / f"{sound}.wav", candidate.audio, self.rate)
            audio.write_text(folder / f"{settings}.json", patch.to_json(self.patch(candidate), self.spec))
        try:
            for name, data in self.presets().items():
                audio.write_bytes(folder / name, data)
        finally:  # what was found can be heard even if its presets cannot be made
            audio.write_text(folder / "report.html", page(self))

    def presets(self) -> dict[str, bytes]:
        """The files that the synth itself reads, by name; errors as :func:`unsynth.presets.exported`."""
        names = [stems(rank)[0] for rank in range(1, len(self.candidates) + 1)]
        params = torch.stack([candidate.params for candidate in self.candidates]).cpu()
        return exported(self.synth, self.name, names, params)


def match(
    sound: str | Path | npt.ArrayLike | Tensor,
    rate: int | None = None,
    *,
    synth: str = "voice",
    method: str | Search = "chain",
    budget: float | Budget = 10.0,
    candidates: int = 4,
    start: Params | Sequence[Sequence[float]] | None = None,
    held: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    name: str | None = None,
    on_progress: Callable[[Problem], None] | None = None,
) -> Match:
    """Search for the patches that make ``sound``. Ctrl-C ends the search and keeps the best so far.

    Where nothing plays the synth, an estimator guesses, if there is one of it: the match says so in ``unheard``.
    A patch that crashes an engine is as far as can be; ``trouble`` tells, as it does where the engine fails for good.

    Args:
        sound: a sound file, or samples as in :func:`unsynth.audio.from_array`.
        rate: Hz, of samples; a file knows its own.
        synth: the synth to find a patch for, one of ``unsynth.SYNTHS``.
        method: one of ``unsynth.search.methods.METHODS``, or a search.
        budget: seconds, or a :class:`Budget`. With a budget of renders alone, the same seed gives the same result.
        candidates: how many patches to return at most.
        start: patches of the synth to go on from, ``(batch, param)``.
        held: names of parameters that all candidates have as the first row of ``start`` has them.
        seed: seed of the search.
        device: ``auto`` (an NVIDIA GPU where there is one), ``cpu`` or ``cuda``.
        name: what to call the target; the name of the file where None.
        on_progress: called after every step of the search.

    Raises:
        UsageError: an argument that makes no sense, or nothing plays the synth and there is no estimator of it.
        NotFoundError, UnreadableError, UnusableError: as in :func:`unsynth.audio.read`.
        KeyboardInterrupt: Ctrl-C before anything was found.
    """
    instrument, limit = synth_of(synth), as_budget(budget)
    _check(candidates, seed)
    name = name or (Path(sound).name if isinstance(sound, str | Path) else "sound")
    if instrument.lacks() and start is not None:
        raise UsageError(instrument.lacks())
    if instrument.lacks():
        return _guessed(name, _target(sound, rate, instrument), instrument, method, candidates, seed)
    played, first = _started(instrument, None if start is None else torch.as_tensor(start), held or ())
    search = method if isinstance(method, Search) else method_of(method, played, seed)
    target = _target(sound, rate, instrument)
    where, losses = as_device(device), Losses()
    with torch_on_one_thread():  # on more, torch's sums would differ in the last bits
        distance = far_where_lost(MatchDistance(target[None]))
        problem = Problem(played, target[None], distance, limit, on_progress, device=where)
        with forgiven(losses):
            found, stopped = _search(problem, search, first)
        chosen = of(problem, found, candidates)
        with suppress(EngineError):  # what is told apart may crash the engine, and can be done without
            tell_apart(instrument, chosen, _apart(problem))
    return Match(
        name=name,
        spec=instrument.spec,
        rate=instrument.rate,
        target=target,
        candidates=chosen,
        curve=problem.curve,
        seconds=problem.seconds,
        renders=problem.renders,
        seed=seed,
        interrupted=isinstance(stopped, KeyboardInterrupt),
        trouble=losses.told(stopped),
    )


def render(sound: patch.Patch | int, synth: str = "voice") -> Float[Tensor, " time"]:
    """The audio of a patch at the level it was saved with, or of a sound id of ``synth`` at the synth's own level.

    Shape: ``(time,)``, at the rate of the synth.

    Raises:
        UsageError: no such synth, or an id that is negative or beyond 32 bits.
        PatchError: the patch is for another version of its synth.
    """
    if isinstance(sound, int):
        if not 0 <= sound < ids.END:
            raise UsageError(f"There is no sound with id {sound}; ids go from 0 to {ids.END - 1:,}.")
        row = torch.tensor([sound])
        instrument = synth_of(synth)
        return instrument.render(ids.params_of(row, instrument.spec), row)[0]
    instrument = synth_of(sound.synth)
    patch.check_spec(sound.synth, sound.spec_hash, len(sound.params), instrument.spec)
    audio_of = instrument.render(torch.tensor([sound.params]), torch.tensor([sound.noise]))[0]
    return audio_of * 10 ** (sound.gain_db / 20)


def as_budget(budget: float | Budget) -> Budget:
    """``budget`` as a :class:`Budget` that ends; UsageError where it does not."""
    budget = budget if isinstance(budget, Budget) else Budget(seconds=budget)
    if budget == Budget():
        raise UsageError("A budget without limits never ends; give seconds, renders, or both.")
    return budget


def as_device(name: str) -> torch.device:
    """The device called ``name``; UsageError where this machine has none."""
    cuda = torch.cuda.is_available()
    known = {"auto": "cuda" if cuda else "cpu", "cpu": "cpu", **({"cuda": "cuda"} if cuda else {})}
    if name not in known:
        raise UsageError(f"There is no device {name!r} here; choose one of: {', '.join(known)}.")
    return torch.device(known[name])


def _check(candidates: int, seed: int) -> None:
    if candidates < 1:
        raise UsageError(f"{candidates} candidates are too few; ask for 1 or more.")
    if not 0 <= seed < 2**63:
        raise UsageError(f"The seed {seed} is out of range; choose one from 0 to 2^63 - 1.")


def _target(sound: Any, rate: int | None, synth: Synth) -> Float[Tensor, " time"]:
    """``sound`` as the synth could have made it: its rate, its length, no silence first."""
    if isinstance(sound, str | Path):
        read = audio.read(sound, synth.rate, synth.seconds)
    elif rate is None:
        raise UsageError("Samples alone do not say how fast to play them; give their rate in Hz too.")
    else:
        read = audio.from_array(sound, rate, synth.rate, synth.seconds)
    return audio.fit(read, synth.rate, round(synth.rate * synth.seconds))


def _started(synth: Synth, start: Params | None, held: Sequence[str]) -> tuple[Synth, Params]:
    """What the search plays, and the patches that it goes on from."""
    if start is None and held:
        raise UsageError("Parameters can only be held where a patch to start from says at which values.")
    if start is None:
        return synth, torch.empty(0, len(synth.spec))
    if start.ndim != 2 or start.shape[1] != len(synth.spec) or not ((start >= 0) & (start <= 1)).all():
        raise UsageError(f"Patches to start from are rows of {len(synth.spec)} parameters from 0 to 1.")
    played = Held(synth, start[0], held) if held else synth
    return played, start[:, played.free] if isinstance(played, Held) else start


def _guessed(
    name: str, target: Float[Tensor, " time"], synth: Synth, method: str | Search, count: int, seed: int
) -> Match:
    """What an estimator says of the target, where nothing plays the synth."""
    began = time.perf_counter()
    with torch_on_one_thread():
        params = guesses(method if isinstance(method, str) else "", synth, target[None], count, seed)
    facts = (name, synth.spec, synth.rate, target, unheard(synth.spec.snap(params)), [])
    return Match(*facts, time.perf_counter() - began, 0, seed, unheard=synth.lacks())


def _search(problem: Problem, search: Search, start: Params) -> tuple[Solution, BaseException | None]:
    """What the search finds with the budget of ``problem``, and what ended it before: Ctrl-C, or the engine."""
    try:
        problem.evaluate(start)
        return search(problem, problem.elite).join(problem.elite), None
    except (KeyboardInterrupt, EngineError) as error:
        if not problem.elite.distances.isfinite().any():
            raise
        return problem.elite, error


def _apart(problem: Problem) -> int:
    """How many renders may be spent on what sets the candidates apart."""
    share = APART_SHARE if problem.budget.seconds is None else APART_SECONDS / problem.seconds
    return int(share * problem.renders)


class _Verb(ModuleType):
    """Lets ``unsynth.match`` be called: importing this module gives that name to the module, not to the function."""

    def __call__(self, *args: Any, **options: Any) -> Match:
        return match(*args, **options)


sys.modules[__name__].__class__ = _Verb
