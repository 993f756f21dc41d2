"""The commands that train."""

from __future__ import annotations

from pathlib import Path

from unsynth.commands.arguments import at_least
from unsynth.errors import UsageError

EXTRA = "Training needs more packages; `pip install 'unsynth[train]'` adds them."
SEARCHED = {"Joint": "space", "Flow": "flow", "Regression": "regression"}  # objectives: names of their models


def pretrain_encoder(
    recipe: str | None = None,
    *,
    out: str = "",
    set: list[str] | None = None,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    minutes: float | None = None,
    save_minutes: float = 5.0,
    validate_steps: int = 1000,
    track: str = "",
) -> None:
    """Train a model by a recipe, or go on where the training in OUT stopped.

    Every sound is rendered fresh, unless the recipe says where sounds are. OUT gets log.jsonl, model.safetensors and
    state.safetensors, from which the same command goes on exactly. docs/training.md tells about recipes and many GPUs.

    Args:
        recipe: a YAML file, such as those in recipes/.
        out: folder of the training; runs/NAME of the recipe if not given.
        set: options of the recipe to change, like steps=1000 objective.criterion.dim=64.
        device: auto, cpu or cuda.
        devices: processes on each machine (with torchrun or SLURM: those that it started).
        nodes: how many machines.
        minutes: stop, saved, after so long.
        save_minutes: how often to save; what was done since is done again after a crash.
        validate_steps: how often to log the recall of a joint space among 2,000 validation sounds, or the loss of an
            estimator; 0 is never.
        track: where else to log, separated by commas: tensorboard, wandb, trackio (each if it is installed).
    """
    from unsynth.distributed import leave, rank
    from unsynth.recipe import read
    from unsynth.synths import synth as synth_of
    from unsynth.tracking import tracked

    try:
        from unsynth.study.recall import validation
        from unsynth.train import MODEL, Progress, fit
    except ModuleNotFoundError as error:
        raise UsageError(EXTRA) from error
    from unsynth.commands.display import Display

    if recipe is None:
        raise UsageError("Name a recipe to train, such as one of those in recipes/.")
    at_least(0, validate_steps=validate_steps, minutes=minutes, save_minutes=save_minutes)
    folder = Path(out) if out else Path("runs") / Path(recipe).stem
    what, facts = read(Path(recipe), set or [])
    limits = {"device": device, "devices": devices, "nodes": nodes, "minutes": minutes, "save_minutes": save_minutes}
    if validate_steps:
        limits |= {"validate": validation(what.sounds(synth_of(what.synth))), "validate_steps": validate_steps}
    trackers = [name.strip() for name in track.split(",") if name.strip()] if rank() == 0 else []
    with Display() as display, tracked(trackers, folder, facts["recipe"]) as told:

        def show(at: Progress) -> None:
            display.update(folder.name, at.step / at.steps, at.line())

        fit(what, facts, folder, on_progress=show, track=told, **limits)
    if rank() == 0:
        print(folder / MODEL)
    leave()


def build_shards(
    *,
    synth: str = "dexed",
    out: str = "",
    count: int = 10_000,
    prior: str = "uniform",
    seed: int = 0,
    workers: int = 1,
    ray: str = "",
) -> None:
    """Render sounds to train on into files.

    Run it again to go on where it stopped. OUT gets tar files of FLAC with the parameters, and manifest.json. Nine in
    ten sounds are for training, the others for validation and for testing; of presets, whole banks are held out.

    Args:
        synth: whose sounds.
        out: the folder; shards/SYNTH if not given.
        count: how many sounds in all.
        prior: how patches are drawn: uniform, invented (as the synth's own prior does), or presets:FOLDER (near those
            in the folder's .syx, .dx7, .fxp or .vital files).
        seed: of the patches.
        workers: processes on this machine that share the shards, each with its part of the cores.
        ray: spread the shards over a Ray cluster instead: auto, or its HOST:PORT (docs/scaling.md).
    """
    from unsynth import crew
    from unsynth.commands.display import Display
    from unsynth.sounds.live import Live
    from unsynth.sounds.shard_building import build
    from unsynth.synths import synth as synth_of

    who, folder = crew.of(workers, ray), Path(out) if out else Path("shards") / synth.replace("/", "-")
    source = Live(synth_of(synth), prior, seed)
    with Display() as display:
        for why in source.left_out.values():
            display.line(f"left out: {why}")

        def tell(done: int) -> None:
            display.update(folder.name, done / count, f"{done:,} of {count:,}")

        build(folder, source, count, tell, who=who)
    print(folder)


