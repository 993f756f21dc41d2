"""Surge XT's presets: layout against an independent parser, round trips, damage, and real patches with known values."""

import re
import struct
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings, strategies as st
from surge_files import CHUNK, HEADER, file_of, params_or_a_sentence, patches, xml_of

from unsynth.base import NotFoundError, PatchError
from unsynth.presets import fxp, saved
from unsynth.synths import surge
from unsynth.synths.surge_patch import Preset, from_preset, parse, updated
from unsynth.synths.surge_values import facts, new_patch


def test_a_file_has_the_layout_that_surge_reads():
    data = fxp.write(patches(1)[0], 'Kick <1> & "more" \x01\udc80')
    magic, size, kind, version, synth, _, programs, name, chunk = struct.unpack(">4sI4sI4sII28sI", data[:HEADER])
    assert (magic, kind, version, synth, programs) == (b"CcnK", b"FPCh", 1, b"cjs3", 1)
    assert size == len(data) - 8
    assert chunk == len(data) - HEADER
    assert name.rstrip(b"\0") == b'Kick <1> & "more" '
    assert struct.unpack("<4s7I", data[HEADER : HEADER + CHUNK]) == (b"sub3", len(data) - HEADER - CHUNK, *[0] * 6)
    root = ElementTree.fromstring(xml_of(data))
    assert (root.tag, root.find("meta").get("name")) == ("patch", 'Kick <1> & "more" ')
    assert int(root.get("revision")) <= 25


def test_elements_are_those_of_the_parameters_with_types_and_modulation():
    raw = torch.tensor(new_patch())
    for name, value in {"osc2.type": 1, "osc2.p0": 5, "filter1.cutoff": -12.5, "mod.lfo2_cutoff": 7.25}.items():
        raw[surge.SPEC.index(name)] = value
    found = {
        e.tag: e for e in ElementTree.fromstring(xml_of(fxp.write(surge.to_params(raw[None])[0]))).find("parameters")
    }
    assert found["a_osc2_type"].attrib == {"type": "0", "value": "1"}
    assert found["a_osc2_param0"].attrib == {"type": "0", "value": "5"}  # the shape of a sine is a whole number
    assert found["a_osc1_param0"].get("type") == "2"  # that of a classic is not
    assert found["a_osc2_param3"].get("deactivated") == "1"
    assert float(found["a_filter1_cutoff"].get("value")) == pytest.approx(-12.5, abs=1e-4)
    (route,) = found["a_filter1_cutoff"]
    assert (route.tag, route.get("source"), route.get("muted")) == ("modrouting", "18", "0")
    assert float(route.get("depth")) == pytest.approx(7.25, abs=1e-4)
    assert not list(found["a_pitch"])
    assert found["a_drift"].get("value") == "0"
    assert {found[f"a_osc{n}_retrigger"].get("value") for n in "123"} == {"1"}


def test_a_thousand_random_patches_come_back():
    params = patches(1000)
    again = torch.tensor([from_preset(parse(fxp.write(row))) for row in params])
    assert torch.equal(again, surge.to_raw(params))


def test_the_note_in_the_comment_is_played(tmp_path):
    raw = torch.tensor(new_patch())
    raw[-3:] = torch.tensor([33, 64, 0.456])
    file = tmp_path / "a.fxp"
    file.write_bytes(fxp.write(surge.to_params(raw[None])[0]))
    assert fxp.read(file).comment == "Play MIDI note 33 at velocity 64 and hold it for 0.456 s."
    (found,) = saved.read(file)
    assert surge.to_raw(found.params[None])[0, -3:].tolist() == pytest.approx([33, 64, 0.456])


@pytest.mark.parametrize("comment", ["", "A fat bass. Play it low.", "Play MIDI note x at velocity 64 and hold it."])
def test_a_preset_that_names_no_note_plays_c4_for_a_second(comment):
    params = fxp.to_params(Preset("a", 22, {"a_osc1_type": 0}, {}, comment))
    assert surge.to_raw(params[None])[0, -3:].tolist() == [60, 100, 1]


