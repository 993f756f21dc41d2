"""The command line: every command is a typed function, its docstring is the help, `COMMANDS` is the table of them.

Commands import what they need when they run, so that help is there at once. (jsonargparse would load torch for imports
under TYPE_CHECKING, and for a function named like one of the package's: there are neither here.)
"""

from __future__ import annotations

import json as jsonlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unsynth import arguments
from unsynth.cli_evaluate import evaluate_methods, report_results, summarise_ratings
from unsynth.cli_index import build_index, find_presets, index_presets
from unsynth.cli_train import export_model, pretrain_encoder, study_recipes
from unsynth.errors import BatchError, UnsynthError, UsageError
from unsynth.instruments import synths

INTERRUPTED = 130  # 128 and the number of the signal that Ctrl-C sends, as shells have it
BROKEN_PIPE = 141
SECONDS = 10.0


def match_sounds(
    sound_or_folder: list[str],
    *,
    synth: str = "voice",
    method: str = "chain",
    out: str = "out",
    budget: float | None = None,
    renders: int | None = None,
    candidates: int = 4,
    seed: int = 0,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Find the synth patches that make each sound.

    Writes OUT/NAME/match.wav, patch.json, candidate-2.wav, ... and report.html for each sound, and for several
    OUT/index.html and summary.csv. Run it again to go on where it stopped: sounds that were matched with the same
    options are not matched twice.

    Args:
        sound_or_folder: wav, flac, ogg, mp3, aiff ... files, or folders of them.
        synth: the synth to find patches for (`unsynth synths` lists them), or plugin:PATH.vst3.
        method: how to search: chain, embedding, flow, regression, retrieve, refine, genetic, evolve, gradient or
            random.
        out: folder for the results.
        budget: seconds to search for each sound (10, or no limit where renders are given).
        renders: sounds to render for each sound at most; alone, the same seed gives the same result.
        candidates: how many different patches to keep.
        seed: seed of the search.
        device: auto, cpu or cuda.
        json: print one JSON object for each sound on stdout.
    """
    from unsynth import batch
    from unsynth.base import Budget
    from unsynth.display import Display

    limit = Budget(SECONDS if budget is None and renders is None else budget, renders)
    task, sounds = batch.Task(synth, method, limit, candidates, seed, device), batch.targets(sound_or_folder)
    failed: list[UnsynthError] = []
    with Display() as display:
        for outcome in batch.run(sounds, Path(out), task, lambda name, at: display.update(name, *_progress(at))):
            if json:
                print(jsonlib.dumps(outcome.json(), allow_nan=False), flush=True)
            failed += [outcome.error] if outcome.error else []
            if not outcome.error or len(sounds) > 1:
                display.line(outcome.line())
            if outcome.result.get("interrupted"):
                raise KeyboardInterrupt
    if len(sounds) == 1 and failed:
        raise failed[0]
    if failed:
        raise BatchError(f"{len(failed)} of {len(sounds)} sounds could not be matched, for the reasons above.")


def render_patch(
    patch: str | None = None,
    *,
    id: int | None = None,
    synth: str = "voice",
    voice: int | None = None,
    note: int = 60,
    velocity: int = 100,
    length: float = 1.0,
    out: str | None = None,
) -> None:
    """Play a patch to a wav file.

    Args:
        patch: a patch.json that `unsynth match` wrote, perhaps edited since; or DX7 voices as .syx or .dx7.
        id: a sound id to play, instead of a patch.
        synth: the synth that plays the id; a patch knows its own.
        voice: which of the DX7 voices of a file to play, from 1.
        note: MIDI note that the DX7 voice plays (60 is C4).
        velocity: how hard, 1 to 127.
        length: seconds that its key is down.
        out: the file to write; PATCH.wav, BANK-VOICE.wav or id-N.wav in this folder if not given.
    """
    from unsynth import audio
    from unsynth.match import render
    from unsynth.presets.patch import read
    from unsynth.synths import synth as synth_of

    if (patch is None) == (id is None):
        raise UsageError("Name either a patch or an --id to render.")
    if patch and Path(patch).suffix.lower() in (".syx", ".dx7"):
        instrument, (name, sound) = synth_of("dexed"), _dx7(Path(patch), voice, note, velocity, length)
    else:
        found = read(Path(patch), lambda name: synth_of(name).spec) if patch else None
        name = Path(patch).stem if patch else f"id-{id}"
        instrument, sound = synth_of(found.synth if found else synth), render(found or id or 0, synth)
    file = out or f"{name}.wav"
    audio.write(file, sound, instrument.rate)
    print(file)


def _dx7(path: Path, voice: int | None, note: int, velocity: int, length: float) -> tuple[str, Any]:
    """A name for the sound of a voice of a bank, and the sound."""
    from unsynth.presets.syx import read, to_params
    from unsynth.synths import synth as synth_of

    voices = read(path)
    if voice is None and len(voices) > 1:
        raise UsageError(f"{path} has {len(voices)} voices; say which one with --voice 1 to {len(voices)}.")
    number = 1 if voice is None else voice
    if not 1 <= number <= len(voices):
        raise UsageError(f"{path} has no voice {voice}; choose one from 1 to {len(voices)}.")
    name = path.stem if len(voices) == 1 else f"{path.stem}-{number}"
    return name, synth_of("dexed").render(to_params([voices[number - 1]], note, velocity, length))[0]


def doctor(*, json: bool = False) -> None:
    """Check this installation: what there is, what is missing, and the command that mends it.

    Args:
        json: print one JSON object instead.
    """
    from unsynth.doctor import describe, examine

    facts = examine()
    print(jsonlib.dumps(facts) if json else describe(facts))


def serve_page(
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    workers: int = 0,
    max_seconds: float = 30.0,
    max_megabytes: float = 20.0,
    expose: bool = False,
) -> None:
    """Open a web page to match sounds, hear and vary the matches and turn their knobs.

    The page needs no network. Searches of several people take turns.

    Args:
        host: address to listen at.
        port: port to listen at; 0 for a free one.
        workers: searches at once; half as many as there are cores if not given.
        max_seconds: longest sound that is taken.
        max_megabytes: largest file that is taken.
        expose: allow a host that other machines can reach.
    """
    try:
        from unsynth.web.app import Limits
        from unsynth.web.serve import serve
    except ModuleNotFoundError as error:
        raise UsageError("The web page needs more packages; `pip install 'unsynth[web]'` adds them.") from error
    if workers < 0 or max_seconds <= 0 or max_megabytes <= 0:
        raise UsageError("The limits must be above zero; leave --workers away to have them chosen.")
    most = workers or max(1, (os.cpu_count() or 1) // 2)
    serve(host, port, Limits(workers=most, seconds=max_seconds, megabytes=max_megabytes), expose)


COMMANDS: dict[str, Callable[..., None]] = {
    "match": match_sounds,
    "render": render_patch,
    "synths": synths,
    "index build": build_index,
    "index presets": index_presets,
    "find": find_presets,
    "pretrain": pretrain_encoder,
    "export-model": export_model,
    "study": study_recipes,
    "evaluate": evaluate_methods,
    "report": report_results,
    "ratings": summarise_ratings,
    "serve": serve_page,
    "doctor": doctor,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (of the process where None) names; docs/exit-codes.md tells the exit codes."""
    try:
        name, options = arguments.parse(sys.argv[1:] if argv is None else argv, COMMANDS)
        COMMANDS[name](**options)
        sys.stdout.flush()
        return 0
    except UnsynthError as error:
        print(f"unsynth: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("unsynth: Stopped by Ctrl-C; run the same command again to go on.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of stdout left; Python would complain when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _progress(at: Any) -> tuple[float, str]:
    return 1 - at.left(), f"{at.seconds:.1f} s, {at.renders:,} renders, distance {at.curve[-1][2]:.4g}"
