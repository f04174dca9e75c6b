"""A reader of pickles that executes nothing: it knows the few instructions that data need, and a table of names.

Python's own unpickler imports whatever a file names and calls it. Here a name is looked up in a table that the caller gives; any other
name is an error. The instructions are those of `pickletools` in Python's library. Protocols 0 and 1 have others; PyTorch writes
protocol 2.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pickletools import genops
from types import MappingProxyType
from typing import Any

from engine.errors import ArgumentError, BadValue

__all__ = ["Known", "unpickle"]


class Known:
    """A name that a pickle may call: `make(*arguments)` builds data."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


class _Mark:
    """Where the items of a list, a tuple or a dict begin."""


_MARK = _Mark()
_OBJECTS = 2**17  # empty lists and the like, which any file may make; a call counts as four
_NAMED = 20  # names in an error
_KEYS = (str, int, float, complex, bytes, bool, type(None))
_CONSTANTS: dict[int, Any] = {0x4E: None, 0x88: True, 0x89: False}  # N, NEWTRUE, NEWFALSE
_NUMBERS = {0x4A: "<i", 0x4B: "<B", 0x4D: "<H", 0x47: ">d"}  # BININT, BININT1, BININT2, BINFLOAT
_STRINGS = {0x58: "<I", 0x8C: "<B", 0x8D: "<Q"}  # BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
_BYTES = {0x42: "<I", 0x43: "<B", 0x8E: "<Q"}  # BINBYTES, SHORT_BINBYTES, BINBYTES8
_INTEGERS = {0x8A: "<B", 0x8B: "<i"}  # LONG1, LONG4
_PUTS = {0x71: "<B", 0x72: "<I"}  # BINPUT, LONG_BINPUT
_GETS = {0x68: "<B", 0x6A: "<I"}  # BINGET, LONG_BINGET
_EMPTY: dict[int, Callable[[], Any]] = {0x7D: dict, 0x5D: list, 0x29: tuple, 0x8F: set}  # }, ], ), EMPTY_SET
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}  # TUPLE1, TUPLE2, TUPLE3


def unpickle(
    data: bytes,
    names: Mapping[str, Any],
    persistent: Callable[[Any], Any],
    start: int = 0,
    source: str = "a file",
    states: Mapping[type, Callable[[Any, Any], None]] = MappingProxyType({}),
) -> tuple[Any, int]:
    """The object in a pickle that begins at `start`, and where the pickle ends.

    Args:
        names: "module name" -> what it stands for. Only a `Known` may be called.
        persistent: makes an object of what the file says about one that is kept outside of the pickle.
        source: what an error calls the file.
        states: how an object of a type takes the state that the pickle hands it.

    Raises:
        ValueError: for a name that is not in `names`, an unknown instruction, or a damaged pickle.
    """
    reader = _Reader(data, names, persistent, start, source, states)
    try:
        return reader.run(), reader.at
    except ArgumentError:
        raise
    except (struct.error, IndexError, KeyError, TypeError, UnicodeDecodeError, AttributeError, OverflowError) as error:
        raise BadValue(
            "load", "f", "a whole pickle", f"{source}, damaged at byte {reader.at}", f"{type(error).__name__}: {error}"
        ) from None


