"""Bad input: every mistake gets one sentence and its own exit code, and the other sounds go on."""

import errno
import os
import re

import numpy as np
import pytest
from commands import EXAMPLE, FAST, RATE, ROOT, is_one_sentence, matched, one_thread, process, run, tone, write  # noqa: F401

from unsynth.synths import synth


def damaged(path, data):
    path.write_bytes(data)
    return str(path)


def missing(folder):
    return str(folder / "missing.wav")


def no_sounds(folder):
    (folder / "empty").mkdir()
    return str(folder / "empty")


def not_audio(folder):
    return damaged(folder / "a.wav", b"this is a text, not a sound " * 10)


def truncated(folder):
    return damaged(folder / "a.flac", EXAMPLE.read_bytes()[:30])


def empty_file(folder):
    return damaged(folder / "a.wav", b"")


def zero_samples(folder):
    return write(folder / "a.wav", np.zeros(0))


def one_sample(folder):
    return write(folder / "a.wav", np.array([0.5]))


def silence(folder):
    return write(folder / "a.wav", np.zeros(RATE))


def not_a_number(folder):
    return write(folder / "a.wav", np.where(np.arange(RATE) == 99, np.nan, 0.1), subtype="FLOAT")


def infinite(folder):
    return write(folder / "a.wav", np.where(np.arange(RATE) == 99, np.inf, 0.1), subtype="FLOAT")


BAD = {
    missing: 3, no_sounds: 3, not_audio: 4, truncated: 4, empty_file: 4, zero_samples: 5, one_sample: 5, silence: 5,
    not_a_number: 5, infinite: 5,
}  # fmt: skip


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_sound_gets_one_sentence_and_its_exit_code(capsys, tmp_path, make):
    path = make(tmp_path)
    code, outcomes, err = matched(capsys, path, "--out", tmp_path / "out")
    assert code == BAD[make]
    assert is_one_sentence(err)
    assert outcomes == [{"target": path, "error": err[len("unsynth: ") : -1], "exit_code": code}]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--budget", "0"], "budget"),
        (["--budget", "-1"], "budget"),
        (["--budget", "inf"], "budget"),
        (["--budget", "nan"], "budget"),
        (["--budget", "soon"], "--budget"),
        (["--renders", "0"], "budget"),
        (["--renders", "1.5"], "--renders"),
        (["--candidates", "0"], "candidates"),
        (["--seed", "-1"], "seed"),
        (["--seed", str(2**63)], "seed"),
        (["--synth", "moog"], "voice"),
        (["--device", "abacus"], "cpu"),
        (["--bugdet", "1"], "--bugdet"),
        (["--bud", "1"], "--bud"),
    ],
)
def test_bad_option_is_named(capsys, tmp_path, options, named):
    code, out, err = run(capsys, "match", EXAMPLE, "--out", tmp_path, *options)
    assert (code, out) == (2, "")
    assert is_one_sentence(err)
    assert named in err


@pytest.mark.parametrize(
    "argv",
    [["mach"], [], ["match"], ["synths", "moog"], ["render"], ["render", "a", "--id", "1"], ["render", "--id=-1"]],
)
def test_bad_command(capsys, argv):
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert is_one_sentence(err)


def test_unwritable_output_is_told_before_the_search(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("unsynth.batch.match", pytest.fail)
    code, out, err = run(capsys, "match", EXAMPLE, "--out", tmp_path / "file" / "out")
    assert (code, out) == (6, "")
    assert is_one_sentence(err)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_without_permission(capsys, tmp_path):
    tmp_path.chmod(0o500)
    code, _, err = run(capsys, "match", EXAMPLE, "--out", tmp_path)
    assert code == 6
    assert is_one_sentence(err)


def test_full_disk(capsys, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    code, outcomes, err = matched(capsys, EXAMPLE, "--out", tmp_path)
    assert code == outcomes[0]["exit_code"] == 6
    assert "No space left" in err
    assert is_one_sentence(err)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text[:100], 7),
        (lambda text: text.replace('"voice"', '"moog"'), 7),
        (lambda text: re.sub(r'"spec": "\w+"', '"spec": "0123"', text), 7),
        (lambda text: text.replace("unsynth.patch/1", "unsynth.patch/2"), 7),
        (lambda text: "\udcff", 7),
        (None, 3),
    ],
    ids=["truncated", "other synth", "other version", "newer schema", "not text", "missing"],
)
def test_bad_patch(capsys, tmp_path, change, code):
    path = tmp_path / "patch.json"
    if change:
        path.write_text(change(patch_text()), errors="surrogateescape")
    found, out, err = run(capsys, "render", path, "--out", tmp_path / "a.wav")
    assert (found, out) == (code, "")
    assert is_one_sentence(err)
    assert str(path) in err


def patch_text():
    from unsynth.presets.patch import Patch, to_json

    spec = synth("voice").spec
    return to_json(Patch("voice", spec.hash, (0.5,) * len(spec), 1, -6.0, 1.0, {}, 1.0, 1, 0, "0"), spec)


def test_a_bad_target_does_not_stop_the_others(capsys, tmp_path):
    good = write(tmp_path / "good.wav", tone())
    code, outcomes, err = matched(capsys, missing(tmp_path), good, silence(tmp_path), "--out", tmp_path / "out")
    assert code == 8
    assert [outcome.get("exit_code") for outcome in outcomes] == [3, None, 5]
    assert (tmp_path / "out" / "good" / "report.html").is_file()
    assert len(err.splitlines()) == 4
    assert "2 of 3" in err.splitlines()[-1]
