"""Which files to merge. Small files of one date become one; the newest stays apart, so the latest events stay cheap.

A question for the newest events reads the files that end last. Were they merged at once into a file sorted by
entity, each such question would read a whole day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from ingestor.history.layout import DataFile

#: A merged file has at most about this many rows; one with half as many is no longer small.
TARGET_ROWS = 262_144
#: A date that is over is merged once nothing came for this long.
SETTLED_S = 3_600.0


def groups(files: Sequence[DataFile], directory: Path, now_s: float, most: int) -> Iterator[list[DataFile]]:
    """Yield groups of files to merge, each of one date and in time order."""
    today = datetime.fromtimestamp(now_s, UTC).date().isoformat()
    for date, of_date in groupby(sorted(files, key=lambda file: (file.date, file.max_us, file.path)), _date):
        small = [file for file in of_date if file.rows < TARGET_ROWS // 2]
        over = date < today and all(_age_s(directory, file, now_s) > SETTLED_S for file in small)
        if len(small) > (1 if over else most):
            yield from _filled(small if over else small[:-1])


def _filled(small: list[DataFile]) -> Iterator[list[DataFile]]:
    group: list[DataFile] = []
    for file in small:
        if sum(member.rows for member in group) + file.rows > TARGET_ROWS:
            if len(group) > 1:
                yield group
            group = []
        group.append(file)
    if len(group) > 1:
        yield group


def _date(file: DataFile) -> str:
    return file.date


def _age_s(directory: Path, file: DataFile, now_s: float) -> float:
    return now_s - (directory / file.path).stat().st_mtime
