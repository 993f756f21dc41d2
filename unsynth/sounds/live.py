"""Sounds that are rendered when they are needed: of random patches, each a pure function of its id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch

from unsynth.base import Batch, Params, SoundIds, Synth, UsageError
from unsynth.contract import Losses, forgiven, lost
from unsynth.presets import INVENTED, NOTES, Prior
from unsynth.sounds import banks
from unsynth.sounds.ids import params_of
from unsynth.sounds.source import SPLITS, Source, Split, ids_of

TOGETHER = 64  # neighbouring ids whose patches are drawn at once; a block of ids that share a split has a multiple
SPREAD = 0x9E3779B1  # odd, so that seeds differ in all bits
SPARE = 7 * 10**7  # sounds of its split further on is one that takes the place of one that crashes the engine
TURNS = 3  # such places that are tried; the ids of all stay below 2^32
BITS = 0xFFFFFFFF  # of what torch's CPU generator makes of a seed


@final
class Live(Source):
    """Sounds rendered as they are asked for.

    Args:
        synth: what renders.
        prior: how patches are drawn: ``uniform``; ``invented``, as the synth's own prior does, without any files; or
            ``presets:FOLDER``, cross-overs and moves of the presets of each split (:mod:`unsynth.sounds.banks`).
        seed: of the patches. With 0, uniform patches are those of :func:`unsynth.sounds.ids.params_of`.

    Raises:
        UsageError: the synth has no such prior, or the presets cannot be split.
        NotFoundError: there are no presets.
    """

    def __init__(self, synth: Synth, prior: str = "uniform", seed: int = 0) -> None:
        self.synth, self.seed = synth, seed
        self.aside = not synth.differentiable  # an engine plays in processes of its own
        self.left_out: Mapping[str, str] = {}  # presets that cannot be used, and why
        self.facts: dict[str, Any] = {"prior": prior.partition(":")[0], "seed": seed}
        self.draws = self._draws(prior)

    def _draws(self, prior: str) -> Mapping[Split, Prior] | None:
        kind, _, folder = prior.partition(":")
        name, spec = self.synth.name, self.synth.spec
        if prior == "uniform":
            return None
        if prior == "invented" and name in INVENTED:
            return dict.fromkeys(SPLITS, INVENTED[name]())
        if kind != "presets" or not folder or name not in NOTES:
            known = ["uniform", *["invented"] * (name in INVENTED), *["presets:FOLDER"] * (name in NOTES)]
            raise UsageError(f"The synth {name} has no prior {prior!r}; choose one of: {', '.join(known)}.")
        found = banks.read(Path(folder), spec)
        self.left_out = found.left_out
        self.facts |= {"banks": found.files, "left_out": sorted(found.left_out)}
        return {split: banks.around(patches, spec) for split, patches in found.patches.items()}

    def params(self, split: Split, ids: SoundIds) -> Params:
        """The patches of ids, on their device."""
        if not self.draws:
            return params_of(ids ^ self._mask, self.synth.spec)
        draw = self.draws[split]
        blocks, which = (ids.cpu() // TOGETHER).unique(return_inverse=True)
        seeds = (blocks ^ self._mask).tolist()
        drawn = torch.stack([draw(TOGETHER, torch.Generator().manual_seed(seed)) for seed in seeds])
        return drawn[which, ids.cpu() % TOGETHER].to(ids.device)

    @property
    def _mask(self) -> int:
        """What tells the random numbers of a seed from those of another: of one seed, no two ids have the same."""
        return self.seed * SPREAD & BITS

    def take(self, split: Split, start: int, count: int, device: torch.device | str = "cpu") -> Batch:
        """As of any source; another sound takes the place of one that crashes its engine.

        Raises:
            EngineError: the engine fails on most patches, or on others in the same place again and again.
        """
        losses = Losses()
        batch = self._played(split, ids_of(split, start, count).to(device), losses)
        for turn in range(1, TURNS + 1):
            gone = lost(batch.audio)
            if not gone.any():
                return batch
            others = ids_of(split, start + turn * SPARE, count).to(device)[gone]
            other = self._played(split, others, losses)
            for kept, new in ((batch.ids, other.ids), (batch.params, other.params), (batch.audio, other.audio)):
                kept[gone] = new
        if lost(batch.audio).any():
            losses.give_up()
        return batch

    def _played(self, split: Split, ids: SoundIds, losses: Losses) -> Batch:
        params = self.params(split, ids)
        with torch.no_grad(), forgiven(losses):
            return Batch(ids, params, self.synth.render(params, ids))
