"""Files and arrays in numpy's format, from whoever: nothing is unpickled, no size is believed that a file has not."""

from __future__ import annotations

import io
import math
import os
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

VERSIONS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class File(io.FileIO):
    """A file to read that makes room for what it has only, and not for the size that a damaged header tells."""

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def array(data: bytes) -> npt.NDArray[Any]:
    """The array in the bytes of an .npy file; ValueError where it is damaged, or holds objects."""
    file = io.BytesIO(data)
    try:
        shape, _, kind = VERSIONS[npy.read_magic(file)](file)
        if kind.hasobject or math.prod(shape) * kind.itemsize != len(data) - file.tell():
            raise ValueError("it has another size than it says, or holds objects")
        return np.load(io.BytesIO(data), allow_pickle=False)
    except (
        KeyError,
        SyntaxError,
        TypeError,
        OverflowError,
        TokenError,
        RecursionError,
        MemoryError,
        EOFError,
    ) as error:
        raise ValueError("its header is damaged") from error
