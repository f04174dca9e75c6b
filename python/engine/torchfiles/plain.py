"""Data of Python's library in PyTorch's files: what each name stands for. A file calls nothing but these."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter, OrderedDict, defaultdict
from typing import Any

from engine.torchfiles.unpickle import Known

__all__ = ["NAMES", "STATES"]


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, which protocol 2 writes as text in Latin-1."""
    if encoding != "latin1":
        raise ValueError("bytes in another encoding")
    return text.encode("latin1")


def _bytes() -> bytes:
    """No bytes, which protocol 2 writes as a call."""
    return b""


def _bytearray(data: bytes = b"") -> bytearray:
    if type(data) is not bytes:  # a number would ask for that much memory
        raise TypeError("a bytearray of something that is no bytes")
    return bytearray(data)


def _complex(real: float, imag: float) -> complex:
    return complex(float(real), float(imag))


def _counter(counts: Any = ()) -> Counter[Any]:
    if counts != () and type(counts) is not dict:
        raise TypeError("a Counter of something that is no dict")
    return Counter(counts)


def _defaultdict(factory: Any = None) -> defaultdict[Any, Any]:
    if factory is not None and factory not in _FACTORIES.values():
        raise TypeError("a defaultdict of something that is no type of data")
    return defaultdict(None if factory is None else factory.make)


def _attributes(namespace: Namespace, state: Any) -> None:
    """The arguments of a command. A name of the class itself is an error, because it would replace a method."""
    if type(state) is not dict or any(type(name) is not str or hasattr(Namespace, name) for name in state):
        raise TypeError("attributes of a Namespace")
    vars(namespace).update(state)


# What a defaultdict may make: without arguments, because an int of a long text would take minutes.
_FACTORIES = {
    "int": Known(lambda: 0), "float": Known(lambda: 0.0), "bool": Known(lambda: False), "str": Known(lambda: ""),
    "list": Known(lambda: []), "dict": Known(lambda: {}), "tuple": Known(lambda: ()),
    "set": Known(set),
}  # fmt: skip

NAMES = {
    "collections OrderedDict": Known(OrderedDict),
    "collections Counter": Known(_counter),
    "collections defaultdict": Known(_defaultdict),
    "_codecs encode": Known(_encoded),
    "argparse Namespace": Known(lambda: Namespace()),
    **{
        f"{module} {name}": known
        for module in ("__builtin__", "builtins")
        for name, known in {
            "frozenset": Known(frozenset), "bytearray": Known(_bytearray), "complex": Known(_complex), "bytes": Known(_bytes),
            **_FACTORIES,
        }.items()
    },
}  # fmt: skip

STATES: dict[type, Any] = {Namespace: _attributes}  # how an object takes the state that a pickle hands it
