"""The pool: every row comes back right, whatever happens to the processes; and nothing is left behind."""

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import engines
import numpy as np
import pytest

from unsynth.errors import EngineError
from unsynth.synths.worker import Pool

SLOW = bool(os.environ.get("UNSYNTH_SLOW"))  # 10,000 renders, 200 kills: a minute, or some under load
HERE = Path(__file__).parent


def pool(name, **options):
    return Pool(f"engines:{name}", engines.SAMPLES, **{"workers": 2, "timeout": 10.0, **options})


def is_running(pid):
    """Whether there is such a process, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def moody():
    with pool("Moody") as shared:
        yield shared


def test_workers_killed_at_random_lose_nothing():
    """One is killed after every fifth job, whether it is at work or not."""
    rows = np.random.default_rng(0).uniform(0.01, 1, (10_000 if SLOW else 300, 3)).astype(np.float32)
    chance, killed, done = random.Random(0), set(), itertools.count(1)

    def kill(_):
        if next(done) % 5 == 0 and (alive := shared.pids):
            pid = chance.choice(alive)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)

    with pool("Sine", attempts=10) as shared:
        futures = [shared.submit(part) for part in np.split(rows, len(rows) // 10)]
        futures = []
        for part in np.split(rows, len(rows) // 10):
            futures.append(shared.submit(part))
            futures[-1].add_done_callback(kill)
        sounds = np.concatenate([future.result() for future in futures])
    serial = engines.Sine()
    assert len(killed) >= 2
    assert all(np.array_equal(sound, serial(row)) for sound, row in zip(sounds, rows, strict=True))
    assert not any(map(is_running, killed))


def test_a_patch_that_crashed_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAPSING", str(tmp_path))
    with pool("Relapsing") as shared:
        sounds = shared.render(np.arange(4)[:, None])
    np.testing.assert_array_equal(sounds[:, 0], [0, 1, 2, 3])


def test_a_patch_that_always_crashes_is_an_error_and_the_next_one_works(moody):
    with pytest.raises(EngineError, match=r"crashed or hung 5 times on the same patch; .* status -6"):
        moody.render(np.array([[1, 0]]))
    assert moody.render(np.array([[0, 0.5]]))[0, 0] == 0.5


def test_a_patch_that_hangs_is_killed():
    began = time.monotonic()
    with pool("Moody", timeout=0.3, attempts=2) as shared, pytest.raises(EngineError, match="hung 2 times"):
        shared.render(np.array([[2, 0]]))
    assert time.monotonic() - began < 60


def test_what_cannot_be_played_is_judged_in_order_where_that_is_wanted():
    rows, told = np.array([[0, 0.5], [1, 0], [3, 0], [4, 0], [0, 0.25]]), []
    with pool("Moody", attempts=1) as shared:
        sounds = shared.render(rows, told.extend)
    assert [bool(error) for error in told] == [False, True, True, True, False]
    assert ["crashed or hung" in told[1], "a knob fell off" in told[2], "499 samples" in told[3]] == [True] * 3
    np.testing.assert_array_equal(sounds[[0, 4], 0], [0.5, 0.25])


def test_a_judge_who_has_heard_enough_ends_it(moody):
    def refuse(errors):
        raise EngineError("enough")

    with pytest.raises(EngineError, match="enough"):
        moody.render(np.array([[0, 0.5]] * 6), refuse)


def test_an_engine_that_cannot_be_made_is_an_error_whatever_the_judge_says():
    with pool("Broken", attempts=1) as shared, pytest.raises(EngineError, match="the licence is missing"):
        shared.render(np.zeros((3, 1)), lambda errors: None)


def test_what_an_engine_raises_is_told(moody):
    with pytest.raises(EngineError, match="ValueError: a knob fell off"):
        moody.render(np.array([[0, 0], [3, 0]]))


def test_a_sound_of_another_length_is_refused(moody):
    with pytest.raises(EngineError, match="499 samples instead of 500"):
        moody.render(np.array([[4, 0]]))


def test_what_an_engine_prints_is_not_audio(moody):
    np.testing.assert_array_equal(moody.render(np.array([[5, 0.25], [0, 0.75]]))[:, -1], [0.25, 0.75])


@pytest.mark.parametrize(
    ("name", "told"),
    [("Broken", "the licence is missing"), ("Nobody", "Nobody"), ("stillborn", "when it was started; .* status 3")],
)
def test_an_engine_that_cannot_be_made_is_an_error(name, told):
    with pool(name, attempts=2) as shared, pytest.raises(EngineError, match=told):
        shared.render(np.zeros((3, 1)))


def test_neither_torch_nor_main_is_loaded_in_workers():
    with pool("Modules", workers=1) as shared:
        assert shared.render(np.zeros((1, 1)))[0, 0] == 0


def test_no_rows_are_no_work(moody):
    assert moody.render(np.empty((0, 2))).shape == (0, engines.SAMPLES)


def test_many_threads_get_their_own_sounds(moody):
    found = {}

    def ask(level):
        found[level] = moody.render(np.array([[0, level]] * 10))

    threads = [threading.Thread(target=ask, args=(level,)) for level in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((found[level] == level).all() for level in range(8))


def test_submitting_waits_while_the_queue_is_full():
    with pool("Moody", workers=1, waiting=2, timeout=2.0, attempts=1) as shared:
        hanging = shared.submit(np.array([[2, 0]]))
        began = time.monotonic()
        later = [shared.submit(np.array([[0, 1]])) for _ in range(4)]
        assert time.monotonic() - began > 1  # two wait; the third has to until the hanging one is gone
        assert isinstance(hanging.exception(60), EngineError)
        assert all(future.result(60)[0, 0] == 1 for future in later)


def test_closing_ends_every_process_and_whoever_waits():
    shared = pool("Moody")
    futures = [shared.submit(np.array([[2, 0]])) for _ in range(6)]
    while len(shared.pids) < 2:
        time.sleep(0.01)
    pids, began = shared.pids, time.monotonic()
    shared.close()
    assert time.monotonic() - began < 30
    assert not any(map(is_running, pids))
    assert all(isinstance(future.exception(60), EngineError) for future in futures)
    with pytest.raises(EngineError, match="closed"):
        shared.submit(np.zeros((1, 2)))


def test_a_forgotten_pool_ends_its_processes():
    shared = pool("Moody")
    shared.render(np.zeros((4, 2)))
    pids = shared.pids
    del shared
    assert pids
    assert not any(map(is_running, pids))


SCRIPT = """
import numpy as np, time, sys
from unsynth.synths.worker import Pool
pool = Pool("engines:Moody", 500, 2)
pool.render(np.zeros((8, 2)))
print(*pool.pids, flush=True)
{rest}
"""


def script(rest, code=SCRIPT):
    code = code.format(rest=rest)
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, **pipes)
    return running, [int(pid) for pid in running.stdout.readline().split()]


def all_end(pids, seconds=30):
    until = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return pids and not any(map(is_running, pids))


def test_processes_end_with_a_script_that_forgets_them():
    running, pids = script("")
    assert running.communicate(timeout=60) == ("", "")
    assert all_end(pids)


def test_ctrl_c_interrupts_the_parent_alone():
    rest = """
