"""A search for a session, in a thread of its own: what it finds is shown at once, and it stops when it is asked to."""

from __future__ import annotations

import math
import time

from unsynth.base import Problem, Solution, UnsynthError, UsageError
from unsynth.candidates import Candidate, of
from unsynth.match import Match, match
from unsynth.synths import synth as synth_of
from unsynth.web.session import Session, Task, alone
from unsynth.web.turns import Turn

CANDIDATES = 4
SHARE = 0.15  # of a search's time that showing what it found so far may take
BEAT = 0.1  # seconds between two reports of progress


class Gone(Exception):
    """Nobody waits for this search any more."""


def search(session: Session, task: Task, turn: Turn) -> None:
    """Do what ``task`` says and show it in ``session``; what goes wrong is told there."""
    watch = Watch(session, turn, task)
    try:
        result = match(task.sound, name=task.name, candidates=CANDIDATES, on_progress=watch, **task.options)
        if result.unheard:
            raise UsageError(result.unheard)
        watch.show(result, result.candidates)
    except Gone:
        pass
    except UnsynthError as error:
        watch.fail(str(error).replace(str(task.sound), task.name))
    except Exception:
        watch.fail("The search failed; that is a bug in unsynth, and the terminal of the server tells more.")
        raise
    finally:
        turn.state = "over"
        session.changed()


class Watch:
    """Follows a search for a session: shows what is found, stops when it is asked to."""

    def __init__(self, session: Session, turn: Turn, task: Task) -> None:
        self.session, self.turn, self.task = session, turn, task
        self.told, self.next_show, self.best = 0.0, 0.0, math.inf

    def __call__(self, problem: Problem) -> None:
        if not self.session.waits_for(self.turn):
            raise Gone
        if self.turn.stop.is_set():
            raise KeyboardInterrupt
        now, best = time.monotonic(), problem.curve[-1][2]
        if now - self.told > BEAT:
            self.told = now
            self.tell(1 - problem.left(), problem.seconds, problem.renders, best)
        if now > self.next_show and best < self.best:
            self.best = best
            self.look(problem)
            self.next_show = time.monotonic() + (time.monotonic() - now) / SHARE

    def look(self, problem: Problem) -> None:
        """Show what was found by now: the candidates that a search for so few would return."""
        few = Solution(*(x[: 2 * CANDIDATES] for x in (problem.elite.params, problem.elite.distances)))
        found, synth = of(problem, few, CANDIDATES), problem.synth
        spec, target = synth_of(synth.spec.synth).spec, problem.target[0].cpu()
        facts = (self.task.name, spec, synth.rate, target, found, [], problem.seconds, problem.renders)
        self.show(Match(*facts, self.task.options["seed"]), found)

    def show(self, result: Match, found: list[Candidate]) -> None:
        if not self.session.waits_for(self.turn):
            raise Gone
        self.session.show([alone(result, candidate) for candidate in found], self.task.base)
        self.tell(self.session.progress["share"], result.seconds, result.renders, found[0].distance)

    def tell(self, share: float, seconds: float, renders: int, distance: float) -> None:
        numbers = {"share": share, "seconds": seconds, "renders": renders}
        nearest = distance if math.isfinite(distance) else None
        self.session.progress = {**self.session.progress, **numbers, "distance": nearest}
        self.session.changed()

    def fail(self, sentence: str) -> None:
        if self.session.waits_for(self.turn):
            self.session.error = sentence
