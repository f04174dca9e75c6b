"""Errors as data: what they carry, how they are worded, that they survive a pickle, and that no room raises a bare sentence."""

import ast
import copy
import pickle
from pathlib import Path

import pytest

import engine
from engine import _core, errors
from engine.errors import Argument, ArgumentError, BadIndex, BadType, BadValue, FileMissing, OutOfMemory, amount
from engine.ops.naming import called_as

ROOT = Path(engine.__file__).parent
BUILTIN = {
    errors.BadAttribute: AttributeError,
    errors.BadBuffer: BufferError,
    errors.BadFile: OSError,
    errors.BadIndex: IndexError,
    errors.BadKey: KeyError,
    errors.BadState: RuntimeError,
    errors.BadType: TypeError,
    errors.BadValue: ValueError,
    errors.Busy: BlockingIOError,
    errors.FileExists: FileExistsError,
    errors.FileMissing: FileNotFoundError,
    errors.IsFolder: IsADirectoryError,
    errors.NotDefined: NotImplementedError,
    errors.NotFinite: FloatingPointError,
    errors.NotInstalled: ImportError,
    errors.NotFolder: NotADirectoryError,
    errors.OutOfMemory: MemoryError,
}


def data(error):
    return error.op, error.argument, error.expected, error.got, error.hints


# ---------------------------------------------------------------- what they carry


def test_the_table_is_whole():
    kinds = {getattr(errors, name) for name in errors.__all__} - {
        Argument,
        ArgumentError,
        errors.amount,
        errors.not_installed,
        errors.require,
    }
    assert kinds == BUILTIN.keys()


