"""Any VST3 instrument, played by pedalboard in worker processes: what its profile says it has, and the note it plays.

A profile (docs/extending.md) freezes names, order and kinds of the parameters; the first use of a plugin makes one.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unsynth import audio, folders
from unsynth.base import Audio, EngineError, NotFoundError, Params, PatchError, SoundIds, Synth, UsageError
from unsynth.params import Kind, Param, ParamSpec
from unsynth.synths.engines import played, whole_ticks
from unsynth.synths.plugin_engine import RATE
from unsynth.synths.plugin_profile import SCHEMA
from unsynth.synths.worker import START_TIMEOUT, TIMEOUT

INSTALL = "pip install 'unsynth[plugin]'"
PREFIX = "plugin:"
SECONDS = 3.0
PATIENCE = 900.0  # s that a profile may take
DIGITS = 8
LARGEST = 1 << 22  # bytes of a profile
LONGEST = 600.0  # s of a sound
HIGHEST = 1e9  # no value of a parameter is above
LONGEST_WAIT = 86400.0  # s that an engine may take for anything

Json = dict[str, Any]


class Plugin(Synth):
    """A VST3 instrument (mono, 44.1 kHz). The same for the same parameters where its profile says so.

    A sound that peaks above full scale is turned down as a whole until it peaks there.

    Args:
        path: of the .vst3, or of a profile of one.

    Raises:
        UsageError: pedalboard is not installed.
        NotFoundError: there is no such file.
        PatchError: the profile is malformed.
        EngineError: the plugin crashes or hangs.
    """

    differentiable = False

    def __init__(self, path: str) -> None:
        self.profile_file = find(path)
        self.profile = read(self.profile_file)
        self.spec = _spec(PREFIX + os.path.abspath(path), self.profile)  # means the same wherever a patch is played
        self.name = f"plugin-{self.spec.hash}"
        self.rate, self.seconds = RATE, float(self.profile["seconds"])

    def rows(self, params: Params) -> Float[Tensor, "batch param"]:
        """Raw values as the plugin has them, and the note."""
        rows = self.spec.to_human(params.detach().cpu())
        for i, param in enumerate(self.profile["params"]):
            share = (rows[:, i] - param["low"]) / (param["high"] - param["low"])
            steps = param.get("values")
            rows[:, i] = torch.tensor(steps)[(share * (len(steps) - 1)).round().long()] if steps else share
        rows[:, -1] = whole_ticks(rows[:, -1])
        return rows

    def render(self, params: Params, noise: SoundIds | None = None) -> Audio:
        """As :meth:`Synth.render`; EngineError where the plugin fails."""
        samples = round(self.rate * self.seconds)
        engine = f"unsynth.synths.plugin_engine:Engine:{self.profile_file}"
        return played(engine, samples, self.rows(params), None, **_waits(self.profile)).to(params.device)

    def presets(self, params: Params) -> list[bytes]:
        """The .vstpreset of each row."""
        with TemporaryDirectory() as folder:
            rows = Path(folder, "rows.npy")
            np.save(rows, self.rows(params).numpy())
            _run("presets", str(self.profile_file), str(rows), folder)
            return [Path(folder, f"{i}.vstpreset").read_bytes() for i in range(len(params))]


def find(path: str) -> Path:
    """The profile of a plugin, made now if there is none; errors as :class:`Plugin`."""
    if not os.path.exists(path):
        raise NotFoundError(
            f"There is no plugin at {path}; give the path of a .vst3, as in {PREFIX}/path/to/Synth.vst3."
        )
    if Path(path).suffix == ".json":
        return Path(os.path.abspath(path))
    file = own(path)
    return file if file.is_file() else make(path, file)


def own(path: str) -> Path:
    """Where the profile of a plugin is looked for."""
    digest = hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:DIGITS]
    return folders.data_folder() / "plugins" / f"{Path(path).stem}-{digest}.json"


def is_known(path: str) -> bool:
    """Whether this user has profiled the plugin, or the one that a profile is of, before; nothing is loaded."""
    try:
        plugin = read(Path(path))["path"] if Path(path).suffix == ".json" else path
        return own(plugin).is_file()
    except (OSError, ValueError, PatchError):
        return False


def make(path: str, file: Path, seconds: float = SECONDS) -> Path:
    """Profile the plugin at ``path`` into ``file``; errors as :class:`Plugin`."""
    if not installed():
        raise UsageError(f"Plugins need pedalboard, which is not installed; run {INSTALL}.")
    if not Path(path).exists():
        raise NotFoundError(f"There is no plugin at {path}; give the path of a .vst3.")
    folders.make(file.parent)
    with TemporaryDirectory() as folder:
        made = Path(folder, "profile.json")
        _run("profile", os.path.abspath(path), str(seconds), str(made))
        audio.write_bytes(file, made.read_bytes())
    return file


def read(file: Path) -> Json:
    """A profile; PatchError where it is none."""
    try:
        with file.open("rb") as opened:
            text = opened.read(LARGEST + 1)
        told = json.loads(text) if len(text) <= LARGEST else {}
        known = told["schema"] == SCHEMA and isinstance(told["path"], str) and 0 < float(told["seconds"]) <= LONGEST
        known = known and all(0 < wait <= LONGEST_WAIT for wait in _waits(told).values())
        _spec("", told)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PatchError(
            f"{file} is no profile of a plugin, or damaged; make one with `unsynth synths profile`."
        ) from error
    if not known:
        raise PatchError(f"{file} is no profile of schema {SCHEMA}; make one with `unsynth synths profile`.")
    return told


def installed() -> bool:
    """Whether pedalboard can be imported."""
    return find_spec("pedalboard") is not None


def _waits(profile: Json) -> dict[str, float]:
    """How long an engine may take for a sound and to start; those before there was a measurement have none."""
    waits = {"timeout": TIMEOUT, "start_timeout": START_TIMEOUT}
    return {name: float(profile.get(name, usual)) for name, usual in waits.items()}


def _spec(synth: str, profile: Json) -> ParamSpec:
    length = Param("note.length", 0.01, float(profile["seconds"]), "s", 0.5)
    pitch, velocity = (
        Param(f"note.{what}", low, high, "MIDI", kind="integer")
        for what, low, high in (("pitch", 24, 96), ("velocity", 1, 127))
    )
    return ParamSpec(synth, [*map(_param, profile["params"]), pitch, velocity, length])


def _param(told: Json) -> Param:
    steps, choices, unit = (told.get(name, empty) for name, empty in (("values", []), ("choices", []), ("unit", "")))
    low, high, kind = (told[name] for name in ("low", "high", "kind"))
    numbers, texts = (low, high, *steps), (told["name"], unit, *choices)
    if not (isinstance(steps, list) and all(type(n) in (int, float) and abs(n) <= HIGHEST for n in numbers)):
        raise TypeError("no number")
    if not all(isinstance(text, str) for text in texts) or kind not in get_args(Kind) or type(told["index"]) is not int:
        raise TypeError("no parameter")
    if steps and len(steps) != round(high - low) + 1:
        raise ValueError(told["name"])
    return Param(f"plugin.{told['name']}", low, high, unit, kind=kind, choices=tuple(choices))


def _run(*arguments: str) -> None:
    """Do what :mod:`unsynth.synths.plugin_profile` does; EngineError where the plugin fails at it."""
    command = [sys.executable, "-P", "-m", "unsynth.synths.plugin_profile", *arguments]
    path = os.pathsep.join(p or os.getcwd() for p in sys.path)
    told = f"The plugin {arguments[1]}"
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=PATIENCE, check=False, env={**os.environ, "PYTHONPATH": path}
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{told} did not answer for {PATIENCE:g} s; try another plugin.") from error
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if "Error" in line]
        why = lines[-1].rstrip(".") if lines else f"it crashed with status {done.returncode}"
        raise EngineError(f"{told} cannot be used: {why}.")
