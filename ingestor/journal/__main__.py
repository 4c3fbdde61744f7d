"""``python -m ingestor.journal repair data/journal/0``: give up the damaged parts of one shard's journal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ingestor.errors import JournalError
from ingestor.journal.repair import repair


def main(arguments: list[str]) -> int:
    """Repair, and say in one line each what was kept and what is lost. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ingestor.journal", description=__doc__)
    parser.add_argument("command", choices=["repair"])
    parser.add_argument("directory", type=Path, help="the journal of one shard: <data_dir>/journal/<shard>")
    options = parser.parse_args(arguments)
    try:
        done = repair(options.directory, shard=int(options.directory.resolve().name))
    except ValueError:
        parser.error(f"{options.directory} is not named by a shard's number")
    except JournalError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command's answer
        return 1
    print(f"kept {done.frames_kept} frames; the old files are in {done.set_aside}")  # noqa: T201 - a command's answer
    for first, last in done.lost:
        print(f"lost: seqs {first} to {last}")  # noqa: T201 - a command's answer
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