@pytest.mark.parametrize("kind, python", BUILTIN.items())
def test_an_error_is_a_python_exception_that_can_be_copied(kind, python):
    error = kind("linear", "weight", "shape (2, 3)", (2, 4), "transpose it", ("or pass ", Argument("bias")))
    assert isinstance(error, python) and isinstance(error, ArgumentError)
    text = "[linear] weight: expected shape (2, 3), got (2, 4) (transpose it; or pass bias=)"
    error.place = "here"
    for same in (error, copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(same) is kind and str(same) == text and data(same) == data(error)
        assert type(same.hints[1][1]) is Argument and same.place == "here"
    assert data(error)[:4] == ("linear", "weight", "shape (2, 3)", "(2, 4)")


def test_hints_are_for_who_can_follow_them():
    error = BadValue("read", "text_column", "a column", "'a'", "look", ("name it with ", Argument("text_column")))
    assert error.problem() == "expected a column, got 'a' (look; name it with text_column=)"
    assert error.problem({"text_column": "--text"}) == "expected a column, got 'a' (look; name it with --text)"
    assert error.problem({}) == "expected a column, got 'a' (look)"
    error.add_hint(("or with ", Argument("columns")))
    assert error.problem().endswith("name it with text_column=; or with columns=)")
    braces = BadValue("read", "path", "{JSON}", "{x} %s", "{0}")  # nothing in a phrase is a pattern
    assert str(braces) == "[read] path: expected {JSON}, got {x} %s ({0})"


def test_require():
    errors.require(1, "linear", "weight", "shape (2, 3)", (2, 4))
    with pytest.raises(BadValue, match=r"^\[linear\] weight: expected shape \(2, 3\), got \(2, 4\) \(turn it\)$"):
        errors.require([], "linear", "weight", "shape (2, 3)", (2, 4), "turn it")
    with pytest.raises(BadType):
        errors.require(0, "linear", "weight", "a Tensor", "int", error=BadType)


def test_an_op_relabels_the_errors_of_another():
    def inner(kind):
        raise kind("inner", "input", "a Tensor", "int", "a hint")

    for kind in (BadType, BadValue, BadIndex, OutOfMemory, FileMissing):
        with pytest.raises(kind) as caught:
            called_as("outer", inner, kind, input_as="weight")
        assert data(caught.value) == ("outer", "weight", "a Tensor", "int", ("a hint",))
    with pytest.raises(ZeroDivisionError):
        called_as("outer", lambda: 1 // 0)
    other = BadValue("inner", "mask", "a Tensor", "int")
    other.relabel("outer", {"input": "weight"})
    assert str(other) == "[outer] mask: expected a Tensor, got int"


# ---------------------------------------------------------------- from C++


@pytest.mark.parametrize(
    "call, kind, wanted",
    [
        (  # a signature
            lambda: engine.nn.functional.layer_norm(engine.ones(4, 2), (2,), engine.ones(2, 1).reshape(2), engine.ones(2).int()),
            BadType,
            ("layer_norm", "bias", "float32", "int32", ()),
        ),
        (  # a kernel, which checks values
            lambda: engine.nn.functional.embedding(engine.tensor([0, 5]), engine.ones(3, 2)),
            BadIndex,
            ("embedding", "input", "every index in [0, 3)", "5 at position 1", ()),
        ),
        (lambda: engine.zeros(2, 3)._data.select(5, 0), BadIndex, ("select", "dim", "a number in [-2, 1]", "5", ())),
        (  # core, with a hint
            lambda: engine.zeros(2, 3).T.view(6),
            BadValue,
            ("view", "shape", "one that the strides of the array allow", "(6,)", ("use reshape",)),
        ),
        (  # a setting
            lambda: engine.set_float32_matmul_precision("low"),
            BadValue,
            ("set_float32_matmul_precision", "precision", "'highest', 'high' or 'medium'", "'low'", ()),
        ),
        (lambda: engine.set_num_threads(None), BadType, ("set_num_threads", "n", "an integer of 64 bits", "NoneType", ())),
        (
            lambda: engine.zeros(2**50, 2**12),
            OutOfMemory,
            ("empty", "shape", "an array that fits in memory", f"({2**50}, {2**12})", ()),
        ),
        (lambda: _core.kernels.add(engine.ones(2)._data), BadType, ("add", "arguments", "2", "1", ())),
    ],
)  # fmt: skip
def test_errors_of_the_extension_carry_data(call, kind, wanted):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert type(caught.value) is kind and data(caught.value) == wanted


def test_a_fault_on_the_device_says_when_it_was_seen(cuda):
    engine.nn.functional.embedding(engine.tensor([0, 5]).to(cuda), engine.ones(3, 2, device=cuda))
    with pytest.raises(BadIndex) as caught:
        engine.cuda.synchronize()
    assert data(caught.value) == (
        "embedding", "input", "every index in [0, 3)", "5 at position 1", ("seen on the device, after the call",)
    )  # fmt: skip


# ---------------------------------------------------------------- what the source says


def sentences(tree: ast.AST) -> list[int]:
    """Lines on which an exception is made of a finished sentence, "[op] argument: ..."."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and not isinstance(node.func, ast.Attribute):
            first = node.args[0]
            if isinstance(first, ast.JoinedStr) and first.values:
                first = first.values[0]
            name = getattr(node.func, "id", "")
            text = getattr(first, "value", None)
            if name.endswith("Error") and isinstance(text, str) and text.startswith("["):
                found.append(node.lineno)
    return found


def edited(tree: ast.AST) -> list[int]:
    """Lines on which the message of a caught exception is edited by pattern."""
    found = []
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
            continue
        for node in ast.walk(handler):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                pattern = node.func.attr in ("replace", "removeprefix") or getattr(node.func.value, "id", "") == "re"
                if pattern and any(getattr(n, "id", "") == handler.name for n in ast.walk(node)):
                    found.append(node.lineno)
    return found


def test_rooms_raise_data():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in ROOT.rglob("*.py")
        for line in sentences(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not wrong, "raise a class of engine.errors here: " + ", ".join(wrong)


def test_nobody_edits_a_message():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in ROOT.rglob("*.py")
        for line in edited(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not wrong, "relabel the error, or add a hint: " + ", ".join(wrong)


def test_the_walk_finds_what_it_is_for():
    source = """
raise ValueError(f"[{op}] x: expected 1, got {y}")
raise TypeError("[op] x: expected 1, got 2") from None
def wrong(): return FileNotFoundError("[op] x: expected 1, got 2")
raise BadValue("op", "x", "[1]", 2)
raise AttributeError(f"module has no attribute")
"""
    assert sentences(ast.parse(source)) == [2, 3, 4]
    source = """
try: call()
except ValueError as error:
    raise ValueError(str(error).replace("a", "b"))
try: call()
except ValueError as error:
    raise TypeError(re.sub("a", "b", str(error)))
try: call()
except ValueError as error:
    raise TypeError(name.replace("a", "b")) from error
"""
    assert edited(ast.parse(source)) == [4, 7]


def test_numbers_of_things_are_in_words():
    assert [amount(count, "row") for count in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert amount(1, "entry", "entries") == "1 entry" and amount(2, "entry", "entries") == "2 entries"
