"""Nothing that is read can run code: pickles, YAML tags, names of classes, and plugins that a file names."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from bench.fuzz.shards import one_shard
from bench.fuzz.weights import Blend
from unsynth import checkpoint, recipe
from unsynth.base import PatchError, UnsynthError, UsageError
from unsynth.presets import patch, saved
from unsynth.scores import load
from unsynth.search.index import Index
from unsynth.search.library import Library
from unsynth.sounds import shards, surge_rendered, tars
from unsynth.synths import known, plugin, surge, synth

RECIPE = Path(__file__).parent.parent / "recipes" / "tiny-vicreg.yaml"


class Bomb:
    """What runs where it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def pickled(bomb):
    return pickle.dumps(bomb)


def of_torch(bomb):
    file = io.BytesIO()
    torch.save({"x": bomb}, file)
    return file.getvalue()


def of_old_torch(bomb):
    file = io.BytesIO()
    torch.save({"x": bomb}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def npy(bomb):
    file = io.BytesIO()
    np.save(file, np.array([bomb, bomb], dtype=object), allow_pickle=True)
    return file.getvalue()


def npz(bomb):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in surge_rendered.ARRAYS:
            made.writestr(f"{name}.npy", npy(bomb))
    return file.getvalue()


def tags(bomb):
    return f"objective: !!python/object/apply:os.mkdir [{bomb.mark}]\n".encode()


def state(path):
    return checkpoint.load(path)


def a_shard(path):
    """The file as the parameters of a shard whose manifest is right."""
    files, told = one_shard()
    data = tars.packed({**files, shards.PARAMS: path.read_bytes()})
    for name in told["shards"]:
        (path.parent / f"{name}.tar").write_bytes(data)
        told["shards"][name]["sha256"] = shards.digest(path.parent / f"{name}.tar")
    shards.save(path.parent, told)
    shards.Shards(Blend(), str(path.parent)).take("train", 0, 1)


def a_tar(path):
    tars.places(path)


def a_manifest(path):
    (path.parent / shards.MANIFEST).write_bytes(path.read_bytes())
    shards.load(path.parent)


def a_surge_set(path):
    (path.parent / "a.npz").write_bytes(path.read_bytes())
    (path.parent / "a.tar").write_bytes(tars.packed({"00000001.ogg": b"x"}))
    surge_rendered.SurgeRendered(surge.Surge(), str(path.parent))


def a_preset(suffix):
    def read(path):
        saved.read(path.rename(path.with_suffix(suffix)))

    read.__name__ = suffix
    return read


READERS = [
    state, recipe.load, plugin.read, load, Library.load, a_shard, a_tar, a_manifest, a_surge_set,
    lambda path: Index.load(path, Blend()),
    lambda path: recipe.restored(path, synth("voice")),
    *map(a_preset, (".json", ".syx", ".fxp", ".vital")),
]  # fmt: skip


@pytest.mark.parametrize("make", [pickled, of_torch, of_old_torch, npy, npz, tags], ids=lambda make: make.__name__)
@pytest.mark.parametrize("read", READERS)
def test_what_runs_when_it_is_unpickled_is_refused_in_a_sentence(read, make, tmp_path):
    mark = tmp_path / "gone-off"
    path = tmp_path / "file"
    path.write_bytes(make(Bomb(mark)))
    with pytest.raises(UnsynthError) as caught:
        read(path)
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith(".")
    assert not mark.exists()


def test_the_bombs_would_go_off(tmp_path):
    bomb = Bomb(tmp_path / "pickled")
    pickle.loads(pickled(bomb))
    np.load(io.BytesIO(npy(Bomb(tmp_path / "npy"))), allow_pickle=True)
    yaml.unsafe_load(tags(Bomb(tmp_path / "tags")))
    assert len(list(tmp_path.iterdir())) == 3


CLASSES = [
    "canary.Canary",
    {"class_path": "canary.Canary"},
    "{class_path: canary.Canary}",
    '{class_path: "canary\\x2eCanary"}',
    "class_path: canary.Canary",
    ["canary.Canary"],
    "os.system",
    {"class_path": "unsynth.checkpoint.os.system"},
]


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A module that leaves a mark when it is imported."""
    (tmp_path / "canary.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'sung')!r}).touch()\nclass Canary: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "sung"
    assert not (tmp_path / "sung").exists()


@pytest.mark.parametrize("name", CLASSES, ids=str)
@pytest.mark.parametrize("place", ["objective", "sounds", "optimizer"])
def test_a_recipe_in_a_file_names_no_foreign_class(name, place, canary, tmp_path):
    options = {**yaml.safe_load(RECIPE.read_text()), place: name}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(options))
    with pytest.raises(UsageError, match="not part of unsynth; name a class of your own with --set"):
        recipe.read(tmp_path / "a.yaml")
    facts = {**recipe.read(RECIPE)[1]}
    facts["recipe"] = {**facts["recipe"], place: name}
    with pytest.raises(PatchError, match="not part of unsynth"):
        recipe.rebuild(facts)


def test_a_study_names_no_foreign_class(canary, tmp_path):
    (tmp_path / "study.yaml").write_text(f"base: {RECIPE}\nvariants:\n  a: {{objective.audio: canary.Canary}}\n")
    with pytest.raises(UsageError, match="not part of unsynth"):
        recipe.load(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\n" + "".join(f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p,
        c in zip("bcdefghi", "cdefghij", strict=True)),
        "a: &a [*a]",
        "a: " + "[" * 900,
        "a: " + "[" * 60 + "]" * 60,
        "a: 2024-99-99",
        "a: " + "9" * 5000,
        "1: 2",
        "a: {[1]: 2}",
        "a: !!binary aGk=",
        "a: 2024-01-01",
        "steps: 3\n" * 10_000,
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_yaml_that_is_no_recipe_is_refused_at_once(text, tmp_path):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UsageError, match="look at the recipes"):
        recipe.load(tmp_path / "a.yaml")


@pytest.fixture
def never(monkeypatch, tmp_path):
    """A plugin that is there, and must not be loaded."""
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(plugin, "_run", lambda *arguments: pytest.fail("it was loaded"))
    (tmp_path / "Evil.vst3").touch()
    return tmp_path / "Evil.vst3"


def profile(vst3):
    told = {"schema": plugin.SCHEMA, "path": str(vst3), "seconds": 1.0, "reset": "fresh", "params": []}
    return json.dumps(told)


def test_no_file_makes_us_load_a_plugin(never, tmp_path):
    own = tmp_path / "profile.json"
    own.write_text(profile(never))
    told = json.loads(
        patch.to_json(
            patch.Patch("drum", synth("drum").spec.hash, (0.5,) * len(synth("drum").spec), 0, 0, 0, {}, 0, 0, 0, "0"),
            synth("drum").spec,
        )
    )
    for name in (f"plugin:{never}", f"plugin:{own}", "plugin:", "plugin:" + "a" * 5000, "plugin:\0"):
        with pytest.raises(UsageError, match="never used here"):
            known(name)
        (tmp_path / "patch.json").write_text(json.dumps({**told, "synth": name}))
        with pytest.raises(PatchError, match="does not have"):
            saved.read(tmp_path / "patch.json")
        (tmp_path / "a.yaml").write_text(json.dumps({**yaml.safe_load(RECIPE.read_text()), "synth": name}))
        with pytest.raises(UsageError):
            recipe.read(tmp_path / "a.yaml")


def test_a_plugin_that_was_used_here_is_known(never):
    plugin.own(str(never)).parent.mkdir(parents=True)
    plugin.own(str(never)).write_text(profile(never))
    assert len(known(f"plugin:{never}").spec) == 3
    assert known("voice").name == "voice"
