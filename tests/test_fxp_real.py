"""Surge XT's own presets, where UNSYNTH_SURGE_FACTS names a folder of them: all values are those of its engine."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from surge_files import CHUNK, HEADER, params_or_a_sentence, xml_of

from unsynth.base import PatchError
from unsynth.presets import fxp
from unsynth.synths import surge
from unsynth.synths.surge_patch import parse
from unsynth.synths.surge_values import facts

FACTS = os.environ.get("UNSYNTH_SURGE_FACTS")  # a folder with fxp/*.fxp, and beside each the engine's values as .json
OF_SCENE = {  # the engine's names of parameters to a file's, told independently of surge.json
    "noise_colour": "noisecol", "keytrack_root": "ktrkroot", "width": "pan2", "f2_cutoff_is_offset": "f2_cf_is_offset",
    "filterblock_configuration": "fb_config", "filter_balance": "f_balance",
}  # fmt: skip
STAGES = {"a": "attack", "d": "decay", "s": "sustain", "r": "release"}


def element(path):
    """The element of a patch's XML that holds a parameter of the engine; empty for those that no file has."""
    top, *rest = path.split("/")
    match top, *rest:
        case "fx", k, "p", j:
            return f"fx{int(k) + 1}_p{j}"
        case "fx", k, "type":
            return f"fx{int(k) + 1}_type"
        case "fx", *_:
            return ""
        case "scene", s, *inside:
            return f"{'ab'[int(s)]}_{of_scene(*inside)}"
    return {"splitpoint": "splitkey"}.get(path, path)


def of_scene(part, *rest):
    match part, *rest:
        case "osc", k, "p", j:
            return f"osc{int(k) + 1}_param{j}"
        case "osc", k, name:
            return f"osc{int(k) + 1}_{name}"
        case "filterunit", k, name:
            return f"filter{int(k) + 1}_{name}"
        case "wsunit", name:
            return f"ws_{name}"
        case "adsr", k, name:
            stage, _, shape = name.partition("_")
            return f"env{int(k) + 1}_{STAGES.get(stage, stage)}{'_shape' if shape else ''}"
        case "lfo", k, name:
            return f"lfo{k}_{name.replace('start_', '')}"
        case "send_level", k:
            return f"send_fx_{int(k) + 1}"
    return OF_SCENE.get(part, re.sub(r"ring_(\d\d)", r"ring\1", part))


def test_the_elements_of_the_spec_are_those_of_its_paths():
    for param in facts()["params"]:
        if "path" in param and param["element"]:
            assert element(param["path"]) == param["element"]


def as_newest(values):
    """``values`` numbered as in revision 28, whose engine told the known values."""
    new = dict(values)
    for unit in (f"{scene}_filter{n}_" for scene in "ab" for n in "12"):
        pair = (round(new[f"{unit}type"]), round(new[f"{unit}subtype"]))
        new[f"{unit}subtype"] = {(6, 1): 3, (6, 2): 4, (12, 3): 4}.get(pair, pair[1])
    for osc in (f"{scene}_osc{n}_" for scene in "ab" for n in "123"):
        if new[f"{osc}type"] == 1:
            new[f"{osc}param0"] = {1: 28, 3: 29, 5: 30, 7: 31}.get(new[f"{osc}param0"], new[f"{osc}param0"])
    return new


@pytest.mark.skipif(not FACTS, reason="UNSYNTH_SURGE_FACTS names no folder with real patches and their known values")
def test_real_patches_have_the_values_that_the_engine_has():
    """All parameters but effects, and the volume of files that leave it alone; effects are not unsynth's."""
    compared, wrong = 0, []
    for path in sorted(Path(FACTS, "fxp").glob("*.fxp")):
        values = as_newest(fxp.read(path).values)
        for where, known in json.loads(path.with_suffix(".json").read_text()).items():
            name = element(where)
            if name in values and not name.startswith("fx"):
                compared += 1
                if values[name] != pytest.approx(known, rel=1e-5, abs=1e-5):
                    wrong.append((path.name, name, values[name], known))
    print(f"{compared} values compared, {len(wrong)} differ")
    assert compared > 20_000
    assert wrong == []


@pytest.mark.skipif(not FACTS, reason="UNSYNTH_SURGE_FACTS names no folder with real patches and their known values")
def test_real_patches_are_in_the_octave_that_the_engine_plays():
    moved = 0
    for path in sorted(Path(FACTS, "fxp").glob("*.fxp")):
        with suppress(PatchError):
            raw = surge.to_raw(fxp.to_params(fxp.read(path))[None])[0]
            known = json.loads(path.with_suffix(".json").read_text())
            for n in (n for n in range(3) if not known[f"scene/0/mute_o{n + 1}"]):
                octave = known["scene/0/octave"] + known[f"scene/0/osc/{n}/octave"]
                assert raw[surge.SPEC.index(f"osc{n + 1}.octave")] == octave, path.name
            moved += known["scene/0/octave"] != 0
    assert moved >= 5


@pytest.mark.skipif(not FACTS, reason="UNSYNTH_SURGE_FACTS names no folder with real patches and their known values")
def test_real_patches_cut_or_flipped_give_a_patch_or_a_sentence():
    random = torch.Generator().manual_seed(0)
    for path in sorted(Path(FACTS, "fxp").glob("*.fxp")):
        data = bytearray(path.read_bytes())
        for place in torch.randint(len(data), (20,), generator=random).tolist():
            with pytest.raises(PatchError):
                parse(bytes(data[: place % (HEADER + CHUNK + len(xml_of(data)))]))
            data[place] ^= 16
            params_or_a_sentence(bytes(data))
