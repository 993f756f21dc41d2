"""Imports go one way: a module imports its own row of DESIGN.md's table or rows above it, never below."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "unsynth"
ROWS = (
    "errors native folders",
    "params contract",
    "base audio distributed",
    "synths frontends distances pitch",
    "crew tracking",
    "sounds encoders presets optimizers checkpoint foreign",
    "recipe",
    "space",
    "objectives estimators search",
    "trainer",
    "train report candidates",
    "match calibration scores",
    "batch targets evaluate doctor check diff",
    "study benchmark",
    "web",
    "commands",
    "cli",
    "__main__",
)
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row.split()}


def part(module):
    """``synths`` for ``unsynth.synths.voice``; empty for the package itself."""
    return module.partition(".")[2].split(".")[0]


def imported(tree):
    """The parts of unsynth that a module imports anywhere, but for what only a type checker reads."""
    checked = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    unread = {inner for block in checked for inner in ast.walk(block)}
    for node in (node for node in ast.walk(tree) if node not in unread):
        if isinstance(node, ast.Import):
            yield from (part(alias.name) for alias in node.names if alias.name.split(".")[0] == "unsynth")
        elif isinstance(node, ast.ImportFrom) and node.module == "unsynth":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unsynth."):
            yield part(node.module)


def edges():
    for path in sorted(PACKAGE.rglob("*.py")):
        importer = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if importer != "__init__":
            yield from ((importer, to) for to in imported(ast.parse(path.read_text())) if to not in ("", "__version__"))


def test_imports_go_one_way():
    found = [edge for edge in edges() if edge[1] != "_native"]
    assert len(found) > 30
    assert [edge for edge in found if RANK[edge[1]] > RANK[edge[0]]] == []


def test_there_are_no_relative_imports():
    trees = [ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")]
    assert not [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]


def test_the_rule_sees_an_arrow_the_wrong_way():
    assert list(imported(ast.parse("from unsynth import cli\nimport unsynth.web\nfrom unsynth.web.x import y"))) == [
        "cli",
        "web",
        "web",
    ]