@pytest.mark.parametrize(
    ("scene", "own", "sounds"),
    [
        ({"a_octave": -1.0}, {"a_osc1_octave": 2.0, "a_osc1_pitch": 0.5}, [(1, 0.5), (-1, 0), (-1, 0)]),
        ({"a_pitch": -2.5}, {"a_osc2_octave": 1.0, "a_osc2_pitch": 0.25}, [(0, -2.5), (1, -2.25), (0, -2.5)]),
        ({"a_octave": 2.0, "a_pitch": 5.0}, {"a_osc3_octave": 2.0, "a_osc3_pitch": 5.0}, [(2, 5), (2, 5), (3, 7)]),
        ({}, {"a_osc1_octave": -3.0}, [(-3, 0), (0, 0), (0, 0)]),
    ],
)
def test_octave_and_pitch_of_the_scene_are_added_to_those_of_each_oscillator(scene, own, sounds):
    raw = surge.to_raw(fxp.to_params(Preset("a", 22, scene | own, {}))[None])[0]
    found = [raw[surge.SPEC.index(f"osc{n}.{what}")].item() for n in (1, 2, 3) for what in ("octave", "pitch")]
    assert found == pytest.approx([number for pair in sounds for number in pair], abs=1e-5)


def test_what_was_read_gives_the_same_file_again():
    for row in patches(50, seed=1):
        data = fxp.write(row)
        params = fxp.to_params(parse(data))
        first, second = ElementTree.fromstring(xml_of(data)), ElementTree.fromstring(xml_of(fxp.write(params)))
        for one, other in zip(first.find("parameters"), second.find("parameters"), strict=True):
            assert float(one.get("value")) == pytest.approx(float(other.get("value")), rel=1e-4, abs=1e-4), one.tag


def test_a_file_is_read_by_path(tmp_path):
    (tmp_path / "a.fxp").write_bytes(fxp.write(patches(1)[0], "Bell"))
    preset = fxp.read(tmp_path / "a.fxp")
    assert (preset.name, preset.revision) == ("Bell", 22)
    assert re.fullmatch(r"Play MIDI note \d+ at velocity \d+ and hold it for \d\.\d+ s\.", preset.comment)
    with pytest.raises(NotFoundError, match=r"b\.fxp"):
        fxp.read(tmp_path / "b.fxp")
    (tmp_path / "c.fxp").write_bytes(b"RIFF" * 100)
    with pytest.raises(PatchError, match=r"c\.fxp.*Surge XT"):
        fxp.read(tmp_path / "c.fxp")


def test_export_writes_a_preset_and_a_note_for_each_candidate():
    files = fxp.export("kick.wav", ["match", "candidate-2"], patches(2))
    assert list(files) == ["match.fxp", "candidate-2.fxp", "match.mid", "candidate-2.mid"]
    assert parse(files["candidate-2.fxp"]).name == "kick 2"
    note = round(surge.to_raw(patches(2))[0, -3].item())
    assert bytes([0x90, note]) in files["match.mid"]


def test_random_patches_differ_in_the_core_alone():
    params = fxp.random_patches()(64, torch.Generator().manual_seed(0))
    moving = {surge.SPEC.names[i] for i in (params != params[0]).any(0).nonzero().flatten().tolist()}
    assert moving == set(facts()["core"]) - {"mixer.osc1_mute"}
    assert 0 <= params.min() <= params.max() <= 1


