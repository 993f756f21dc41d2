"""Files of Surge XT for the tests: parts of them, and what reading damaged ones must give."""

import struct
from contextlib import suppress

import torch

from unsynth.base import PatchError
from unsynth.presets import fxp
from unsynth.synths import surge
from unsynth.synths.surge_patch import parse

HEADER = 60
CHUNK = 32


def patches(count, seed=0):
    return torch.rand(count, len(surge.SPEC), generator=torch.Generator().manual_seed(seed))


def xml_of(data):
    size = struct.unpack_from("<I", data, HEADER + 4)[0]
    return data[HEADER + CHUNK : HEADER + CHUNK + size]


def file_of(xml, magic=b"sub3"):
    chunk = struct.pack("<4s7I", magic, len(xml), *[0] * 6) + xml
    return struct.pack(">4sI4sI4sII28sI", b"CcnK", 0, b"FPCh", 1, b"cjs3", 1, 1, b"x", len(chunk)) + chunk


def params_or_a_sentence(data):
    """Read ``data``; whatever comes of it must be a patch or a PatchError."""
    with suppress(PatchError):
        params = fxp.to_params(parse(data))
        assert params.shape == (len(surge.SPEC),)
        assert ((params >= 0) & (params <= 1)).all()
