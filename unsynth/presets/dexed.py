"""What Dexed's patches are exported as, and the banks that its random patches are near to."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from unsynth.base import Params
from unsynth.folders import data_folder
from unsynth.presets import Prior, midi, syx
from unsynth.synths.dexed import SPEC, to_note
from unsynth.synths.dexed_prior import invent, prior

DEBIAN = Path("/usr/share/hexter")  # banks that come with a package
SUFFIXES = (".syx", ".dx7")
INVENTED = 4096  # voices to start from where there are no banks
SEED = 0  # of these


def export(title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    """match.syx with the candidates in its slots, named after ``title``; the note of each in a .mid of its own.

    Candidates beyond the 32nd have no slot. Dexed's browser does not show files smaller than a bank.
    """
    names = [_slot(title, rank) for rank in range(1, len(stems) + 1)]
    bank = syx.bank(syx.from_params(params, names)[: syx.VOICES])
    return {f"{stems[0]}.syx": bank} | midi.beside(stems, to_note(params).tolist())


def banks() -> list[Path]:
    """The banks that this user has: ``dx7`` in the data folder, and Debian's package hexter."""
    found = (path for folder in (data_folder() / "dx7", DEBIAN) for path in folder.rglob("*"))
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())


def voices(paths: list[Path]) -> Params:
    """The different voices of banks, ``(voice, param)``, with a note that has no meaning.

    Raises:
        NotFoundError, PatchError: as :func:`unsynth.presets.syx.read`.
    """
    found = [voice for path in paths for voice in syx.read(path)]
    return torch.unique(syx.to_params(found), dim=0) if found else torch.empty(0, len(SPEC))


def random_patches(paths: list[Path] | None = None) -> Prior:
    """Patches near the voices of ``paths`` (the user's banks where None); near invented ones where there are none."""
    near = voices(banks() if paths is None else paths)
    return partial(prior, near if len(near) else invent(INVENTED, torch.Generator().manual_seed(SEED)))


def _slot(title: str, rank: int) -> str:
    """``KICK    1``: at most ten characters, of which the last tell the rank."""
    number = f" {rank}"
    return Path(title).stem.upper()[: syx.NAME - len(number)] + number
