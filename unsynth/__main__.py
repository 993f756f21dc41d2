"""``python -m unsynth``."""

import sys

from unsynth.cli import main

sys.exit(main())
