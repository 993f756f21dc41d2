"""What a person sees while something long runs, on stderr: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


class Display:
    """Shows how far the current piece of work is. Use as a context; bars vanish at its end, lines stay.

    Args:
        interval: seconds between plain lines.
    """

    def __init__(self, interval: float = 5.0) -> None:
        self.interval = interval
        self.shown = time.monotonic()
        self.console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[note]}"))
        self.bars = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.bar = self.bars.add_task("", total=1.0, note="", visible=False)

    def __enter__(self) -> Display:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def update(self, what: str, share: float, note: str) -> None:
        """``what`` is done by ``share`` (0 to 1)."""
        if not self.bars.disable:
            self.bars.update(self.bar, description=what, completed=share, note=note, visible=True)
        elif time.monotonic() - self.shown >= self.interval:
            self.line(f"{what}: {share:.0%}, {note}")

    def line(self, text: str) -> None:
        """Print ``text`` above the bars."""
        self.shown = time.monotonic()
        if self.bars.disable:
            print(text, file=sys.stderr, flush=True)
        else:
            self.console.print(text)
