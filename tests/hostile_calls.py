"""What `test_hostile_calls.py` and `tools/fuzz.py --calls` share: the public functions, arguments that nobody expects, and a judge.

A call may give an answer, or raise an error of `engine.errors`. Everything else is a finding: another exception, memory written
outside of an output, an input that changed although the call failed (or has no business to write to it), and, if PyTorch is there and takes the
same arguments, another answer than PyTorch's. A crash or a hang ends the process: `explore` runs the calls in one of its own.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import mmap
import os
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import engine
from engine import _core
from engine.errors import ArgumentError
from engine.nn import functional as F
from hostile_objects import CAPSULES, Array, DLPack, Hostile, Index, Sequence

DTYPES = (
    engine.float32, engine.float64, engine.bfloat16, engine.float16, engine.int64, engine.int32, engine.int16, engine.int8,
    engine.uint8, _core.bool,
)  # fmt: skip
EDGES = (
    0, -1, 1, 2**31 - 1, 2**31, 2**32, 2**32 + 1, 2**62, 2**63 - 1, 2**63, -(2**31) - 1, -(2**63), -(2**63) - 1, 2**64, 10**30,
)  # fmt: skip

DEVICES = (
    "cpu", "cpu:0", "cpu:1", "cuda", "cuda:0", "cuda:99", "cuda:-1", f"cuda:{2**64}", "meta", "mps", "", "CPU", "cpu:", -1, 0, 10**30, engine.device("cpu"),
)  # fmt: skip

# Not called: they change the process, read or write files, print, or wait for what does not come.
LEFT_OUT = {
    "engine": {
        "compile", "empty_cache", "load", "save", "manual_seed", "seed", "set_cpu_isa", "set_default_dtype",
        "set_default_device", "set_float32_matmul_precision", "set_grad_enabled", "set_memory_limit", "set_num_threads",
        "set_num_interop_threads", "set_printoptions", "set_rng_state", "set_autocast_enabled", "set_autocast_dtype",
        "set_default_tensor_type", "from_file", "use_deterministic_algorithms",
    },
    "functional": set(),
    "linalg": set(),
    "Tensor": {"cuda", "pin_memory", "share_memory_"},
}  # fmt: skip
WRITES = {"fill_diagonal_", "resize_", "set_", "copysign_", "requires_grad_", "data"}
RANDOM = {
    "rand", "randn", "rand_like", "randn_like", "randint", "randint_like", "randperm", "normal", "bernoulli", "multinomial", "poisson", "empty",
    "empty_like", "empty_strided", "new_empty", "new_empty_strided", "resize_", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
    "feature_alpha_dropout", "feature_dropout", "gumbel_softmax", "rrelu", "initial_seed", "get_rng_state", "data_ptr", "tensor_split_",
    "scaled_dot_product_attention",
}  # fmt: skip


_NO_SAMPLES = (
    "of integers without a sample PyTorch's zero is an integer; engine's is of the default dtype, as with samples",
    lambda places: not places["y"].numel(),
)
# Where answers may differ from PyTorch's: (why, for which arguments by their names).
ALLOWED: dict[str, tuple[str, Callable[[dict[str, Any]], bool]]] = {
    "huber_loss": ("of two dtypes PyTorch keeps the input's; engine's is the one that both can be converted to, as in its other losses", lambda places: True),
    "trapezoid": _NO_SAMPLES,
    "trapz": _NO_SAMPLES,
    "logit": ("eps above 0.5 leaves no numbers between eps and 1 - eps: PyTorch takes one end, engine the other", lambda places: (places.get("eps") or 0) > 0.5),
}  # fmt: skip


# ---------------------------------------------------------------- functions


@cache
def functions() -> dict[str, Callable[..., Any]]:
    """Every public function, by a name such as "functional.gelu" or "Tensor.add"."""
    found: dict[str, Callable[..., Any]] = {}
    for place, holder in (("engine", engine), ("functional", F), ("linalg", engine.linalg), ("Tensor", engine.Tensor)):
        names = (
            engine.linalg.__all__
            if holder is engine.linalg
            else sorted({*getattr(holder, "__all__", ()), *dir(holder)})
        )
        for name in names:
            if name.startswith("_") or name in LEFT_OUT[place] or (holder is engine and name in engine._PACKAGES):
                continue
            value = inspect.getattr_static(holder, name, None) if holder is engine.Tensor else getattr(holder, name)
            if isinstance(value, staticmethod | classmethod | property) or inspect.isclass(value):
                continue
            if callable(value) and getattr(value, "__module__", "engine").startswith("engine"):
                found[f"{place}.{name}"] = value
    found |= {f"Tensor.{n}": getattr(engine.Tensor, n) for n in ("__getitem__", "__setitem__")}
    return found


@cache
def _parameters(name: str) -> tuple[inspect.Parameter, ...]:
    function = functions()[name]
    try:
        return tuple(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # of the extension: its docstring begins with the signature
        count = (function.__doc__ or "").split(")")[0].count(":")
        return tuple(inspect.Parameter(f"p{i}", inspect.Parameter.POSITIONAL_ONLY) for i in range(count))


# ---------------------------------------------------------------- arguments


def tensor(chance: random.Random, dtype: Any = None, shape: tuple[int, ...] | None = None) -> engine.Tensor:
    """A small tensor: any dtype, empty or not, contiguous, transposed, cut out, or one element many times."""
    if shape is None:
        shape = tuple(
            chance.choice((0, 1, 2, 2, 3, 3, 4, 7)) for _ in range(chance.choice((0, 1, 1, 2, 2, 2, 3, 3, 4, 5)))
        )
    dtype = dtype or chance.choice((*DTYPES, engine.float32, engine.float32, engine.float32, engine.int64))
    generator = np.random.default_rng(chance.getrandbits(32))
    form = chance.random()
    whole = (*shape[:-1], shape[-1] * 2 + 1) if shape and form < 0.2 else shape
    numbers = generator.uniform(-3, 4, whole)
    if chance.random() < 0.3:
        numbers = generator.integers(0, 3, whole)
    made = engine.tensor(np.asarray(numbers)).to(dtype)
    if shape and form < 0.2:
        made = made[..., 1::2]
    elif form < 0.4 and len(shape) > 1:
        made = made.transpose(0, -1)
    elif form < 0.5 and shape and shape[0] and not dtype.is_floating_point:
        made = made[:1].expand(shape)
    if dtype.is_floating_point and chance.random() < 0.3:
        made = made.clone().requires_grad_()
    return made


def _plain(chance: random.Random, parameter: inspect.Parameter) -> Any:
    """What the parameter probably wants."""
    name, kind = parameter.name, str(parameter.annotation)
    if name == "device":
        return chance.choice((None, None, None, *DEVICES))
    if name in ("layout", "memory_format", "generator", "out"):
        return None if parameter.default is inspect.Parameter.empty else parameter.default
    if "DType" in kind or name == "dtype":
        return chance.choice(DTYPES)
    if name in ("tensors", "operands", "arrays", "parameters"):
        return [tensor(chance) for _ in range(chance.randrange(4))]
    if kind == "bool" or isinstance(parameter.default, bool):
        return chance.random() < 0.5
    if kind in ("int", "int | None") or (type(parameter.default) is int):
        return chance.choice((0, 1, 2, 3, -1, -2))
    if kind.startswith("float") or type(parameter.default) is float:
        return chance.choice((0.0, 1.0, 0.5, -1.0, 2))
    if "Sequence[int]" in kind or name in ("shape", "size", "sizes", "dims", "normalized_shape", "kernel_size"):
        return tuple(chance.randrange(4) for _ in range(chance.randrange(4)))
    if kind.startswith("str"):
        return (
            parameter.default
            if isinstance(parameter.default, str)
            else chance.choice(("mean", "ij,jk->ik", "floor", "none"))
        )
    if chance.random() < 0.15:
        return chance.choice((0, 1, -1, 2.5, True, None))
    return tensor(chance)


def _wild(chance: random.Random) -> Any:
    """What nobody expects."""
    kind = chance.randrange(16)
    if kind < 4:
        return chance.choice(EDGES)
    if kind == 4:
        return tuple(chance.choice(EDGES) for _ in range(chance.randrange(1, 10)))
    if kind == 5:
        return chance.choice(
            (float("nan"), float("inf"), -float("inf"), 1e300, -0.0, 1j, np.float32(2), np.int64(3), np.bool_(True))
        )
    if kind == 6:
        return chance.choice(
            (None, "", "x", b"x", object(), Ellipsis, slice(None), int, {}, {"a": 1}, {1}, lambda: 0, engine.float32)
        )
    if kind == 7:
        return Index(chance.choice((*EDGES, None)))
    if kind == 8:
        return Array(chance.choice((None, 3, "x", np.zeros(2), np.array([object()]), np.zeros((2, 0), np.complex64))))
    if kind == 9:
        device = chance.choice(((1, 0), (1, 0), (2, 0), (99, 0), (10**12, 0), (), "x", ("x", 0), None, 3, Hostile))
        return DLPack(chance.choice((None, 3, "x", *CAPSULES)), device)
    if kind == 10:
        return Sequence(chance.choice((0, 1, 2, 2**31, 2**62)))
    if kind == 11:
        return chance.choice((
            np.zeros((2, 3)), np.array("x"), np.array([1 + 2j]), np.zeros(3, "M8[s]"), np.zeros(2, [("a", "i4")]), np.zeros((1,) * 12),
            np.zeros(4, ">f4"), np.array([None]), np.zeros((0, 2**40), np.float32), np.broadcast_to(np.float32(1), (3, 4)), np.zeros(6)[::-1],
        ))  # fmt: skip
    if kind == 12:
        return [_wild(chance) for _ in range(chance.randrange(4))] if chance.random() < 0.5 else [tensor(chance), 3]
    if kind == 13:
        return engine.ones(1).expand(chance.choice(((2**10, 2**10), (2**40, 0), (0, 2**58), (2**21, 3))))
    if kind == 14:
        return (
            chance.choice((-1, 2, 3, 9, 100, 10**6))
            if chance.random() < 0.5
            else [chance.choice(EDGES)] * chance.randrange(12)
        )
    return tensor(chance)


def arguments(name: str, chance: random.Random) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments for the function."""
    wildness = chance.choice((0.0, 0.05, 0.3, 1.0))
    shared = tensor(chance).shape if chance.random() < 0.4 else None
    dtype = chance.choice(DTYPES) if chance.random() < 0.3 else None
    args: list[Any] = []
    named: dict[str, Any] = {}

    def one(parameter: inspect.Parameter) -> Any:
        if chance.random() < wildness and not (name.startswith("Tensor.") and parameter is _parameters(name)[0]):
            return _wild(chance)
        value = tensor(chance) if parameter.name == "self" else _plain(chance, parameter)
        if isinstance(value, engine.Tensor) and shared is not None:
            return tensor(chance, dtype or value.dtype, tuple(shared))
        return value

    for parameter in _parameters(name):
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            args += [one(parameter) for _ in range(chance.randrange(4))]
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            if parameter.default is inspect.Parameter.empty or chance.random() < 0.2:
                named[parameter.name] = one(parameter)
        elif parameter.default is inspect.Parameter.empty or (not named and chance.random() < 0.5):
            args.append(one(parameter))
        elif parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            named |= {parameter.name: one(parameter)} if chance.random() < 0.2 else {}
            named = named or {"": None}  # no positional argument may follow
    named.pop("", None)
    if name.startswith("Tensor.") and not isinstance(args[0], engine.Tensor):
        args[0] = tensor(chance)
    return args, named


