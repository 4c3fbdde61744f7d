"""The console command ``ha-ingestor``. ``run`` is the product; all else asks a running one, or reads its data."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. A wrong setting ends it with code 2 and one line."""
    from ingestor.errors import ConfigError

    from .commands import application

    try:
        application()
    except ConfigError as error:
        sys.stderr.write(f"ha-ingestor: {error}\n")
        raise SystemExit(2) from None
