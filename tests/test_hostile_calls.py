"""Bad calls: each public function gives an answer or an error by the rule. `python tools/fuzz.py --calls` is the long form."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

import engine
import hostile_calls
import hostile_objects
from engine import nn
from engine.errors import ArgumentError, BadType, BadValue
from engine.nn import functional as F
from engine.ops.blame import explained
from hostile_calls import explore, finding, functions
from hostile_objects import CAPSULES, capsule


def test_calls_are_answered_or_refused():
    """Three calls of each function, the same in every run."""
    calls = 3 * len(functions())
    counts, findings = explore(7, calls, patience=300)
    assert not findings, findings[:5]
    assert sum(counts.values()) == calls and min(counts["answer"], counts["refused"]) > calls / 5


def test_the_judge_of_calls_finds_faults(monkeypatch):
    def breaks(input):
        raise KeyError("x")

    def writes(input):
        input.add_(1)
        return input

    def overruns(input):
        import ctypes

        ctypes.memset(input._data.data_ptr - 1, 0, 1)

    for function, said in ((breaks, "KeyError: 'x'"), (writes, "changed tensor 0 of its arguments")):
        monkeypatch.setitem(functions(), f"engine.{function.__name__}", function)
        assert finding(f"engine.{function.__name__}", [engine.ones(3)], {})[0] == said
    monkeypatch.setitem(functions(), "engine.overruns", overruns)
    engine._core.set_guards(True)
    try:
        assert finding("engine.overruns", [engine.ones(3)], {})[0] == "wrote outside of its memory"
    finally:
        engine._core.set_guards(False)
    assert finding("engine.relu", ["x"], {}) == (None, "refused")
    assert finding("engine.relu", [engine.ones(2)], {}) == (None, "answer")


def test_answers_are_compared_with_pytorch(monkeypatch):
    torch = pytest.importorskip("torch")
    x, y = engine.tensor([0.5, 0.25]), engine.tensor(0.5)
    assert finding("engine.relu", [x], {}, torch) == (None, "compared")
    assert finding("engine.logit", [x], {"eps": 1.0}, torch) == (None, "compared")  # allowed, with its reason
    for wrong, of in (
        (engine.ones(2), x),
        (engine.ones(()), y),
        (engine.ones(3), x),
        (engine.ones(2, dtype=engine.int32), x),
    ):
        monkeypatch.setitem(functions(), "engine.relu", lambda input, wrong=wrong: wrong)
        said, how = finding("engine.relu", [of], {}, torch)
        assert ("of PyTorch" in said or "than PyTorch's" in said) and how == "compared"


def test_a_crash_is_a_finding(tmp_path, monkeypatch):
    script = (
        Path(hostile_calls.__file__)
        .read_text()
        .replace("said, outcome = finding(", "os.abort() if number == 3 else None\n        said, outcome = finding(")
    )
    (tmp_path / "hostile_calls.py").write_text(script)
    (tmp_path / "hostile_objects.py").write_text(Path(hostile_objects.__file__).read_text())
    monkeypatch.setattr(hostile_calls, "__file__", str(tmp_path / "hostile_calls.py"))
    counts, findings = explore(0, 6)
    assert [(number, said) for number, _, said, _ in findings] == [(3, f"ended by signal {int(signal.SIGABRT)}")]
    assert counts["crashed"] == 1 and counts["before a crash"] == 3


@pytest.mark.parametrize("lie", CAPSULES)
def test_a_capsule_that_lies_is_refused(lie):
    assert engine.from_dlpack(capsule(shape=(2, 3))).tolist() == [[0.0] * 3] * 2
    with pytest.raises((BadValue, BadType), match=r"^\[from_dlpack\] input: expected "):
        engine.from_dlpack(capsule(**CAPSULES[lie]))


@pytest.mark.parametrize("device", [(), "", ("x", 0), None, 3, (10**12, 0)])
def test_a_wrong_answer_of_dlpack_device_is_an_error_by_the_rule(device):
    class Wrong:
        def __dlpack_device__(self):
            return device

        def __dlpack__(self, **_):
            return capsule()

    with pytest.raises(
        BadType, match=r"^\[from_dlpack\] input: expected \(type, number\) from __dlpack_device__, got "
    ):
        engine.from_dlpack(Wrong())


@pytest.mark.parametrize("wrong", [np.zeros(2), np.zeros(0), 0, "", [], False, "float32", float])
def test_what_is_no_dtype_is_refused(wrong):
    """Not one of the wrong values counts as not given, and a truth value is asked of none."""
    x = engine.ones(2, 2)
    for make in (
        lambda: engine.empty(2, dtype=wrong), lambda: engine.full((2,), 1, dtype=wrong), lambda: engine.zeros_like(x, dtype=wrong),
        lambda: x.new_ones(2, dtype=wrong), lambda: engine.arange(3, dtype=wrong), lambda: engine.linspace(0, 1, 3, dtype=wrong),
        lambda: engine.randint(0, 3, (2,), dtype=wrong), lambda: engine.randperm(3, dtype=wrong), lambda: engine.eye(3, dtype=wrong),
        lambda: x.prod(dtype=wrong), lambda: engine.softmax(x, 0, dtype=wrong), lambda: engine.hann_window(3, dtype=wrong),
        lambda: engine.linalg.vector_norm(x, dtype=wrong), lambda: engine.scalar_tensor(3, dtype=wrong), lambda: x.cumsum(0, dtype=wrong),
    ):  # fmt: skip
        with pytest.raises(BadType, match=r"^\[\w+\] dtype: expected "):
            make()


def test_what_is_no_word_and_no_number_is_refused():
    x, cu = engine.ones(2, 2), engine.tensor([0, 2], dtype=engine.int32)
    for wrong in (np.zeros(6), slice(None), None, ["none"], np.array("x")):
        for call in (
            lambda w: F.gelu(x, w),
            lambda w: engine.pool_packed(x, cu, w),
            lambda w: x.lerp(x, w),
            lambda w: x.geometric_(w),
        ):
            with pytest.raises((BadType, BadValue), match=r"^\[\w+\] \w+: expected "):
                call(wrong)


def test_an_integer_with_the_sign_of_a_float_has_its_dtype():
    whole, sign = engine.tensor([1, -2]), engine.tensor([-1.0, 1.0])
    for dtype in (engine.float32, engine.bfloat16, engine.float16):
        made = engine.copysign(whole, sign.to(dtype))
        assert made.dtype is dtype and made.tolist() == [-1, 2]
    count = engine.tensor([3], dtype=engine.int8)
    assert engine.poisson_nll_loss(engine.ones(1).bfloat16(), count, full=True).dtype is engine.bfloat16


def test_an_array_of_strings_is_no_size():
    x = engine.ones(1, 4, 1)
    for wrong in (np.array("x"), np.array(["x"]), np.array(["2", "2"])):
        for arguments in ((wrong, 2), (2, wrong), (2, 2, wrong)):
            with pytest.raises(ArgumentError, match=r"^\[fold\] (output_size|kernel_size|dilation): expected "):
                F.fold(x, *arguments)


@explained
def _example(input: engine.Tensor, n: int, p: float = 0.5, sizes: list[int] | None = None) -> object:
    return input.numpy()[:n] * p + len(sizes or ())


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((3, 1), TypeError, "[example] input: expected a Tensor, got int"),
        ((engine.ones(2), "x"), TypeError, "[example] n: expected an integer of 64 bits, got 'x'"),
        ((engine.ones(2), 1, np.array("x")), TypeError, "[example] p: expected a number, got ndarray"),
        ((engine.ones(2), 1, None), TypeError, "[example] p: expected a number, got NoneType"),
        (
            (engine.ones(2), 1, 0.5, 3),
            TypeError,
            "[example] sizes: expected a list of integers of 64 bits or None, got int",
        ),
    ],
)
def test_the_argument_that_does_not_fit_is_named(arguments, error, text):
    with pytest.raises(error) as caught:
        _example(*arguments)
    assert str(caught.value) == text


def test_errors_of_right_arguments_stay_as_they_are():
    @explained
    def broken(input: engine.Tensor) -> None:
        raise ValueError("inside")

    with pytest.raises(ValueError, match=r"^inside$"):
        broken(engine.ones(1))
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        _example(engine.ones(1))


LARGE = 10**12


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), LARGE),
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), LARGE),
        lambda: nn.Transformer(8, 2, LARGE, 1, 16),
        lambda: nn.Sequential(nn.Linear(2, 2)) * LARGE,
        lambda: nn.Sequential(nn.Identity()) * LARGE,
        lambda: nn.Linear(LARGE, LARGE),
        lambda: nn.Embedding(LARGE, 4),
        lambda: engine.eye(LARGE),
        lambda: engine.ones(2).tensor_split(LARGE),
        lambda: engine.ones(2).repeat(LARGE),
        lambda: engine.ones(8).repeat_interleave(2**62),
        lambda: engine.ones(2).repeat_interleave(2**63 - 1),
        lambda: engine.ones(3).repeat_interleave(LARGE),
        lambda: engine.ones(2).repeat_interleave(engine.tensor([2**62, 2**62])),
        lambda: engine.ones(4).repeat_interleave(engine.tensor(2**62)),
    ],
)
def test_sizes_beyond_memory_are_refused_at_once(make):
    with pytest.raises(MemoryError, match=r"^\[.*expected .*, got "):
        make()


def test_rows_without_elements_need_no_loop():
    """An empty array of 2^40 rows takes no memory, and no time."""
    x = engine.ones(1).expand(2**40, 0)
    for result in (x.tril(), engine.softmax(x, -1), x + x, x.exp(), x.clone()):
        assert result.shape == (2**40, 0)


def test_a_thousand_refusals_keep_nothing():
    """Errors that the extension throws hold on to none of their arguments."""
    import gc
    import sys

    x = engine.ones(3)
    gc.collect()  # what other tests left
    before = sys.getrefcount(x), sys.getrefcount(x._data), engine.memory_stats()["allocated_bytes"]
    wrong = [lambda: x.view(7), lambda: engine.add(x, "x"), lambda: x.transpose(0, 9), lambda: x.select(0, 5),
             lambda: x.as_strided((9,), (9,)), lambda: engine.from_dlpack(3), lambda: engine.cat([x, x.reshape(1, 3)]),
             lambda: x.__dlpack__(stream=4), lambda: engine.matmul(x, engine.ones(4))]  # fmt: skip
    for call in wrong:
        for _ in range(1000):
            try:
                call()
            except engine.errors.ArgumentError:
                continue
            raise AssertionError
    gc.collect()
    assert (sys.getrefcount(x), sys.getrefcount(x._data), engine.memory_stats()["allocated_bytes"]) == before
