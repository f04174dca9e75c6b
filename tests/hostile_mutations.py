"""Mutations of whole and of damaged files: bytes anywhere, and changes that know the form of the file (JSON, safetensors, pickles, zips,
text in lines), because most random bytes end at the first check of a reader."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickletools
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

__all__ = ["mutated", "mutated_bytes", "mutated_json"]

_NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308)
_WORDS = (
    "", "../x", "/etc/passwd", "..", ".", "a/b", "\0", "\ud83d", "é", "e\u0301", "None", "true", "0", "01", "x" * 3000, "\x1b[31m",
)  # fmt: skip
_DEEP = (3, 90, 150, 400)


def _hostile(chance: random.Random) -> Any:
    kind = chance.randrange(3)
    if kind < 2:
        return chance.choice(_WORDS if kind else _NUMBERS)
    rest = chance.randrange(10)
    if rest == 9:
        deep: Any = 0
        for _ in range(chance.choice(_DEEP)):
            deep = [deep] if chance.random() < 0.5 else {"a": deep}
        return deep
    return (None, True, False, [], {}, [[]], {"": {}}, float("nan"), float("inf"))[rest]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of all that is in a tree."""
    found, todo = [], [value]
    while todo:
        each = todo.pop()
        items = each.items() if isinstance(each, dict) else enumerate(each)
        for key, inner in items:
            found.append((each, key))
            if isinstance(inner, (dict, list)):
                todo.append(inner)
    return found


