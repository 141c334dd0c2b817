"""Long recordings are cut where they are quiet, and nothing of them is lost."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from headstart.stock.pauses import LONGEST_S, parts, seconds


def recording(file: Path, length_s: float, rate: int, pauses: tuple[float, ...] = ()) -> Path:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, int(length_s * rate)).astype(np.float32)
    for pause in pauses:
        samples[int(pause * rate) : int((pause + 0.3) * rate)] = 0
    soundfile.write(file, samples, rate)
    return file


@pytest.mark.parametrize("rate", [16_000, 8_000, 44_100])
def test_parts_follow_each_other_and_hold_everything(tmp_path: Path, rate: int) -> None:
    file = str(recording(tmp_path / "a.wav", 75.0, rate))
    found = list(parts(file))
    assert found[0][0] == 0
    assert found[-1][1] == pytest.approx(75.0, abs=0.01)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert all(end - start <= LONGEST_S for start, end, _ in found)
    assert all(len(samples) == round(16_000 * (end - start)) for start, end, samples in found)
    assert seconds(file) == pytest.approx(75.0, abs=0.01)


def test_cuts_lie_in_pauses(tmp_path: Path) -> None:
    file = str(recording(tmp_path / "a.wav", 60.0, 16_000, (20.0, 41.0)))
    ends = [end for _, end, _ in parts(file)]
    assert 20.0 <= ends[0] <= 20.3
    assert 41.0 <= ends[1] <= 41.3


def test_a_short_recording_is_one_part(tmp_path: Path) -> None:
    assert len(list(parts(str(recording(tmp_path / "a.wav", 3.0, 16_000))))) == 1
