"""A disk that does all for real, and knows at any moment every state in which a power cut may leave it.

The rules are those of POSIX, harder than any one file system's:

    bytes     what was synced stays. Of what was written since, any set of 512-byte sectors is there, in any order; a
              cut is done or not; a file that grew may have its new size and zeros.
    names     each change since the sync of their folder is done or not, whichever of them.
    memory    of a mapped file any content it had is there, or a store that was half done.
    failure   after a failed sync the file reads as written, a later sync says yes, and what is on the disk is any of
              what was possible before.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Final

from ingestor.journal.disk import RealDisk, Region

SECTOR: Final = 512
#: Of up to so many sectors or names every subset is tried, of more a set of each kind.
EVERY_SUBSET_OF: Final = 6

#: A path below the root -> its bytes, or None for a folder.
State = Mapping[str, bytes | None]
Change = tuple[int, bytes] | int
Names = dict[str, int | None]


def subsets(count: int) -> Iterator[tuple[bool, ...]]:
    """Yield which of ``count`` things happened: all ways; when they are many, the first and last ones and the like."""
    if count <= EVERY_SUBSET_OF:
        yield from product((False, True), repeat=count)
        return
    for cut in range(count + 1):
        yield tuple(at < cut for at in range(count))
        yield tuple(at >= cut for at in range(count))
        yield tuple(at != cut for at in range(count))
    yield tuple(at % 2 == 0 for at in range(count))
    yield tuple(at % 2 == 1 for at in range(count))


@dataclass
class _File:
    """``synced``: one of these is on the disk of it. ``changes`` came since; ``seen``: a mapping's contents."""

    folder: bool = False
    synced: list[bytes] = field(default_factory=lambda: [b""])
    changes: list[Change] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)

    def outcomes(self) -> list[bytes]:
        """List what may be on disk of it after a power cut."""
        pieces = [piece for change in self.changes for piece in _sectors(change)]
        found = list(self.synced) + self.seen
        for synced in self.synced:
            for chosen in subsets(len(pieces)):
                content = synced
                size = len(synced)
                for piece, there in zip(pieces, chosen, strict=True):
                    size = piece if isinstance(piece, int) else max(size, piece[0] + len(piece[1]))
                    content = apply(content, piece) if there else content
                found += [content, content.ljust(size, b"\0")]
        return list(dict.fromkeys(found))

    def sync(self) -> None:
        """Make all of it durable."""
        if self.seen:
            self.synced, self.seen = self.seen[-1:], []
        for change in self.changes:
            self.synced = [apply(content, change) for content in self.synced]
        self.synced, self.changes = list(dict.fromkeys(self.synced)), []

    def forget(self) -> None:
        """Take note that a sync failed: each outcome may be true for ever."""
        self.synced, self.changes = self.outcomes(), []


@dataclass
class _Folder:
    synced: Names = field(default_factory=dict)
    changes: list[Names] = field(default_factory=list)

    def now(self) -> Names:
        return _named(self.synced, self.changes, [True] * len(self.changes))

    def outcomes(self) -> list[Names]:
        """List which names may be on disk after a power cut."""
        found: list[Names] = []
        for chosen in subsets(len(self.changes)):
            names = _named(self.synced, self.changes, chosen)
            if names not in found:
                found.append(names)
        return found


class Killed(BaseException):
    """The process that used the disk is gone."""