def mutated_json(data: bytes, chance: random.Random) -> bytes:
    """A JSON text with hostile values, and sometimes with a key twice. Raises ValueError or RecursionError if it is no JSON."""
    value = json.loads(data)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        places = _places(value) if isinstance(value, (dict, list)) else []
        if not places or chance.random() < 0.02:
            value = _hostile(chance)
            continue
        container, key = chance.choice(places)
        act = chance.random()
        if act < 0.15:
            del container[key]
        elif act < 0.3:
            other, name = chance.choice(places)
            container[key] = json.loads(json.dumps(other[name])) if isinstance(other, list) or name in other else None
        elif act < 0.4 and isinstance(container, dict):
            container[chance.choice(_WORDS)] = container[key]
        elif act < 0.5 and type(container[key]) in (int, float):
            container[key] = container[key] * chance.choice([-1, 2, 10**6]) + chance.choice([-1, 0, 1])
        else:
            container[key] = _hostile(chance)
    text = json.dumps(value)
    if chance.random() < 0.1 and '"' in text[2:]:
        text = text.replace("{", '{"a": 1, "a": 2, ', 1)
    return text.encode()


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, cut, inserted, repeated."""
    out = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        at = chance.randrange(len(out) + 1)
        size = chance.choice([1, 1, 2, 4, 8, 64, 1000])
        act = chance.randrange(7)
        if act == 0:
            out[at : at + 1] = bytes([chance.randrange(256)])
        elif act == 1:
            del out[at : at + size]
        elif act == 2:
            out[at:at] = out[chance.randrange(len(out) + 1) :][:size]
        elif act == 3:
            number = chance.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1, chance.getrandbits(64)])
            out[at : at + 8] = struct.pack(chance.choice("<>") + "Q", number)
        elif act == 4:
            del out[at:]
        elif act == 5:
            out[at:at] = bytes([chance.choice(b"\0\xff[]{}\",\n\r\t'\\.:(N}])q")]) * size
        elif out:
            out[min(at, len(out) - 1)] ^= 1 << chance.randrange(8)
    return bytes(out)


def _mutated_safetensors(data: bytes, chance: random.Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    header = mutated_json(data[8 : 8 + size], chance)
    length = len(header) if chance.random() < 0.95 else chance.choice([0, 2**31, 2**63, 2**64 - 1, len(header) - 1])
    return struct.pack("<Q", length) + header + data[8 + size :]


# --- pickles and the zips around them -------------------------------------------------------------------------------------------------

_LARGE = struct.pack("<Q", 2**63)
_PICKLED = (
    b"cos\nsystem\n", b"cbuiltins\neval\n", b"c__builtin__\ngetattr\n", b"ctorch\nTensor\n", b"ctorch.nn.parameter\nParameter\n",
    b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nfloat32\n", b"ctorch\nSize\n", b"ctorch\ndevice\n",
    b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\n", b"cnumpy.core.multiarray\nscalar\n",
    b"c_codecs\nencode\n", b"cargparse\nNamespace\n", b"ctorch.storage\nUntypedStorage\n", b"ctorch\nBoolStorage\n", b"c\n\n",
    b"\x93", b"R", b"\x81", b"b", b"0", b"2", b"(", b"t", b"Q", b"u", b"s", b"e", b"a", b"\x90", b"\x91", b".", b"\x94", b"1",
    b"}", b"]", b")", b"\x8f", b"N", b"\x88", b"\x89", b"\x85", b"\x86", b"\x87", b"q\x00", b"h\x00", b"h\xff", b"j\xff\xff\xff\xff",
    b"r\xff\xff\xff\x7f", b"J\xff\xff\xff\x7f", b"J\x00\x00\x00\x80", b"J\xff\xff\xff\xff", b"K\x00", b"K\x09", b"M\xff\xff",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00", b"\x8a\xff", b"\x8b\xff\xff\xff\xff",
    b"G\x7f\xf8\x00\x00\x00\x00\x00\x00", b"G\x7f\xf0\x00\x00\x00\x00\x00\x00", b"X\x01\x00\x00\x00x", b"X\x03\x00\x00\x00\xed\xa0\x80",
    b"X\xff\xff\xff\xff", b"\x8c\xff", b"\x8c\x01a", b"\x8d" + _LARGE, b"\x8e" + _LARGE, b"\x96" + _LARGE, b"\x95" + _LARGE, b"C\x02ab",
    b"B\xff\xff\xff\xff", b"\x80\x05", b"P0\n", b"I1\n", b"X\x07\x00\x00\x00storage", b"X\x01\x00\x00\x000", b"X\x03\x00\x00\x00cpu",
    b"X\x04\x00\x00\x00cuda", b"X\x07\x00\x00\x00../../x", b"](", b"}(", b"((" * 200, b"]" * 300, b"\x85" * 300, b"2\x86" * 40,
)  # fmt: skip


@lru_cache(maxsize=512)
def _instructions(data: bytes) -> list[bytes]:
    """The instructions of a pickle, as far as it is whole; what follows is the last one."""
    places = [0]
    with suppress(Exception):  # of whatever kind: what was found up to there is enough
        for _, _, at in pickletools.genops(data):
            if at:
                places.append(at)
    return [data[a:b] for a, b in zip(places, [*places[1:], len(data)])]


def _mutated_pickle(data: bytes, chance: random.Random) -> bytes:
    parts = list(_instructions(data))
    for _ in range(chance.choice([1, 1, 2, 4])):
        at, other = chance.randrange(len(parts)), chance.randrange(len(parts))
        act = chance.randrange(5)
        if act == 0 and len(parts) > 1:
            del parts[at]
        elif act == 1:
            parts.insert(at, parts[other])
        elif act == 2:
            parts[at], parts[other] = parts[other], parts[at]
        elif act == 3:
            parts[at] = chance.choice(_PICKLED)
        else:
            parts.insert(at, chance.choice(_PICKLED))
    return b"".join(parts)


def _mutated_zip(data: bytes, chance: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        records = old.infolist()
        chosen = chance.choice([info for info in records if info.filename.endswith((".pkl", ".xml"))] + records[:1])
        act = chance.random()
        for info in records:
            content = old.read(info)
            if info is chosen or (act > 0.9 and chance.random() < 0.2):
                if act < 0.85:
                    pickled = info.filename.endswith(".pkl") and chance.random() < 0.7
                    content = (_mutated_pickle if pickled else mutated_bytes)(content, chance)
                elif act < 0.9:
                    new.writestr(info.filename, content)  # twice
                elif act < 0.94:
                    info = zipfile.ZipInfo(
                        chance.choice([*(r.filename for r in records), "../x", "/x", "", "x/data.pkl"])
                    )
                elif act < 0.97:
                    new.writestr(info.filename, content, zipfile.ZIP_DEFLATED)
                    continue
                else:
                    continue
            new.writestr(info, content)
    return out.getvalue()


# --- text in lines --------------------------------------------------------------------------------------------------------------------

_PIECES: dict[str, tuple[bytes, ...]] = {
    ".toml": (b"[a]\n", b"[[a]]\n", b"[model]\n", b"a.b = 1\n", b"x = inf\n", b"x = nan\n", b"x = -0x1\n", b"d = 1979-05-27T07:32:00Z\n",
              b'"""', b"'''", b"{", b"}", b"[", b"]", b" = ", b",", b"#", b"\\u0000", b"\\uD800", b"lr = { low = nan, high = inf }\n",
              b"low = 1e400", b"1_000", b"true", b'"a"."b"', b"99999999999999999999", b"x = [[[[[[[[[[[[[[]]]]]]]]]]]]]]\n", b"\xff", b"\r"),
    "": (b'"', b"'", b",", b"\t", b";", b"|", b"\n", b"\r\n", b"\r", b"\n\n", b'""', b'"""', b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\xff",
         b"nan", b"inf", b"-1", b"1e999", b"[", b"['a', 'b']", b'{"a": 1}', b"text", b"label", b"-DOCSTART- -X- O O\n", b"#", b"B-", b"I-PER",
         b"\xe2\x80\xa8", b"\xcc\x81", b"\xe2\x80\x8b", b"\xf0\x9d\x94\xb8", b"O\tO\tO", b"1\t_\t_\t_\t_\t_\t_\t_\t_\t_\n", b"=1+1", b"\x1b[2J",
         b"#version: 0.2\n", b"[UNK]", b"##", b"\xc4\xa0", b"a" * 2000),
}  # fmt: skip


