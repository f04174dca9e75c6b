"""Files and folders that are complete or missing, and locks.

A file is first written into a temporary folder beside it, `.NAME.engine-partial`, and renamed out of it when it is complete and on the
disk. Its writer keeps that folder locked. A process that is killed loses its locks, so the next one that writes the same file sees that
the folder is left over, and removes it, with all that a library may have written there. A folder is made in the same way.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import ArgumentError, BadFile, IsFolder

__all__ = [
    "filled",
    "is_partial",
    "lock",
    "mode_to_write",
    "named",
    "remove_folder",
    "remove_left_overs",
    "replace_file",
    "scratch_folder",
]

_ENDING = ".engine-partial"
_LONGEST = 50  # characters of NAME in a temporary name: file systems have a limit of 255 bytes


def replace_file(filename: str | os.PathLike[str], write: Callable[[str], None], op: str = "replace_file") -> None:
    """Calls `write(path)` with a temporary name in the folder of `filename`, syncs the file to the disk, and renames it in one step.

    A link is followed, and the mode of an existing file is kept. Raises OSError, with the name `op`, if `filename` is not a file (a
    folder, a pipe, a device) or cannot be written; the file is then as it was, or complete.
    """
    name = os.fspath(filename)
    mode = mode_to_write(name, op)
    target = Path(os.path.realpath(name))
    try:
        with scratch_folder(target) as folder:
            temporary = os.path.join(folder, target.name)
            write(temporary)
            with open(temporary, "rb") as stream:
                os.fsync(stream.fileno())
            os.chmod(temporary, stat.S_IMODE(mode))
            os.replace(temporary, target)
    except OSError as error:
        raise named(error, op, name) from None


def mode_to_write(name: str, op: str) -> int:
    """The mode of a file that is to be written: that of the file that is there, or what open() gives a new one. Raises as `replace_file`."""
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG | 0o666 & ~_umask()
    if not stat.S_ISREG(mode):
        kind, what = (IsFolder, "the folder") if stat.S_ISDIR(mode) else (BadFile, "the pipe, socket or device")
        raise kind(op, "filename", "a regular file or a new name", f"{what} {name}")
    return mode


@contextmanager
def filled(target: Path) -> Iterator[Path]:
    """A folder to write into. When it is complete, it takes the place of `target`, and what was there is removed. After an error, it is
    gone, and `target` is as it was."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(target) as partial:
        yield partial
        partial.chmod(0o777 & ~_umask())
        try:
            os.rename(partial, target)  # replaces an empty folder
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            _exchange(partial, target)


def _exchange(partial: Path, target: Path) -> None:
    """Puts one folder into the place of another and removes that one. On Linux's own file systems this is a single step; elsewhere a
    process that is killed in the middle leaves the old folder as `.NAME.old`."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, both = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of <fcntl.h> and <stdio.h>
    if renameat2 is not None and renameat2(here, os.fsencode(partial), here, os.fsencode(target), both) == 0:
        remove_folder(partial)
        return
    old = target.with_name(f".{target.name}.old")
    os.rename(target, old)
    try:
        os.rename(partial, target)
    except BaseException:
        os.rename(old, target)
        raise
    remove_folder(old)


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, private, with a temporary name. It is removed at the end, unless it was renamed."""
    handle, path = _claim(target)
    try:
        yield path
        _remove(handle, path)
    except BaseException:
        with suppress(OSError):  # the first error says more, and the next one here removes what is left
            _remove(handle, path)
        raise
    finally:
        os.close(handle)


def remove_folder(path: Path) -> None:
    """Removes a folder with all that is in it. An error names the folder; that of `rmtree` has only the last part of a path."""
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def is_partial(name: str) -> bool:
    """Whether the name of a folder is a temporary one of this module."""
    return re.fullmatch(rf"\..*{re.escape(_ENDING)}\d*", name) is not None


def lock(handle: int) -> bool | None:
    """Locks an open file or folder until it is closed. False: another holder has the lock. None: the file system has no such locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def named(error: OSError, op: str, name: str | os.PathLike[str]) -> OSError:
    """The error with the file's name, if it has none or a temporary one. A full disk is often reported without a name."""
    if isinstance(error, ArgumentError) or not (error.filename is None or _ENDING in str(error.filename)):
        return error
    if error.errno is None:  # a library's own
        return BadFile(op, "filename", "a file that can be written", os.fspath(name), str(error))
    return OSError(error.errno, error.strerror, os.fspath(name))  # the class follows errno


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _claim(target: Path) -> tuple[int, Path]:
    """A new folder with a temporary name beside `target`, and its handle, which keeps it locked until it is closed."""
    number = 0
    while True:
        path = target.with_name(f".{target.name[:_LONGEST]}{_ENDING}{number or ''}")
        number += 1
        try:
            _remove_left_over(path)
            path.mkdir(0o700)
        except (FileExistsError, NotADirectoryError):
            continue  # another process is writing it, or it is somebody's file
        handle = os.open(path, os.O_RDONLY)
        if lock(handle) is not False and _is(handle, path):
            return handle, path
        os.close(handle)  # another process took it for left over, before it was locked


def remove_left_overs(folder: Path) -> None:
    """Removes the temporary folders in `folder` whose owners were killed."""
    for path in folder.iterdir():
        if is_partial(path.name) and path.is_dir() and not path.is_symlink():
            _remove_left_over(path)


def _remove_left_over(path: Path) -> None:
    """Removes a temporary folder whose owner was killed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        if lock(handle):
            _remove(handle, path)
    finally:
        os.close(handle)


def _remove(handle: int, path: Path) -> None:
    """Removes the open folder at a path, unless the path is another's by now."""
    if _is(handle, path):
        remove_folder(path)


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False
