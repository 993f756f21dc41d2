"""What `make docs` builds the pages with. The page of the commands is made of their own help.

The gallery's page has HTML of its own, so its sounds are copied here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from unsynth import __version__, cli
from unsynth.commands import arguments

project = author = "unsynth"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
highlight_language = "none"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
add_module_names = False
html_theme = "furo"
html_title = f"unsynth {__version__}"
html_show_copyright = html_copy_source = False

COLUMNS = "96"  # of the help of commands
GALLERY = "gallery"


def commands() -> str:
    """A section of Markdown for each command: what ``--help`` says."""
    return "".join(f"\n## unsynth {name}\n\n```text\n{_help(name)}\n```\n" for name in cli.COMMANDS)


def _help(name: str) -> str:
    made = arguments.parser(cli.COMMANDS[name])
    made.prog = f"unsynth {name}"
    return made.format_help().strip()


def _add_commands(app: Any, page: str, source: list[str]) -> None:
    if page == "cli":
        source[0] += commands()


def _copy_gallery(app: Any, error: Exception | None) -> None:
    shutil.copytree(Path(app.srcdir) / GALLERY, Path(app.outdir) / GALLERY, dirs_exist_ok=True)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    os.environ["COLUMNS"] = COLUMNS
    app.connect("build-finished", _copy_gallery)
    app.connect("source-read", _add_commands)
