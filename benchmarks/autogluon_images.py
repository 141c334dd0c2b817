"""ELPV solar cells: whole runs of `headstart fit` against AutoGluon-MultiModal, same weights, same time."""

from __future__ import annotations

from elpv_head import COMPARISON
from head_to_head import beside_autogluon, main

if __name__ == "__main__":
    main(beside_autogluon(COMPARISON, "autogluon_images"), __doc__)
