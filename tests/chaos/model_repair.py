"""A repair is cut off by the power at every moment: the next one ends as the first would have; one that returned stays.

The journal is damaged in one frame, in each segment in turn. In every lawful state after each change to the disk a
repair must keep every whole frame and name the seq of the broken one; in those after its return, the journal must open
and be read without a second one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ingestor.errors import IngestorError
from ingestor.journal import JournalWriter, repair
from ingestor.journal.disk import RealDisk
from ingestor.journal.segments import HEADER_BYTES
from tests.chaos.model import ENOUGH, PLACE, Examined, Refuted, folder, open_at
from tests.chaos.model_disk import ModelDisk, State, put_down
from tests.ingestor.journal.helpers import flip, put, read_all, segment_files

SEQS: Final = range(1, 9)


def examine_repair(*, contents: int = 1000) -> Examined:
    """Damage, repair, cut, repair again."""
    found = Examined()
    with folder() as base:
        for number in range(_segments(base / "whole")):
            root = base / "life"
            shutil.copytree(base / "whole", root)
            file = segment_files(root / PLACE)[number]
            flip(file, HEADER_BYTES + 100)
            found.lives += 1
            try:
                _examine(base, root, int(file.stem), found, contents)
            except Refuted:
                return found
            shutil.rmtree(root)
    return found


def _examine(base: Path, root: Path, lost: int, found: Examined, contents: int) -> None:
    disk = ModelDisk(root, contents=contents)
    seen: set[object] = set()
    returned = False

    def watch() -> None:
        for state in disk.states():
            key = (tuple(state.items()), returned)
            if key in seen:
                continue
            seen.add(key)
            found.states += 1
            found.violations += _faults(base / "state", state, lost, returned=returned)
            if len(found.violations) > ENOUGH:
                raise Refuted

    disk.watch = watch
    done = repair(root / PLACE, shard=0, disk=disk)
    assert done.lost == [(lost, lost)]
    returned = True
    watch()


def _faults(root: Path, state: State, lost: int, *, returned: bool) -> Iterator[str]:
    put_down(state, root)
    directory = root / PLACE
    wanted = [seq for seq in SEQS if seq != lost]
    try:
        if not returned:
            repair(directory, shard=0)
        before = [frame.first_seq for frame in read_all(directory)]
        writer: JournalWriter = open_at(directory, RealDisk())
        put(writer, 50)
        writer.commit()
        writer.close()
        after = [frame.first_seq for frame in read_all(directory)]
        if after != [*wanted, 50] or (before != wanted and not returned):
            yield f"{before}, then {after} are there, after a return: {returned}"
    except IngestorError as error:
        yield f"{error}, after a return: {returned}"
    finally:
        shutil.rmtree(root)


def _segments(root: Path) -> int:
    (root / PLACE).mkdir(parents=True)
    writer = open_at(root / PLACE, RealDisk())
    for seq in SEQS:
        put(writer, seq)
        writer.commit()
    writer.close()
    return len(segment_files(root / PLACE))
