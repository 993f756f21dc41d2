"""DX7 files: byte for byte what the format says, what was written comes back, and damage is told in one sentence."""

import contextlib
import io

import mido
import pytest
import torch
from hypothesis import given, settings, strategies as st
from voices import BELL, BRASS, LIMITS, ORGAN, random_voice

from unsynth.base import NotFoundError, PatchError, UsageError
from unsynth.presets import syx
from unsynth.presets.midi import one_note
from unsynth.synths.dexed import NOTE, NUMBERS, SPEC, to_note, to_numbers

BANK = syx.bank([BELL, ORGAN, BRASS])
SINGLE = syx.single(BELL)
SUPPLEMENT = bytes.fromhex("F0 43 00 06 08 60") + bytes(1121) + b"\xf7"  # what a DX7II sends before its banks


def test_a_bank_is_laid_out_as_the_manual_says():
    assert len(BANK) == 4104
    assert BANK[:6] == bytes([0xF0, 0x43, 0x00, 0x09, 0x20, 0x00])
    assert sum(BANK[6:4103]) % 128 == 0
    assert BANK[-1] == 0xF7
    assert BANK[6 + 118 : 6 + 128] == b"BELL      "


def test_a_single_voice_is_laid_out_as_the_manual_says():
    assert len(SINGLE) == 163
    assert SINGLE[:6] == bytes([0xF0, 0x43, 0x00, 0x00, 0x01, 0x1B])
    assert list(SINGLE[6:151]) == BELL.numbers
    assert SINGLE[151:161] == b"BELL      "
    assert sum(SINGLE[6:162]) % 128 == 0


def test_every_number_is_packed_where_the_manual_says():
    """Operator 6 comes first; two curves, scaling and detune, two sensitivities, mode and coarse share bytes."""
    names = [param.name for param in NUMBERS]

    def packed(**numbers):
        row = [0] * 145
        for name, number in numbers.items():
            row[names.index(name.replace("__", "."))] = number
        return {i: byte for i, byte in enumerate(syx.Voice.of(row, "\0" * 10).packed) if byte}

    assert packed(operator_6__rate_1=99, operator_1__level_4=98) == {0: 99, 85 + 7: 98}
    assert packed(operator_6__left_curve=3, operator_6__right_curve=2) == {11: 0b1011}
    assert packed(operator_5__detune=14, operator_5__rate_scaling=5) == {17 + 12: 14 << 3 | 5}
    assert packed(operator_1__velocity_sensitivity=7, operator_1__lfo_sensitivity=2) == {85 + 13: 7 << 2 | 2}
    assert packed(operator_4__frequency_coarse=31, operator_4__frequency_mode=1) == {34 + 15: 31 << 1 | 1}
    assert packed(voice__algorithm=31, voice__oscillator_sync=1, voice__feedback=6) == {110: 31, 111: 1 << 3 | 6}
    assert packed(lfo__pitch_sensitivity=7, lfo__wave=5, lfo__sync=1) == {116: 7 << 4 | 5 << 1 | 1}
    assert packed(voice__transpose=48, pitch_envelope__rate_1=1, lfo__level_depth=2) == {117: 48, 102: 1, 115: 2}


def test_the_engine_reads_the_same_numbers():
    """dexed-py has an unpacker of its own."""
    dexed = pytest.importorskip("dexed")
    for seed in range(50):
        voice = random_voice(seed)
        assert list(dexed.Patch.from_packed(voice.packed).to_sysex()[:145]) == voice.numbers
        assert dexed.Patch.from_sysex(syx.single(voice)[6:161]).to_packed() == voice.packed


def test_a_thousand_random_patches_survive_banks_and_single_voices():
    params = torch.rand(1000, len(SPEC), generator=torch.Generator().manual_seed(0))
    voices = syx.from_params(params, [f"VOICE {i}" for i in range(1000)])
    through_banks = [v for i in range(0, 1000, 32) for v in syx.parse(syx.bank(voices[i : i + 32]))][:1000]
    through_singles = [v for voice in voices[:200] for v in syx.parse(syx.single(voice))]
    assert through_banks == voices
    assert through_singles == voices[:200]
    again = syx.to_params(through_banks)
    assert torch.equal(to_numbers(again), to_numbers(params))
    assert again[:, 3:].shape == (1000, len(NUMBERS))
    torch.testing.assert_close(again[:, 3:], SPEC.snap(params)[:, 3:])


def test_random_voices_come_back_byte_for_byte():
    voices = [random_voice(seed) for seed in range(200)]
    params = syx.to_params(voices)
    assert syx.from_params(params, [voice.packed[-10:].decode() for voice in voices]) == voices


