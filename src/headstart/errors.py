"""Every error a user can meet. A message says what is wrong, what was received, and how to mend it."""

from __future__ import annotations


class HeadstartError(Exception):
    """Base of all errors that are the input's, the machine's or the request's fault, never a bug."""

    exit_code = 2


class DataError(HeadstartError):
    """The data set cannot be used as it is."""


class ModelError(HeadstartError):
    """A pretrained model cannot be found, read, trusted, or does not fit the task."""


class SettingError(HeadstartError):
    """An option has a value that cannot be used."""


class RunError(HeadstartError):
    """A run folder is missing, incomplete or damaged."""


class MachineError(HeadstartError):
    """The machine lacks something: disk space, a program, the network."""