try:
    print("now", flush=True)
    pool.render(np.array([[2, 0]] * 4))
except KeyboardInterrupt:
    pool.close()
    print("stopped", flush=True)
"""
    running, pids = script(rest)
    assert running.stdout.readline() == "now\n"
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=60) == ("stopped\n", "")
    assert all_end(pids)


def test_workers_whose_parent_was_killed_end_even_if_they_hang():
    running, pids = script("pool.submit(np.array([[2, 0]])), time.sleep(100)")
    time.sleep(0.3)
    running.kill()
    running.communicate(timeout=60)
    assert all_end(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process with its parent")
def test_workers_whose_parent_was_killed_end_even_if_they_let_no_thread_run():
    running, pids = script("pool.submit(np.array([[6, 0]])), time.sleep(100)")
    time.sleep(0.3)
    running.kill()
    running.communicate(timeout=60)
    assert all_end(pids)


WAITING = """
import time
import numpy as np
from unsynth.synths.worker import Pool
pool = Pool("engines:waiting", 500, 1)
pool.submit(np.zeros((1, 2)))
while not pool._workers[0].process:
    time.sleep(0.01)
print(pool._workers[0].process.pid, flush=True)
time.sleep(100)
"""


def test_workers_whose_parent_was_killed_end_even_if_their_engine_is_never_made():
    running, pids = script("", WAITING)
    time.sleep(0.3)
    running.kill()
    running.communicate(timeout=60)
    assert all_end(pids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.parametrize("mood", [7, 8])
def test_what_an_engine_has_started_is_killed_with_it(mood, tmp_path, monkeypatch):
    """It holds the pipes, so that nobody would hear of the end of the worker."""
    monkeypatch.setenv("FORKED", str(tmp_path / "pids"))
    with pool("Moody", workers=1, timeout=1.0, attempts=2) as shared:
        with pytest.raises(EngineError, match="crashed or hung 2 times"):
            shared.render(np.array([[mood, 0]]))
        assert shared.render(np.array([[0, 0.5]]))[0, 0] == 0.5
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all_end(pids)


def test_what_an_engine_raises_is_one_line():
    with pool("Wordy", workers=1) as shared, pytest.raises(EngineError, match=r"ValueError: one line and another\.$"):
        shared.render(np.zeros((1, 1)))
