"""What a release has: built as for a registry, installed into a new environment, used outside of this folder."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parent.parent
TRIES = 5
LEFT_OUT = {"results", ".ci", ".venv", "build", "out", "runs", "shared"}
pytestmark = pytest.mark.package


def run(folder, *command, code=0):
    """Its stdout; with nothing from the environment that would let it find this folder."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = mine | {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "UNSYNTH_DATA": str(folder / "data")}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    assert done.returncode == code
    return done.stdout


@pytest.fixture(scope="module")
def place():
    with TemporaryDirectory() as folder:  # gone at once: what is installed takes a gigabyte
        yield Path(folder)


@pytest.fixture(scope="module")
def built(place):
    """The wheel, which is made of the sdist, and the sdist."""
    run(place, sys.executable, "-m", "build", "--outdir", place / "dist", ROOT)
    (wheel,), (sdist,) = place.glob("dist/*.whl"), place.glob("dist/*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def programs(place, built):
    run(place, sys.executable, "-m", "venv", place / "venv")
    run(place, place / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", built[0])
    return place / "venv" / "bin"


def fastest(place, *command):
    """Seconds of the best of some tries; the first ones compile and fill the cache."""
    seconds = []
    for _ in range(TRIES):
        began = time.perf_counter()
        run(place, *command)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def test_wheel_has_every_file_of_the_package(built):
    ours = (path for path in (ROOT / "unsynth").rglob("*") if path.is_file() and path.suffix not in (".pyc", ".so"))
    assert {path.relative_to(ROOT).as_posix() for path in ours} <= set(zipfile.ZipFile(built[0]).namelist())


def test_sdist_has_the_sources_alone(built):
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "LICENSE", "NOTICE", "native/module.cpp", "tests/test_package.py"} <= names
    assert not {name.partition("/")[0] for name in names} & LEFT_OUT


def test_starts_fast(place, programs):
    assert fastest(place, programs / "python", "-c", "import unsynth") < 0.3
    assert fastest(place, programs / "unsynth", "--help") < 0.5


def test_doctor_finds_only_extras_missing(place, programs):
    compiled = bool(shutil.which("c++"))
    facts = json.loads(run(place, programs / "unsynth", "doctor", "--json", code=0 if compiled else 12))
    assert Path(facts["space"]).is_relative_to(place)
    assert ("native" in facts["voice_backends"]) == compiled
    assert {lack["what"] for lack in facts["missing"] if lack["needed"]} == (set() if compiled else {"native"})


def test_matches_a_sound(place, programs):
    shutil.copy(ROOT / "examples" / "bd_boom.flac", place)
    told = json.loads(run(place, programs / "unsynth", "match", "bd_boom.flac", "--budget", "0.5", "--json"))
    assert told["renders"] > 0
    assert (place / "out" / "bd_boom" / "report.html").is_file()
