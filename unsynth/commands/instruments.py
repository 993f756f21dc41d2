"""What there is here: synths and their parameters, checks and profiles of them; and what `unsynth doctor` finds."""

from __future__ import annotations

import json as jsonlib
from typing import Any

from unsynth.errors import ContractError, IncompleteError, UsageError


def synths(name: str | None = None, which: str | None = None, *, out: str = "") -> None:
    """List the synths, or the parameters of one; check one, or profile a plugin.

    `unsynth synths`, `unsynth synths NAME`, `unsynth synths check NAME`, `unsynth synths profile PATH.vst3`. A plugin
    is called plugin:PATH.vst3, or plugin:PROFILE.json.

    Args:
        name: the synth whose parameters to list; or check, or profile.
        which: the synth to check, or the plugin to profile.
        out: where to write the profile; where searches look for it if not given.
    """
    if name in ("check", "profile"):
        if which is None:
            raise UsageError(f"Say what to {name}, as in `unsynth synths {name} {EXAMPLES[name]}`.")
        return _check(which) if name == "check" else _profile(which, out)
    if which is not None:
        raise UsageError(
            f"There is no action {name!r}; say `unsynth synths check {which}` or `unsynth synths profile {which}`."
        )
    _list() if name is None else _parameters(name)


EXAMPLES = {"check": "voice", "profile": "Synth.vst3"}


def _list() -> None:
    from unsynth.synths import usable

    made, failed = usable()
    for name, known in made.items():
        print(f"{name:12}{len(known.spec)} parameters, {known.seconds:g} s at {known.rate} Hz")
    if failed:
        raise ContractError(" ".join(map(str, failed.values())))


def _parameters(name: str) -> None:
    from unsynth.synths import synth

    spec = synth(name).spec
    print(f"{'parameter':32}{'lowest':>16}{'middle':>16}{'highest':>16}")
    human = [spec.to_human(spec.column("low") * 0 + unit).tolist() for unit in (0.0, 0.5, 1.0)]
    for i, parameter in enumerate(spec.names):
        print(f"{parameter:32}" + "".join(f"{spec.text(i, values[i]):>16}" for values in human))


def _check(name: str) -> None:
    from unsynth.check import check
    from unsynth.synths import synth

    failed: list[str] = []
    for line in check(synth(name)):
        print(line, flush=True)
        failed += [] if line.passed else [line.name]
    if failed:
        raise ContractError(
            f"The synth {name} fails at {', '.join(failed)}; docs/extending.md tells what a synth must do."
        )


def _profile(path: str, out: str) -> None:
    from pathlib import Path

    from unsynth import audio
    from unsynth.synths import plugin

    made = plugin.make(path, plugin.own(path))
    file = Path(out) if out else made
    if out:
        audio.write_bytes(file, made.read_bytes())
    print("\n".join(_lines(plugin.read(file))))
    print(file)


def _lines(profile: dict[str, Any]) -> list[str]:
    kinds = [param["kind"] for param in profile["params"]]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    repeats = (
        "the same patch always sounds the same" if profile["deterministic"] else "NO: the same patch differs every time"
    )
    return [
        f"{'plugin':16}{profile['name']} {profile['version']}",
        f"{'parameters':16}{counts}",
        *(f"{'dropped':16}{name}: {why}" for name, why in profile["dropped"].items()),
        f"{'deterministic':16}{repeats}",
        f"{'between sounds':16}{profile['reset']}",
        f"{'silent':16}{profile['silent']:.0%} of random patches, median peak {profile['peak']:.3g}",
        f"{'speed':16}{profile['renders_per_second']:g} sounds per second, "
        f"{profile['times_real_time']:g} times real time",
    ]


def doctor(*, json: bool = False) -> None:
    """Check this installation: what there is, what is missing, and the command that mends it.

    The exit code is 12 where something is missing that every installation should have, 0 where only extras are.

    Args:
        json: print one JSON object instead.
    """
    from unsynth.doctor import describe, examine

    facts = examine()
    print(jsonlib.dumps(facts) if json else describe(facts))
    if lacking := [lack["what"] for lack in facts["missing"] if lack["needed"]]:
        raise IncompleteError(f"This installation lacks {', '.join(lacking)}; `unsynth doctor` says what to run.")