class _Reader:
    def __init__(
        self,
        data: bytes,
        names: Mapping[str, Any],
        persistent: Callable[[Any], Any],
        at: int,
        source: str,
        states: Mapping[type, Callable[[Any, Any], None]],
    ) -> None:
        self.data, self.names, self.persistent, self.at, self.source = data, names, persistent, at, source
        self.states = states
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.left = _OBJECTS + len(data) // 8

    def count(self, weight: int) -> None:
        """Counts what is made. A tensor costs a file a hundred bytes; a file that makes one out of five wants to fill the memory."""
        self.left -= weight
        if self.left < 0:
            raise IndexError("more objects than a file of this size needs")

    def take(self, count: int) -> bytes:
        if count < 0 or count > len(self.data) - self.at:
            raise IndexError(f"{count} bytes wanted, {len(self.data) - self.at} left")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.data.index(b"\n", self.at)
        return self.take(end - self.at + 1)[:-1].decode()

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise IndexError("nothing on the stack")
        return self.stack.pop()

    def items(self) -> list[Any]:
        """What was pushed since the last mark."""
        for begin in range(len(self.stack) - 1, -1, -1):
            if self.stack[begin] is _MARK:
                items = self.stack[begin + 1 :]
                del self.stack[begin:]
                return items
        raise IndexError("no mark on the stack")

    def run(self) -> Any:
        while True:
            code = self.data[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                result = self.pop()
                if self.stack:
                    raise IndexError("objects are left on the stack")
                return result
            self.step(code)

    def step(self, code: int) -> None:
        push = self.stack.append
        if code in _CONSTANTS:
            push(_CONSTANTS[code])
        elif code in _NUMBERS:
            push(self.number(_NUMBERS[code]))
        elif code in _STRINGS:
            push(self.take(self.number(_STRINGS[code])).decode("utf-8", "surrogatepass"))
        elif code in _BYTES:
            push(self.take(self.number(_BYTES[code])))
        elif code in _INTEGERS:
            push(int.from_bytes(self.take(self.number(_INTEGERS[code])), "little", signed=True))
        elif code in _PUTS:
            self.memo[self.number(_PUTS[code])] = self.stack[-1]
        elif code in _GETS:
            push(self.memo[self.number(_GETS[code])])
        elif code in _EMPTY:
            self.count(1)
            push(_EMPTY[code]())
        elif code in _TUPLES:
            push(tuple(reversed([self.pop() for _ in range(_TUPLES[code])])))
        elif code in _OTHERS:
            _OTHERS[code](self)
        else:
            raise BadValue(
                "load",
                "f",
                "a pickle of data alone",
                f"the instruction {code:#04x} in {self.source}",
                "it may run code",
            )

    # --- the other instructions

    def protocol(self) -> None:
        if self.number("<B") > 5:
            raise IndexError("a protocol that is not known")

    def frame(self) -> None:
        """The length of what follows, for readers of streams."""
        self.take(8)

    def memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def find(self, name: str) -> None:
        if name not in self.names:
            others = [n.replace(" ", ".") for n in dict.fromkeys((name, *self.named())) if n not in self.names]
            some = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
            raise BadValue(
                "load", "f", "tensors, numbers, strings, lists, tuples, dicts and sets", f"{some} in {self.source}",
                "engine opens data alone and runs no code of a file; save a state_dict() with torch.save instead of the whole object",
            )  # fmt: skip
        self.stack.append(self.names[name])

    def named(self) -> Iterator[str]:
        """The names in the rest of the pickle, for an error. Of a damaged one, those before the damage."""
        with suppress(ValueError):
            yield from (str(argument) for code, argument, _ in genops(self.data[self.at :]) if code.name == "GLOBAL")

    def stacked_name(self) -> None:
        name, module = self.pop(), self.pop()
        self.find(f"{module} {name}")

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Known) or not isinstance(arguments, tuple):
            raise TypeError("a call of something that is no function")
        self.count(4)
        self.stack.append(function.make(*arguments))

    def build(self) -> None:
        """The state of an object. A `state_dict` has one attribute, `_metadata`; what else may have a state is in `states`."""
        state, target = self.pop(), self.stack[-1]
        if type(target) in self.states:
            self.states[type(target)](target, state)
        elif type(target) is not OrderedDict or not isinstance(state, dict) or set(state) - {"_metadata"}:
            raise TypeError("attributes of an object")
        else:
            vars(target).update(state)

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(pairs) % 2:
            raise TypeError("items of something that is no dict")
        for key, value in zip(pairs[::2], pairs[1::2]):
            target[_key(key)] = value

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError("items of something that is no list")
        target.extend(items)

    def frozen(self) -> None:
        self.count(1)
        self.stack.append(frozenset(_key(item) for item in self.items()))

    def add_items(self) -> None:
        items, target = self.items(), self.stack[-1]
        if not isinstance(target, set):
            raise TypeError("items of something that is no set")
        target.update(_key(item) for item in items)


def _key(key: Any) -> Any:
    """A key of a dict or an item of a set. Python computes hashes of nested tuples without a limit of depth."""
    if isinstance(key, _KEYS) or (isinstance(key, tuple) and all(isinstance(part, _KEYS) for part in key)):
        return key
    raise TypeError(f"a key of the type {type(key).__name__}")


_OTHERS: dict[int, Callable[[_Reader], None]] = {
    0x80: _Reader.protocol,
    0x95: _Reader.frame,
    0x28: lambda reader: reader.stack.append(_MARK),  # MARK
    0x74: lambda reader: reader.stack.append(tuple(reader.items())),  # TUPLE
    0x94: _Reader.memoize,
    0x63: lambda reader: reader.find(f"{reader.line()} {reader.line()}"),  # GLOBAL
    0x93: _Reader.stacked_name,
    0x51: lambda reader: reader.stack.append(reader.persistent(reader.pop())),  # BINPERSID
    0x52: _Reader.reduce,
    0x62: _Reader.build,
    0x75: lambda reader: reader.set_items(reader.items()),  # SETITEMS
    0x73: _Reader.set_item,
    0x65: lambda reader: reader.extend(reader.items()),  # APPENDS
    0x61: lambda reader: reader.extend([reader.pop()]),  # APPEND
    0x90: _Reader.add_items,
    0x91: _Reader.frozen,
    0x81: _Reader.reduce,  # NEWOBJ: cls.__new__(cls, *arguments)
}
