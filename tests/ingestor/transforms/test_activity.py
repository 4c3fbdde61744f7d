"""The profile of a week is learned from events alone."""

from __future__ import annotations

import numpy as np
import pytest

from ingestor.transforms.activity import Activity
from ingestor.transforms.temporal import HOUR_US

MONDAY_H = 24 * 4  # 1970-01-05 00:00


def hours(start_h: int, count_by_hour: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    times = [(start_h + h) * HOUR_US + n for h, count in enumerate(count_by_hour) for n in range(count)]
    return np.array(times, dtype=np.int64)


def test_scores_are_null_until_a_day_is_known() -> None:
    """23 closed hours are not enough, 24 are."""
    activity = Activity()
    assert np.isnan(activity.read(hours(MONDAY_H, [5] * 24), learn=True)).all()
    scores = activity.read(hours(MONDAY_H + 24, [1] * 144), learn=True)
    assert np.isnan(scores).all(), "no hour of these was known yet"
    assert not np.isnan(activity.read(hours(MONDAY_H + 168, [1]), learn=True)).any()


def test_the_liveliest_hour_scores_one() -> None:
    """An hour with half as many events scores a half."""
    activity = Activity()
    activity.read(hours(MONDAY_H, [10] * 8 + [20] + [10] * 159 + [1]), learn=True)
    scores = activity.read(hours(MONDAY_H + 168 + 7, [1, 1]), learn=False)
    assert scores.tolist() == [0.5, 1.0]


def test_old_habits_are_forgotten() -> None:
    """A once lively hour loses a quarter of what sets it apart with every quiet week."""
    activity = Activity()
    activity.read(hours(MONDAY_H, [10] * 8 + [100] + [10] * 159 + [1]), learn=True)
    assert activity.read(hours(MONDAY_H + 7, [1]), learn=False)[0] == 0.1
    for week in range(1, 11):
        activity.read(hours(MONDAY_H + 168 * week, [10] * 168), learn=True)
    score = activity.read(hours(MONDAY_H + 7, [1]), learn=False)[0]
    assert score == pytest.approx(10 / (10 + 90 * 0.75**10))


def test_batches_may_be_cut_anywhere() -> None:
    """One call or many: the scores are the same."""
    times = hours(MONDAY_H, [3, 1, 4, 1, 5, 9, 2, 6] * 60)
    whole, pieces = Activity(), Activity()
    expected = whole.read(times, learn=True)
    got = np.concatenate([pieces.read(times[start : start + 7], learn=True) for start in range(0, len(times), 7)])
    np.testing.assert_array_equal(got, expected)


def test_late_and_backfilled_events_teach_nothing() -> None:
    """The past is not learned twice."""
    plain, disturbed = Activity(), Activity()
    times = hours(MONDAY_H, [2] * 30)
    plain.read(times, learn=True)
    disturbed.read(times, learn=True)
    disturbed.read(hours(MONDAY_H, [50]), learn=True)
    disturbed.read(hours(MONDAY_H + 29, [50]), learn=False)
    after = hours(MONDAY_H + 168, [1, 1, 1])
    np.testing.assert_array_equal(plain.read(after, learn=True), disturbed.read(after, learn=True))
