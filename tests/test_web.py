"""The web page's server over HTTP: what visitors send, and what they get."""

import io

import numpy as np
import pytest
import soundfile
import soxr
import torch
import visitors
from scipy.signal import lfilter
from visitors import (
    begin,
    matched,
    over,
    session,
    until,
)

from unsynth.presets.patch import from_json
from unsynth.report.loudness import K_PASS, K_SHELF
from unsynth.synths import synth

quick, visit = visitors.quick, visitors.visit  # fixtures
VOICE = synth("voice")


def test_a_sound_is_matched_heard_and_downloaded(visit):
    client = visit()
    url = session(client)
    found = matched(client, url)
    best, *others = found["candidates"]
    assert others
    assert best["label"] == "1"
    assert found["search"]["renders"] > 0
    assert {score["verdict"] for score in best["scores"]} <= set(
        ["nearly the same", "very close", "close", "similar", "different"]
    )
    sound, rate = soundfile.read(io.BytesIO(client.get(f"{url}/sounds/{best['id']}.wav").content))
    assert (len(sound), rate) == (round(VOICE.seconds * VOICE.rate), VOICE.rate)
    assert client.get(f"{url}/pictures/{best['id']}.png").content.startswith(b"\x89PNG")
    assert client.get(f"{url}/files/{best['id']}").json()["files"] == ["match.wav", "patch.json"]
    patch = from_json(client.get(f"{url}/files/{best['id']}/patch.json").text, lambda name: synth(name).spec)
    assert patch.params == pytest.approx(best["params"])
    played, _ = soundfile.read(io.BytesIO(client.get(f"{url}/files/{best['id']}/match.wav").content))
    expected = VOICE.render(torch.tensor([patch.params]))[0] * 10 ** (patch.gain_db / 20)
    np.testing.assert_allclose(played, expected, atol=1e-4)


def test_candidates_are_as_loud_as_the_target(visit):
    """Against the filters of BS.1770 in time, at its own rate of 48 kHz."""
    client = visit()
    url = session(client)
    found = matched(client, url)

    def level(number):
        samples, rate = soundfile.read(io.BytesIO(client.get(f"{url}/sounds/{number}.wav").content))
        for up, down in (K_SHELF, K_PASS):
            samples = lfilter(up, down, soxr.resample(samples, rate, 48000))
            rate = 48000
        return 10 * np.log10(np.square(samples).sum())

    assert level(found["candidates"][0]["id"]) == pytest.approx(level(found["target"]["id"]), abs=0.2)


def test_candidates_appear_while_they_are_found_and_a_search_can_be_ended(visit):
    client = visit()
    url = session(client)
    begin(client, url, seconds=60)
    early = until(client, url, lambda found: found["candidates"])
    assert early["search"]["state"] == "running"
    client.post(f"{url}/stop")
    ended = until(client, url, over)
    assert ended["candidates"]
    assert ended["candidates"][0]["distance"] <= early["candidates"][0]["distance"]
    assert ended["search"]["seconds"] < 30


def test_a_candidate_is_refined_varied_and_turned(visit):
    client = visit()
    url = session(client)
    best = matched(client, url)["candidates"][0]
    held = [name for name in VOICE.spec.names if name.startswith("vco_1")]
    columns = [VOICE.spec.index(name) for name in held]
    for kind in ("refine", "vary"):
        found = matched(client, url, kind=kind, candidate=best["id"], held=held, seconds=0.5)
        labels = [candidate["label"] for candidate in found["candidates"]]
        assert labels[:2] == ["1", "2"]
        assert labels[-1] == "Before"
        assert found["candidates"][-1]["id"] == best["id"]
        for candidate in found["candidates"]:
            assert [candidate["params"][i] for i in columns] == [best["params"][i] for i in columns]
        assert found["candidates"][0]["distance"] <= best["distance"] + 1e-4
    name = VOICE.spec.names[0]
    edited = client.post(f"{url}/edits", json={"candidate": best["id"], "changes": {name: 0.25}}).json()
    new = next(c for c in edited["candidates"] if c["id"] == edited["candidate"])
    assert new["label"] == "Edited"
    assert new["params"][0] == 0.25
    assert new["params"][1:] == best["params"][1:]
    assert new["texts"][0] != best["texts"][0]
    decibels = client.get(f"{url}/knobs/{best['id']}").json()["decibels"]
    assert len(decibels) == len(VOICE.spec)
    assert max(decibels) > 0
