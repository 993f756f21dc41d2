"""What the tests of the command line share."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from unsynth import cli

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
