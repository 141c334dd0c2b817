"""Who uses a store: shared locks of those that have it open, an exclusive one of whoever removes it.

A lock dies with its process, however that ends. The lock file's time of change is the store's last use.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from headstart.feature_store.files import LOCK

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_TRIES = 100


def hold(folder: Path) -> int | None:
    """Make the folder if it is not there and say "in use" until the returned handle is closed.

    Returns None where this file system has no locks or the folder cannot be written to.
    Raises OSError where the folder can neither be found nor made.
    """
    for _ in range(_TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            if folder.exists():
                raise
            continue  # it was there for mkdir, and is removed by now
        try:
            handle = _open(folder / LOCK)
        except FileNotFoundError:  # removed since mkdir
            continue
        except PermissionError:
            return None
        except OSError as error:
            if error.errno == errno.EROFS:
                return None
            raise
        with contextlib.suppress(OSError):
            os.utime(handle)
        if not _lock(handle, exclusive=False):
            return None
        if _is_at(handle, folder / LOCK):
            return handle
        os.close(handle)  # the store was removed while we waited: make it anew
    raise OSError(errno.EBUSY, "it is removed again and again by another process")


def claim(folder: Path) -> int | None:
    """Lock a store that nobody uses; the handle is the caller's to close. None where there are no locks here.

    Raises BlockingIOError where the store is in use, and other OSErrors where the lock file cannot be opened.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        locked = _lock(handle, exclusive=True)
        if locked and not _is_at(handle, folder / LOCK):
            raise BlockingIOError(errno.EWOULDBLOCK, "another process removes it")
    except OSError:
        os.close(handle)
        raise
    return handle if locked else None


def is_used(folder: Path) -> bool:
    """Whether some process, this one included, has the store open; False where locks cannot tell."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        if _lock(handle, exclusive=True):
            os.close(handle)
    except BlockingIOError:
        os.close(handle)
        return True
    return False


def last_used(folder: Path) -> float:
    """When the store was last opened, in seconds since the epoch (stores without a lock file: last written)."""
    for file in (folder / LOCK, folder):
        with contextlib.suppress(OSError):
            return file.stat().st_mtime
    return 0.0


def _open(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        try:
            return os.open(file, os.O_RDONLY)  # enough for a shared lock
        except FileNotFoundError:
            raise error from None


def _lock(handle: int, exclusive: bool) -> bool:
    """Lock, or close the handle and return False where locks are not known. BlockingIOError: another holds it."""
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
            return True
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    os.close(handle)
    return False


def _is_at(handle: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), file.stat())
    except OSError:
        return False
