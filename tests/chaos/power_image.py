"""An ext4 file system in a file, mounted over a loop device, whose power can be cut.

``cut`` asks ext4 to shut down without flushing its log: what was not synced is gone, names too, and every later call
fails. ``restore`` mounts the same blocks again, and the kernel replays the log, as after a real cut.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

_SHUTDOWN: Final = 0x8004587D
_WITHOUT_LOG_FLUSH: Final = 2
_REMOUNT, _READ_ONLY = 32, 1
_LIBC = ctypes.CDLL(None, use_errno=True)
MIB: Final = 1024 * 1024


def why_not() -> str | None:
    """Say why no such file system can be had here; None when it can."""
    if os.geteuid() != 0:
        return "power cuts need root, for a loop device and a mount: run the tests with sudo"
    if not Path("/dev/loop-control").exists():
        return "power cuts need loop devices, and this kernel or container has none"
    missing = [tool for tool in ("mkfs.ext4", "losetup") if not _tool(tool)]
    if missing:
        return f"power cuts need {' and '.join(missing)}: apt-get install e2fsprogs mount"
    return None


class Image:
    """One file system. A context manager; everything is gone afterwards. ``path`` is where it is mounted."""

    def __init__(self, size_bytes: int = 64 * MIB, *, options: tuple[str, ...] = ()) -> None:
        self._size_bytes, self._options = size_bytes, options
        self._device = ""

    def __enter__(self) -> Self:
        shared = Path("/dev/shm")  # noqa: S108 - a private folder is made inside
        self._folder = Path(tempfile.mkdtemp(prefix="image-", dir=shared if shared.is_dir() else None))
        self.path = self._folder / "mount"
        self.path.mkdir()
        try:
            blocks = self._folder / "blocks"
            with blocks.open("wb") as file:
                file.truncate(self._size_bytes)
            _run(_tool("mkfs.ext4"), "-q", "-F", *self._options, str(blocks))
            self._device = _run(_tool("losetup"), "--find", "--show", str(blocks))
            self._mount()
        except BaseException:
            self._put_away()
            raise
        return self

    def __exit__(self, *fault: object) -> None:
        self._put_away()

    def cut(self) -> None:
        """Cut the power, now."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _WITHOUT_LOG_FLUSH))
        finally:
            os.close(fd)

    def restore(self) -> None:
        """Bring the power back. Nobody may have a file open any more."""
        self._unmount()
        self._mount()

    def refuse_writes(self) -> None:
        """Turn it read-only as ext4 does by itself when it met an error."""
        self._mount(_REMOUNT, b"abort")

    def _mount(self, flags: int = 0, data: bytes = b"errors=remount-ro") -> None:
        _call(_LIBC.mount, self._device.encode(), str(self.path).encode(), b"ext4", ctypes.c_ulong(flags), data)

    def _unmount(self) -> None:
        for attempt in range(200):
            try:
                _call(_LIBC.umount2, str(self.path).encode(), 0)
            except OSError as error:
                if error.errno != errno.EBUSY or attempt == 199:
                    raise
                time.sleep(0.01)
            else:
                return

    def _put_away(self) -> None:
        with suppress(OSError):
            self._unmount()
        if self._device:
            subprocess.run([_tool("losetup"), "--detach", self._device], check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)


def _call(function: object, *arguments: object) -> None:
    if function(*arguments):  # type: ignore[operator]  # a function of the C library
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(arguments[0]))


def _tool(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
