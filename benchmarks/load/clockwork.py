"""Moments, context ids and numbers for hundreds of events at once, as fixed-width bytes in arrays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Wide = np.ndarray[tuple[int], np.dtype[np.void]]

SECOND_US: Final = 1_000_000
SALT_BYTES: Final = 7
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_WIDE: Final = np.dtype("V26")
_THREE: Final = np.array([list(b"%03d" % n) for n in range(1000)], np.uint8)
_TENTHS: Final = np.array([b"%04.1f" % (n / 10) for n in range(1000)], "S4").view("V4")


def room(first_us: int, count: int) -> int:
    """Give the first moment, not before ``first_us``, from which so many fall into one second."""
    return first_us if first_us % SECOND_US + count <= SECOND_US else (first_us // SECOND_US + 1) * SECOND_US


def stamps(first_us: int, count: int) -> Wide:
    """Write so many moments, a microsecond apart, without their zone. All in one second (``room``)."""
    written = np.empty((count, _WIDE.itemsize), np.uint8)
    second, micros = divmod(first_us, SECOND_US)
    head = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.").encode()
    written[:, : len(head)] = np.frombuffer(head, np.uint8)
    each = np.arange(micros, micros + count)
    written[:, 20:23] = _THREE[each // 1000]
    written[:, 23:26] = _THREE[each % 1000]
    return written.view(_WIDE).reshape(count)


def contexts(now_us: int, first: int, count: int, *, salt: bytes) -> Wide:
    """Write so many ULIDs: this millisecond, the bringer's salt, and the numbers from ``first`` on."""
    written = np.empty((count, _WIDE.itemsize), np.uint8)
    ms = now_us // 1000
    head = "".join(_CROCKFORD[ms >> shift & 31] for shift in range(45, -1, -5)).encode() + salt
    written[:, : len(head)] = np.frombuffer(head, np.uint8)
    each = np.arange(first, first + count)
    written[:, 17:20] = _THREE[each // 1_000_000 % 1000]
    written[:, 20:23] = _THREE[each // 1000 % 1000]
    written[:, 23:26] = _THREE[each % 1000]
    return written.view(_WIDE).reshape(count)


def digits(tenths: npt.NDArray[np.int64]) -> np.ndarray[tuple[int], np.dtype[Any]]:
    """Write numbers of tenths from 0 to 999 as four bytes: 215 is ``21.5``."""
    return _TENTHS[tenths]
