"""The console command ``ha-ingestor``. ``run`` is the product; all else asks a running one, or reads its data."""

from __future__ import annotations

import os
import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line. A wrong setting ends it with code 2 and one line."""
    try:
        from ingestor.errors import ConfigError

        from .commands import application
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    try:
        application()
    except ConfigError as error:
        sys.stderr.write(f"ha-ingestor: {error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_INTERRUPTED) from None
