"""One row model, several encodings: the same names and values everywhere."""

from ingestor.formats.writers import FORMATS, Format, Writer

__all__ = ["FORMATS", "Format", "Writer"]
