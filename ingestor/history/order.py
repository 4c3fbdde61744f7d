"""The order of rows in a file: by entity, then time, then seq; rows without an entity last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: More names than this do not fit the numbers that are sorted fastest.
_FEW_NAMES = 65_000


def sorted_rows(rows: Any) -> Any:
    """Return the rows in file order. Copies each of them once."""
    return rows.combine_chunks().take(pa.array(places_in_order(rows)))


def places_in_order(rows: Any) -> Any:
    """Return where the rows stand, first of a file first. Sorts numbers only: a fifth of the cost of sorting texts."""
    entities = rows["entity_id"].combine_chunks().dictionary_encode()
    names = len(entities.dictionary)
    rank = np.empty(names + 1, np.uint16 if names < _FEW_NAMES else np.int64)
    rank[pc.sort_indices(entities.dictionary).to_numpy()] = np.arange(names)
    rank[names] = names
    ranks = rank[entities.indices.fill_null(names).to_numpy(zero_copy_only=False)]
    by_time = np.lexsort((rows["seq"].to_numpy(), rows["time_fired"].to_numpy()))
    return by_time[np.argsort(ranks[by_time], kind="stable")]
