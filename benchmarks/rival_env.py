"""Virtual environments for rivals that headstart's own does not hold (fastai, AutoGluon): made once, pinned."""

from __future__ import annotations

import hashlib
import shutil
import sys
import venv
from pathlib import Path

from common import HERE, run_process

CPU_BUILD = "import torch; raise SystemExit(torch.version.cuda and f'torch {torch.__version__} is a CUDA build')"


def rival_python(name: str) -> Path:
    """The interpreter of the environment of rivals/NAME-requirements.txt, made again where its pins have changed.

    Raises SystemExit where a package cannot be had, or torch is not the CPU build that headstart is measured with.
    """
    requirements, folder = HERE / "rivals" / f"{name}-requirements.txt", HERE / "out" / f"venv-{name}"
    python, stamp = folder / "bin" / "python", folder / ".stamp"
    pins = hashlib.sha256(requirements.read_bytes() + (HERE.parent / "constraints.txt").read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == pins:
        return python
    print(f"Making {folder} for {name} (once; 2 to 4 GB) ...", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_process([*pip, "torch==2.13.0"])
    run_process([python, "-c", CPU_BUILD])  # before anything else: the wrong build would measure another product
    run_process([*pip, "-r", requirements])
    stamp.write_text(pins)
    return python
