"""Input that once made something crash, hang, take memory or do what it may not: each gets a sentence now."""

import json

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from bench.fuzz import shards, weights
from bench.fuzz.trial import ROOT, check_sentence
from unsynth import audio, checkpoint, recipe
from unsynth.base import PatchError, UnreadableError, UnsynthError, UnusableError
from unsynth.presets import patch
from unsynth.search import index, library
from unsynth.sounds import shards as stored, surge_rendered, tars
from unsynth.synths import plugin, surge, synth


@pytest.fixture
def refused():
    """Inside, an error of this kind has to come, with a sentence."""

    class Refused:
        def __init__(self, kind=UnsynthError):
            self.caught = pytest.raises(kind)

        def __enter__(self):
            self.info = self.caught.__enter__()

        def __exit__(self, *error):
            done = self.caught.__exit__(*error)
            check_sentence(str(self.info.value))
            return done

    return Refused


def test_hours_of_silence_are_not_looked_through(tmp_path, monkeypatch, refused):
    soundfile.write(tmp_path / "a.flac", np.zeros(44_100 * 20), 44_100)
    monkeypatch.setattr(audio, "MOST_VALUES", 44_100 * 10)
    with refused(UnusableError):
        audio.read(tmp_path / "a.flac", 44_100)


def test_text_without_letters_is_written(tmp_path):
    audio.write_text(tmp_path / "a", "x\ud800")
    assert (tmp_path / "a").read_text() == "x?"


def test_a_patch_beyond_its_size_is_not_read_whole(tmp_path, refused):
    (tmp_path / "patch.json").write_bytes(b" " * (patch.LARGEST + 1))
    with refused(PatchError):
        patch.read(tmp_path / "patch.json", lambda name: synth(name).spec)


PARAM = {"name": "cut", "index": 0, "kind": "continuous", "low": 0.0, "high": 1.0, "unit": ""}


@pytest.mark.parametrize(
    "params",
    [
        ["cut"],
        [{**PARAM, "high": 10**400}],
        [{**PARAM, "high": 1e300}],
        [{**PARAM, "kind": "magic"}],
        [{**PARAM, "index": "0"}],
        [{**PARAM, "unit": [[1]]}],
        [{**PARAM, "values": {"a": 1, "b": 2}}],
        [{**PARAM, "values": [0.0, float("nan")]}],
    ],
)
def test_a_profile_of_other_types_is_refused(tmp_path, params, refused):
    told = {"schema": plugin.SCHEMA, "path": "/x.vst3", "seconds": 1.0, "reset": "fresh"}
    (tmp_path / "a.json").write_text(json.dumps({**told, "params": params}))
    with refused(PatchError):
        plugin.read(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({**told, "params": [PARAM]}))
    assert plugin.read(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({**told, "params": [PARAM], "seconds": 1e9}))
    with refused(PatchError):
        plugin.read(tmp_path / "a.json")


def test_facts_that_nest_too_deep_are_refused(tmp_path, refused):
    told = {"format": checkpoint.FORMAT, "facts": "[" * 100_000}
    save_file({"x": torch.zeros(1)}, tmp_path / "a", told)
    with refused(PatchError):
        checkpoint.load(tmp_path / "a")


@pytest.mark.parametrize(
    "change",
    [
        {"synth": "voice" * 1000},
        {"steps": 10**400},
        {"a" * 5000: 1},
        {"objective": json.loads("[" * 100 + "]" * 100)},
        {"objective": None},
        {"optimizer": 3},
        {"steps": "\x1b[2J"},
    ],
    ids=str,
)
def test_the_recipe_of_a_checkpoint_may_be_anything(change, refused):
    facts = recipe.read((ROOT / "recipes") / "tiny-vicreg.yaml")[1]
    with refused():
        recipe.rebuild({**facts, "recipe": {**facts["recipe"], **change}})


def test_a_setting_that_is_none_is_told_in_one_line(refused):
    with refused():
        recipe.read(ROOT / "recipes" / "tiny-vicreg.yaml", ["a\n\x1b[2J" * 500])


