"""The commands that match sounds and play patches."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Any

from unsynth.errors import BatchError, UnsynthError, UsageError

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
    start: str = "",
    hold: str = "",
    seed: int = 0,
    device: str = "auto",
    workers: int = 1,
    ray: str = "",
    json: bool = False,
) -> None:
    """Find the synth patches that make each sound.

    Writes OUT/NAME/match.wav, patch.json, candidate-2.wav, ... and report.html for each sound, and for several
    OUT/index.html and summary.csv. Run it again to go on where it stopped: sounds that were matched with the same
    options are not matched twice.

    Args:
        sound_or_folder: wav, flac, ogg, mp3, aiff ... files, or folders of them.
        synth: the synth to find patches for (`unsynth synths` lists them), or plugin:PATH.vst3.
        method: how to search: chain, embedding, flow, regression, retrieve, presets, refine, genetic, evolve, gradient,
            random, or a model.safetensors of your own that `unsynth pretrain` made.
        out: folder for the results.
        budget: seconds to search for each sound (10, or no limit where renders are given).
        renders: sounds to render for each sound at most; alone, the same seed gives the same result.
        candidates: how many different patches to keep.
        start: a patch.json, .syx, .dx7, .fxp or .vital file whose patches to go on from.
        hold: parameters, separated by commas, that stay as in the first patch of START; a module's name stands for
            all that it has.
        seed: seed of the search.
        device: auto, cpu or cuda.
        workers: processes on this machine that share the sounds, each with its part of the cores.
        ray: spread the sounds over a Ray cluster instead: auto, or its HOST:PORT (docs/scaling.md).
        json: print one JSON object for each sound on stdout.
    """
    from unsynth import batch, crew
    from unsynth.base import Budget
    from unsynth.commands.display import Display

    limit = Budget(SECONDS if budget is None and renders is None else budget, renders)
    begun = _begun(synth, Path(start), hold) if start or hold else {}
    task, sounds = batch.Task(synth, method, limit, candidates, seed, device, **begun), batch.targets(sound_or_folder)
    failed, who = list[UnsynthError](), crew.of(workers, ray)
    with Display() as display:
        outcomes = batch.run(sounds, Path(out), task, lambda name, at: display.update(name, *_progress(at)), who)
        for done, outcome in enumerate(outcomes, start=1):
            if json:
                print(jsonlib.dumps(outcome.json(), allow_nan=False), flush=True)
            failed += [outcome.error] if outcome.error else []
            if not outcome.error or len(sounds) > 1:
                display.line(outcome.line())
            if outcome.result.get("interrupted"):
                raise KeyboardInterrupt
            if not who.alone:
                display.update(out, done / len(sounds), f"{done} of {len(sounds)} sounds")
    if len(sounds) == 1 and failed:
        raise failed[0]
    if failed:
        raise BatchError(f"{len(failed)} of {len(sounds)} sounds could not be matched, for the reasons above.")


def _begun(synth: str, start: Path, hold: str) -> dict[str, Any]:
    """The patches of a file and the names of what is held, as a task has them."""
    from unsynth.presets.saved import read
    from unsynth.synths import synth as synth_of

    if start == Path():
        raise UsageError("To hold parameters, name the patch that says at which values with --start.")
    instrument = synth_of(synth)
    rows = [preset.params.tolist() for preset in read(start) if preset.synth == instrument.name]
    if not rows:
        raise UsageError(f"{start} has no patch of {synth} to go on from; choose another --start or --synth.")
    asked = [name.strip() for name in hold.split(",") if name.strip()]
    modules = {name: [full for full in instrument.spec.names if full.startswith(f"{name}.")] for name in asked}
    return {"start": rows, "held": [full for name in asked for full in modules[name] or [name]]}


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
    from unsynth.synths import known, synth as synth_of

    if (patch is None) == (id is None):
        raise UsageError("Name either a patch or an --id to render.")
    if patch and Path(patch).suffix.lower() in (".syx", ".dx7"):
        instrument, (name, sound) = synth_of("dexed"), _dx7(Path(patch), voice, note, velocity, length)
    else:
        found = read(Path(patch), lambda name: known(name).spec) if patch else None
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


def _progress(at: Any) -> tuple[float, str]:
    return 1 - at.left(), f"{at.seconds:.1f} s, {at.renders:,} renders, distance {at.curve[-1][2]:.4g}"
