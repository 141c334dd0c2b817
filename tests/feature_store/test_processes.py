"""Several processes on one store: writing at once, killed at any moment, and what a store costs in memory."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_store.made_records import open_store, records, same
from headstart.feature_store import evict

SPAWN = multiprocessing.get_context("spawn")


def run(work: Callable[..., Any], *jobs: tuple[Any, ...]) -> list[Any]:
    """work(*job) in a process of its own for each job, all at once; their answers."""
    with SPAWN.Pool(len(jobs)) as pool:
        return [pending.get(60) for pending in [pool.apply_async(work, job) for job in jobs]]


def write_repeatedly(folder: Path, start: int) -> list[str]:
    told: list[str] = []
    for _ in range(20):
        store, said = open_store(folder)
        store.write(records(4))
        store.write(records(4, start))
        assert store.verify([*records(4), *records(4, start)]) == []
        assert same(store, records(4, start))
        told += said
    return told


def test_processes_may_write_the_same_and_different_records_at_once(tmp_path):
    assert run(write_repeatedly, (tmp_path, 10), (tmp_path, 20), (tmp_path, 20)) == [[], [], []]
    store, said = open_store(tmp_path)
    assert store.verify(list(records(4) | records(4, 10) | records(4, 20))) == []
    assert said == []
    assert len(store) == 12
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    assert not list(tmp_path.glob("*.part"))


def test_a_file_that_another_process_removed_as_damaged_and_wrote_anew_is_taken_up(tmp_path):
    open_store(tmp_path)[0].write(records(4))
    (shard,) = tmp_path.glob("*.safetensors")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + b"?")
    ours, said = open_store(tmp_path)
    theirs, their_said = open_store(tmp_path)
    assert theirs.verify(["digest3"]) == ["digest3"]
    assert len(their_said) == 1
    theirs.write(records(4))
    assert ours.verify(["digest3"]) == []
    assert same(ours, records(4))
    assert said == []


def write_and_hang(folder: Path) -> None:
    os.fsync = lambda handle: time.sleep(600)  # every byte is in the temporary file, and no more happens
    open_store(folder)[0].write(records(6))


def test_a_process_killed_in_the_middle_of_writing_leaves_a_store_that_works(tmp_path):
    open_store(tmp_path)[0].write(records(2, start=20))
    process = SPAWN.Process(target=write_and_hang, args=(tmp_path,))
    process.start()
    wait_for(lambda: any(file.stat().st_size > 1000 for file in tmp_path.glob("*.part")))
    kill(process)
    store, said = open_store(tmp_path)
    assert same(store, records(2, start=20))
    assert store.verify(["digest0"]) == ["digest0"]
    assert said == []
    store.write(records(6))
    assert same(open_store(tmp_path)[0], records(6))


def write_on_and_on(folder: Path, begun: Any) -> None:
    store, _ = open_store(folder)
    for start in range(0, 100_000, 10):
        store.write(records(10, start))
        begun.set()


@pytest.mark.parametrize("milliseconds", [1, 12])
def test_whatever_the_moment_of_death_a_record_is_whole_or_missing(milliseconds, tmp_path):
    begun = SPAWN.Event()
    process = SPAWN.Process(target=write_on_and_on, args=(tmp_path, begun))
    process.start()
    assert begun.wait(60)
    time.sleep(milliseconds / 1000)
    kill(process)
    store, said = open_store(tmp_path)
    assert len(store) >= 10
    assert len(store) % 10 == 0
    assert same(store, records(len(store)))  # written in this order
    assert said == []


def test_a_killed_process_no_longer_holds_its_store(tmp_path):
    process = SPAWN.Process(target=write_and_hang, args=(tmp_path / "store",))
    process.start()
    wait_for(lambda: any(file.stat().st_size for file in (tmp_path / "store").glob("*.part")))
    assert evict(tmp_path, 0, lambda message: None) == []
    kill(process)
    assert evict(tmp_path, 0, lambda message: None) == [tmp_path / "store"]


def open_and_write(root: Path, seed: int) -> int:
    rng = np.random.default_rng(seed)
    for _ in range(60):
        wanted = records(3, start=int(rng.integers(4)))
        store, said = open_store(root / f"store{rng.integers(3)}", about={"model": "m"})
        if store.verify(list(wanted)):
            store.write(wanted)
        assert said == []
        assert same(store, wanted)  # nobody may take it away while it is open
    return 60


def evict_repeatedly(root: Path) -> int:
    count = len(evict(root, 0, lambda message: None))
    (root / "evicting").write_text("")
    end = time.monotonic() + 60
    while not (root / "done").exists() and time.monotonic() < end:
        count += len(evict(root, 0, lambda message: None))
    return count + len(evict(root, 0, lambda message: None))  # now all stores are closed: what is left may go


def test_stores_may_be_opened_while_another_process_evicts(tmp_path):
    with SPAWN.Pool(1) as evictor:
        counting = evictor.apply_async(evict_repeatedly, (tmp_path,))
        end = time.monotonic() + 30
        while not (tmp_path / "evicting").exists() and time.monotonic() < end:
            time.sleep(0.01)
        assert run(open_and_write, (tmp_path, 1), (tmp_path, 2)) == [60, 60]
        (tmp_path / "done").write_text("")
        assert counting.get(60) > 0
    assert {path.name for path in tmp_path.iterdir()} <= {"evicting", "done", "store0", "store1", "store2"}


def kill(process: Any) -> None:
    process.kill()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def memory_of_opening_and_verifying(folder: Path, count: int) -> float:
    """Bytes by which the process's largest size grew."""
    open_store(folder / "other")[0].write(records(1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store, _ = open_store(folder)
    assert store.verify([f"d{i}" for i in range(count)]) == []
    unit = 1 if sys.platform == "darwin" else 1024
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit


def test_opening_and_verifying_hold_the_index_and_not_the_values(tmp_path):
    store, _ = open_store(tmp_path)
    for start in range(0, 400, 40):
        store.write({f"d{i}": {"x": np.full(50_000, i, np.float32)} for i in range(start, start + 40)})
    (grown,) = run(memory_of_opening_and_verifying, (tmp_path, 400))
    assert grown < 20e6  # of 80 MB