def test_a_model_is_no_larger_than_its_file(tmp_path, refused, monkeypatch):
    path = (ROOT / "recipes") / "tiny-vicreg.yaml"
    _, facts = recipe.read(path, ["objective.params.width=20000", "objective.params.blocks=4"])
    checkpoint.save(tmp_path / "a", {"x": torch.zeros(3)}, facts)
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda self: None)  # what touches the memory
    with refused(PatchError):
        recipe.restored(tmp_path / "a", synth("voice"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "a.safetensors"
    index.build(path, weights.Blend(), 80, dim=4, fitted_on=80)
    return checkpoint.read(path, "index")


@pytest.mark.parametrize(
    "change",
    [
        {"mean": None},
        {"codes": None},
        {"codes": torch.zeros(9, 4)},
        {"codes": torch.zeros(9, 3, dtype=torch.int8)},
        {"step": torch.zeros(4)},
        {"mean": torch.full((3,), torch.nan), "components": torch.ones(3, 4)},
        {"mean": torch.ones(3), "components": torch.ones(3, 4)},
    ],
    ids=str,
)
def test_an_index_that_does_not_fit_together(built, change, tmp_path, refused):
    tensors, told = built
    made = {name: x for name, x in {**tensors, **change}.items() if x is not None}
    save_file(made, tmp_path / "a.safetensors", told)
    with refused(PatchError):
        index.Index.load(tmp_path / "a.safetensors", weights.Blend()).nearest(weights.BLEND, 3)


def test_a_fit_that_does_not_fit(tmp_path, refused):
    blend = weights.Blend()
    told = json.dumps([blend.spec.hash, "summary", 4, 8])
    for tensors in (
        {"mean": torch.ones(3)},
        {"mean": torch.ones(3), "components": torch.ones(3, 4), "step": torch.ones(4)},
    ):
        save_file(tensors, tmp_path / "a.fit", {"recipe": told})
        with refused(PatchError):
            index.build(tmp_path / "a", blend, 2, dim=4, fitted_on=8)


@pytest.mark.parametrize("wrong", ["params", "noise", "slot", "deep", "huge"])
def test_an_index_of_presets_that_cannot_be(tmp_path, wrong, refused):
    weights.libraries(tmp_path)
    tensors, told = checkpoint.read(tmp_path / "seed.safetensors", "index")
    if wrong in ("params", "noise"):
        tensors[wrong] = tensors[wrong] - 9
    else:
        text = {"slot": told["files"].replace('["name 1", 1]', '["name 1", "x"]'), "deep": "[" * 100_000}
        told["files"] = text.get(wrong) or told["files"].replace('"size": 3', '"size": ' + "9" * 5000)
    save_file(tensors, tmp_path / "a", told)
    with refused(PatchError):
        library.Library.load(tmp_path / "a")


def a_set(folder, params=None, names=("000000000000.flac", "000000000001.flac", "000000000002.flac"), **changes):
    """A set of shards with right checksums, whatever is in it."""
    files, told = shards.one_shard()
    parts = dict(zip(names, [*files.values()][1:], strict=False))
    data = tars.packed({"params.npy": files["params.npy"] if params is None else params, **parts})
    for name in told["shards"]:
        (folder / f"{name}.tar").write_bytes(data)
        told["shards"][name]["sha256"] = stored.digest(folder / f"{name}.tar")
    stored.save(folder, {**told, **changes})
    return stored.Shards(weights.Blend(), str(folder)).take("train", 0, 1)


ROWS = np.full((3, 2), 0.5, np.float32)


def header(text, data=b""):
    return b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text.encode() + data


@pytest.mark.parametrize(
    "params",
    [
        shards.npy_of_objects(),
        shards.npy(ROWS[:2]),
        shards.npy(ROWS.astype(np.float64)),
        shards.npy(ROWS + 1),
        shards.npy(ROWS * np.nan),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 2), }", bytes(24)),
        header("(" * 3000),
        b"",
    ],
)
def test_parameters_of_shards_that_cannot_be(tmp_path, params, refused):
    with refused(UnreadableError):
        a_set(tmp_path, params)


def test_names_and_counts_of_shards_that_cannot_be(tmp_path, refused):
    assert len(a_set(tmp_path).ids) == 1
    for names in (("a.flac",), ("9" * 30 + ".flac", "1.flac", "2.flac"), ("²", "1.flac", "2.flac")):
        with refused(UnreadableError):
            a_set(tmp_path, names=names)
    one = {"sounds": 3, "sha256": ""}
    for changes in (
        {"shards": {"train-00000": {**one, "sounds": 10**15}}, "count": 10**15},
        {"shards": {"../../train-00000": one}},
        {"shards": {"train-00000": {"sounds": 3}}},
        {"shards": []},
        {"count": "9"},
        {"synth": None},
    ):
        with refused():
            a_set(tmp_path, **changes)
    (tmp_path / stored.MANIFEST).write_text("[" * 100_000)
    with refused(UnreadableError):
        stored.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"names": np.array(["nothing"] * 5)},
        {"names": np.array([["note"] * 5])},
        {"params": np.full((12, 5), np.inf)},
        {"params": np.full((12, 5), "a")},
        {"gain": np.zeros(12)},
        {"gain": np.full(12, np.nan)},
        {},
    ],
    ids=str,
)
def test_rendered_sets_that_cannot_be(tmp_path, change, refused, monkeypatch):
    sounds = {f"{i:08}.ogg": b"" for i in range(12)}
    arrays = {"params": np.ones((12, 5)), "names": np.array(shards.NAMES), "gain": np.ones(12), **change}
    if not change:
        monkeypatch.setattr(surge_rendered, "LARGEST", 100)
    (tmp_path / "a.tar").write_bytes(tars.packed(sounds))
    np.savez(tmp_path / "a.npz", **arrays)
    with refused(UnreadableError):
        surge_rendered.SurgeRendered(surge.Surge(), str(tmp_path))
    (tmp_path / "a.npz").write_bytes(shards.npy(np.ones(3)))
    with refused(UnreadableError):
        surge_rendered.SurgeRendered(surge.Surge(), str(tmp_path))
