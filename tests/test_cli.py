"""The command line on good input: stdout holds the answer, and nothing else."""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from commands import EXAMPLE, FAST, RATE, ROOT, is_one_sentence, matched, one_thread, process, run, tone, write  # noqa: F401

from unsynth import audio, cli, errors as errors_module
from unsynth.errors import UnsynthError
from unsynth.search.embedding import feature_of
from unsynth.search.index import best_index
from unsynth.synths import synth


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
    names = {"match.wav", "patch.json", "candidate-2.wav", "candidate-2.json"}
    names |= {"report.html", "result.json", "preview.png"}
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


def doctor(capsys):
    code, out, err = run(capsys, "doctor", "--json")
    facts = json.loads(out)
    return code, facts, {lack["what"]: lack for lack in facts["missing"]}, err


def test_doctor_finds_nothing_wrong_with_what_the_tests_run_in(capsys):
    code, facts, missing, _ = doctor(capsys)
    lacking = [what for what, lack in missing.items() if lack["needed"]]
    assert (code, lacking) == ((0, []) if facts["voice_backends"] != ["torch"] else (12, ["native"]))
    assert set(facts) >= {"torch", "threads", "audio_formats", "index", "space", "gpu"}


def test_doctor_says_what_is_in_use_and_mends_what_is_missing(capsys, monkeypatch):
    monkeypatch.setattr("unsynth.native.kernels", None)
    code, facts, missing, err = doctor(capsys)
    assert facts["voice_backends"][-1] == "torch"
    assert "native" not in facts["voice_backends"]
    assert missing["native"]["needed"]
    assert code == 12
    assert "lacks native" in err
    assert is_one_sentence(err)
    assert "compiler" in run(capsys, "doctor")[1]


def test_doctor_sees_weights_that_are_damaged(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path))
    name = Path(doctor(capsys)[1]["index"]).name
    for what, file in (("index", name), ("space", "voice-space.safetensors")):
        own = tmp_path / file
        own.write_bytes(b"half a file")
        code, facts, missing, _ = doctor(capsys)
        assert (code, facts[what]) == (12, str(own))
        assert missing[what]["fix"] == f"rm '{own}'"


def test_doctor_looks_for_every_extra(capsys, monkeypatch):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    monkeypatch.setattr("unsynth.doctor._version", lambda package: None)
    _, facts, missing, _ = doctor(capsys)
    assert set(extras) - {"dev", "docs"} <= set(missing)
    assert all(facts[extra] is None for extra in extras if extra not in ("dev", "docs", "surge"))
    assert missing["web"]["fix"] == "pip install 'unsynth[web]'"
    assert not missing["web"]["needed"]


# a process of its own


def cpu_seconds(code, tries=3):
    """Of the fastest of some processes until ``code`` ends or calls ``end``; what other processes do counts little."""
    program = f"import sys, time\ndef end(*_): print(time.process_time(), file=sys.stderr); sys.exit()\n{code}\nend()"
    command = [sys.executable, "-c", program]
    told = (subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True) for _ in range(tries))
    return min(float(done.stderr.split()[-1]) for done in told)


def test_import_and_help_are_there_at_once():
    nothing, without = cpu_seconds("pass"), "assert 'torch' not in sys.modules"
    assert cpu_seconds(f"import unsynth; {without}") - nothing < 0.3
    shown = f"from unsynth.cli import main\ntry: main(['--help'])\nexcept SystemExit: {without}"
    assert cpu_seconds(shown) - nothing < 0.5


def test_the_first_candidates_are_there_in_seconds():
    """2.5 s of computing from nothing, half of it torch's import; the target is 3; other machines get twice that."""
    code = "import unsynth; unsynth.match('examples/bd_boom.flac', on_progress=end)"
    assert cpu_seconds(code, tries=1) < 6


def test_every_command_has_help(capsys):
    for name in (*cli.COMMANDS, "index"):
        with pytest.raises(SystemExit, match="0"):
            cli.main([*name.split(), "--help"])
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
    """The errors of the table, by exit code; those derived from one of them may share its code."""
    told = [
        error for error in vars(errors_module).values() if isinstance(error, type) and issubclass(error, UnsynthError)
    ]
    return {error.exit_code: error for error in told if error is not UnsynthError}


def test_exit_codes_are_documented():
    table = (ROOT / "docs" / "exit-codes.md").read_text()
    rows = {int(code): text.strip() for code, text in re.findall(r"^\| (\d+) \|(.*)\|$", table, re.MULTILINE)}
    assert set(rows) == {0, 1, *errors(), cli.INTERRUPTED, cli.BROKEN_PIPE}
    assert len(errors()) == len([e for e in vars(errors_module).values() if isinstance(e, type)]) - 1
    assert all(f"`{error.__name__}`" in rows[code] for code, error in errors().items())


# index and evaluate


def test_index_command_builds_where_searches_look(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("unsynth.search.index.FITTED_ON", 128)
    code, out, _ = run(capsys, "index", "build", "--count", "64")
    assert code == 0
    voice = synth("voice")
    assert Path(out.strip()) == tmp_path / "data" / f"voice-{feature_of(voice).name}.safetensors"
    assert len(best_index(voice, feature_of(voice)).codes) == 64
    assert matched(capsys, EXAMPLE, "--out", tmp_path / "out", *FAST)[0] == 0
    for argv in (["index"], ["index", "drop"], ["index", "build", "--count", "0"]):
        assert run(capsys, *argv)[0] == 2


def test_evaluate_prints_a_table(capsys, tmp_path):
    out = tmp_path / "rows.jsonl"
    options = ["--targets", "1", "--start", "100000", "--renders", "20", "--arms", "oracle,random", "--out", out]
    code, table, _ = run(capsys, "evaluate", *options)
    assert code == 0
    assert table.startswith("| arm | targets | MSS")
    assert len(out.read_text().splitlines()) == 3
    assert run(capsys, "evaluate", "--arms", "magic", "--renders", "5", "--out", out)[0] == 2