class ModelDisk(RealDisk):
    """Knows the ``states`` of all below ``root``, whose present content is taken as durable.

    ``watch`` is called after each change. ``fail_sync``: the ``fdatasync`` of this number, counted from 1, fails.
    ``kill_after``: after so many changes whoever makes them is killed.
    ``contents``: so many of the latest contents of mapped memory are thought possible.
    """

    def __init__(self, root: Path, *, contents: int = 1000) -> None:
        self.root, self.contents = root, contents
        self.watch: Callable[[], None] = lambda: None
        self.fail_sync = 0
        self.kill_after = 0
        self.written: list[tuple[int, bytes]] = []
        self._files: list[_File] = []
        self._open: dict[int, int] = {}
        self._folders: dict[str, _Folder] = {".": _Folder()}
        for path in sorted(root.rglob("*")):
            if path.is_dir() or path.name != "lock":
                self._folders[self._key(path.parent)].synced[path.name] = self._add(path)

    def mkdir(self, path: Path) -> None:
        new = not path.is_dir()
        super().mkdir(path)
        if new:
            self._change(path.parent, {path.name: self._add(path)})

    def open(self, path: Path, *, create: bool) -> int:
        fd = super().open(path, create=create)
        known = self._folders[self._key(path.parent)].now().get(path.name)
        if known is None:
            known = self._add(path)
            self._change(path.parent, {path.name: known})
        elif create:
            self._files[known].changes.append(0)
        self._open[fd] = known
        return fd

    def write(self, fd: int, data: bytes, at: int) -> None:
        super().write(fd, data, at)
        self._files[self._open[fd]].changes.append((at, bytes(data)))
        self.written.append((at, bytes(data)))
        self.did()

    def truncate(self, fd: int, size: int) -> None:
        super().truncate(fd, size)
        self._files[self._open[fd]].changes.append(size)
        self.did()

    def fdatasync(self, fd: int) -> None:
        file = self._files[self._open[fd]]
        if self.fail_sync:
            self.fail_sync -= 1
            if self.fail_sync == 0:
                file.forget()
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().fdatasync(fd)
        file.sync()
        self.did()

    def rename(self, source: Path, target: Path) -> None:
        number = self._folders[self._key(source.parent)].now()[source.name]
        super().rename(source, target)
        self._change(source.parent, {source.name: None, target.name: number})

    def link(self, source: Path, target: Path) -> None:
        number = self._folders[self._key(source.parent)].now()[source.name]
        super().link(source, target)
        self._change(target.parent, {target.name: number})

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._change(path.parent, {path.name: None})

    def fsync_dir(self, path: Path) -> None:
        super().fsync_dir(path)
        if path.is_relative_to(self.root):
            folder = self._folders[self._key(path)]
            folder.synced, folder.changes = folder.now(), []
            self.did()

    def map(self, path: Path, size: int) -> Region:
        number = self._folders[self._key(path.parent)].now()[path.name]
        assert number is not None
        return _ModelRegion(super().map(path, size), size, self._files[number], self)

    def did(self) -> None:
        """Note a change. Raises ``Killed`` when the process shall not outlive it."""
        self.watch()
        self.kill_after -= 1
        if self.kill_after == 0:
            raise Killed

    def states(self) -> Iterator[dict[str, bytes | None]]:
        """Yield each state in which a power cut may leave everything now. Some may be alike."""
        places = list(self._folders)
        for names in product(*(self._folders[place].outcomes() for place in places)):
            tree = self._tree(dict(zip(places, names, strict=True)))
            for contents in product(*(file.outcomes() for file in tree.values() if not file.folder)):
                content = iter(contents)
                yield {path: None if file.folder else next(content) for path, file in tree.items()}

    def a_state(self, chance: random.Random) -> dict[str, bytes | None]:
        """Choose one of the states."""
        tree = self._tree({place: chance.choice(folder.outcomes()) for place, folder in self._folders.items()})
        return {path: None if file.folder else chance.choice(file.outcomes()) for path, file in tree.items()}

    def _tree(self, names: Mapping[str, Names]) -> dict[str, _File]:
        """Find what can be reached from the root, folders before what lies in them."""
        tree: dict[str, _File] = {}
        places = ["."]
        while places:
            place = places.pop()
            for name, number in sorted(names[place].items()):
                if number is not None:
                    path = name if place == "." else f"{place}/{name}"
                    tree[path] = self._files[number]
                    if tree[path].folder:
                        places.append(path)
        return tree

    def _add(self, path: Path) -> int:
        folder = path.is_dir()
        content = b"" if folder else path.read_bytes()
        self._files.append(_File(folder=folder, synced=[content]))
        if folder:
            self._folders[self._key(path)] = _Folder()
        return len(self._files) - 1

    def _change(self, folder: Path, names: Names) -> None:
        self._folders[self._key(folder)].changes.append(names)
        self.did()

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


class _ModelRegion:
    def __init__(self, region: Region, size: int, file: _File, disk: ModelDisk) -> None:
        self._region, self._size, self._file, self._disk = region, size, file, disk

    def __getitem__(self, key: slice, /) -> bytes:
        return self._region[key]

    def __setitem__(self, key: slice, value: bytes, /) -> None:
        half = len(value) // 2
        before = self._region[0 : self._size]
        self._region[key] = value
        after = self._region[0 : self._size]
        torn = before[: key.start] + value[:half] + before[key.start + half :]
        self._file.seen = [*dict.fromkeys([*self._file.seen, torn, after])][-self._disk.contents :]
        self._disk.did()

    def close(self) -> None:
        self._region.close()


def apply(content: bytes, change: Change) -> bytes:
    """Return a file's bytes after a write, or a cut."""
    if isinstance(change, int):
        return content[:change].ljust(change, b"\0")
    at, data = change
    return content[:at].ljust(at, b"\0") + data + content[at + len(data) :]


def put_down(state: State, root: Path) -> None:
    """Make the folder ``root`` with a state in it."""
    root.mkdir()
    for path, content in state.items():
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)


def _sectors(change: Change) -> list[Change]:
    if isinstance(change, int):
        return [change]
    at, data = change
    cuts = [0, *range(SECTOR - at % SECTOR, len(data), SECTOR), len(data)]
    return [(at + begin, data[begin:end]) for begin, end in pairwise(cuts) if end > begin]


def _named(names: Names, changes: list[Names], chosen: list[bool] | tuple[bool, ...]) -> Names:
    found = dict(names)
    for change, done in zip(changes, chosen, strict=True):
        if done:
            found.update(change)
    return {name: number for name, number in found.items() if number is not None}
