"""A virtual environment for fastai, which headstart's own environment does not hold: made once, at pinned versions."""

from __future__ import annotations

import hashlib
import shutil
import sys
import venv
from pathlib import Path

from common import HERE, run_process

REQUIREMENTS = HERE / "rivals" / "fastai-requirements.txt"
CONSTRAINTS = HERE.parent / "constraints.txt"
CPU_BUILD = "import torch; raise SystemExit(torch.version.cuda and f'torch {torch.__version__} is a CUDA build')"


def fastai_python(folder: Path = HERE / "out" / "venv-fastai") -> Path:
    """The interpreter of the environment, made or made again where its pins have changed.

    Raises SystemExit where a package cannot be had, or torch is not the CPU build that headstart is measured with.
    """
    python = folder / "bin" / "python"
    stamp = folder / ".stamp"
    pins = hashlib.sha256(REQUIREMENTS.read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == pins:
        return python
    print(f"Making {folder} for fastai (once; about 2 GB) ...", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_process([*pip, "-c", CONSTRAINTS, "torch==2.13.0"])
    run_process([python, "-c", CPU_BUILD])  # before anything else: the wrong build would measure another product
    run_process([*pip, "-c", CONSTRAINTS, "-r", REQUIREMENTS])
    stamp.write_text(pins)
    return python
