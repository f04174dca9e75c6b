"""Writes python/engine/_core.pyi and python/engine/tensor.pyi from the declarations they describe: the rows of csrc/kernels, the
docstrings of the extension, and the functions that the tape and `engine.ops` attach to Tensor. `--check` only tells whether they are up to date.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import engine
from engine import _core
from engine.tensor import Tensor

ROOT = Path(__file__).parent.parent / "python" / "engine"
HEAD = "# Written by tools/stubs.py (`make stubs`): do not edit.\n"


def kernel_stub(name: str, signature: str) -> str:
    inputs, _, outputs = signature.partition("->")
    arguments = []
    for word in inputs.split():
        argument = re.split(r"\W", word.lstrip("~^!%#@"))[0]
        kind = "Any" if "[" in word or "{" in word else "float"
        arguments.append(f"{argument}: {kind}")
    count = len(outputs.split())
    result = "None" if count == 0 else "Array" if count == 1 else f"tuple[{', '.join(['Array'] * count)}]"
    positional = ", ".join(arguments) + (", /" if arguments else "")
    if "Any" not in positional:  # without arrays, whose device the outputs would have
        positional += (", " if positional else "") + "*, device: int = -1"
    return f"    @staticmethod\n    def {name}({positional}) -> {result}: ..."


def extension_type(text: str) -> str:
    """A type as pybind11 writes it, simplified."""
    text = text.replace("engine._core.", "").replace("typing.", "").strip()
    known = {"Array", "DType", "int", "float", "str", "bool", "bytes", "None"}
    return "_bool" if text == "bool" else text if text in known else "Any"


def extension_function(name: str, function: Any, method: bool) -> str:
    line = (function.__doc__ or "").strip().split("\n")[0]
    match = re.match(r"\w+\((.*)\) -> (.*)$", line)
    result = extension_type(match[2]) if match else "Any"
    self = "self, " if method else ""
    return f"def {name}({self}*args: Any, **kwargs: Any) -> {result}: ..."


def core_stub() -> str:
    lines = [HEAD, "from builtins import bool as _bool", "from typing import Any", ""]
    for cls in (_core.DType, _core.Array):
        lines += ["", f"class {cls.__name__}:"]
        for name, member in sorted(vars(cls).items()):
            if isinstance(member, property):
                result = re.search(r"-> (.*)$", (member.fget.__doc__ or "").strip().split("\n")[0])
                kind = extension_type(result[1]) if result else "Any"
                lines += ["    @property", f"    def {name}(self) -> {kind}: ..."]
            elif inspect.isgetsetdescriptor(member):  # its description begins with the type
                kind = str(member.__doc__).partition(":")[0].replace("bool", "_bool")
                lines += ["    @property", f"    def {name}(self) -> {kind}: ..."]
            elif callable(member) and (not name.startswith("_") or name.startswith("__dlpack")):
                lines.append("    " + extension_function(name, member, True))
            elif callable(member) and name == "__buffer__":
                lines.append("    def __buffer__(self, flags: int, /) -> memoryview: ...")
    lines += ["", "class Size(tuple[int, ...]):", "    def numel(self) -> int: ...", ""]
    for name, member in sorted(vars(_core).items()):
        if isinstance(member, _core.DType):
            lines.append(f"{name}: DType")
        elif callable(member) and not inspect.isclass(member):
            lines.append(extension_function(name, member, False))
    lines += ["kernel_rows: list[tuple[str, str, list[str], str]]", "", "class _Kernels:"]
    lines += [kernel_stub(name, signature) for name, signature, _, _ in _core.kernel_rows]
    return "\n".join([*lines, "", "kernels: _Kernels", ""])


KNOWN = {
    "Any", "Callable", "Sequence", "Iterator", "Iterable", "Literal", "Tensor", "DType", "Array", "Size", "device", "Node", "RemovableHandle", "np",
    "ndarray", "int", "float", "bool", "str", "tuple", "list", "dict", "None", "object", "type", "complex", "slice", "bytes",
}  # fmt: skip


def annotation(text: Any) -> str:
    """An annotation as it was written, or Any if it names something that the stub does not import."""
    if text is inspect.Parameter.empty:
        return "Any"
    text = text if isinstance(text, str) else getattr(text, "__name__", "Any")
    names = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"Literal\[[^\]]*\]|'[^']*'|\"[^\"]*\"", "", text)))
    # `bool`, `device` and others are also members of Tensor. Inside the class, annotations mean the builtins.
    return re.sub(r"\b(bool|float|int|type)\b", r"_\1", text) if names <= KNOWN else "Any"


def default(value: Any) -> str:
    simple = value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and abs(value) < 1e300)
    return repr(value) if simple else "..."


def method_stub(name: str, function: Any) -> str:
    parameters, star, slashed = [], False, False
    for i, p in enumerate(inspect.signature(function).parameters.values()):
        if p.kind is p.VAR_POSITIONAL:
            parameters.append(f"*{p.name}: {annotation(p.annotation)}")
            star = True
        elif p.kind is p.VAR_KEYWORD:
            parameters.append(f"**{p.name}: {annotation(p.annotation)}")
        elif i == 0:
            parameters.append("self")
        elif p.kind is p.KEYWORD_ONLY and name.startswith("__"):
            continue  # an operator passes no keywords
        else:
            if p.kind is p.KEYWORD_ONLY and not star:
                parameters.append("*")
                star = True
            if p.kind is p.POSITIONAL_ONLY:
                slashed = True
            elif slashed:
                parameters.append("/")
                slashed = False
            given = "" if p.default is p.empty else f" = {default(p.default)}"
            parameters.append(f"{p.name}: {annotation(p.annotation)}{given}")
    result = annotation(inspect.signature(function).return_annotation)
    return f"    def {name}({', '.join(parameters)}) -> {result}: ..."


def tensor_stub() -> str:
    lines = [
        HEAD,
        "from builtins import bool as _bool, float as _float, int as _int, type as _type",
        "from collections.abc import Callable, Iterable, Iterator, Sequence",
        "from typing import Any, Literal",
        "",
        "import numpy as np",
        "",
        "from engine._core import Array, DType, Size",
        "from engine.device import device",
        "",
        "FLOATING: tuple[DType, ...]",
        "",
        "class Tensor:",
        "    _data: Array",
        "    _requires_grad: _bool",
        "    _node: Any",
        "    _index: _int",
        "    _base: tuple[Tensor | None, Any, str] | None",
        "    _grad: Tensor | None",
        "    _hooks: dict[_int, Any] | None",
        "    _post_hooks: dict[_int, Any] | None",
        "    _accumulator: Any",
    ]
    skipped = {"__module__", "__doc__", "__dict__", "__weakref__", "__hash__", "__annotations__", "__slots__"}
    for name, member in sorted(vars(Tensor).items()):
        if isinstance(member, property):
            kind = annotation(inspect.signature(member.fget).return_annotation) if member.fget else "Any"
            lines += ["    @property", f"    def {name}(self) -> {kind}: ..."]
            if member.fset:
                lines += [f"    @{name}.setter", f"    def {name}(self, value: {kind}) -> None: ..."]
        elif inspect.isfunction(member) and name not in skipped:
            lines.append(method_stub(name, member))
    return "\n".join(
        [
            *lines,
            "",
            "class RemovableHandle:",
            "    def __init__(self, hooks: dict[int, Any], hook: Any, first: bool = False) -> None: ...",
            "    def remove(self) -> None: ...",
            "    def __enter__(self) -> RemovableHandle: ...",
            "    def __exit__(self, *_: object) -> None: ...",
            "",
            "def tensor_method(*names: Any) -> Any: ...",
            "def as_array(op: str, name: str, value: Any) -> Array: ...",
            "def __getattr__(name: str) -> Any: ...",
            "",
        ]
    )


def main() -> int:
    check = "--check" in sys.argv[1:]
    assert engine.ops
    stale = []
    for path, text in ((ROOT / "_core.pyi", core_stub()), (ROOT / "tensor.pyi", tensor_stub())):
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text)
    if check and stale:
        print(f"stale: {', '.join(stale)} (run `make stubs`)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
