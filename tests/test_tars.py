"""Tars of sounds that are not what they say: refused, and no memory taken on their word."""

import gzip
import io
import tarfile
import tracemalloc

import pytest

from unsynth.base import UnreadableError
from unsynth.sounds import tars


def member(name, size=None, **facts):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        told = tarfile.TarInfo(name)
        told.size = 3
        for fact, value in facts.items():
            setattr(told, fact, value)
        tar.addfile(told, io.BytesIO(b"abc"))
    data = bytearray(made.getvalue())
    if size is not None:
        data[124:136], data[148:156] = b"%011o\0" % size, b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        member("a", size=8**11 - 1),
        gzip.compress(bytes(100_000)),
        gzip.compress(member("a")),
        member("a", type=tarfile.GNUTYPE_SPARSE),
        b"\xff" * 2000,
    ],
    ids=["past the end", "bomb", "compressed", "sparse", "damaged"],
)
def test_tars_whose_members_are_not_in_them(tmp_path, data):
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(UnreadableError, match="is damaged"):
        tars.places(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_no_room_is_made_for_what_a_header_of_a_tar_claims(tmp_path, kind):
    (tmp_path / "a.tar").write_bytes(member("a", size=8**11 - 1, type=kind))
    tracemalloc.start()
    with pytest.raises(UnreadableError, match="is damaged"):
        tars.places(tmp_path / "a.tar")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10 << 20
