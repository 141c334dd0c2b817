"""ELPV solar cells: whole runs of `headstart fit` against AutoGluon-MultiModal, same weights, same time."""

from __future__ import annotations

from dataclasses import replace

from elpv_head import COMPARISON as HEAD
from head_to_head import main

COMPARISON = replace(
    HEAD, name="autogluon_images", rival="autogluon_fit.py", rival_name="AutoGluon MultiModal 1.6.3", depth="auto",
    rival_pins="autogluon",
)  # fmt: skip

if __name__ == "__main__":
    main(COMPARISON, __doc__)
