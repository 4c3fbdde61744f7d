"""Every error the ingestor raises, in one tree.

    IngestorError
    |-- ConfigError             a setting is wrong; exit code 2, one line for the user
    |-- SourceError             an event's origin cannot be read
    |   |-- AuthRejected        the home refused the token; trying again soon is useless
    |   `-- ConnectionLost      the home went away; trying again is right
    |-- JournalError            the write-ahead log cannot be written or read
    |   |-- JournalFailed       a write or fsync failed: this incarnation must die and recover
    |   |-- JournalCorrupt      bytes that were acknowledged do not match their checksum
    |   |-- JournalLocked       another process owns this shard's journal
    |   `-- JournalFull         the quota is reached (HTTP 507)
    |-- HistoryError            the Delta table cannot be written or read
    |   `-- HistoryCorrupt      a file of the table is torn, missing or altered
    |-- MetadataError           the metadata store cannot be read or written
    |   `-- MetadataCorrupt     its file is damaged
    |-- QueryError              a question that cannot be answered as asked (HTTP 400)
    |-- Overloaded              the caller shall slow down (HTTP 503 with Retry-After)
    `-- NotFound                what was asked for does not exist (HTTP 404)

Errors cross process borders, so each passes all its arguments, positionally, to
``super().__init__`` and words its message in ``__str__``.
"""

from __future__ import annotations


class IngestorError(Exception):
    """Root of all errors raised here."""


class ConfigError(IngestorError):
    """A setting is wrong. ``setting`` is its dotted name, ``fault`` and ``next_step`` are sentences."""

    def __init__(self, setting: str, fault: str, next_step: str) -> None:
        super().__init__(setting, fault, next_step)
        self.setting, self.fault, self.next_step = setting, fault, next_step

    def __str__(self) -> str:
        return f"{self.setting}: {self.fault}. {self.next_step}"


class _Reasoned(IngestorError):
    """An error that names the thing and the fault."""

    def __init__(self, thing: str, fault: str) -> None:
        super().__init__(thing, fault)
        self.thing, self.fault = thing, fault

    def __str__(self) -> str:
        return f"{self.thing}: {self.fault}"


class SourceError(_Reasoned):
    """An event's origin cannot be read."""


class AuthRejected(SourceError):
    """The home refused the token."""


class ConnectionLost(SourceError):
    """The home went away, or never answered."""


class JournalError(_Reasoned):
    """The write-ahead log cannot be used."""


class JournalFailed(JournalError):
    """A write or fsync failed. Nothing after it may be acknowledged by this process."""


class JournalCorrupt(JournalError):
    """Acknowledged bytes do not match their checksum."""


class JournalLocked(JournalError):
    """Another process owns this shard's journal."""


class JournalFull(JournalError):
    """The journal may not grow further: space must be freed, or the quota raised."""


class HistoryError(_Reasoned):
    """The history table cannot be used."""


class HistoryCorrupt(HistoryError):
    """A file of the history table is torn, missing or altered."""


class MetadataError(_Reasoned):
    """The metadata store cannot be used."""


class MetadataCorrupt(MetadataError):
    """The metadata store's file is damaged."""


class QueryError(IngestorError):
    """A question that cannot be answered as asked."""

    def __init__(self, field: str, got: str, expected: str) -> None:
        super().__init__(field, got, expected)
        self.field, self.got, self.expected = field, got, expected

    def __str__(self) -> str:
        return f"{self.field}: got {self.got}, expected {self.expected}"


class Overloaded(IngestorError):
    """The caller shall come back after ``retry_after_s`` seconds."""

    def __init__(self, thing: str, retry_after_s: float) -> None:
        super().__init__(thing, retry_after_s)
        self.thing, self.retry_after_s = thing, retry_after_s

    def __str__(self) -> str:
        return f"{self.thing} is overloaded, retry after {self.retry_after_s:g} s"


class NotFound(IngestorError):
    """``thing`` (for example ``event``) with that ``name`` does not exist."""

    def __init__(self, thing: str, name: str) -> None:
        super().__init__(thing, name)
        self.thing, self.name = thing, name

    def __str__(self) -> str:
        return f"no {self.thing} {self.name}"
