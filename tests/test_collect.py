"""Folders into a library: only what is new or changed is heard, and what cannot be used does not stop the others."""

from pathlib import Path

import pytest
from tones import Tones, known, params, same, taken, twelve, write  # noqa: F401

from unsynth.base import NotFoundError, OutputError, UsageError
from unsynth.presets.saved import find
from unsynth.search.collect import Collector
from unsynth.search.library import Library

# again


def test_only_what_is_new_or_changed_is_heard_again(folder, tmp_path):
    path = tmp_path / "index"
    assert taken(folder, path)[1].rendered == 12
    assert Tones.rendered == 36
    before = path.stat().st_mtime_ns
    assert taken(folder, path)[1].rendered == 0
    assert path.stat().st_mtime_ns == before
    write(folder / "3.json", params(99))
    write(folder / "new.json", params(98))
    found, collector, _ = taken(folder, path)
    assert collector.rendered == 2
    assert Tones.rendered == 36 + 6
    assert found.nearest(Tones().render(params(99)[None]), 1)[0].preset.name == "3"
    assert same(Library.load(path), found)
    assert taken(folder, path, octaves=0)[1].rendered == 13


def test_files_that_are_gone_are_forgotten_and_other_folders_are_not(folder, tmp_path):
    (tmp_path / "other").mkdir()
    path = tmp_path / "index"
    taken(folder, path)
    elsewhere = write(tmp_path / "other" / "far.json", params(50))
    (folder / "7.json").unlink()
    found, collector, _ = taken(tmp_path / "other", path)
    assert collector.rendered == 1
    names = {Path(file).name for file in found.files}
    assert names == {f"{n}.json" for n in range(12) if n != 7} | {elsewhere.name}
    assert same(Library.load(path), found)


def test_a_run_that_was_stopped_goes_on_to_the_same_library(folder, tmp_path):
    def stop(done, files):
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Collector(tmp_path / "stopped", group=4)([folder], stop, pytest.fail)
    assert len(Library.load(tmp_path / "stopped").files) == 4
    again, collector, _ = taken(folder, tmp_path / "stopped")
    assert collector.rendered == 8
    whole, *_ = taken(folder, tmp_path / "whole")
    assert same(again, whole)


def test_it_is_written_now_and_then(folder, tmp_path, monkeypatch):
    """A kill cannot be caught: what is on disk when it comes is what is left."""
    sizes, path = [], tmp_path / "index"

    def look(done, files):
        if path.exists():
            sizes.append(len(Library.load(path).files))

    Collector(path, group=4, every=0)([folder], look, pytest.fail)
    assert sizes == [4, 8]


# what cannot be used


def test_bad_files_are_told_and_the_others_go_on(folder, tmp_path):
    (folder / "bank.syx").write_bytes(b"no bank")
    (folder / "other.vital").write_text("{}")
    (folder / "cut.json").write_text((folder / "1.json").read_text()[:200])
    (folder / "notes.json").write_text('{"not": "a patch"}')
    write(folder / "broken.json", params(5, "broken"))
    found, collector, told = taken(folder, tmp_path / "index")
    assert sorted(found.files) == sorted(str(folder / f"{n}.json") for n in range(12))
    assert collector.skipped == 4
    for name in ("bank.syx", "other.vital", "cut.json", "broken.json"):
        assert sum(name in str(error) for error in told) == 1
    assert len(told) == 4


def test_a_synth_without_engine_is_told_once(folder, tmp_path, monkeypatch):
    def lacking(self, params, noise=None):
        raise UsageError("The synth tones needs an engine.")

    monkeypatch.setattr(Tones, "render", lacking)
    found, collector, told = taken(folder, tmp_path / "index")
    assert [str(error) for error in told] == ["The synth tones needs an engine."]
    assert collector.skipped == 12
    assert found.files == {}
    assert not (tmp_path / "index").exists()


def test_an_unwritable_place_is_told_before_anything_is_rendered(folder, tmp_path):
    for place in (folder, folder / "1.json" / "index"):
        with pytest.raises(OutputError):
            taken(folder, place)
    assert Tones.rendered == 0


def test_what_there_is_to_read(folder, tmp_path):
    (folder / ".hidden").mkdir()
    write(folder / ".hidden" / "no.json", params(0))
    assert len(find([folder, folder / "1.json"])) == 12
    assert len(find([folder], "dexed" if (folder / "a.syx").write_bytes(b"") else "tones")) == 12
    (folder / "bank.syx").write_bytes(b"")
    assert [path.name for path in find([folder], "dexed") if path.suffix == ".syx"] == ["a.syx", "bank.syx"]
    (tmp_path / "empty").mkdir()
    for bad, error in ((tmp_path / "none", NotFoundError), (tmp_path / "empty", NotFoundError)):
        with pytest.raises(error):
            find([bad])
    with pytest.raises(UsageError, match="dexed"):
        find([folder], "moog")
