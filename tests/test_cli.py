"""The command line: every mistake gets one sentence and its own exit code, and stdout holds nothing but the answer."""

import errno
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from unsynth import audio, cli
from unsynth.errors import UnsynthError
from unsynth.synths import synth

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "drum_snare_hard.flac"
RATE = 44_100
FAST = ["--renders", "1", "--candidates", "1"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def tone(seconds=0.2, rate=RATE, channels=1):
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1)


def write(path, samples, rate=RATE, **options):
    path.parent.mkdir(exist_ok=True, parents=True)
    soundfile.write(path, samples, rate, **options)
    return str(path)


def run(capsys, *argv):
    """Exit code, stdout and stderr of the command line, in this process."""
    code = cli.main([str(word) for word in argv])
    out, err = capsys.readouterr()
    return code, out, err


def matched(capsys, *argv):
    code, out, err = run(capsys, "match", *argv, *FAST, "--json")
    return code, [json.loads(line) for line in out.splitlines()], err


def is_one_sentence(err):
    return re.fullmatch(r"unsynth: [^\n]+[.!]\n", err) and "Traceback" not in err


def process(*argv, **options):
    command = [sys.executable, "-m", "unsynth", *map(str, argv)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    return subprocess.Popen(command, **{**pipes, **options})


# bad input


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


# good input


@pytest.mark.parametrize("rate", [8_000, 192_000])
def test_odd_rates_and_eight_channels(capsys, tmp_path, rate):
    path = write(tmp_path / "a.wav", tone(rate=rate, channels=8), rate, subtype="DOUBLE")
    code, (outcome,), err = matched(capsys, path, "--out", tmp_path / "out")
    assert code == 0
    assert len(err.splitlines()) == 1
    assert set(outcome["metrics"]) == {"MSS", "wMFCC", "SOT", "RMS"}
    assert soundfile.info(tmp_path / "out" / "a" / "match.wav").samplerate == RATE


def test_two_hours_are_matched_by_their_beginning(capsys, tmp_path):
    path, rate = tmp_path / "long.au", 8_000
    with path.open("wb") as file:  # AU header (linear 16 bits, mono, length unknown), the sound, and a hole
        file.write(struct.pack(">4s5I", b".snd", 24, 0xFFFFFFFF, 3, rate, 1))
        file.write((tone(rate=rate) * 32_767).astype(">i2").tobytes())
        file.truncate(24 + 2 * rate * 7_200)
    assert matched(capsys, path, "--out", tmp_path)[0] == 0


def test_match_writes_what_it_says_and_render_plays_the_patch(capsys, tmp_path):
    code, out, _ = run(capsys, "match", EXAMPLE, "--out", tmp_path, "--renders", "3", "--candidates", "2", "--json")
    folder = tmp_path / "drum_snare_hard"
    assert code == 0
    assert json.loads(out)["folder"] == str(folder)
    names = {"match.wav", "patch.json", "candidate-2.wav", "candidate-2.json", "report.html", "result.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert run(capsys, "render", folder / "patch.json", "--out", tmp_path / "again.wav")[0] == 0
    first, again = soundfile.read(folder / "match.wav")[0], soundfile.read(tmp_path / "again.wav")[0]
    np.testing.assert_allclose(first, again, atol=1e-4)


def test_render_of_an_id_is_the_sound_of_the_id(capsys, tmp_path, monkeypatch):
    from unsynth.sounds.ids import params_of

    monkeypatch.chdir(tmp_path)
    assert run(capsys, "render", "--id", "7")[:2] == (0, "id-7.wav\n")
    voice, row = synth("voice"), torch.tensor([7])
    expected = voice.render(params_of(row, voice.spec), row)[0].numpy()
    np.testing.assert_allclose(soundfile.read("id-7.wav")[0], expected, atol=1e-6)


def test_resume_skips_what_is_done_and_only_that(capsys, tmp_path):
    sound = write(tmp_path / "a.wav", tone())
    out = ["--out", tmp_path / "out"]
    assert not matched(capsys, sound, *out)[1][0]["resumed"]
    assert matched(capsys, sound, *out)[1][0]["resumed"]
    assert not matched(capsys, sound, *out, "--seed", "1")[1][0]["resumed"]
    (tmp_path / "out" / "a" / "report.html").unlink()
    assert not matched(capsys, sound, *out, "--seed", "1")[1][0]["resumed"]
    write(tmp_path / "a.wav", tone(0.3))
    assert not matched(capsys, sound, *out, "--seed", "1")[1][0]["resumed"]


def test_fewer_candidates_leave_none_of_the_old(capsys, tmp_path):
    sound = write(tmp_path / "a.wav", tone())
    for candidates in ("3", "2"):
        run(capsys, "match", sound, "--out", tmp_path, "--renders", "4", "--candidates", candidates)
    assert sorted(path.name for path in (tmp_path / "a").glob("candidate-*.wav")) == ["candidate-2.wav"]


def test_sounds_of_one_name_do_not_overwrite_one_another(capsys, tmp_path):
    places = ("x/kick.wav", "x/kick.flac", "y/kick.wav", "y/...wav")
    sounds = [write(tmp_path / place, tone(), format=place[-4:].strip(".")) for place in places]
    out = tmp_path / "out"
    (out / "kick-2").mkdir(parents=True)
    (out / "kick-2" / "mine.txt").write_text("not to be touched")
    code, outcomes, _ = matched(capsys, tmp_path / "x", *sounds[2:], "--out", out)
    assert code == 0
    assert [Path(o["folder"]).name for o in outcomes] == ["kick", "kick-3", "kick-4", "sound"]
    again = matched(capsys, *sounds[2:], tmp_path / "x", "--out", out)[1]
    assert {o["target"]: o["folder"] for o in again} == {o["target"]: o["folder"] for o in outcomes}
    assert [path.name for path in (out / "kick-2").iterdir()] == ["mine.txt"]


def test_same_seed_and_renders_give_the_same_patch(capsys, tmp_path):
    texts = []
    for name in ("one", "two"):
        run(capsys, "match", EXAMPLE, "--out", tmp_path / name, "--renders", "8", "--seed", "5")
        fields = json.loads((tmp_path / name / "drum_snare_hard" / "patch.json").read_text())
        del fields["seconds"]
        texts.append(fields)
    assert texts[0] == texts[1]


def test_ctrl_c_while_saving_still_saves(capsys, tmp_path, monkeypatch):
    times = iter([KeyboardInterrupt])
    real = audio.write

    def interrupted(*args):
        for stop in times:
            raise stop
        real(*args)

    monkeypatch.setattr(audio, "write", interrupted)
    code, (outcome, *rest), _ = matched(capsys, EXAMPLE, ROOT / "examples", "--out", tmp_path)
    assert (code, rest, outcome["interrupted"]) == (130, [], True)
    assert (tmp_path / "drum_snare_hard" / "report.html").is_file()


def test_synths_lists_every_parameter(capsys):
    assert run(capsys, "synths")[1].startswith("voice ")
    lines = run(capsys, "synths", "voice")[1].splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(synth("voice").spec.names)


def test_doctor_says_what_is_in_use_and_mends_what_is_missing(capsys, monkeypatch):
    monkeypatch.setattr("unsynth.native.kernels", None)
    facts = json.loads(run(capsys, "doctor", "--json")[1])
    assert facts["voice_backends"][-1] == "torch"
    assert "native" not in facts["voice_backends"]
    assert "native" in [missing["what"] for missing in facts["missing"]]
    assert "compiler" in run(capsys, "doctor")[1]


# a process of its own


def test_help_does_not_wait_for_torch():
    code = "import sys; from unsynth.cli import main\ntry: main(['--help'])\nfinally: assert 'torch' not in sys.modules"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    assert time.perf_counter() - began < 2


def test_every_command_has_help(capsys):
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            cli.main([name, "--help"])
        assert "  --help" in capsys.readouterr().out.replace("-h, --help", "  --help")


def test_ctrl_c_writes_the_best_so_far(tmp_path):
    with process("match", EXAMPLE, ROOT / "examples", "--budget", "100", "--out", tmp_path, "--json") as running:
        assert running.stderr.readline().startswith(str(EXAMPLE))  # the first line of progress
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert json.loads(out)["interrupted"]
    assert "Traceback" not in err
    assert (tmp_path / "drum_snare_hard" / "report.html").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["drum_snare_hard"]


def test_closed_pipe_is_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    with process("synths", "voice", stdout=writer) as running:
        os.close(writer)
        assert running.stderr.read() == ""
    assert running.returncode == 141


# documentation


def errors():
    return {error.exit_code: error for error in UnsynthError.__subclasses__()}


def test_exit_codes_are_documented():
    table = (ROOT / "docs" / "exit-codes.md").read_text()
    rows = {int(code): text.strip() for code, text in re.findall(r"^\| (\d+) \|(.*)\|$", table, re.MULTILINE)}
    assert set(rows) == {0, 1, *errors(), cli.INTERRUPTED, cli.BROKEN_PIPE}
    assert len(errors()) == len(UnsynthError.__subclasses__())
    assert all(f"`{error.__name__}`" in rows[code] for code, error in errors().items())