# ---------------------------------------------------------------- the judge


def described(value: Any) -> str:
    """An argument in a report; of tensors the shape, the dtype and the strides."""
    if isinstance(value, engine.Tensor):
        grad = ", grad" if value.requires_grad else ""
        return f"T({tuple(value.shape)}, {value.dtype.name}, strides {tuple(value.stride())}{grad})"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(described(v) for v in value)})"
    return repr(value)[:80]


def _tensors(value: Any) -> Iterator[engine.Tensor]:
    if isinstance(value, engine.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _bits(value: engine.Tensor) -> tuple[Any, ...]:
    known = value._data.storage_size < 2**20 and value.numel() < 2**20
    return tuple(value.shape), value.dtype.name, _core.to_bytes(value._data) if known else b""


def _asks_to_write(name: str, args: list[Any], named: dict[str, Any]) -> bool:
    places = dict(zip([p.name for p in _parameters(name)], args)) | named
    return places.get("inplace", False) is not False


# Python's own words for too many arguments or too few.
_ARITY = re.compile(r"\w+\(\) (takes|missing|got an unexpected keyword|got multiple values|got some positional)")


def finding(name: str, args: list[Any], named: dict[str, Any], torch: Any = None) -> tuple[str | None, str]:
    """(what is wrong with the call, or None; "answer", "compared" with PyTorch's, too, "refused" or "hostile")."""
    given = list(_tensors([*args, *named.values()]))
    before = [_bits(x) for x in given]
    theirs = torch and _theirs(torch, name, args, named)
    raised: BaseException | None = None
    result: Any = None
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            result = functions()[name](*args, **named)
        except BaseException as error:
            raised = error
        wrong = _core.guard_errors()
    if wrong:
        return "wrote outside of its memory", "answer"
    if isinstance(raised, KeyboardInterrupt | SystemExit):
        raise raised
    short = name.rpartition(".")[2]
    writes = short.endswith("_") or short in WRITES or named.get("out") is not None or _asks_to_write(name, args, named)
    if raised is None and writes:
        return None, "answer"
    if "out" not in named and not (writes and raised is None):
        for i, (x, bits) in enumerate(zip(given, before)):
            if _bits(x) != bits:
                return f"changed tensor {i} of its arguments" + (
                    f", then raised {raised!r}"[:120] if raised else ""
                ), "answer"
    if raised is None:
        if theirs is None or short in RANDOM:
            return None, "answer"
        places = dict(zip([p.name for p in _parameters(name)], args)) | named
        allowed = short in ALLOWED and ALLOWED[short][1](places)
        return (None if allowed else _differs(result, theirs)), "compared"
    if isinstance(raised, Hostile) or isinstance(raised.__cause__, Hostile) or isinstance(raised.__context__, Hostile):
        return None, "hostile"
    if type(raised) is TypeError and _ARITY.match(str(raised)):
        return None, "refused"
    flags = [p.name for p in _parameters(name) if "bool" in str(p.annotation)]
    places = dict(zip([p.name for p in _parameters(name)], args)) | named
    if str(raised).startswith("The truth value of an") and any(isinstance(places.get(f), np.ndarray) for f in flags):
        return None, "hostile"  # NumPy's words for an array that is to be True or False
    if type(raised) is BufferError and any(isinstance(v, np.ndarray) for v in (*args, *named.values())):
        return None, "hostile"  # NumPy exports no such array
    if str(raised).startswith("cudasim: "):
        return None, "refused"  # the simulator of the tests has no room left: a device would have
    if type(raised) is MemoryError and any(isinstance(v, Sequence) for v in (*args, *named.values())):
        return None, "hostile"  # a list of it cannot be made
    if not isinstance(raised, ArgumentError):
        return f"{type(raised).__name__}: {str(raised).splitlines()[0][:110] if str(raised) else ''}", "refused"
    if not (raised.op and raised.argument and raised.expected):
        return f"an error that does not say what it expected: {raised}", "refused"
    return None, "refused"


# ---------------------------------------------------------------- PyTorch's answer


class _Foreign(Exception):
    """An argument that PyTorch cannot be given."""


def _as_torch(torch: Any, value: Any) -> Any:
    if isinstance(value, engine.Tensor):
        if value._data.storage_size > 2**16 or value.numel() > 2**16:
            raise _Foreign
        if value.dtype is engine.bfloat16:
            return torch.from_numpy(value.detach().float().numpy().copy()).bfloat16()
        return torch.from_numpy(value.detach().numpy().copy())
    if isinstance(value, engine.dtype):
        return getattr(torch, value.name)
    if isinstance(value, list | tuple):
        return type(value)([_as_torch(torch, v) for v in value])
    if value is None or (type(value) in (int, float, bool, str) and not (type(value) is int and abs(value) > 1000)):
        return value
    raise _Foreign


def _theirs(torch: Any, name: str, args: list[Any], named: dict[str, Any]) -> Any:
    """PyTorch's answer, in a list; None if it has none."""
    place, _, short = name.rpartition(".")
    holders = {"engine": torch, "functional": torch.nn.functional, "linalg": torch.linalg, "Tensor": torch.Tensor}
    # The losses in torch itself are those of C++, which have the reduction as a number and reduce nothing by default.
    holder = (
        torch.nn.functional if place == "engine" and (short.endswith("_loss") or short == "kl_div") else holders[place]
    )
    try:
        converted = [_as_torch(torch, v) for v in args], {k: _as_torch(torch, v) for k, v in named.items()}
    except _Foreign:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [getattr(holder, short)(*converted[0], **converted[1])]
    except Exception:
        return None


def _differs(ours: Any, theirs: list[Any]) -> str | None:
    (other,) = theirs
    if type(other).__name__ != "Tensor" or not isinstance(ours, engine.Tensor):
        return None
    if tuple(ours.shape) != tuple(other.shape):
        return f"shape {tuple(ours.shape)}, of PyTorch {tuple(other.shape)}"
    dtype = str(other.dtype).removeprefix("torch.")
    if ours.dtype.name != dtype:
        return f"dtype {ours.dtype.name}, of PyTorch {dtype}"
    if ours.numel() == 0 or ours.numel() > 2**16:
        return None
    a, b = ours.detach().double().numpy(), other.detach().double().numpy()
    tolerance = {"bfloat16": 0.05, "float16": 0.01}.get(dtype, 1e-3)
    good = np.isclose(a, b, tolerance, tolerance, equal_nan=True)
    if good.all():
        return None
    at = np.unravel_index(int(np.argmin(good)), good.shape)
    return f"another answer than PyTorch's: {a[at]!r} and {b[at]!r}"


# ---------------------------------------------------------------- in a process of its own


def case(seed: int, number: int, only: str | None) -> tuple[str, list[Any], dict[str, Any]]:
    """The call with that number."""
    chance = random.Random(f"{seed} {number}")
    names = [n for n in functions() if only is None or n == only or n.rpartition(".")[2] == only]
    name = names[number % len(names)]
    return name, *arguments(name, chance)


def _child(seed: int, first: int, last: int, only: str | None, compare: bool, place: str) -> None:
    """Makes the calls [first, last), says where it is in the file `place`, and prints findings."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = 1024 * int(Path("/proc/self/statm").read_text().split()[0]) * 4
    resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 2**30,) * 2)
    torch = None
    if compare:
        import torch

        torch.set_num_threads(1)
    os.chdir(tempfile.mkdtemp(prefix="calls-"))
    with open(place, "r+b") as stream:
        shared = mmap.mmap(stream.fileno(), 8)
    _core.set_memory_limit(2**28)
    _core.set_guards(True)
    counts = Counter[str]()
    for number in range(first, last):
        shared[:] = struct.pack("<q", number)
        try:
            name, args, named = case(seed, number, only)
        except (ArgumentError, Hostile) as error:
            print(f"F\t{number}\targuments\t{error!r}", flush=True)
            continue
        said, outcome = finding(name, args, named, torch)
        counts[outcome] += 1
        if said is not None:
            text = ", ".join([*(described(a) for a in args), *(f"{k}={described(v)}" for k, v in named.items())])
            print(f"F\t{number}\t{name}\t{said}\t{text}".replace("\n", " "), flush=True)
    print("C\t" + "\t".join(f"{k}={v}" for k, v in counts.items()), flush=True)


def explore(
    seed: int,
    calls: int,
    only: str | None = None,
    compare: bool = False,
    patience: float = 60.0,
    deadline: float | None = None,
) -> tuple[Counter[str], list[tuple[int, str, str, str]]]:
    """How the calls ended, and the findings (number, function, what is wrong, arguments). Processes make them; one that crashes or
    hangs is a finding, and the next goes on behind it."""
    counts, findings, first = Counter[str](), [], 0
    with tempfile.NamedTemporaryFile() as place:
        place.write(struct.pack("<q", 0))
        place.flush()
        while first < calls and (deadline is None or time.monotonic() < deadline):
            last = min(calls, first + 5_000)
            command = [sys.executable, __file__, *map(str, (seed, first, last, only or "", int(compare), place.name))]
            with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
                process = subprocess.Popen(command, stdout=out, stderr=err)
                at, since = -1, time.monotonic()
                while process.poll() is None:
                    time.sleep(0.05)
                    now = struct.unpack("<q", Path(place.name).read_bytes())[0]
                    if now != at:
                        at, since = now, time.monotonic()
                    elif time.monotonic() - since > patience:
                        process.kill()
                        process.wait()
                out.seek(0)
                err.seek(0)
                lines, said = out.read().splitlines(), err.read()
            number = struct.unpack("<q", Path(place.name).read_bytes())[0]
            for line in lines:
                kind, *parts = line.split("\t")
                if kind == "C":
                    counts.update({k: int(v) for k, v in (p.split("=") for p in parts)})
                else:
                    findings.append((int(parts[0]), parts[1], parts[2], parts[3] if len(parts) > 3 else ""))
            if process.returncode == 0:
                first = last
                continue
            if process.returncode > 0:
                raise RuntimeError(said[-3000:])
            what = (
                f"ended by signal {-process.returncode}"
                if process.returncode != -9
                else "hung, or took too much memory"
            )
            name, args, named = case(seed, number, only)
            text = ", ".join([*(described(a) for a in args), *(f"{k}={described(v)}" for k, v in named.items())])
            findings.append((number, name, what, text))
            counts["crashed"] += 1
            counts["before a crash"] += number - first
            first = number + 1
    return counts, findings


if __name__ == "__main__":
    given = sys.argv[1:]
    _child(*map(int, given[:3]), given[3] or None, bool(int(given[4])), given[5])
