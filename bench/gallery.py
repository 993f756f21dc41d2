"""Make the gallery: ``python bench/gallery.py`` matches the sounds in examples/ and writes docs/gallery/ and its page.

Every sound is matched with every synth once, with the first seed, and all that comes out is shown. With ``--work
FOLDER`` the matches are kept there, and go on where they stopped. ``--page`` writes docs/gallery.md again.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from unsynth import __version__, audio, cli
from unsynth.evaluate import machine
from unsynth.pitch import clear_tracks
from unsynth.presets.dexed import banks
from unsynth.report.features import features
from unsynth.report.loudness import levelled
from unsynth.report.pictures import png, spectrograms
from unsynth.report.words import contrasts, told
from unsynth.space import best_space
from unsynth.synths import synth

ROOT = Path(__file__).parent.parent
PAGE, FOLDER = ROOT / "docs" / "gallery.md", ROOT / "docs" / "gallery"
SOUNDS = {  # of examples/: what each is
    "bd_boom": "bass drum",
    "drum_snare_hard": "snare drum",
    "tabla_tun1": "tabla",
    "bass_drop_c": "synth bass",
    "elec_chime": "bell-like chime",
    "ambi_choir": "choir pad",
}
SYNTHS = ("voice", "drum", "dexed")
RENDERS = {"voice": 1500, "drum": 600, "dexed": 600}
QUIET_DB, PICTURE, COMPRESSION = -60.0, {"bands": 64, "columns": 200}, 0.6
FACTS = "facts.json"

Json = dict[str, Any]

HEAD = """# Gallery

What comes out, to hear: the six sounds in `examples/` (CC0), each matched with three synths. Nothing
was chosen: one seed each, and all of them are here. Every clip is as loud as its target (ITU-R BS.1770), as MP3; the
scores are of the sounds themselves ([what they mean](metrics.md)), the words those of the reports.

{summary}

{machine}
These commands made them; `python bench/gallery.py` runs them and writes this page.

