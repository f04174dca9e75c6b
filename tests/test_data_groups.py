"""Groups of items within limits of weight and number."""

from __future__ import annotations

import numpy as np

from engine.data.groups import groups


def test_both_limits_hold_and_no_group_ends_early() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        weights = rng.integers(0, 9, rng.integers(0, 30)).tolist()
        most_weight = [None, 0, 5, 12][rng.integers(4)]
        most_items = [None, 1, 2, 7][rng.integers(4)]
        found = list(groups(enumerate(weights), lambda item: item[1], most_weight, most_items))
        assert [item for group in found for item in group] == list(enumerate(weights)) and all(found)
        for group, after in zip(found, [*found[1:], None]):
            total = sum(weight for _, weight in group)
            assert most_items is None or len(group) <= most_items
            assert most_weight is None or total <= most_weight or len(group) == 1
            if after is not None:
                full = len(group) == most_items
                assert full or (most_weight is not None and total + after[0][1] > most_weight)


def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []
    stream = groups((taken.append(i) or i for i in range(100)), lambda _: 1, 3)  # type: ignore[func-returns-value]
    assert next(stream) == [0, 1, 2] and taken == [0, 1, 2, 3]
