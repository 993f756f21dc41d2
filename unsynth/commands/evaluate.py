"""The commands that evaluate and show what was found. Imports are made when they run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from unsynth import folders
from unsynth.commands.arguments import at_least
from unsynth.commands.calibrate import calibrate
from unsynth.commands.match import SECONDS
from unsynth.errors import NotFoundError, UsageError

RESULTS, CALIBRATION = "results/evaluate.jsonl", "results/calibration.json"
TARGETS = 32
LONGEST = 80  # letters of a listener's name
EXTRA = "Reports of results need more packages; `pip install 'unsynth[eval]'` adds them."


def evaluate_methods(
    *,
    sounds: str = "",
    presets: str = "",
    split: str = "test",
    synth: str = "voice",
    arms: str = "oracle,chain,retrieve,refine,genetic,evolve,random,mean",
    targets: int | None = None,
    start: int = 0,
    budget: float | None = None,
    renders: int | None = None,
    seed: int = 0,
    workers: int = 1,
    ray: str = "",
    out: str = "",
    report: str = "",
    calibration: bool = False,
    model: str = "",
    draws: int = 63,
    guidance: float | None = None,
    raw: bool = False,
    private: bool = False,
) -> None:
    """Compare search methods on held-out targets at equal budget, as a table and as JSON lines.

    Run it again to go on where it stopped. With --calibration nothing is searched: it measures whether a model's draws
    are as sure as they should be. docs/evaluation.md tells what is measured, and how to read it.

    Args:
        sounds: a folder of recordings to match; held-out sounds of the synth where not given.
        presets: a folder of banks of the synth; those held out are matched at random notes, by searches that know the
            others alone.
        split: of the presets, which to match: test or validation.
        synth: the synth that matches.
        arms: methods to compare, separated by commas; oracle is the true patch with other noise, mean the patch with
            everything in the middle, gradient-scratch gradient descent from random patches, and a model.safetensors
            of your own what that model finds alone.
        targets: how many sounds (32, or 256 for a calibration); of a folder they are spread evenly.
        start: the first held-out sound, counted from 0 (validation begins at 100000).
        budget: seconds for each target and arm (10, or no limit where renders are given).
        renders: sounds to render for each target and arm at most.
        seed: seed of every search.
        workers: processes on this machine that share the searches, each with its part of the cores.
        ray: spread the searches over a Ray cluster instead: auto, or its HOST:PORT (docs/scaling.md).
        out: file of results; results/evaluate.jsonl, or results/calibration.json, if not given.
        report: folder for report.html, as `unsynth report` makes it; a calibration has a page beside its file anyway.
        calibration: check a model's draws for held-out sounds instead, as JSON and as a page with plots.
        model: for a calibration, a model.safetensors or the name of an installed model; the flow of the synth if not
            given.
        draws: for a calibration, how many for each sound.
        guidance: for a calibration, that of a flow: 1 is what it has learned; as in searches if not given.
        raw: for a calibration, count patches that sound the same as different.
        private: write no patches, as presets may not be yours to publish; a report then cannot play them.
    """
    from unsynth import crew
    from unsynth.base import Budget

    who = crew.of(workers, ray)
    if calibration and not who.alone:
        raise UsageError("A calibration is made by one process; leave --workers and --ray away.")
    if calibration:
        options = {"targets": targets, "start": start, "draws": draws, "seed": seed, "raw": raw}
        return _calibrate(synth, model, guidance, sounds, Path(out or CALIBRATION), options)
    if model or guidance is not None or raw:
        raise UsageError("--model, --guidance and --raw are for --calibration; a model to compare is one of --arms.")
    if report:
        _packages()
        folders.make(Path(report))
    out, targets = out or RESULTS, TARGETS if targets is None else targets
    source = {"sounds": sounds, "presets": presets, "split": split, "start": start}
    limit = Budget(SECONDS if budget is None and renders is None else budget, renders)
    _compare(synth, source, arms.split(","), targets, limit, seed, Path(out), private, who)
    if report:
        report_results(out, synth=synth, sounds=sounds, out=str(Path(report) / "report.html"))


def _calibrate(
    synth: str, model: str, guidance: float | None, sounds: str, file: Path, options: dict[str, Any]
) -> None:
    _packages()
    if sounds:
        raise UsageError("Nobody knows the parameters of recordings; leave --sounds away for a calibration.")
    if file.suffix != ".json":
        raise UsageError(f"A calibration is JSON; name {file.with_suffix('.json')} as --out.")
    folders.make(file.parent)
    calibrate(synth, model, guidance, file, **options)


def _compare(
    synth: str,
    source: dict[str, Any],
    arms: list[str],
    count: int,
    limit: Any,
    seed: int,
    out: Path,
    private: bool,
    who: Any,
) -> None:
    """Every arm on every target, each told as it comes, and the table of them."""
    from unsynth import evaluate as bench, targets
    from unsynth.commands.display import Display
    from unsynth.scores import table
    from unsynth.sounds.ids import VALIDATION
    from unsynth.synths import synth as synth_of

    at_least(1, targets=count)
    at_least(0, start=source["start"], seed=seed)
    instrument, sounds = synth_of(synth), source["sounds"]
    if sounds and source["presets"]:
        raise UsageError("Sounds and presets are two kinds of targets; give either --sounds or --presets.")
    held, end = ("validation", 2 * VALIDATION) if source["start"] >= VALIDATION else ("test", VALIDATION)
    presets = targets.Presets(instrument, Path(source["presets"]), source["split"]) if source["presets"] else None
    if presets:
        found = presets.targets(count)
    elif sounds:
        found = targets.recordings(instrument, Path(sounds), count, _skipped)
    elif source["start"] + count > end:
        raise UsageError(f"Held-out sounds for {held} end at {end:,}; give a lower --start or fewer --targets.")
    else:
        found = targets.held_out(instrument, count, source["start"])
    split = presets.split if presets else "" if sounds else held
    conditions = bench.Conditions(instrument, limit, seed, sounds, split, presets, not private)
    with Display() as display:
        rows = bench.run(conditions, list(found), arms, out, lambda row: display.line(row.line()), who)
    print(table(rows))


def _skipped(why: str) -> None:
    print(f"skipped: {why}", file=sys.stderr)


def report_results(
    results: str | None = None,
    *,
    listening: bool = False,
    out: str = "",
    first: str = "",
    pitch: bool = False,
    worst: int = 10,
    arms: str = "",
    trials: int = 10,
    title: str = "Listening test",
    sounds: str = "",
    synth: str = "",
) -> None:
    """Show results of `unsynth evaluate` on one page, or make a blind listening test of them.

    Nothing is searched again: the page has tables, paired differences with intervals, families of targets, and the
    worst targets to hear. With --listening it is a test in the style of MUSHRA (ITU-R BS.1534), whose answers
    `unsynth ratings` summarises. Results of `unsynth study` get a page with a plot of every measure.

    Args:
        results: a file that `unsynth evaluate` or `unsynth study` wrote.
        listening: make a listening test.
        out: the page to write; report.html or listening.html beside the results if not given.
        first: the arm that the others are compared with; the first of the file that searches if not given.
        pitch: measure pitch errors in cents too, which takes a second or two for each sound.
        worst: how many of the worst targets to show.
        arms: for a listening test, which to compare, separated by commas; all if not given.
        trials: for a listening test, how many targets.
        title: for a listening test, what listeners see.
        sounds: folder of the targets, if it was moved.
        synth: the synth of the results, if its name does not tell (a plugin).
    """
    _packages()
    from unsynth.benchmark import listening as test
    from unsynth.scores import load
    from unsynth.study.rows import is_study

    file = _results(results)
    page = Path(out) if out else file.with_name("listening.html" if listening else "report.html")
    if not listening and is_study(file):
        return _write(page, _study(file))
    header, rows = load(file)
    if listening:
        played = _replay(header, rows, synth, sounds)
        text = test.page(rows, played, title, arms.split(",") if arms else None, trials)
    else:
        text = _report(header, rows, first, pitch, worst, synth, sounds)
    _write(page, text)


def _write(page: Path, text: str) -> None:
    from unsynth import audio

    folders.make(page.parent)
    audio.write_text(page, text)
    print(page)


def _study(path: Path) -> str:
    from unsynth.study.page import page
    from unsynth.study.rows import read

    return page(read(path))


def summarise_ratings(answers: list[str]) -> None:
    """Print the mean score and 95 % interval of each arm, from what listeners answered.

    Those who rate the hidden reference below 90 for more than 15 % of the items are left out, as ITU-R BS.1534 has it.

    Args:
        answers: files that the page of `unsynth report --listening` saved.
    """
    _packages()
    from unsynth.benchmark import ratings
    from unsynth.scores import markdown

    sessions = ratings.read([Path(path) for path in answers])
    print(markdown(ratings.cells(sessions)))
    kept = ratings.screened(sessions)
    left_out = [_name(session.listener) for session in sessions if session not in kept]
    without = f"; left out: {', '.join(left_out)}" if left_out else ""
    print(f"\n{len(kept)} of {len(sessions)} listeners{without}")


def _name(listener: str) -> str:
    """What a file calls a listener, without what a terminal would obey."""
    return "".join(letter for letter in listener if letter.isprintable())[:LONGEST] or "without a name"


def _packages() -> None:
    try:
        import librosa  # noqa: F401
        import scipy  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(EXTRA) from error


def _results(path: str | None) -> Path:
    if not path:
        raise UsageError("Name a file of results, such as results/evaluate.jsonl.")
    if not Path(path).is_file():
        raise NotFoundError(f"{path} does not exist; name a file that `unsynth evaluate` wrote.")
    return Path(path)


def _replay(header: dict[str, object], rows: list[Any], synth: str, sounds: str) -> Any:
    from unsynth.benchmark.replay import replay
    from unsynth.synths import known, synth as synth_of

    return replay(header, rows, synth_of(synth) if synth else known(str(header["synth"])), sounds)


def _report(
    header: dict[str, object], rows: list[Any], first: str, pitch: bool, worst: int, synth: str, sounds: str
) -> str:
    """The page; without sounds where the results have no patches."""
    from unsynth.benchmark.page import Results, page
    from unsynth.benchmark.pitch import errors

    played, silent = None, ""
    if any(row.params for row in rows) or pitch:
        played = _replay(header, rows, synth, sounds)
    else:
        silent = "These results have no patches (--private, or an older version), so there is nothing to hear."
    found = errors(rows, played) if pitch and played else []
    return page(Results(header, rows, first, played, silent, found), worst)