```bash
{commands}
```
"""
MEASURED = """{processor}, {cores} threads, torch {torch}, unsynth {version}, {date}, on a machine that was busy with
other work. The Voice (`{space}`) and the drum began in their joint spaces, the DX7 near the voices
of the banks of {banks}."""


def command(name: str, out: str = "gallery") -> list[str]:
    """What is typed to match all sounds with one synth."""
    options = ["--synth", name, "--renders", str(RENDERS[name]), "--candidates", "1", "--seed", "0"]
    return ["match", "examples", *options, "--out", f"{out}/{name}"]


def make(work: Path) -> None:
    """Match everything, with results in ``work``, and fill ``FOLDER``."""
    FOLDER.mkdir(exist_ok=True)
    for name in SYNTHS:
        if code := cli.main(command(name, str(work))):
            raise SystemExit(code)
    words = {sound: _show(sound, work) for sound in SOUNDS}
    space, near = best_space(synth("voice")).name, sorted({path.parent.name for path in banks()})
    facts = {**machine(), "version": __version__, "space": space, "banks": near, "words": words}
    audio.write_text(FOLDER / FACTS, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def _show(sound: str, work: Path) -> dict[str, str]:
    """Write the clips, pictures and patches of one sound; how each match differs from it, in words."""
    rate, seconds = 44100, 4.0
    target = audio.fit(audio.read(ROOT / "examples" / f"{sound}.flac", rate, seconds), rate, round(rate * seconds))
    found = {name: work / name / sound for name in SYNTHS}
    matches = [torch.from_numpy(soundfile.read(path / "match.wav", dtype="float32")[0]) for path in found.values()]
    sounds = levelled([target, *matches], rate)
    heard = sounds[:, : _audible(sounds)]
    for name, clip, levels in zip(("target", *SYNTHS), heard, spectrograms(heard, rate, **PICTURE), strict=True):
        soundfile.write(FOLDER / f"{sound}-{name}.mp3", clip.numpy(), rate, compression_level=COMPRESSION)
        (FOLDER / f"{sound}-{name}.png").write_bytes(png(levels.flip(0)))
    for name, path in found.items():
        (FOLDER / f"{sound}-{name}.json").write_bytes((path / "patch.json").read_bytes())
    (FOLDER / f"{sound}-dexed.syx").write_bytes((found["dexed"] / "match.syx").read_bytes())
    return dict(zip(SYNTHS, _words(sounds, rate), strict=True))


def _audible(sounds: Float[Tensor, "sound time"]) -> int:
    """Samples until all are quiet."""
    loud = (sounds.abs() > sounds.abs().max() * 10 ** (QUIET_DB / 20)).any(0)
    return int(loud.nonzero().max()) + 1


def _words(sounds: Float[Tensor, "sound time"], rate: int) -> list[str]:
    """How each sound but the first sounds beside the first."""
    found = features(sounds, rate, clear_tracks(sounds, rate))
    rows = [{name: float(values[i]) for name, values in found.items()} for i in range(len(sounds))]
    return [", ".join(words for words, _ in contrasts(rows[0], row)) or "alike" for row in rows[1:]]


def page() -> str:
    """The page, of what is in ``FOLDER``."""
    facts = json.loads((FOLDER / FACTS).read_text())
    patches = {sound: {name: _patch(sound, name) for name in SYNTHS} for sound in SOUNDS}
    measured = MEASURED.format(**{**facts, "banks": ", ".join(facts["banks"]) or "none"})
    commands = "\n".join(shlex.join(["unsynth", *command(name)]) for name in SYNTHS)
    head = HEAD.format(summary=_summary(patches), machine=measured, commands=commands)
    return "\n".join([head, *(_section(sound, patches[sound], facts["words"][sound]) for sound in SOUNDS)])


def _patch(sound: str, name: str) -> Json:
    return json.loads((FOLDER / f"{sound}-{name}.json").read_text())


def _summary(patches: dict[str, dict[str, Json]]) -> str:
    """The best and the worst of all."""
    ordered = sorted(
        (patch["metrics"]["MSS"], sound, name) for sound, of in patches.items() for name, patch in of.items()
    )
    (low, best, best_synth), (high, worst, worst_synth) = ordered[0], ordered[-1]
    return (
        f"The best is the {SOUNDS[best]} on `{best_synth}` (MSS {low:.2f} dB).\nThe worst is the {SOUNDS[worst]} on "
        f"`{worst_synth}` ({high:.2f} dB), which fails: not every synth can make every sound."
    )


def _section(sound: str, patches: dict[str, Json], words: dict[str, str]) -> str:
    rows = [_row(sound, "target", "<b>Target</b>")]
    rows += [_row(sound, name, _told(sound, name, patch, words[name])) for name, patch in patches.items()]
    return f"## {sound}: {SOUNDS[sound]}\n\n<table>\n{''.join(rows)}</table>\n"


def _row(sound: str, name: str, text: str) -> str:
    clip, label = f"gallery/{sound}-{name}", escape(f"{SOUNDS[sound]}: {name}")
    return (
        f'<tr><td><img width="240" height="77" alt="Mel spectrogram of {label}" src="{clip}.png"><br>'
        f'<audio controls preload="none" aria-label="{label}" src="{clip}.mp3"><a href="{clip}.mp3">Hear it</a></audio>'
        f"</td><td>{text}</td></tr>\n"
    )


def _told(sound: str, name: str, patch: Json, words: str) -> str:
    """Scores, words and files of a match."""
    verdicts = ", ".join(f"{score['title'].lower()} {score['verdict']}" for score in told(patch["metrics"]))
    numbers = ", ".join(f"{metric} {value:.3g}" for metric, value in patch["metrics"].items())
    links = ", ".join(f'<a href="gallery/{sound}-{name}.{ending}">{file}</a>' for ending, file in _files(name))
    return (
        f"<b>{name}</b>, {patch['renders']:,} renders<br>{verdicts}<br>"
        f"beside the target: {escape(words)}<br><small>{numbers}</small><br>{links}"
    )


def _files(name: str) -> list[tuple[str, str]]:
    return [("json", "patch.json"), *([("syx", "match.syx")] if name == "dexed" else [])]


def main() -> None:
    """Make the gallery, or its page alone."""
    parser = argparse.ArgumentParser(prog="python bench/gallery.py", description=main.__doc__)
    parser.add_argument("--page", action="store_true", help="write the page again from the files there are")
    parser.add_argument("--work", type=Path, help="keep the matches in this folder, and go on where they stopped")
    options = parser.parse_args()
    if not options.page:
        os.chdir(ROOT)
        with TemporaryDirectory() as folder:
            make(options.work or Path(folder))
    audio.write_text(PAGE, page())


if __name__ == "__main__":
    main()