def test_the_spec_has_the_ranges_of_the_dx7():
    lowest, highest = (to_numbers(torch.full((1, len(SPEC)), end))[0].tolist() for end in (0.0, 1.0))
    assert lowest == [0] * 145
    assert highest == LIMITS
    assert [param.name for param in SPEC.params[:3]] == [param.name for param in NOTE]


def test_bits_without_meaning_survive_a_bank():
    odd = syx.Voice(bytes([127] * 128))
    assert syx.parse(syx.bank([odd]))[0] == odd
    params = syx.to_params([odd])
    assert to_numbers(params)[0].tolist() == LIMITS  # clamped, so that it can be played


def test_files_of_packed_voices_and_of_several_messages():
    assert syx.parse(BELL.packed + ORGAN.packed) == [BELL, ORGAN]
    assert syx.parse(SINGLE + BANK + syx.single(BRASS)) == [BELL, *syx.parse(BANK), BRASS]


def test_messages_of_other_kinds_and_padding_are_passed_over():
    assert syx.parse(SUPPLEMENT + BANK + SUPPLEMENT + SINGLE + bytes(3)) == [*syx.parse(BANK), BELL]


def test_any_midi_channel_is_read():
    assert syx.parse(SINGLE[:2] + b"\x0f" + SINGLE[3:]) == [BELL]


def test_a_bank_has_no_33rd_slot():
    with pytest.raises(UsageError, match="32"):
        syx.bank([BELL] * 33)


def test_empty_slots_hold_the_initial_voice():
    empty = syx.parse(BANK)[31]
    assert (empty.name, empty.numbers[134], empty.numbers[-1]) == ("INIT VOICE", 0, 24)
    assert [empty.numbers[21 * n + 16] for n in range(6)] == [0, 0, 0, 0, 0, 99]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "no DX7 voice"),
        (b"\xf0", "no DX7 voice"),
        (BANK[:-1], "cut off"),
        (BANK[:100], "cut off"),
        (SINGLE[:6], "cut off"),
        (BANK + b"more", "not only"),
        (SUPPLEMENT, "no DX7 voice"),
        (SUPPLEMENT[:-1] + BANK, "no DX7 voice"),  # which has no end of its own
        (BANK[:-1] + b"\0", "damaged"),
        (b"RIFF" + bytes(5000), "no DX7 voice"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(data, told, tmp_path):
    (tmp_path / "bad.syx").write_bytes(data)
    with pytest.raises(PatchError, match=told) as caught:
        syx.read(tmp_path / "bad.syx")
    assert "bad.syx" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_too_large_are_not_read(tmp_path):
    with (tmp_path / "huge.syx").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PatchError, match="more than"):
        syx.read(tmp_path / "huge.syx")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(NotFoundError, match=r"gone\.syx"):
        syx.read(tmp_path / "gone.syx")


@given(st.sampled_from([BANK, SINGLE]), st.data())
@settings(max_examples=300, deadline=None)
def test_any_flipped_bit_is_noticed(message, data):
    bit = data.draw(st.integers(0, 8 * len(message) - 1).filter(lambda b: not 16 <= b < 20))  # but for the channel
    flipped = bytearray(message)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PatchError):
        syx.parse(bytes(flipped))


@given(st.integers(1, len(BANK) - 1))
@settings(max_examples=100, deadline=None)
def test_any_missing_end_is_noticed(length):
    with pytest.raises(PatchError):
        syx.parse(BANK[:length])


@given(st.binary(max_size=400) | st.binary(max_size=300).map(lambda rest: SINGLE[:6] + rest))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_voices_or_refused(data):
    with contextlib.suppress(PatchError):
        assert all(isinstance(voice, syx.Voice) for voice in syx.parse(data))


@given(st.integers(0, 127), st.integers(1, 127), st.floats(0.001, 100))
@settings(max_examples=100, deadline=None)
def test_a_midi_file_plays_its_note(pitch, velocity, seconds):
    """As mido reads it."""
    file = mido.MidiFile(file=io.BytesIO(one_note(pitch, velocity, seconds)))
    on, off = [message for message in file if message.type in ("note_on", "note_off")]
    assert (on.type, on.note, on.velocity, on.time) == ("note_on", pitch, velocity, 0)
    assert (off.type, off.note) == ("note_off", pitch)
    assert off.time == pytest.approx(seconds, abs=0.0005 + 1e-9)


def test_notes_are_checked_and_quantised_as_the_file_is():
    with pytest.raises(UsageError, match=r"note\.pitch of 128"):
        syx.to_params([BELL], note=128)
    params = syx.to_params([BELL], 61, 99, 1.2344)
    assert to_note(params)[0].tolist() == pytest.approx([61, 99, 1.234])
