"""A program's failure becomes one sentence: what, received, fix."""

import sys

import pytest

from headstart.demo_data.programs import last_lines, run_program
from headstart.errors import MachineError


def test_returns_standard_output(tmp_path):
    code = "import os; print(os.getcwd(), os.environ['LC_ALL'])"
    assert run_program([sys.executable, "-c", code], "Asking", "", cwd=tmp_path).split() == [str(tmp_path), "C.UTF-8"]


def test_missing_program():
    with pytest.raises(MachineError, match=r"Asking failed: no-such-program cannot be started.*Install it\."):
        run_program(["no-such-program"], "Asking", "Install it.")


def test_failing_program_is_quoted():
    code = "import sys; print('one\\ntwo\\n\\nthree\\nfour', file=sys.stderr); sys.exit(7)"
    with pytest.raises(MachineError, match=r"returned 7 \(two / three / four\)\. Mend it\."):
        run_program([sys.executable, "-c", code], "Asking", "Mend it.")


def test_last_lines_of_nothing():
    assert last_lines(" \n") == "it said nothing"
