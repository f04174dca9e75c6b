"""einsum: sums of products that are named by letters. Each pair of operands becomes one product of batches of matrices."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any

from engine.errors import BadType, BadValue, amount, require
from engine.ops.blame import explained
from engine.ops.diagonals import diagonal
from engine.ops.linear import bmm
from engine.ops.naming import called_as
from engine.ops.reduction import sum
from engine.ops.shape import permute, reshape
from engine.tensor import Tensor, as_array

__all__ = ["einsum"]

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# A label is a letter's place in _LETTERS, or below 0 for a dimension of the ellipsis, the last one being -1.
Labels = list[int]


@explained
def einsum(equation: Any, *operands: Any) -> Tensor:
    """The sums of products that `equation` names: "bij,bjk->bik" is a product of batches of matrices.

    One letter names each dimension of an operand. Dimensions of one letter are multiplied element by element and must be of
    equal size, or 1. Letters that are not behind "->" are summed. Without "->", the result has the letters that come once, in the
    order of the alphabet. "..." stands for the dimensions without a letter, which broadcast. A letter that comes twice in an
    operand takes its diagonal. Operands have one dtype.

    The operands may also be given with lists of numbers: einsum(a, [0, 1], b, [1, 2], [0, 2]).
    """
    if isinstance(equation, Tensor):
        equation, operands = _equation_of((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    require(isinstance(equation, str), "einsum", "equation", "a string", type(equation).__name__, error=BadType)
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    fits = len(terms) == len(operands)
    require(
        fits, "einsum", "operands", f"{amount(len(terms), 'tensor')}, one for each term of {equation!r}", len(operands)
    )
    named: list[tuple[Tensor, Labels]] = []
    for i, (term, operand) in enumerate(zip(terms, operands)):
        named.append(_once(operand, _labels(equation, term, as_array("einsum", f"operands[{i}]", operand).ndim)))
    sizes = _sizes(equation, named)
    if arrow:
        dots = -min([0, *sizes])
        output = _labels(equation, right, len(right.replace("...", "")) + (dots if "..." in right else 0))
        for label in output:
            good = label in sizes and output.count(label) == 1
            require(good, "einsum", "equation", "letters of the operands behind '->', each once", repr(equation))
    else:
        count = Counter(letter for letter in left if letter in _LETTERS)
        once = [letter for letter in sorted(count) if count[letter] == 1]
        output = sorted(label for label in sizes if label < 0) + [_LETTERS.index(letter) for letter in once]
    result, labels = named[0]
    if len(named) == 1:
        result, labels = _summed(result, labels, set(output))
    for i, (other, others) in enumerate(named[1:], 2):
        later = {label for _, rest in named[i:] for label in rest} | set(output)
        if _second_is_first(output, labels, others):
            (result, labels), (other, others) = (other, others), (result, labels)
        result, labels = _product(result, labels, other, others, later)
    return permute(result, [labels.index(label) for label in output])


def _second_is_first(output: Labels, first: Labels, second: Labels) -> bool:
    """Whether `output` names a dimension that only the second operand has before those of the first: then the product is made in
    that order, so that the result lies in memory as it is named."""
    own = [label in second for label in output if (label in first) != (label in second)]
    return bool(own) and own[0]


def _equation_of(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The equation and the operands of a call with lists of numbers."""

    def term(numbers: Any) -> str:
        right = isinstance(numbers, list | tuple)
        require(
            right, "einsum", "operands", "a list of numbers behind each tensor", type(numbers).__name__, error=BadType
        )
        for n in numbers:
            good = n is Ellipsis or (isinstance(n, int) and 0 <= n < len(_LETTERS))
            require(good, "einsum", "operands", f"lists of numbers in [0, {len(_LETTERS) - 1}]", repr(n))
        return "".join(["..." if n is Ellipsis else _LETTERS[n] for n in numbers])

    tensors, lists = arguments[0::2], arguments[1::2]
    if len(arguments) % 2 == 0:
        return ",".join(map(term, lists)), tensors
    return ",".join(map(term, lists)) + "->" + term(tensors[-1]), tensors[:-1]


def _labels(equation: str, term: str, ndim: int) -> Labels:
    before, dots, after = term.partition("...")
    if not all(letter in _LETTERS for letter in before + after):
        raise BadValue("einsum", "equation", "letters, commas, '->' and '...' once in a term", repr(equation))
    rest = ndim - len(before) - len(after)
    if rest < 0 or (rest and not dots):
        raise BadValue("einsum", "equation", f"a term for {ndim} dimensions", f"{term!r} in {equation!r}")
    return [*map(_LETTERS.index, before), *range(-rest, 0), *map(_LETTERS.index, after)]


def _once(operand: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
    """The diagonal along each label that comes more than once."""
    for label in set(labels):
        while labels.count(label) > 1:
            a = labels.index(label)
            b = labels.index(label, a + 1)
            same = operand.shape[a] == operand.shape[b]
            require(same, "einsum", "operands", f"size {operand.shape[a]} in dimension {b}", operand.shape[b])
            operand = diagonal(operand, 0, a, b)
            labels = [n for d, n in enumerate(labels) if d not in (a, b)] + [label]
    return operand, labels


def _sizes(equation: str, named: list[tuple[Tensor, Labels]]) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for operand, labels in named:
        for label, size in zip(labels, operand.shape):
            known = sizes.setdefault(label, size)
            if known == 1:
                sizes[label] = size
            elif size not in (1, known):
                what = "dimensions of '...'" if label < 0 else f"dimensions of {_LETTERS[label]!r}"
                raise BadValue("einsum", "operands", f"equal {what} in {equation!r}", f"{known} and {size}")
    return sizes


def _summed(operand: Tensor, labels: Labels, kept: set[int]) -> tuple[Tensor, Labels]:
    """The sum over the labels that are not in `kept`."""
    gone = [d for d, label in enumerate(labels) if label not in kept]
    if not gone:
        return operand, labels
    return sum(operand, gone, dtype=operand.dtype), [label for label in labels if label in kept]


def _product(a: Tensor, a_labels: Labels, b: Tensor, b_labels: Labels, later: set[int]) -> tuple[Tensor, Labels]:
    """The product of two operands, summed over the labels that are not in `later`."""
    a, a_labels = _summed(a, a_labels, later | set(b_labels))
    b, b_labels = _summed(b, b_labels, later | set(a_labels))
    both = [label for label in a_labels if label in b_labels]
    batch, inner = [n for n in both if n in later], [n for n in both if n not in later]
    only_a, only_b = [n for n in a_labels if n not in both], [n for n in b_labels if n not in both]
    sizes = {n: a.shape[a_labels.index(n)] for n in a_labels}
    for n, size in zip(b_labels, b.shape):
        sizes[n] = size if sizes.get(n, 1) == 1 else sizes[n]

    def arranged(t: Tensor, labels: Labels, *groups: Labels) -> Tensor:
        order = [n for group in groups for n in group]
        t = permute(t, [labels.index(n) for n in order]).expand([sizes[n] for n in order])
        return reshape(t, [prod(sizes[n] for n in group) for group in groups])

    left, right = arranged(a, a_labels, batch, only_a, inner), arranged(b, b_labels, batch, inner, only_b)
    if not inner:  # nothing to sum: each element is one product
        product = left * right
    else:
        product = called_as("einsum", bmm, left, right)
    labels = batch + only_a + only_b
    return reshape(product, [sizes[n] for n in labels]), labels
