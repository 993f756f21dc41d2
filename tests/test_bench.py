"""The benchmarks run, compare fairly and write their tables; with tiny sizes, and a stand-in for torchsynth."""

import shutil

import pytest

from bench import latency, roofline
from bench.__main__ import SECTIONS, report
from bench.machine import cpu
from bench.reference import VARIABLE, references
from bench.replay import independent, is_arithmetic
from bench.timing import Plan, interleaved, ratios, short, spread, table
from unsynth.base import NotFoundError
from unsynth.native import instruction_sets

TINY = Plan(rounds=1, at_least=0.0, batches=(2,), threaded=2, gradient=2, sounds=2, starts=1)
HALF_A_SECOND = "#!/bin/sh\nwhile read question; do echo 0.5; done\n"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    def install(script):
        path = tmp_path / "python"
        path.write_text(script)
        path.chmod(0o755)
        monkeypatch.setenv(VARIABLE, str(path))

    return install


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(latency, "STARTS", {"`python -c pass`": ["-c", "pass"]})
    sections = [section for section in SECTIONS if section is not roofline.roofline]
    return lambda found: report(TINY, found, "python -m bench", sections)


def tables(text):
    blocks = (block.splitlines() for block in text.split("\n\n"))
    return [lines for lines in blocks if lines and lines[0].startswith("|")]


def test_report_has_a_table_for_every_section(small):
    with references(wanted=False) as found:
        text = small(found)
    _, *parts = text.split("\n## ")
    assert len(parts) == len(SECTIONS) - 1
    assert all(len(tables(part)) == 1 or part.startswith("Renderer on two") for part in parts)
    assert all(len({line.count("|") for line in lines}) == 1 for lines in tables(text))
    assert "processor" in text
    assert "torchsynth, " not in text.partition("\n## ")[2]


def test_report_compares_with_torchsynth(small, stand_in):
    stand_in(HALF_A_SECOND)
    with references() as found:
        text = small(found)
    speed, ratio = tables(text.partition("## Renderer on one core")[2])[:2]
    assert sum("torchsynth" in line and "| 16.0 (16.0–16.0) |" in line for line in speed) == 2
    assert ratio[0].count("torchsynth") == 2
    assert len(ratio) == 2 + len(instruction_sets()) + 1
    assert "| torchsynth, as shipped | 250,000 (250,000–250,000) | 100 (100–100) |" in text


def test_torchsynth_that_does_not_run_is_a_clear_error(stand_in):
    stand_in("#!/bin/sh\nread question\n")
    with references() as found, pytest.raises(NotFoundError, match=VARIABLE):
        found["torchsynth, as shipped"].measure("render", 32, 0.0)(0)


def test_turns_alternate_in_order_after_a_warm_up():
    turns = []
    contestants = {name: lambda turn, name=name: turns.append(name + str(turn)) or len(turns) for name in "ab"}
    assert interleaved(contestants, 2) == {"a": [4, 5], "b": [3, 6]}
    assert turns == ["a0", "b0", "b0", "a0", "a1", "b1"]


def test_numbers_are_short_and_ratios_pairwise():
    assert [short(x) for x in (12345.6, 999.0, 25.04, 1.0, 0.01234)] == ["12,346", "999", "25.0", "1.00", "0.0123"]
    assert ratios([1, 4, 9], [1, 2, 3]) == [1, 2, 3]
    assert spread([9.0, 1.0, 2.0]) == "2.00 (1.00–9.00)"
    assert table(["", "x"], [["a", "1"]]) == "|  | x |\n| --- | ---: |\n| a | 1 |"


def test_processor_is_named(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: Fast 9000\ncpu family\t: 6\nmodel\t\t: 7\n\nmodel name\t: other\n")
    assert cpu(info) == "Fast 9000 (family 6, model 7)"


def test_replayed_instructions_wait_for_nothing():
    traced = [
        "vfmadd213ps 0x40(%rsp){1to16},%zmm3,%zmm3",
        "vcvtsi2ss %r9d,%xmm2,%xmm2",
        "vblendmps %zmm1,%zmm2,%zmm1{%k3}",
    ]
    first, second, third = independent(traced)
    assert first == " vfmadd213ps ones(%rip){1to16},%zmm15,%zmm0"
    assert second == " vcvtsi2ss %eax,%xmm14,%xmm1"
    assert third == " vblendmps %zmm13,%zmm14,%zmm2{%k7}"
    moves = ["vmovaps %zmm1,(%rax)", "vbroadcastss 0x4(%rax),%zmm1", "mov %rax,%rdx"]
    assert [is_arithmetic(text) for text in [*traced, *moves]] == [True] * 3 + [False] * 3


@pytest.mark.skipif(
    not (shutil.which("objdump") and shutil.which("cc") and "avx2" in instruction_sets()),
    reason="needs objdump, cc and AVX2",
)
def test_kernel_is_slower_than_its_arithmetic(monkeypatch):
    monkeypatch.setattr(roofline, "instruction_sets", lambda: ["avx2"])
    text = roofline.roofline(Plan(rounds=3, at_least=0.01), {})
    if "right to trace" in text:
        pytest.skip(text)
    cells = [
        cell.split(" ")[0].replace(",", "")
        for cell in text.splitlines()[-1].split("|")[2:-1]
        for cell in [cell.strip()]
    ]
    instructions, limit, kernel, percent, *_ = map(float, cells)
    assert 150 < instructions < 600
    assert limit > kernel
    assert 10 < percent < 100
