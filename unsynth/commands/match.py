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
        candidates: how many different patches to keep. To tell them apart takes a while after the budget: less than a
            second for four, five to ten for forty, more with a slow synth.
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
    note: int | None = None,
    velocity: int | None = None,
    length: float | None = None,
    out: str | None = None,
) -> None:
    """Play a patch to a wav file.

    Args:
        patch: a patch.json that `unsynth match` wrote, perhaps edited since; or presets: .syx, .dx7, .fxp, .vital.
        id: a sound id to play, instead of a patch.
        synth: the synth that plays the id; a patch knows its own.
        voice: which of the DX7 voices of a file to play, from 1.
        note: MIDI note that a preset plays (60, which is C4, where it names none of its own); a patch.json has its own.
        velocity: how hard, 1 to 127 (100 where it does not say).
        length: seconds that its key is down (1 where it does not say).
        out: the file to write; PATCH.wav, BANK-VOICE.wav or id-N.wav in this folder if not given.
    """
    from unsynth import audio
    from unsynth.match import render
    from unsynth.presets.patch import read
    from unsynth.presets.saved import ENDINGS
    from unsynth.synths import known, synth as synth_of

    if (patch is None) == (id is None):
        raise UsageError("Name either a patch or an --id to render.")
    if patch and Path(patch).suffix.lower() in ENDINGS:
        name, instrument, sound = _preset(Path(patch), voice, (note, velocity, length))
    else:
        found = read(Path(patch), lambda name: known(name).spec) if patch else None
        name = Path(patch).stem if patch else f"id-{id}"
        instrument, sound = synth_of(found.synth if found else synth), render(found or id or 0, synth)
    file = out or f"{name}.wav"
    audio.write(file, sound, instrument.rate)
    print(file)


def _preset(path: Path, voice: int | None, note: tuple[float | None, ...]) -> tuple[str, Any, Any]:
    """A name for a preset, or a voice of a bank; its synth; and its sound at a note, a velocity and a length."""
    from unsynth.presets import NOTES
    from unsynth.presets.files import require_within
    from unsynth.presets.saved import read
    from unsynth.synths import synth as synth_of

    presets = read(path)
    if voice is None and len(presets) > 1:
        raise UsageError(f"{path} has {len(presets)} voices; say which one with --voice 1 to {len(presets)}.")
    number = 1 if voice is None else voice
    if not 1 <= number <= len(presets):
        raise UsageError(f"{path} has no voice {voice}; choose one from 1 to {len(presets)}.")
    name = path.stem if len(presets) == 1 else f"{path.stem}-{number}"
    instrument, params = synth_of(presets[number - 1].synth), presets[number - 1].params.clone()
    human, spec = instrument.spec.to_human(params), instrument.spec
    for knob, value in zip(NOTES[instrument.name], note, strict=True):
        if value is not None:
            require_within(spec, knob, value)
            human[spec.index(knob)] = value
            params[spec.index(knob)] = spec.to_unit(human)[spec.index(knob)]
    return name, instrument, instrument.render(params[None])[0]


def _progress(at: Any) -> tuple[float, str]:
    return 1 - at.left(), f"{at.seconds:.1f} s, {at.renders:,} renders, distance {at.curve[-1][2]:.4g}"
