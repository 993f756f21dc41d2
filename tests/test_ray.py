"""A Ray cluster of this machine's processes: the results of one process, whatever becomes of workers and nodes."""

import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import work
from commands import ROOT, is_one_sentence, one_thread, run  # noqa: F401
from test_crew import TASK, VOICE, gone, patches, same_index, serial, started as begun  # noqa: F401
from test_shards import COUNT, content, made
from training import Chime

from unsynth import batch, crew, evaluate
from unsynth.base import Budget, UnusableError, UsageError, WorkerError
from unsynth.crew import cluster as ours
from unsynth.search import index
from unsynth.sounds.live import Live
from unsynth.sounds.shard_building import build
from unsynth.targets import held_out

SLOW = bool(os.environ.get("UNSYNTH_SLOW"))  # two nodes, of which one is killed: half a minute
os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")  # on a busy machine; Ray reads it when it is imported
os.environ.setdefault("RAY_worker_register_timeout_seconds", "300")
pytest.importorskip("ray", reason="needs Ray: pip install 'unsynth[ray]'")


def started(cpus, nodes=1):
    from ray.cluster_utils import Cluster

    options = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 200 << 20}
    made = Cluster(initialize_head=True, head_node_args=options)
    return made, [made.add_node(num_cpus=cpus, object_store_memory=200 << 20) for _ in range(nodes - 1)]


@pytest.fixture(scope="module")
def nodes():
    os.environ.update(ours.QUIET, PYTHONPATH=str(ROOT / "tests"))
    made, _ = started(2)
    yield made
    made.shutdown()


@pytest.fixture
def who(nodes):
    return ours.Cluster(nodes.address)


def kill_tasks(nodes):
    """All processes of the cluster that work on an item."""
    raylets = {info.process.pid for node in nodes.list_all_nodes() for info in node.all_processes["raylet"]}
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent, title = int(stat.read_text().rpartition(")")[2].split()[1]), (stat.parent / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent in raylets and title.startswith(b"ray::work"):
            found.append(int(stat.parent.name))
            os.kill(found[-1], signal.SIGKILL)
    return len(found)


def test_match_with_workers_that_are_killed(serial, nodes, who, tmp_path):  # noqa: F811
    sounds, expected = serial
    killed, outcomes = 0, []
    for outcome in batch.run(sounds, tmp_path, TASK, who=who):
        killed += kill_tasks(nodes) if len(outcomes) == 1 else 0
        outcomes.append(outcome)
    assert killed >= 1
    assert sorted(outcome.target for outcome in outcomes) == sorted(sounds)
    assert ["silent.wav" in str(one.error) for one in outcomes if one.error] == [True], outcomes
    assert patches(tmp_path) == patches(expected)


def test_shards_with_workers_that_are_killed(nodes, who, tmp_path):
    expected, killed = content(made(tmp_path / "alone")), []

    def kill(done):
        killed.append(kill_tasks(nodes) if len(killed) < 2 else 0)

    build(tmp_path / "shared", Live(Chime()), COUNT, kill, largest=16, who=who)
    assert len(killed) == 6
    assert content(tmp_path / "shared") == expected


def test_an_index_and_an_evaluation(who, tmp_path):
    small = {"dim": 16, "fitted_on": 96, "chunk": 16}
    targets, rows, arms = list(held_out(VOICE, 2, start=100_000)), {}, ["random", "mean"]
    for name, by in (("alone", None), ("shared", who)):
        index.build(tmp_path / name, VOICE, 400, **small, who=by)
        found = evaluate.run(
            evaluate.Conditions(VOICE, Budget(renders=5)), targets, arms, tmp_path / f"{name}.jsonl", who=by
        )
        rows[name] = [{**vars(row), "seconds": 0} for row in found]
    assert same_index(tmp_path / "alone", tmp_path / "shared")
    assert rows["alone"] == rows["shared"]


def test_errors_come_through_and_what_always_dies_is_told(who, tmp_path):
    with pytest.raises(UnusableError, match="2 is silent"):
        list(crew.share(work.refusing, range(5), who))
    found = dict(crew.share(partial(work.dying, tmp_path), [1, 13], who, given_up=lambda item, error: str(error)))
    assert found[1] == 1
    assert found[13].startswith("13 cannot be done: its process or machine was gone")


def test_what_is_under_way_is_stopped_when_nobody_wants_more(who, tmp_path):
    found = crew.share(partial(work.forever, tmp_path), range(3), who)
    assert next(found) == (0, None)
    pids = begun(tmp_path, 2)
    found.close()
    assert gone(pids)


@pytest.mark.skipif(not SLOW, reason="half a minute; UNSYNTH_SLOW=1 runs it")
def test_match_with_a_node_that_is_killed(serial, tmp_path):  # noqa: F811
    sounds, expected = serial
    made_of, (second,) = started(1, nodes=2)
    try:
        killed = False
        for number, _ in enumerate(batch.run(sounds, tmp_path / "out", TASK, who=ours.Cluster(made_of.address))):
            if number == 1:
                made_of.remove_node(second, allow_graceful=False)
                killed = True
        assert killed
        assert patches(tmp_path / "out") == patches(expected)
    finally:
        made_of.shutdown()


# what can be wrong with a cluster


def test_a_cluster_that_cannot_be_used_is_told_in_one_sentence(nodes, capsys, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    words = ["match", ROOT / "examples", "--renders", 1, "--out", tmp_path, "--ray"]
    cases = [
        (nobody, {}, WorkerError, "Nothing answers"),
        ("here", {}, UsageError, "no address"),
        ("auto", {"RAY_ADDRESS": nobody}, WorkerError, "Nothing answers"),
        (nodes.address, {"version": "0.0.0"}, WorkerError, "has unsynth"),
    ]
    for address, changes, kind, told in cases:
        with monkeypatch.context() as changed:
            changed.setenv("RAY_ADDRESS", changes.get("RAY_ADDRESS", ""))
            changed.setattr(ours, "__version__", changes.get("version", ours.__version__))
            code, _, err = run(capsys, *words, address)
        assert (code, is_one_sentence(err) and told in err) == (kind.exit_code, True), err


def test_a_machine_without_unsynth_says_so():
    import ray.cloudpickle

    packages = Path(ray.__file__).parent.parent
    task = ray.cloudpickle.dumps(ours._work())
    code = f"import sys; sys.path.append({str(packages)!r}); import ray, ray.cloudpickle as p; "
    code += "print(p.loads(sys.stdin.buffer.read())(('1', {}, '.', b''), b'')[2])"
    bare = [sys.executable, "-S", "-c", code]  # without what makes the editable unsynth importable
    told = subprocess.run(bare, input=task, stdout=subprocess.PIPE, check=True, cwd="/").stdout
    assert told == b"has no unsynth\n"


def test_without_ray_the_extra_is_told(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = run(capsys, "shards", "build", "--synth", "drum", "--out", tmp_path, "--ray", "auto")
    assert code == UsageError.exit_code
    assert is_one_sentence(err)
    assert "unsynth[ray]" in err
