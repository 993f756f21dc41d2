"""How often a DX7 voice is found by another sound of its own: `python bench/presets.py FOLDER_OF_BANKS`.

The voices are indexed as `unsynth index presets` does it (C4, velocity 100, held for a second, and octaves of that),
and looked for by the same voice played in other ways. With --rerank the nearest are rendered and ordered by
MatchDistance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from unsynth.base import Audio, Params
from unsynth.presets.saved import find, read
from unsynth.search.collect import Collector
from unsynth.search.known import play
from unsynth.search.library import Library, Near, fitted
from unsynth.search.objective import MatchDistance
from unsynth.synths.dexed import SPEC, Dexed

LISTED = 10
PITCH, VELOCITY, LENGTH = ("note.pitch", "note.velocity", "note.length")
HIGHEST, LONGEST = 20, 3.0  # semitones from C4, and seconds, of notes drawn at random
SHORTEST = 0.25


def played(voices: Params, changes: dict[str, torch.Tensor | float]) -> Audio:
    """The voices with some parameters, in human values, set."""
    human = SPEC.to_human(voices)
    for name, value in changes.items():
        human[:, SPEC.index(name)] = torch.as_tensor(value).float()
    return Dexed().render(SPEC.to_unit(human))


def noisy(voices: Params, snr_db: float) -> Audio:
    sounds = played(voices, {})
    level = sounds.square().mean(1, keepdim=True).sqrt() * 10 ** (-snr_db / 20)
    return sounds + level * torch.randn(sounds.shape, generator=torch.Generator().manual_seed(1))


def anyhow(voices: Params) -> Audio:
    chance = torch.rand(2, len(voices), generator=torch.Generator().manual_seed(2))
    pitch = (60 + HIGHEST * (2 * chance[0] - 1)).round()
    return played(voices, {PITCH: pitch, VELOCITY: 90, LENGTH: SHORTEST * (LONGEST / SHORTEST) ** chance[1]})


QUERIES: dict[str, Callable[[Params], Audio]] = {
    "velocity 60": lambda voices: played(voices, {VELOCITY: 60}),
    "velocity 127": lambda voices: played(voices, {VELOCITY: 127}),
    "held 0.5 s": lambda voices: played(voices, {LENGTH: 0.5}),
    "held 2 s": lambda voices: played(voices, {LENGTH: 2.0}),
    "noise at -40 dB": lambda voices: noisy(voices, 40),
    "noise at -20 dB": lambda voices: noisy(voices, 20),
    "a third up, velocity 90": lambda voices: played(voices, {PITCH: 64, VELOCITY: 90}),
    "an octave up": lambda voices: played(voices, {PITCH: 72}),
    "any note within 20 semitones, 0.25 to 3 s": anyhow,
}


def reranked(near: list[Near], target: Audio) -> list[Near]:
    distances = MatchDistance(fitted(target))(torch.cat([fitted(play(one)) for one in near]))
    return [near[i] for i in distances.argsort().tolist()]


def rank(library: Library, target: Audio, voice: torch.Tensor, rerank: int) -> int:
    """At which place the voice is, from 0; LISTED where it is not listed."""
    near = library.nearest(target, max(LISTED, rerank))
    listed = (reranked(near, target) if rerank else near)[:LISTED]
    return next((n for n, one in enumerate(listed) if one.preset.params.equal(voice)), LISTED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--voices", type=int, default=80)
    parser.add_argument("--octaves", type=int, default=1)
    parser.add_argument("--index", type=Path, help="where to keep the index for the next time")
    parser.add_argument("--rerank", type=int, default=0)
    given = parser.parse_args()
    with TemporaryDirectory() as scratch:
        path = given.index or Path(scratch) / "presets.safetensors"
        library = Collector(path, "dexed", given.octaves)([given.folder], lambda done, files: None, print)
    voices = torch.stack([one.params for file in find([given.folder], "dexed") for one in read(file)]).unique(dim=0)
    order = torch.randperm(len(voices), generator=torch.Generator().manual_seed(0))
    chosen = voices[order[: given.voices]]
    print(f"{len(library)} presets, {len(voices)} of them different; {len(chosen)} are looked for")
    print("| sound | first | of ten |\n|---|---|---|")
    for name, make in QUERIES.items():
        pairs = zip(make(chosen), chosen, strict=True)
        ranks = [rank(library, sound[None], voice, given.rerank) for sound, voice in pairs]
        shares = (sum(r < most for r in ranks) / len(ranks) for most in (1, LISTED))
        print(f"| {name} | " + " | ".join(f"{share:.2f}" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
