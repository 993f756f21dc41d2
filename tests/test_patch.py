"""patch.json restores a patch exactly, and refuses everything else with a PatchError."""

import contextlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from unsynth.base import PatchError, UsageError
from unsynth.params import Param, ParamSpec
from unsynth.presets.patch import Patch, from_json, read, to_json

SPEC = ParamSpec(
    "toy",
    [
        Param("osc.frequency", 20, 2000, "Hz", 0.25),
        Param("osc.voices", 1, 4, kind="integer"),
        Param("osc.shape", 0, 1, kind="categorical", choices=("saw", "sq<uare")),
    ],
)
OTHER = ParamSpec("toy", [Param("osc.frequency"), Param("osc.voices"), Param("osc.shape")])
SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "patch.schema.json").read_text())

unit = st.floats(0, 1, width=32)
number = st.floats(allow_nan=False, allow_infinity=False)
count = st.integers(0, 2**63 - 1)


def spec_of(name):
    return {"toy": SPEC}[name]


def example(**changes):
    fields = {
        "synth": "toy",
        "spec_hash": SPEC.hash,
        "params": (0.25, 0.5, 1.0),
        "noise": 3,
        "gain_db": -3.5,
        "distance": 0.2,
        "metrics": {"MSS": 1.5},
        "seconds": 9.9,
        "renders": 100,
        "seed": 0,
        "version": "0.1.0",
    }
    return Patch(**{**fields, **changes})


def edited(**changes):
    return json.dumps({**json.loads(to_json(example(), SPEC)), **changes})


def with_entries(change):
    entries = json.loads(to_json(example(), SPEC))["params"]
    change(entries)
    return edited(params=entries)


@given(
    params=st.tuples(unit, unit, unit),
    noise=count,
    gain_db=st.floats(-200, 200),
    distance=number,
    metrics=st.dictionaries(st.text(), number),
    seconds=st.floats(0, 1e9),
    renders=count,
    seed=st.integers(-(2**63), 2**63 - 1),
    version=st.text(),
)
@settings(max_examples=50, deadline=None)
def test_reading_restores_what_was_written(**fields):
    patch = example(**fields)
    assert from_json(to_json(patch, SPEC), spec_of) == patch


def test_every_float32_survives():
    values = np.random.default_rng(0).random(3000, dtype=np.float32).reshape(-1, 3)
    for row in values:
        patch = from_json(to_json(example(params=tuple(row.tolist())), SPEC), spec_of)
        assert np.float32(patch.params).tobytes() == row.tobytes()


def test_a_metric_without_value_is_null():
    text = to_json(example(metrics={"RMS": math.nan, "MSS": 1.0}), SPEC)
    assert json.loads(text)["metrics"] == {"RMS": None, "MSS": 1.0}
    assert math.isnan(from_json(text, spec_of).metrics["RMS"])


def test_human_values_stand_beside_the_normalised_ones():
    frequency, voices, shape = json.loads(to_json(example(), SPEC))["params"]
    human = SPEC.to_human(torch.tensor([0.25, 0.5, 1.0]))
    assert np.float32(frequency["value"]) == np.float32(human[0])
    assert (frequency["unit"], voices["value"], shape["value"]) == ("Hz", 3, "sq<uare")


def test_the_normalised_value_counts_and_names_give_the_order():
    def shuffle(entries):
        entries.reverse()
        entries[0].update(value="saw", normalised=0.75)

    assert from_json(with_entries(shuffle), spec_of).params == (0.25, 0.5, 0.75)


def test_unknown_fields_are_ignored():
    assert from_json(edited(comment="mine"), spec_of) == example()


def test_the_published_schema_names_what_is_written():
    written = json.loads(to_json(example(), SPEC))
    assert set(written) == set(SCHEMA["required"]) == set(SCHEMA["properties"])
    assert set(written["params"][0]) == set(SCHEMA["properties"]["params"]["items"]["properties"])
    assert written["schema"] == SCHEMA["properties"]["schema"]["const"]


