"""What `unsynth evaluate --calibration` does. Imports are made when it runs."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from unsynth.errors import PatchError, UsageError

WORST = 10  # parameters that are printed


def calibrate(synth: str, model: str, guidance: float | None, out: Path, **options: Any) -> None:
    """Calibrate a model as options of :class:`unsynth.calibration.Setting` say: JSON in ``out``, a page beside it."""
    from unsynth import __version__, audio, calibration as bench, checkpoint
    from unsynth.benchmark.calibration_page import page
    from unsynth.commands.display import Display
    from unsynth.evaluate import machine
    from unsynth.recipe import rebuild
    from unsynth.scores import markdown
    from unsynth.synths import synth as synth_of

    setting = bench.Setting(**{name: value for name, value in options.items() if value is not None})
    path, instrument = checkpoint.located(model or f"{synth}-flow"), synth_of(synth)
    estimator, used = _estimator(path, instrument, guidance)
    source = rebuild(checkpoint.load(path)[1]).sounds(instrument)
    with Display() as display:

        def show(done: int) -> None:
            display.update(path.stem, done / setting.targets, f"{done} of {setting.targets} sounds")

        found = bench.calibrate(estimator, source, setting, show)
    origin = {"version": __version__, **machine(), "command": shlex.join(["unsynth", *sys.argv[1:]])}
    weights = checkpoint.digest(path)
    what = {"model": str(path), "weights": weights, "synth": synth, "spec": instrument.spec.hash, "guidance": used}
    document = bench.document(found, setting, {**what, **origin})
    audio.write_text(out, json.dumps(document, indent=1, allow_nan=False) + "\n")
    audio.write_text(out.with_suffix(".html"), page(found, document))
    print(markdown(bench.cells(found, WORST)))
    print(out.with_suffix(".html"))


def _estimator(path: Path, synth: Any, guidance: float | None) -> tuple[Any, float | None]:
    """The estimator of a checkpoint, and the guidance with which it draws; None where it has none."""
    from unsynth.base import Estimator
    from unsynth.estimators.flow import Flow
    from unsynth.recipe import restored

    model = restored(path, synth)
    if not isinstance(model, Estimator):
        raise PatchError(f"{path} is no estimator of parameters; name a flow or a regression.")
    if isinstance(model, Flow):
        model.guidance = model.guidance if guidance is None else guidance
        return model, model.guidance
    if guidance is not None:
        raise UsageError(f"{path} is no flow, so it has no guidance; leave --guidance away.")
    return model, None
