"""What Dexed's patches are exported as, and the banks that its random patches are near to."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

import torch

from unsynth.base import NotFoundError, Params, PatchError
from unsynth.folders import data_folder, visible
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
    """The banks that this user has: ``dx7`` in the data folder, and Debian's package hexter; no hidden files."""
    found = [path for folder in (data_folder() / "dx7", DEBIAN) for path in visible(folder)]
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())


def voices(paths: list[Path]) -> Params:
    """The different voices of banks, ``(voice, param)``, with a note that has no meaning.

    Raises:
        NotFoundError, PatchError: as :func:`unsynth.presets.syx.read`.
    """
    return _different([voice for path in paths for voice in syx.read(path)])


def random_patches(paths: list[Path] | None = None) -> Prior:
    """Patches near the voices of ``paths``; near those of the user's banks where None, as far as they can be read.

    Near invented ones where there are none.
    """
    near = _own(tuple(map(_stamped, banks()))) if paths is None else voices(paths)
    return partial(prior, near if len(near) else invent(INVENTED, torch.Generator().manual_seed(SEED)))


def readable(paths: list[Path]) -> tuple[list[syx.Voice], list[str]]:
    """The voices of all files that can be read, and why the others cannot, a sentence for each."""
    found: list[syx.Voice] = []
    said: list[str] = []
    for path in paths:
        try:
            found += syx.read(path)
        except (NotFoundError, PatchError) as error:
            said.append(str(error))
    return found, said


def _different(found: list[syx.Voice]) -> Params:
    return torch.unique(syx.to_params(found), dim=0) if found else torch.empty(0, len(SPEC))


def _stamped(path: Path) -> tuple[Path, int, int]:
    stat = path.stat()
    return path, stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=1)
def _own(stamped: tuple[tuple[Path, int, int], ...]) -> Params:
    """The user's voices, read again only where a file has changed: each search asks for them."""
    return _different(readable([path for path, _, _ in stamped])[0])


def _slot(title: str, rank: int) -> str:
    """``KICK    1``: at most ten characters, of which the last tell the rank."""
    number = f" {rank}"
    return Path(title).stem.upper()[: syx.NAME - len(number)] + number
