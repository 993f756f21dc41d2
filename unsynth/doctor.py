"""Whether this installation has all it needs: the facts, and for all that is missing the one command that mends it."""

from __future__ import annotations

import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import soundfile
import torch

from unsynth import __version__
from unsynth.base import UnsynthError
from unsynth.checkpoint import SHIPPED, installed
from unsynth.native import instruction_sets, threads
from unsynth.presets.dexed import banks, readable
from unsynth.search.embedding import feature_of
from unsynth.search.index import best_index, name_of
from unsynth.space import best_space
from unsynth.synths import SYNTHS, surge_engine, synth as synth_of, usable
from unsynth.synths.voice import Voice, available

RENEW = "pip install --force-reinstall --no-deps ."  # in a clone
NEEDED = {  # what every installation should have: (what it means that it has not, the command)
    "native": (
        "The native Voice was not built, so rendering is many times slower; install a C++ compiler, then run",
        RENEW,
    ),
    "mp3": ("This libsndfile reads no mp3; run", "pip install --upgrade soundfile"),
    "space": (
        "There is no joint space, so sounds cannot be searched by embedding; run",
        RENEW,
    ),
    "index": ("There is no index of sounds, so searches start from random ones; run", "unsynth index build"),
}
EXTRAS = {  # extra: (a package that it brings, what does not work without)
    "dexed": ("dexed-py", "The synth dexed has no engine"),
    "vital": ("vita", "The synth vital has no engine"),
    "plugin": ("pedalboard", "VST3 instruments cannot be played"),
    "web": ("fastapi", "`unsynth serve` has no server"),
    "train": ("lightning", "Nothing can be trained"),
    "eval": ("librosa", "`unsynth report` makes no pages of results"),
    "faiss": ("faiss-cpu", "Indexes of more than a million sounds are searched one by one"),
    "ray": ("ray", "Sounds cannot be matched on several machines at once"),
}
Json = dict[str, Any]


def examine() -> Json:
    """What there is, and under ``missing`` what to do about what there is not."""
    backends, formats = available(), sorted(soundfile.available_formats())
    weights = {"index": _index(), "space": installed("voice-space")}
    files = {what: str(path) if path.is_file() else None for what, path in weights.items()}
    made, failed = usable()
    played = {name for name, synth in made.items() if not synth.lacks()}
    extras = {
        extra: _version(package) if extra in played or extra not in SYNTHS else None
        for extra, (package, _) in EXTRAS.items()
    }
    have = {"native": "native" in backends, "mp3": "MP3" in formats, **files}
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
        **files,
        "dx7_banks": list(map(str, banks())),
        **extras,
        "surge": None if synth_of("surge").lacks() else surge_engine.available(),
        "missing": [
            *(_needed(what, *NEEDED[what]) for what in NEEDED if not have[what]),
            *(_needed(what, *_damage(weights[what], why)) for what, why in _damaged(files).items()),
            *(_optional(extra, why) for extra, (_, why) in EXTRAS.items() if not extras[extra]),
            *(_lack("dx7_banks", why.rstrip("."), "move it elsewhere", False) for why in readable(banks())[1]),
            *_surge_lacks(),
            *(_lack(name, *_parts(str(error)), False) for name, error in failed.items()),
        ],
    }


def describe(facts: Json) -> str:
    """``facts`` as lines for people."""
    told = {name: ", ".join(v) if isinstance(v, list) else v for name, v in facts.items() if name != "missing"}
    lines = [f"{name.replace('_', ' '):22}{value or 'none'}" for name, value in told.items()]
    needed = [f"{lack['why']}: {lack['fix']}" for lack in facts["missing"] if lack["needed"]]
    optional = [f"  {lack['why']}: {lack['fix']}" for lack in facts["missing"] if not lack["needed"]]
    more = ["", "Only if you want it:", *optional] if optional else []
    return "\n".join([*lines, "", *(needed or ["All that matching needs is there."]), *more])


def _lack(what: str, why: str, fix: str, needed: bool) -> Json:
    return {"what": what, "why": why, "fix": fix, "needed": needed}


def _needed(what: str, why: str, fix: str) -> Json:
    return _lack(what, why, fix, True)


def _optional(extra: str, why: str) -> Json:
    return _lack(extra, f"{why}; run", f"pip install 'unsynth[{extra}]'", False)


def _index() -> Path:
    """Where the Voice's index is; one by summaries where the joint space is damaged, which is told anyway."""
    with suppress(UnsynthError):
        return installed(name_of(Voice(), feature_of(Voice())))
    return installed(name_of(Voice()))


def _damaged(files: Json) -> dict[str, str]:
    """Of the weights that are there, those that no search could use, with the reason."""
    found = {}
    for what, load in (("index", lambda voice: best_index(voice, feature_of(voice))), ("space", best_space)):
        try:
            if files[what]:
                load(Voice())
        except UnsynthError as error:
            found[what] = str(error).rstrip(".")
    return found


def _damage(path: Path, why: str) -> tuple[str, str]:
    return why, RENEW if path.parent == SHIPPED else f"rm '{path}'"


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def _parts(sentence: str) -> tuple[str, str]:
    """What is wrong, and what to do, of the sentence of an error."""
    why, _, fix = sentence.rstrip(".").partition("; ")
    return why, fix


def _surge_lacks() -> list[Json]:
    """What its engine needs, in the words of the synth."""
    why, fix = _parts(synth_of("surge").lacks())
    return [_lack("surge", why, fix or surge_engine.INSTALL, False)] if why else []


def _in_use() -> str:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Voice().resolve(torch.zeros(1, len(Voice.spec), device=device))
