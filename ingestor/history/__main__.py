"""``python -m ingestor.history verify data/history/events``: compare every byte of the history with its digest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ingestor.errors import HistoryError
from ingestor.history.log import RESTORE
from ingestor.history.scrub import verify


def main(arguments: list[str]) -> int:
    """Name each damaged file and its fault in a line. Changes nothing. Returns 1 if there is one, else 0."""
    parser = argparse.ArgumentParser(prog="python -m ingestor.history", description=__doc__)
    parser.add_argument("command", choices=["verify"])
    parser.add_argument("directory", type=Path, help="the history: <data_dir>/history/events")
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        parser.error(f"{options.directory} is no folder. The history lies in <data_dir>/history/events")
    try:
        damages = verify(options.directory)
    except HistoryError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command's answer
        return 1
    for damage in damages:
        print(f"{damage.path}: {damage.fault}. {RESTORE}", file=sys.stderr)  # noqa: T201 - a command's answer
    if not damages:
        print(f"{options.directory}: every byte is as it was written")  # noqa: T201 - a command's answer
    return 1 if damages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
