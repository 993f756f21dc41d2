"""Real VST3 instruments for the tests, built from Debian's sources of the DPF plugins in about a minute.

``python tests/plugins.py`` builds them where the tests look; apt needs `deb-src` lines. Nekobi repeats itself, Kars
does not (its strings are plucked with rand()).
"""

import os
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("UNSYNTH_TEST_PLUGINS") or Path.home() / ".cache" / "unsynth-test-plugins")
SOURCE = "dpf-plugins"
BUILD = ["make", "vst3", "HAVE_OPENGL=false", "HAVE_DGL=false", "NO_UI=true", "UI_TYPE=none", "FILES_UI="]
REASON = "no plugin to test with: python tests/plugins.py builds two on Debian"


def plugin(name):
    return CACHE / f"{name}.vst3"


def build():
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["apt-get", "source", "--download-only", SOURCE], cwd=CACHE, check=False
    )  # Debian's patches may lack
    (archive,) = CACHE.glob(f"{SOURCE}_*.orig.tar.xz")
    subprocess.run(["tar", "xf", archive], cwd=CACHE, check=True)
    (source,) = CACHE.glob(f"{SOURCE}-*/")
    for name in ("Nekobi", "Kars"):
        subprocess.run(BUILD, cwd=source / "plugins" / name, check=True)
        if not plugin(name).exists():
            (source / "bin" / f"{name}.vst3").rename(plugin(name))
        print(plugin(name))


if __name__ == "__main__":
    build()