def _mutated_text(data: bytes, chance: random.Random, ending: str) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    pieces = _PIECES.get(ending, _PIECES[""])
    for _ in range(chance.choice([1, 1, 2, 4])):
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        act = chance.randrange(6)
        if act == 0 and len(lines) > 1:
            del lines[at]
        elif act == 1:
            lines.insert(at, lines[other])
        elif act == 2:
            lines[at] = lines[other]
        else:
            line, place = lines[at], chance.randrange(len(lines[at]) + 1)
            end = place + chance.choice([0, 0, 1, 4]) if act < 5 else place
            lines[at] = line[:place] + chance.choice(pieces) + line[end:]
    return b"".join(lines)


def _mutated_lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines()
    number = chance.randrange(len(lines))
    return b"\n".join([*lines[:number], mutated_json(lines[number], chance), *lines[number + 1 :]]) + b"\n"


_MOST = 2**16  # bytes that are unpacked: some hostile files unpack to far more
_PACKERS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    ".gz": (lambda data: zlib.decompressobj(31).decompress(data, _MOST), lambda data: gzip.compress(data, 1)),
    ".bz2": (lambda data: bz2.BZ2Decompressor().decompress(data, _MOST), lambda data: bz2.compress(data, 1)),
    ".xz": (lambda data: lzma.LZMADecompressor().decompress(data, _MOST), lambda data: lzma.compress(data, preset=0)),
}  # fmt: skip
# A file that was mutated before may have lost its form.
_FORMLESS = (
    ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError, EOFError, OSError, NotImplementedError, RuntimeError,
    lzma.LZMAError, zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip


def mutated(name: str, data: bytes, chance: random.Random) -> bytes:
    """A mutation that suits the kind of file: half of them keep what is around the content whole."""
    if chance.random() < 0.5:
        try:
            return _formed(name, data, chance)
        except _FORMLESS:
            pass
    return mutated_bytes(data, chance)


def _formed(name: str, data: bytes, chance: random.Random) -> bytes:
    ending = name[name.rfind(".") :]
    if ending == ".json":
        return mutated_json(data, chance)
    if ending == ".safetensors":
        return _mutated_safetensors(data, chance)
    if ending in (".pt", ".bin", ".xlsx"):
        return _mutated_zip(data, chance) if data[:2] == b"PK" else _mutated_pickle(data, chance)
    if ending == ".jsonl":
        return _mutated_lines(data, chance)
    if ending in _PACKERS:
        unpack, pack = _PACKERS[ending]
        return pack(_mutated_text(unpack(data), chance, ""))
    if ending in (".zst", ".parquet", ".arrow"):
        return mutated_bytes(data, chance)
    return _mutated_text(data, chance, ending)
