"""The kernels as another processor or compiler builds them: NEON in an emulator, Clang; where those are installed.

On Debian: apt-get install g++-aarch64-linux-gnu qemu-user clang
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from unsynth.native import kernels
from unsynth.sounds.ids import params_of
from unsynth.synths import modules as m
from unsynth.synths.voice_torch import SPEC

SOUNDS = 4
FLAGS = ["-std=c++17", "-O2", "-ffp-contract=off"]
BUILDS = {
    "neon": (["aarch64-linux-gnu-g++", "-static"], ["qemu-aarch64"]),
    "clang-avx2": (["clang++", "-march=x86-64-v3"], []),
    "clang-baseline": (["clang++"], []),
}


@pytest.mark.skipif(not kernels, reason="built without native kernels")
@pytest.mark.parametrize("build", BUILDS)
def test_same_sounds_to_the_last_bits(build, tmp_path):
    compiler, runner = BUILDS[build]
    for tool in (compiler[0], *runner):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    program, given, made = (tmp_path / name for name in ("program", "given", "made"))
    source = Path(__file__).with_name("elsewhere.cpp")
    subprocess.run([*compiler, *FLAGS, "-Wno-psabi", source, "-o", program], check=True)

    human = SPEC.to_human(params_of(torch.arange(SOUNDS), SPEC)).contiguous()
    human[:, SPEC.index("mixer.noise")] = 0
    angles, expected = torch.empty(SOUNDS, 2, kernels.voice_frames), torch.empty(SOUNDS, m.SAMPLES)
    kernels.voice_angles(human.numpy(), angles.numpy(), 1)
    cosines = torch.cos(angles + m.PI)
    noise = np.zeros(SOUNDS, np.int64)
    kernels.voice_render(human.numpy(), angles.numpy(), cosines.numpy(), noise, expected.numpy(), 1)
    given.write_bytes(b"".join(x.numpy().tobytes() for x in (human, angles, cosines)))
    subprocess.run([*runner, program, str(SOUNDS), given, made], check=True, timeout=120)
    np.testing.assert_allclose(np.fromfile(made, np.float32), expected.flatten().numpy(), rtol=0, atol=1e-6)