def study_recipes(
    recipe: list[str],
    *,
    only: list[str] | None = None,
    set: list[str] | None = None,
    minutes: float | None = None,
    sounds: int | None = None,
    seeds: str = "0,1,2",
    targets: int = 16,
    among: int = 10_000,
    head_steps: int = 200,
    refined: int = 500,
    out: str = "results/study.jsonl",
    runs: str = "runs/study",
    device: str = "auto",
) -> None:
    """Compare recipes: train each at one equal budget, and measure what it learned on validation sounds.

    Run it again to go on where it stopped; what is in OUT is not done twice. docs/training.md tells what is measured.

    Args:
        recipe: YAML files: recipes, or lists of changes to one, such as recipes/study.yaml.
        only: names of the recipes to take, of all in the files.
        set: options of all recipes to change, like sounds.folder=FOLDER.
        minutes: wall clock of each training.
        sounds: how many each training sees.
        seeds: separated by commas.
        targets: sounds to match.
        among: sounds among whose parameters the right ones are looked for.
        head_steps: steps of the regression heads on each frozen encoder; 0 is no heads.
        refined: renders of the genetic search after the search in the space; 0 is none.
        out: file of results.
        runs: folder of the trainings.
        device: auto, cpu or cuda.
    """
    try:
        from unsynth.study import compare
    except ModuleNotFoundError as error:
        raise UsageError(EXTRA) from error
    from unsynth.commands.display import Display
    from unsynth.study.downstream import Measures
    from unsynth.study.table import page

    at_least(1, targets=targets, among=among)
    at_least(0, head_steps=head_steps, refined=refined)
    measures = Measures(among=among, targets=targets, head_steps=head_steps, refined=refined)
    plan = compare.Plan(minutes, sounds, measures=measures)
    recipes = compare.variants([Path(path) for path in recipe], only or [], set or [])
    with Display() as display:
        rows = compare.run(
            recipes,
            _numbers(seeds),
            plan,
            Path(out),
            Path(runs),
            device,
            lambda row: display.line(row.line()),
            display.update,
        )
    print(page(rows))


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{text!r} are not seeds; write them like 0,1,2.") from error


def export_model(run: str | None = None, out: str | None = None) -> None:
    """Write the model of a training in half precision, or make it the one that searches use.

    An encoder that stayed as it is in an installed model (start: voice-space, frozen) is not written again.

    Args:
        run: folder of a training, or a model.safetensors.
        out: the file to write; if not given, the model is installed: chain and --method embedding, flow or regression
            use it.
    """
    from unsynth import checkpoint
    from unsynth.recipe import restored
    from unsynth.synths import synth as synth_of

    if run is None:
        raise UsageError("Name the folder of a training, such as runs/voice-small.")
    model = Path(run) / "model.safetensors" if Path(run).is_dir() else Path(run)
    tensors, facts = checkpoint.load(model)
    kind = facts["recipe"]["objective"]["class_path"].rpartition(".")[2]
    if out is None and kind not in SEARCHED:
        raise UsageError(f"No search uses a model of {kind}; name a file to write it to.")
    instrument = synth_of(facts["recipe"]["synth"])
    restored(model, instrument)  # refuses what no search could load
    path = Path(out) if out else checkpoint.own(f"{instrument.name}-{SEARCHED[kind]}")
    start = facts["recipe"]["objective"]["init_args"].get("start", "")
    kept, shared = checkpoint.parted(tensors, start) if start and not Path(start).suffix else (tensors, {})
    checkpoint.save(path, checkpoint.halved(kept), {**facts, **shared})
    print(path)
