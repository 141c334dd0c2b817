"""Debian sections: whole runs of `headstart fit` against AutoGluon-MultiModal, same weights, same time."""

from __future__ import annotations

from head_to_head import beside_autogluon, main
from text_head import COMPARISON

if __name__ == "__main__":
    main(beside_autogluon(COMPARISON, "autogluon_texts"), __doc__)
