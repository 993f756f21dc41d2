"""The triton backend against the torch backend: in triton's interpreter everywhere, on a GPU where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from unsynth.base import UsageError
from unsynth.sounds.ids import params_of, uniforms
from unsynth.synths import modules as m
from unsynth.synths.voice import SPEC, Voice
from unsynth.synths.voice_torch import audio, control

TRITON = tuple(int(part) for part in version("triton").split(".")[:2]) if find_spec("triton") else (0, 0)
needs_triton = pytest.mark.skipif(TRITON == (0, 0), reason="triton is not installed")
needs_interpreter = pytest.mark.skipif(TRITON < (3, 9), reason="no triton, or its interpreter rounds fma twice (< 3.9)")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")

BATCH = 32  # of the reference: torch's vector functions and its scalar ones differ, and 32 rows leave no remainder
SOUNDS = 4
SEEDS = [0, 1, 31, 5489, 999_999_999, 2**31, 2**32 - 1, 2**32 + 5, 2**40 + 7]
POINTS = 1 << 17
KINDS = {"f": "*fp32", "d": "*fp64", "i": "*i32", "l": "*i64", "n": "i32"}
AUDIO, CONTROL = {"CHUNKS": 173, "CHUNK": 1024}, {"CHUNKS": 7, "CHUNK": 256}


@pytest.fixture(scope="module")
def given() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    share = torch.rand(3, POINTS, generator=draw)
    share[0, :4] = torch.tensor([0.0, 1e-12, 1.0, 1 - 2**-24])
    return {
        "ids": torch.arange(SOUNDS),
        "many": torch.arange(256),
        "seeds": torch.tensor(SEEDS),
        "base": share[0],
        "exponent": share[1] * 6 + 0.1,
        "octaves": share[2] * 200 - 100,
        "angle": share[2] ** 4 * 3.2e5,
    }


@pytest.fixture(scope="module")
def interpreted(given, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("triton")
    source, target = folder / "given.pt", folder / "result.pt"
    torch.save(given, source)
    script = Path(__file__).with_name("triton_interpreted.py")
    env = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, str(script), str(source), str(target)], env=env, check=True)
    return torch.load(target)


def reference(count: int) -> torch.Tensor:
    """The first ``count`` sounds, of control signals that were computed in a batch without remainder."""
    ids = torch.arange(max(count, BATCH))
    signals, scalars = control(params_of(ids, SPEC))
    parts = zip(*(x[:count].split(BATCH) for x in (signals, scalars, m.noise_rows()[ids % BATCH])), strict=True)
    return torch.cat([audio(*part) for part in parts])


@needs_interpreter
def test_sounds_are_those_of_the_torch_backend(interpreted):
    assert (interpreted["exact"] - reference(SOUNDS)).abs().max() < 1e-6


@needs_interpreter
def test_random_numbers_are_those_of_torch(interpreted, given):
    assert torch.equal(interpreted["uniforms"], uniforms(given["seeds"], len(SPEC)))


@needs_interpreter
def test_functions_on_the_way_to_a_phase_equal_those_of_torch_bit_by_bit(interpreted, given):
    assert torch.equal(interpreted["pow"][0], torch.pow(given["base"], given["exponent"]))
    assert torch.equal(interpreted["exp2"][0], torch.exp2(given["octaves"]))
    assert torch.equal(interpreted["divide"][0], given["angle"] / m.RATE)


@needs_interpreter
def test_human_units_differ_in_the_last_bit_of_a_few_logarithms_only(interpreted, given):
    expected = SPEC.to_human(params_of(given["many"], SPEC))
    heard = expected.abs() > 1e-30
    difference = ((interpreted["human"] - expected).abs() / expected.abs())[heard]
    assert (difference > 0).float().mean() < 0.002
    assert difference.max() < 1e-5


@needs_interpreter
def test_waves_are_within_two_parts_in_ten_million(interpreted, given):
    angle = given["angle"].double()
    for ours, exact in zip(interpreted["waves"], (angle.sin(), angle.cos(), (angle / 2).tanh()), strict=True):
        assert (ours - exact).abs().max() < 2e-7


@needs_triton
def test_kernels_compile_for_nvidia_without_contracted_operations():
    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("triton is interpreted")
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from unsynth.sounds import ids_triton
    from unsynth.synths import triton_control, triton_math, voice_triton

    for kernel, kinds, sizes in (
        (triton_control.curves_kernel, "ffffff", {"WIDTH": 128}),
        (triton_control.lfo_steps_kernel, "ff", CONTROL),
        (triton_control.control_kernel, "ffffi", CONTROL),
        (voice_triton.sums_kernel, "ffid", AUDIO),
        (voice_triton.audio_kernel, "ffidflff", AUDIO),
        (voice_triton.limit_kernel, "ff", AUDIO),
        (ids_triton.uniforms_kernel, "lfnn", {"BLOCK": 128}),
    ):
        types = dict(zip(kernel.arg_names, [KINDS[k] for k in kinds], strict=False)) | dict.fromkeys(sizes, "constexpr")
        source = ASTSource(kernel, types, sizes)
        code = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=triton_math.OPTIONS).asm["ptx"]
        assert "mul.f32" not in code, kernel  # mul.rn.f32 may not be contracted, mul.f32 may


def test_voice_without_gpu_refuses_triton():
    if torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("triton can run here")
    with pytest.raises(UsageError, match="triton"):
        Voice(backend="triton")


@needs_triton
@needs_gpu
def test_gpu_sounds_are_those_of_the_torch_backend():
    from unsynth.synths.voice_triton import render_triton

    ids = torch.arange(1024)
    params = params_of(ids.cuda(), SPEC)
    assert torch.equal(params.cpu(), params_of(ids, SPEC))
    expected = reference(len(ids))
    assert (render_triton(params, ids, exact=True).cpu() - expected).abs().max() < 1e-4
    fast = (Voice().render(params, ids).cpu() - expected).abs().amax(-1)
    assert fast.quantile(0.7) < 1e-4
    assert fast.max() < 0.05


@needs_triton
@needs_gpu
def test_gpu_renders_with_gradient_by_torch():
    params = params_of(torch.arange(2).cuda(), SPEC).requires_grad_()
    assert Voice().resolve(params) == "torch"
    assert Voice().resolve(params.detach()) == "triton"
