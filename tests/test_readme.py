"""What README and the docs tell people to type exists; what they show in Python runs; every page has its place."""

import re
import runpy
import shlex
import tomllib
from inspect import Parameter, signature
from pathlib import Path

import pytest

from unsynth import cli
from unsynth.commands import arguments

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
TEXTS = {path.relative_to(ROOT): path.read_text() for path in PAGES}
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def blocks(language):
    """Pages, and blocks of theirs."""
    for page, text in TEXTS.items():
        for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield str(page), block


def commands():
    lines = (line for _, block in blocks("bash") for line in block.replace("\\\n", " ").splitlines())
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def mentioned():
    """Commands within sentences, perhaps without what they work on."""
    sentences = (FENCE.sub("", text) for text in TEXTS.values())
    return sorted({" ".join(words.split()) for text in sentences for words in re.findall(r"`unsynth\s([^`]+)`", text)})


def there(program, first, *rest):
    """Whether what is not a command of unsynth is there to be run."""
    if program == "make":
        return re.search(rf"^{first}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    if program == "pip":
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        return first == "install" and set(re.findall(r"\[(\w+)\]", " ".join(rest))) <= set(known)
    if program == "python":
        path = ROOT / (rest[0].replace(".", "/") if first == "-m" else first)
        return path.is_file() or path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
    if program == "ray":
        scripts = pytest.importorskip("ray.scripts.scripts", reason="needs Ray: pip install 'unsynth[ray]'")
        options = {option for param in scripts.cli.commands[first].params for option in param.opts}
        return {word for word in rest if word.startswith("--")} <= options
    return program == ".venv/bin/pre-commit"


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command(words):
    if "unsynth" in words:  # perhaps after torchrun or srun
        arguments.parse(words[words.index("unsynth") + 1 :], cli.COMMANDS)
    else:
        assert there(*words)


@pytest.mark.parametrize("text", mentioned())
def test_command_in_a_sentence(text):
    words = text.split()
    name = next(name for count in (2, 1) if (name := " ".join(words[:count])) in cli.COMMANDS)
    options = re.findall(r"--[\w-]+", arguments.parser(cli.COMMANDS[name]).format_help())
    assert set(re.findall(r"--[\w-]+", text)) <= set(options)


def test_there_are_commands_to_test():
    assert {"unsynth", "make", "pip", "python", "torchrun", "srun"} <= {words[0] for words in commands()}
    assert "match" in mentioned()


@pytest.mark.parametrize(
    ("page", "code"), list(blocks("python")), ids=lambda text: text if text.endswith(".md") else ""
)
def test_python_runs(page, code, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(re.sub(r"\bbudget=\d+", "budget=0.05", code), page, "exec"), {"__name__": page})
    assert all((tmp_path / folder / "report.html").is_file() for folder in re.findall(r'\.save\("(.*?)"\)', code))


def test_links_of_the_pages_lead_somewhere():
    for page, text in TEXTS.items():
        for link in re.findall(r"\]\(([^)#:]+)[#)]", FENCE.sub("", text)):
            assert (ROOT / page.parent / link).exists(), f"{page}: {link}"


def test_every_page_is_in_the_index():
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```", TEXTS[Path("docs/index.md")], re.MULTILINE | re.DOTALL)
    named = [line for tree in trees for line in tree.splitlines() if not line.startswith(":")]
    assert sorted(named) == sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")


def test_page_of_the_commands_has_every_option():
    page = runpy.run_path(str(DOCS / "conf.py"))["commands"]()
    for name, command in cli.COMMANDS.items():
        section = page.partition(f"\n## unsynth {name}\n")[2].partition("\n## ")[0]
        for parameter in signature(command).parameters.values():
            option = f"--{parameter.name.replace('_', '-')}"
            assert (option if parameter.kind is Parameter.KEYWORD_ONLY else parameter.name.upper()) in section


def test_the_plan_for_a_billion_sounds_is_from_todays_benchmark():
    quoted = re.findall(r"= (\d+)_(\d+) / 4", TEXTS[Path("docs/scaling.md")])
    assert len(quoted) == 2
    assert all(f"| {thousands},{rest} (" in (ROOT / "bench" / "RESULTS.md").read_text() for thousands, rest in quoted)