BAD = {
    "empty": ("", "not valid JSON"),
    "truncated": (to_json(example(), SPEC)[:-10], "not valid JSON"),
    "deep": ("[" * 100_000, "not valid JSON"),
    "long integer": (edited().replace("100", "9" * 5000), "not valid JSON"),
    "other JSON": ("[1]", "not a patch.json"),
    "no schema": ("{}", "not a patch.json"),
    "newer": (edited(schema="unsynth.patch/2"), "newer"),
    "NaN": (edited(gain_db=math.nan), "NaN"),
    "overflow": (edited().replace("-3.5", "1e999"), "gain_db"),
    "huge": (edited(gain_db=10**400), "gain_db"),
    "too loud": (edited(gain_db=201), "between -200 and 200"),
    "text for number": (edited(seconds="9.9"), "seconds"),
    "boolean for number": (edited(renders=True), "renders"),
    "float for integer": (edited(seed=0.5), "seed"),
    "negative": (edited(noise=-1), "noise"),
    "beyond 64 bits": (edited(noise=2**63), "noise"),
    "metric": (edited(metrics={"MSS": "low"}), "MSS"),
    "params": (edited(params={"osc.shape": 1}), "params"),
    "entry": (edited(params=[1, 2, 3]), "params"),
    "missing parameter": (with_entries(lambda e: e.pop()), "not 2"),
    "misnamed parameter": (with_entries(lambda e: e[2].update(name="osc.form")), "osc.shape"),
    "parameter twice": (with_entries(lambda e: e.append(e[0])), "twice"),
    "no normalised value": (with_entries(lambda e: e[1].pop("normalised")), "normalised"),
    "above one": (with_entries(lambda e: e[1].update(normalised=1.0001)), "osc.voices"),
    "below zero": (with_entries(lambda e: e[1].update(normalised=-1e-9)), "osc.voices"),
    "unknown synth": (edited(synth="moog"), "moog"),
    "other spec": (edited(spec=OTHER.hash), OTHER.hash),
}


@pytest.mark.parametrize(("text", "told"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_in_one_sentence(text, told):
    with pytest.raises(PatchError) as caught:
        from_json(text, spec_of)
    message = str(caught.value)
    assert told in message
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 250


def test_an_unknown_synth_may_be_a_usage_error():
    def none(name):
        raise UsageError(f"no synth {name}.")

    with pytest.raises(PatchError, match="does not have"):
        from_json(edited(), none)


@pytest.mark.parametrize("changes", [{"params": (0.0, 0.0, math.nan)}, {"gain_db": math.inf}, {"renders": -1}])
def test_a_patch_that_cannot_be_is_never_made(changes):
    with pytest.raises(PatchError):
        example(**changes)


def test_an_editor_may_have_begun_the_file_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "patch.json"
    path.write_text(to_json(example(), SPEC), "utf-8-sig")
    assert read(path, spec_of) == example()


def test_a_patch_of_another_spec_is_not_written():
    with pytest.raises(PatchError):
        to_json(example(), OTHER)


def refused_or_read(text):
    with contextlib.suppress(PatchError):
        assert isinstance(from_json(text, spec_of), Patch)


scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400)
anything = st.recursive(scalar, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@given(st.text())
@settings(deadline=None)
def test_any_text_is_refused_or_read(text):
    refused_or_read(text)


@given(st.sampled_from(SCHEMA["required"]), anything)
@settings(max_examples=200, deadline=None)
def test_any_value_in_any_field_is_refused_or_read(field, value):
    refused_or_read(edited(**{field: value}))


@given(st.integers(0, 2), st.sampled_from(["name", "value", "unit", "normalised"]), anything)
@settings(max_examples=100, deadline=None)
def test_any_value_in_any_parameter_is_refused_or_read(index, field, value):
    refused_or_read(with_entries(lambda entries: entries[index].update({field: value})))


@given(st.integers(0, len(edited()) - 1), st.characters())
@settings(max_examples=200, deadline=None)
def test_any_changed_character_is_refused_or_read(at, character):
    text = edited()
    refused_or_read(text[:at] + character + text[at + 1 :])
