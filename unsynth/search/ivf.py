"""FAISS for the codes of a large index: a query looks only into the lists whose centres are nearest to it.

Source: Douze et al., "The Faiss library", https://arxiv.org/abs/2401.08281, section 5.1 (inverted files). The codes
stay the eight bits they are, so distances are exact; what may be missed is in a list that no query looked into.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float, Int8, Int64
from torch import Tensor

from unsynth.base import OutputError, PatchError
from unsynth.folders import whole

ADDED = 1 << 16  # codes that are added to the lists at once


def available() -> bool:
    """Whether FAISS is installed."""
    return find_spec("faiss") is not None


def build(
    path: Path, codes: Int8[Tensor, "sound dim"], lists: float = 2.0, fitted_on: int = 64, rounds: int = 10
) -> None:
    """Write the lists of ``codes`` whole or not at all.

    Args:
        path: of the file.
        codes: row ``i`` is found as ``i``.
        lists: how many, times the square root of the number of codes.
        fitted_on: codes for each list that k-means sees, spread evenly.
        rounds: of k-means.

    Raises:
        OutputError: the file cannot be written.
    """
    faiss: Any = import_module("faiss")
    dim, centres = codes.shape[1], max(1, int(lists * len(codes) ** 0.5))
    kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
    made = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatL2(dim), dim, centres, kind, faiss.METRIC_L2, False)
    made.cp.niter, made.cp.min_points_per_centroid, made.cp.max_points_per_centroid = rounds, 1, fitted_on
    made.train(codes[:: max(1, len(codes) // (fitted_on * centres))].float().numpy())
    for part in codes.split(ADDED):
        made.add(part.float().numpy())
    try:
        with whole(path) as temporary:
            faiss.write_index(made, str(temporary))
    except RuntimeError as error:
        raise OutputError(f"{path} could not be written; make room or name another folder.") from error


@final
class Ivf:
    """Lists in a file, of which a query reads from disk what it looks into.

    Args:
        path: of the file.
        count: of the codes that it should hold.
        probes: lists that a query looks into.

    Raises:
        PatchError: it is damaged, or of other codes.
    """

    def __init__(self, path: Path, count: int, probes: int = 128) -> None:
        faiss: Any = import_module("faiss")
        try:
            self.lists = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise PatchError(f"{path} is not a whole FAISS index; `unsynth index build` makes a new one.") from error
        if self.lists.ntotal != count:
            raise PatchError(f"{path} is of another index; `unsynth index build` makes a new one.")
        self.lists.nprobe = probes

    def nearest(self, query: Float[Tensor, " dim"], k: int) -> Int64[Tensor, " k"]:
        """Rows of the ``k`` nearest codes, nearest first; fewer where the lists hold fewer."""
        _, rows = self.lists.search(query[None].contiguous().numpy(), k)
        found = torch.from_numpy(rows[0])
        return found[found >= 0]
