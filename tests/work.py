"""What the workers of the tests do; they import it by name."""

import os
import signal
import time
from pathlib import Path

from unsynth.errors import UnusableError
from unsynth.synths.worker import cores


def doubled(item):
    return 2 * item


def whoami(item):
    import torch  # the other tests do without

    return os.getpid(), torch.get_num_threads(), cores()


def refusing(item):
    if item == 2:
        raise UnusableError(f"{item} is silent.")
    return item


def dying(folder, item):
    """Dies of every item the first time, of 13 always."""
    path = Path(folder, str(item))
    if item == 13 or not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def forever(folder, item):
    """Every item but the first takes longer than any test."""
    Path(folder, f"{item}-{os.getpid()}").touch()
    time.sleep(60 if item else 0)
