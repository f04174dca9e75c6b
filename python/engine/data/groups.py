"""Cutting a stream of items into groups of limited weight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["groups"]

Item = TypeVar("Item")


def groups(
    items: Iterable[Item], weight: Callable[[Item], int], most_weight: int | None, most_items: int | None = None
) -> Iterator[list[Item]]:
    """The items in their order, in lists that are as long as both limits allow. An item heavier than `most_weight` has a list
    to itself.

    Args:
        items: any items.
        weight: the weight of an item.
        most_weight: the most weight of a list; None: no limit.
        most_items: the most items of a list; None: no limit.
    """
    group: list[Item] = []
    total = 0
    for item in items:
        added = weight(item)
        if group and (len(group) == most_items or (most_weight is not None and total + added > most_weight)):
            yield group
            group, total = [], 0
        group.append(item)
        total += added
    if group:
        yield group
