"""Whether this installation has all it needs: the facts, and for all that is missing the one command that mends it."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from typing import Any

import soundfile
import torch

from unsynth import __version__
from unsynth.base import UsageError
from unsynth.checkpoint import installed
from unsynth.native import instruction_sets, threads
from unsynth.presets.dexed import banks
from unsynth.synths import dexed, surge_engine, vital
from unsynth.synths.voice import Voice, available

MEND = {  # what may be missing: (what that means, the command)
    "native": (
        "The native Voice was not built, so rendering is many times slower; install a C++ compiler, then run",
        "pip install --force-reinstall --no-deps .",
    ),
    "mp3": ("This libsndfile reads no mp3; run", "pip install --upgrade soundfile"),
    "dexed": ("The synth dexed has no engine; run", dexed.INSTALL),
    "surge": (
        "The synth surge has no engine, so its patches are guessed at best, and neither rendered nor scored",
        surge_engine.INSTALL,
    ),
    "vital": ("The synth vital has no engine; run", vital.INSTALL),
    "index": ("There is no index of sounds, so searches start from random ones; run", "unsynth index build"),
    "space": (
        "There is no joint space, so sounds cannot be searched by embedding; run",
        "unsynth pretrain recipes/voice-small.yaml",
    ),
}

Json = dict[str, Any]


def examine() -> Json:
    """What there is, and under ``missing`` what to do about what there is not."""
    backends = available()
    formats = sorted(soundfile.available_formats())
    files = {what: installed(f"voice-{what}") for what in ("index", "space")}
    have = {
        "native": "native" in backends,
        "mp3": "MP3" in formats,
        "dexed": dexed.installed(),
        "surge": bool(_surge()),
        "vital": vital.installed(),
        **{what: path.is_file() for what, path in files.items()},
    }
    return {
        "unsynth": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "executable": sys.executable,
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "voice_backends": backends,
        "voice_backend_in_use": _in_use(),
        "instruction_sets": instruction_sets(),
        "threads": threads(),
        "audio_formats": formats,
        "dexed": version("dexed-py") if dexed.installed() else None,
        "surge": _surge(),
        "vital": version("vita") if vital.installed() else None,
        "dx7_banks": list(map(str, banks())),
        **{what: str(path) if path.is_file() else None for what, path in files.items()},
        "missing": [{"what": what, "why": MEND[what][0], "fix": MEND[what][1]} for what in MEND if not have[what]],
    }


def describe(facts: Json) -> str:
    """``facts`` as lines for people."""
    told = {name: ", ".join(v) if isinstance(v, list) else v for name, v in facts.items() if name != "missing"}
    lines = [f"{name.replace('_', ' '):22}{value or 'none'}" for name, value in told.items()]
    mend = [f"{missing['why']}: {missing['fix']}" for missing in facts["missing"]]
    return "\n".join([*lines, "", *(mend or ["Nothing is missing."])])


def _surge() -> str | None:
    try:
        return surge_engine.available()
    except UsageError:
        return None


def _in_use() -> str:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Voice().resolve(torch.zeros(1, len(Voice.spec), device=device))
