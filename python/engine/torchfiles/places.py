"""`map_location`: on which device the storages of a file go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine._core import Array
from engine.device import device as device_class
from engine.errors import BadType
from engine.tensor import Tensor

__all__ = ["Place", "place_of"]

Place = Callable[
    [Array, str], Array
]  # a flat array on the CPU, and the location in the file, such as "cuda:0": the array in its place


def place_of(map_location: Any) -> Place:
    """None: the CPU. A device or its name: there. A dict of locations: where it says; what it does not name goes to the CPU. A function
    of the storage, as a flat Tensor, and of its location: gives the Tensor in its place, or None for the CPU."""
    if map_location is None:
        return lambda array, location: array
    if isinstance(map_location, Mapping):
        places = {str(location): device_class(place) for location, place in map_location.items()}
        return lambda array, location: _moved(array, places[location]) if location in places else array
    if callable(map_location) and not isinstance(map_location, device_class):
        return lambda array, location: _chosen(map_location(Tensor(array), location), array)
    where = device_class(map_location)
    return lambda array, location: _moved(array, where)


def _moved(array: Array, where: device_class) -> Array:
    return Tensor(array).to(where)._data


def _chosen(answer: Any, array: Array) -> Array:
    if answer is None:
        return array
    right = isinstance(answer, Tensor) and answer._data.shape == array.shape and answer._data.dtype is array.dtype
    if not right:
        expected = "a function that gives the storage that it was given, or None"
        raise BadType("load", "map_location", expected, f"one that gives a {type(answer).__name__}")
    return answer._data
