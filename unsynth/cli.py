"""The command line: every command is a typed function, its docstring is the help, `COMMANDS` is the table of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from unsynth.commands import arguments
from unsynth.commands.diff import compare_patches
from unsynth.commands.evaluate import evaluate_methods, report_results, summarise_ratings
from unsynth.commands.index import build_index, find_presets, index_presets
from unsynth.commands.instruments import doctor, synths
from unsynth.commands.match import match_sounds, render_patch
from unsynth.commands.serve import serve_page
from unsynth.commands.train import build_shards, export_model, pretrain_encoder, study_recipes
from unsynth.errors import UnsynthError

INTERRUPTED = 130  # 128 and the number of the signal that Ctrl-C sends, as shells have it
BROKEN_PIPE = 141

COMMANDS: dict[str, Callable[..., None]] = {
    "match": match_sounds,
    "render": render_patch,
    "diff": compare_patches,
    "synths": synths,
    "index build": build_index,
    "index presets": index_presets,
    "find": find_presets,
    "shards build": build_shards,
    "pretrain": pretrain_encoder,
    "export-model": export_model,
    "study": study_recipes,
    "evaluate": evaluate_methods,
    "report": report_results,
    "ratings": summarise_ratings,
    "serve": serve_page,
    "doctor": doctor,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (of the process where None) names; docs/exit-codes.md tells the exit codes."""
    try:
        name, options = arguments.parse(sys.argv[1:] if argv is None else argv, COMMANDS)
        COMMANDS[name](**options)
        sys.stdout.flush()
        return 0
    except UnsynthError as error:
        print(f"unsynth: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("unsynth: Stopped by Ctrl-C; run the same command again to go on.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of stdout left; Python would complain when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
