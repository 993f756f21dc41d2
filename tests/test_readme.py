"""What README tells people to type exists."""

import ast
import re
import shlex
from pathlib import Path

import pytest

import unsynth
from unsynth import cli
from unsynth.commands import arguments

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "CONTRIBUTING.md")


def blocks(language):
    for page in PAGES:
        yield from re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def commands():
    lines = (line for block in blocks("bash") for line in block.splitlines())
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command(words):
    program, *rest = words
    if program == "unsynth":
        arguments.parse(rest, cli.COMMANDS)
    elif program == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    else:
        assert program == ".venv/bin/pre-commit"


def test_there_are_commands_to_test():
    assert {"unsynth", "make"} <= {words[0] for words in commands()}


def test_python_example_uses_what_exists():
    (code,) = blocks("python")
    used = {
        n.attr for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "unsynth"
    }
    assert used == {"match", "render"}
    assert all(callable(getattr(unsynth, name)) for name in used)


def test_python_example_runs(tmp_path, monkeypatch):
    (code,) = blocks("python")
    assert "budget=5)" in code
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("budget=5)", "budget=0.05)"), "README.md", "exec"), {})
    assert (tmp_path / "matched" / "bd_boom" / "report.html").is_file()


def test_links_of_the_pages_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
            assert (ROOT / link).exists(), f"{page}: {link}"
