"""Starts at the pitch of the target."""

import pytest
import torch
from voices import ORGAN

from unsynth.base import Budget, Problem, Solution
from unsynth.presets import PITCH, syx
from unsynth.search.objective import MatchDistance
from unsynth.search.retune import Retune
from unsynth.synths import synth

VOICE = synth("voice")
COLUMN = VOICE.spec.index("keyboard.midi_f0")


@pytest.fixture
def patch():
    """A tone without modulation, in the middle of the keyboard."""
    row = torch.full((1, 78), 0.5)
    row[:, [VOICE.spec.index(name) for name in VOICE.spec.names if "mod_depth" in name or "mod_matrix" in name]] = 0
    row[:, VOICE.spec.index("mod_matrix.adsr_1->vco_1_amp")] = 1
    row[:, VOICE.spec.index("mixer.noise")] = 0
    return row


def problem(target):
    return Problem(VOICE, target, MatchDistance(target), Budget(renders=100))


@pytest.mark.parametrize("semitones", [7.0, -12.0, 0.4])
def test_the_voice_is_tuned_to_the_target(patch, semitones):
    wanted = patch.clone()
    wanted[:, COLUMN] += semitones / 127
    tuned = problem(VOICE.render(wanted))
    found = Retune(PITCH["voice"])(tuned, Solution(patch, tuned.evaluate(patch))).best(1)
    assert tuned.renders == 3  # the start, it again, and what it becomes
    assert float((found.params - wanted)[0, COLUMN].abs()) * 127 < 0.05
    assert float(found.distances) < 0.5


def test_what_has_no_pitch_or_no_such_knob_is_left_alone(patch):
    hiss = problem(0.1 * torch.randn(1, 176400, generator=torch.Generator().manual_seed(0)))
    start = Solution(patch, hiss.evaluate(patch))
    assert Retune(PITCH["voice"])(hiss, start) is start
    tone = problem(VOICE.render(patch))
    for search in (Retune("operator.pitch"), Retune(PITCH["voice"], count=0)):
        assert search(tone, start) is start
    assert (hiss.renders, tone.renders) == (1, 0)


def test_a_patch_that_would_leave_the_keyboard_is_not_moved(patch):
    low, high = patch.clone(), patch.clone()
    low[:, COLUMN], high[:, COLUMN] = 0.25, 0.7
    tuned = problem(VOICE.render(high))
    nearly = torch.cat([low, low])
    nearly[0, VOICE.spec.index("vco_1.tuning")] = 0.5
    found = Retune(PITCH["voice"])(tuned, Solution(nearly, tuned.evaluate(nearly)))
    assert ((found.params >= 0) & (found.params <= 1)).all()


def test_a_dx7_voice_is_tuned_by_whole_notes():
    pytest.importorskip("dexed", reason="needs dexed-py: pip install 'unsynth[dexed]'")
    dexed = synth("dexed")
    target = dexed.render(syx.to_params([ORGAN], note=64, seconds=1.0))
    tuned, start = Problem(dexed, target, MatchDistance(target), Budget(renders=100)), syx.to_params([ORGAN], note=59)
    found = Retune(PITCH["dexed"])(tuned, Solution(start, tuned.evaluate(start))).best(1)
    assert float(dexed.spec.to_human(found.params)[0, dexed.spec.index(PITCH["dexed"])]) == pytest.approx(64, abs=0.2)
