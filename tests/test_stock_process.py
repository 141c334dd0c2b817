"""A stock loader's process: started ahead, given one piece of work, ended with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from headstart import stock_process
from headstart.errors import RunError
from headstart.stock_process import StockProcess
from headstart.types import Example, Silent
from stock_folder import driven

SCRIPT = """
import json, sys, time
print("waiting", file=sys.stderr, flush=True)
job = json.loads(sys.stdin.readline() or "null")
if job:
    folder, inputs, outputs = job
    with open(outputs, "w") as stream:
        for value in json.load(open(inputs)):
            if value == "fatal":
                sys.exit("cannot go on")
            stream.write(json.dumps({"text": value.upper()}) + "\\n")
"""


LENGTHS = """
import time
from driver import main

def predict(loaded, inputs, features=False):
    for value in inputs:
        row = {"probabilities": {"long": float(len(value) > 1), "short": float(len(value) == 1)}}
        yield {**row, "features": [float(len(value)), 0.5]} if features else row

if __name__ == "__main__":
    main(lambda: None, lambda folder: None, predict)
"""


SLOW = LENGTHS.replace("        row =", "        time.sleep(0.1)\n        row =")


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "upper.py").write_text(SCRIPT)
    monkeypatch.setattr(stock_process, "STOCK", tmp_path)
    return "upper.py"


def examples(*values: str) -> list[Example]:
    return [Example(value, value, None, value, value, "train") for value in values]


def test_it_waits_and_then_answers_in_order(script: str, tmp_path: Path) -> None:
    process = StockProcess(script)
    time.sleep(0.2)
    found = process.predict(tmp_path, examples("b", "a"), Silent())
    assert [p.text for p in found] == ["B", "A"]
    process.close()  # once more does no harm


def test_features_come_back_beside_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real driver, with a loader that knows the length of a word."""
    loader = driven(tmp_path, monkeypatch, LENGTHS)
    process = StockProcess(loader)
    found = process.predict(tmp_path, examples("bb", "a", "ccc"), Silent(), features=True)
    assert [p.label for p in found] == ["long", "short", "long"]
    assert process.features is not None
    np.testing.assert_array_equal(process.features, [[2, 0.5], [1, 0.5], [3, 0.5]])
    without = StockProcess(loader)
    without.predict(tmp_path, examples("bb"), Silent())
    assert without.features is None


def test_when_there_are_enough_the_first_answers_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = driven(tmp_path, monkeypatch, SLOW)
    process = StockProcess(loader)
    many = examples(*("a" * (1 + i % 3) for i in range(200)))
    found = process.predict(tmp_path, many, Silent(), features=True, enough=lambda n: n >= 5)
    assert 5 <= len(found) < 20
    assert process.features is not None
    np.testing.assert_array_equal(process.features[:, 0], [1 + i % 3 for i in range(len(found))])
    assert process._process.poll() is not None
    monkeypatch.setattr(stock_process, "GRACE_S", 0.0)  # as where an answer takes too long
    process = StockProcess(loader)
    found = process.predict(tmp_path, many, Silent(), features=True, enough=lambda n: n >= 5)
    assert 5 <= len(found) < 20 and process.features is None


def test_it_is_waited_for_until_its_libraries_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = LENGTHS.replace("main(lambda: None,", "main(lambda: [time.sleep(0.5), open(__file__ + '.there', 'w')],")
    loader = driven(tmp_path, monkeypatch, late)
    process = StockProcess(loader)
    process.wait_until_ready(60)
    assert (tmp_path / "loader.py.there").exists()
    assert [p.label for p in process.predict(tmp_path, examples("bb"), Silent())] == ["long"]
    (tmp_path / "loader.py").write_text("raise SystemExit('no such library')")
    process = StockProcess(loader)
    process.wait_until_ready(60)  # returns: it has ended
    with pytest.raises(RunError, match="no such library"):
        process.predict(tmp_path, examples("bb"), Silent())


def test_what_it_said_last_is_told(script: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot go on"):
        StockProcess(script).predict(tmp_path, examples("a", "fatal"), Silent())


def test_one_that_died_while_waiting_is_told(script: str, tmp_path: Path) -> None:
    process = StockProcess(script)
    os.kill(process._process.pid, signal.SIGKILL)
    process._process.wait()
    with pytest.raises(RunError, match="does not run by its stock loader"):
        process.predict(tmp_path, examples("a"), Silent())


def test_it_ends_with_its_parent(script: str, tmp_path: Path) -> None:
    """Even where the parent is killed: the child reads the end of its input."""
    parent = (
        "import pathlib, time\n"
        "from headstart import stock_process\n"
        f"stock_process.STOCK = pathlib.Path({str(tmp_path)!r})\n"
        f"print(stock_process.StockProcess({script!r})._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{child}/stat").read_text().split(")")[-1].split()[0] == "Z":
            break  # dead, and nobody has asked for it yet
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{child}").exists()