BOMB = b"<!DOCTYPE patch [<!ENTITY a '1'>" + b"".join(
    b"<!ENTITY %c '%s'>" % (c, b"&%c;" % (c - 1) * 100) for c in range(ord("b"), ord("z"))
)


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        (BOMB + b"]><patch revision='22'><meta name='&y;'/></patch>", "document type"),
        (b"<!DOCTYPE patch SYSTEM 'file:///etc/passwd'><patch revision='22'/>", "document type"),
        (b"<patch revision='22'><parameters>", "damaged"),
        (b"<patch revision='22'><parameters/></patch>", "no parameters"),
        (b"<patch revision='22'><parameters><volume type='2' value='4e38'/></parameters></patch>", "not finite"),
        (b"<patch><parameters><volume type='2' value='1'/></parameters></patch>", "no revision"),
        (b"<patch revision='22'><parameters><volume type='2' value='nan'/></parameters></patch>", "not finite"),
        (b"<patch revision='22'><parameters><volume type='2' value='loud'/></parameters></patch>", "not a number"),
        (b"<patch revision='22'><parameters><volume type='0' value='99999999999'/></parameters></patch>", "range"),
        (b"<patch revision='1e999'/>", "not finite"),
        (b"<a>" * 300_000, "damaged"),
        (b"\xff\xfe\x00", "damaged"),
    ],
)
def test_bad_xml_is_refused_in_a_sentence(xml, why):
    with pytest.raises(PatchError, match=why) as caught:
        parse(file_of(xml))
    assert "\n" not in str(caught.value)


def test_oversized_and_foreign_files_are_refused():
    good = fxp.write(patches(1)[0])
    with pytest.raises(PatchError, match="bytes"):
        parse(good + bytes(4 << 20))
    with pytest.raises(PatchError, match="not a preset of Surge XT"):
        parse(good.replace(b"cjs3", b"ABCD"))
    with pytest.raises(PatchError, match="parameters"):
        parse(good[: HEADER + 4] + b"\xff\xff\xff\xff" + good[HEADER + 8 :])


def test_a_file_cut_anywhere_is_refused():
    good = fxp.write(patches(1)[0])
    for end in (*range(0, 200), *range(200, len(good), 97)):
        with pytest.raises(PatchError):
            parse(good[:end])


@settings(max_examples=300, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=12), cut=st.integers(0, 50)
)
def test_flipped_bits_give_a_patch_or_a_sentence(flips, cut):
    data = bytearray(fxp.write(patches(1)[0]))
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    params_or_a_sentence(bytes(data[: len(data) - cut]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_xml_part_gives_a_patch_or_a_sentence(noise):
    with pytest.raises(PatchError):
        parse(file_of(noise))


@pytest.mark.parametrize(
    ("revision", "before", "after"),
    [
        (9, {"a_osc1_type": 1, "a_osc1_param0": 9}, {"a_osc1_param0": 0, "a_osc1_retrigger": 1, "a_osc1_param4": 70}),
        (14, {"a_filter1_type": 6, "a_filter1_subtype": 4}, {"a_filter1_type": 23, "a_filter1_subtype": 1}),
        (15, {"a_filter1_type": 6, "a_filter1_subtype": 2}, {"a_filter1_type": 6, "a_filter1_subtype": 2}),
        (28, {"a_filter1_type": 6, "a_filter1_subtype": 3}, {"a_filter1_subtype": 1}),
        (28, {"b_osc3_type": 1, "b_osc3_param0": 29}, {"b_osc3_param0": 3}),
        (22, {"b_osc3_type": 1, "b_osc3_param0": 7}, {"b_osc3_param0": 7}),
        (15, {"polylimit": 8}, {"polylimit": 16}),
    ],
)
def test_other_revisions_are_numbered_as_in_revision_22(revision, before, after):
    found = updated(before, revision)
    assert {name: found[name] for name in after} == after


def test_a_choice_that_the_spec_has_not_is_named():
    raw = list(new_patch())
    raw[surge.SPEC.index("filter1.type")] = 12
    with pytest.raises(PatchError, match=r"filter1\.type to 12.*legacy ladder"):
        surge.to_params(torch.tensor([raw]))
