"""Where things are kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path

OWN = "UNSYNTH_DATA"  # environment variable: the folder, instead of the usual one


def data_folder() -> Path:
    """Where this user keeps what searches use: $UNSYNTH_DATA, or ~/.local/share/unsynth."""
    return Path(os.environ.get(OWN) or Path.home() / ".local" / "share" / "unsynth")
