"""Recipes: the YAML alone, and the whole way with every option checked and the model built."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from random import Random

from bench.fuzz.damage import DEEP, WORDS, Text, damaged, encoded
from bench.fuzz.trial import ROOT, Target
from unsynth import recipe

SEEDS = ("tiny-vicreg", "tiny-transformer", "dexed-small", "study")
YAML = re.compile(r"[\w./-]+:?|\n +|\n|[{}\[\],:]")
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(c + 1)}: &{chr(c + 1)} [{', '.join(['*' + chr(c)] * 9)}]\n" for c in range(ord("a"), ord("j"))
)
TAGS = (
    "!!python/object/apply:os.system [echo]",
    "!!python/name:os.system",
    "!!python/module:canary",
    "!!binary aGk=",
    "!x y",
)
FOREIGN = ("canary.Canary", "os.system", "{class_path: canary.Canary}", '"{class_path: \\"canary\\\\x2eCanary\\"}"')
MORE = (
    *TAGS, *FOREIGN, *(f"objective: {name}" for name in FOREIGN), "&a", "*a", "&a [*a]", "<<: *a", "<<: {steps: 3}",
    "? [a]",
    BOMB, "2024-99-99", "0x" + "f" * 4000, "1:99:99", "0o9", "1_000", "...", "---", "%YAML 9.9", "\t", "\0", ".",
    ".nan", "-.inf",
    "- " * 500, "{" * DEEP, "a: " * 500, "synth: plugin:/tmp/x.vst3", "unsynth.cli.main",
    "unsynth.objectives.joint.Joint",
    "torch.optim.Adam", "class_path", "init_args:", "folder: /etc", "null", "~", "''", "'", '"',
)  # fmt: skip


def yamls(folder: Path) -> Target:
    texts = [Text((ROOT / "recipes" / f"{name}.yaml").read_text()[:1500], (*WORDS, *MORE), YAML) for name in SEEDS]
    path = folder / "recipe.yaml"

    def give(data: bytes) -> None:
        path.write_bytes(data)
        recipe.load(path)

    return Target("yaml", partial(_yaml, texts), give)


def _yaml(texts: list[Text], rng: Random) -> bytes:
    if rng.random() < 0.02:
        return BOMB.encode()
    data = encoded(rng, rng.choice(texts).damaged(rng))
    return damaged(rng, data) if rng.random() < 0.1 else data


def recipes(folder: Path) -> Target:
    """A file and settings, as ``unsynth pretrain`` takes them; what they make is not trained."""
    texts = [Text((ROOT / "recipes" / f"{name}.yaml").read_text(), (*WORDS, *MORE), YAML) for name in SEEDS[:2]]
    path = folder / "recipe.yaml"

    def make(rng: Random) -> tuple[bytes, list[str]]:
        whole = rng.random() < 0.3
        data = texts[0].text.encode() if whole else _yaml(texts, rng)
        count = rng.randint(1, 2) if whole else rng.choice((0, 0, 0, 1))
        return data, [_setting(rng) for _ in range(count)]

    def give(made: tuple[bytes, list[str]]) -> None:
        path.write_bytes(made[0])
        recipe.read(path, [setting.encode(errors="replace").decode() for setting in made[1]])

    return Target("recipe", make, give)


def _setting(rng: Random) -> str:
    names = (
        "objective",
        "optimizer",
        "sounds",
        "synth",
        "batch",
        "steps",
        "schedule",
        "objective.audio",
        "start",
        "precision",
    )
    inner = ("", ".dim", ".lr", ".class_path", ".init_args", ".widths", "..", ".__class__", "+")
    typed = set(MORE) - {*FOREIGN, BOMB}  # who types a setting may name a class of their own, and does not expand texts
    word = rng.choice([word for word in (*WORDS, *sorted(typed)) if len(word) < 6000])
    return f"{rng.choice(names)}{rng.choice(inner)}{rng.choice(('=', '=', '=', ''))}{word}"


TARGETS = {"yaml": yamls, "recipe": recipes}
