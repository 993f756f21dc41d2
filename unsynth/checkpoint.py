"""Weights on disk: safetensors with everything needed to build the model again. Nothing that is loaded can run code."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from unsynth import __version__
from unsynth.base import NotFoundError, OutputError, PatchError
from unsynth.folders import data_folder, whole

FORMAT = "unsynth.checkpoint/1"
ENCODER = "encoder."
SHARED = "shared"  # fact: name of the installed model that has the encoder, the mark of its tensors, and their names
SHIPPED = Path(__file__).parent / "weights"


def own(name: str) -> Path:
    """Where this user's own index or model is kept."""
    return data_folder() / f"{name}.safetensors"


def installed(name: str) -> Path:
    """The user's own index or model, or else where the package has one."""
    return own(name) if own(name).is_file() else SHIPPED / f"{name}.safetensors"


def installed_of(synth: str) -> dict[str, Path]:
    """All of the user's own and the package's indexes and models of a synth, by name."""
    files = [path for folder in (SHIPPED, data_folder()) for path in sorted(folder.glob(f"{synth}-*.safetensors"))]
    return {path.stem: path for path in files}


def digest(path: Path) -> str:
    """The start of the SHA-256 of a file: 12 letters."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts whole or not at all: a kill at any moment leaves the old file or the new one.

    Raises:
        OutputError: the file cannot be written.
    """
    held = {name: x.detach().to("cpu", copy=True).contiguous() for name, x in tensors.items()}
    write(path, held, {"format": FORMAT, "version": __version__, "facts": json.dumps(facts), "crc32": _checksum(held)})


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all; OutputError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as temporary:
            save_file(tensors, temporary, metadata)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{path} could not be written ({error}); make room or name another folder.") from error


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a checkpoint; an encoder that it shares with an installed model is among the tensors.

    Raises:
        NotFoundError: there is no such file.
        PatchError: it is damaged, not a checkpoint of ours, or the model that it shares an encoder with is another now.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no checkpoint at {path}; `unsynth pretrain` makes one.")
    tensors, metadata = read(path, "checkpoint; copy it again or train it again")
    if metadata.get("format") != FORMAT:
        raise PatchError(f"{path} is not a checkpoint of this version of unsynth; train it again or get a newer one.")
    facts = _facts(metadata.get("facts", ""))
    if facts is None or metadata.get("crc32", _checksum(tensors)) != _checksum(tensors):
        raise PatchError(f"{path} is damaged; copy it again or train it again.")
    return {**tensors, **(_lent(path, *map(str, facts[SHARED])) if SHARED in facts else {})}, facts


def parted(tensors: Mapping[str, Tensor], name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors without their encoder, and the facts with which :func:`load` finds it in the model installed as ``name``.

    All tensors and no facts where that model has another encoder, or is not there.
    """
    own, path = {name: x for name, x in tensors.items() if name.startswith(ENCODER)}, installed(name)
    theirs = load(path)[0] if own and path.is_file() else {}
    if not own or not own.keys() <= theirs.keys() or _mark(own) != _mark({k: theirs[k] for k in own}):
        return dict(tensors), {}
    return {k: x for k, x in tensors.items() if k not in own}, {SHARED: [name, _mark(own), *own]}


def _lent(path: Path, model: str, mark: str, *names: str) -> dict[str, Tensor]:
    """The tensors of the encoder with this mark, from the user's own model of that name, or else the package's."""
    for place in (own(Path(model).name), SHIPPED / f"{Path(model).name}.safetensors"):
        theirs = load(place)[0] if place.is_file() else {}
        found = {name: theirs[name] for name in names if name in theirs}
        if found and _mark(found) == mark:
            return found
    raise PatchError(f"{path} was trained on the encoder of another {model} than is installed; train it again.")


def _mark(tensors: Mapping[str, Tensor]) -> str:
    """What tells weights from others, whatever their precision and the signs of their zeros (averaging loses those)."""
    return _checksum({name: x.float() + 0.0 for name, x in tensors.items()})


def read(path: Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; PatchError where it is not a whole ``what``."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError, AttributeError) as error:
        raise PatchError(f"{path} is not a whole {what}.") from error


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and filters in half precision, where they fit into it; biases, norms and counters as they are."""
    small = {name: x.half() for name, x in tensors.items() if x.ndim > 1 and x.is_floating_point()}
    return {**tensors, **{name: x for name, x in small.items() if x.isfinite().all()}}


def located(name: str) -> Path:
    """A path as it is, or where the model of that name is installed: ``voice-space``."""
    return Path(name) if Path(name).suffix else installed(name)


def load_into(module: nn.Module, path: Path, part: str = "") -> None:
    """Give a module the weights that a checkpoint's model has, or those of one part of it (``encoder.``).

    The part may have more than the module.

    Raises:
        NotFoundError: there is no such file.
        PatchError: the file is damaged, or its model has no such part of this shape.
    """
    tensors, _ = load(path)
    weights = {name.removeprefix(part): x for name, x in tensors.items() if name.startswith(part)}
    if part:
        weights = {name: weights[name] for name in module.state_dict() if name in weights}
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        what = part.rstrip(".") or "weights"
        raise PatchError(f"{path} has no {what} like this one; name a model of the same {what}'s recipe.") from error


def _facts(text: str) -> dict[str, Any] | None:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """CRC-32 of the bytes of all tensors in the order of their names."""
    found = 0
    for name in sorted(tensors):
        found = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"
