"""Random purposes stand in one file: nobody draws with a number of their own, and no number has changed."""

import ast
from pathlib import Path

import numpy as np

import engine
from engine.data._random import permutation
from engine.random_purposes import Purpose
from engine.text import augment

ROOT = Path(engine.__file__).parent


def own_numbers(tree: ast.AST) -> list[int]:
    """Lines that give a purpose, or a counter of Philox, a number other than 0 that is written there."""
    found = []
    for node in ast.walk(tree):
        values: list[ast.AST] = []
        if isinstance(node, ast.keyword) and node.arg in ("purpose", "counter"):
            values = [node.value]
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any("purpose" in getattr(t, "id", getattr(t, "attr", "")).lower() for t in targets):
                values = [node.value]
        for value in values:
            if any(isinstance(n, ast.Constant) and n.value not in (0, None) for n in ast.walk(value)):
                found.append(value.lineno)
    return found


def test_nobody_draws_with_a_number_of_their_own():
    wrong = {}
    for path in ROOT.rglob("*.py"):
        if lines := own_numbers(ast.parse(path.read_text(encoding="utf-8"))):
            wrong[path.relative_to(ROOT).as_posix()] = lines
    assert not wrong
    source = "_PURPOSE = 5\nclass A:\n    purpose: int = 7\nf(purpose=3)\nPhilox(key=k, counter=[0, 0, 1, p])\nf(purpose=LOADER)\n"
    assert own_numbers(ast.parse(source)) == [1, 3, 4, 5]


def test_the_numbers_stay():
    assert {p.name: int(p) for p in Purpose} == {
        "LOADER": 0,
        "SPLIT": 1,
        "CORPUS_FILES": 2,
        "CORPUS_TEXTS": 3,
        "RANDOM_SWAP": int.from_bytes(b"swap", "big"),
        "MASKING": int.from_bytes(b"mask", "big"),
        "TOKEN_DROPOUT": int.from_bytes(b"token", "big"),
        "RANDOM_DELETION": int.from_bytes(b"delete", "big"),
    }


def test_each_purpose_draws_its_own_numbers():
    orders = {tuple(permutation(50, 3, 1, purpose=purpose)) for purpose in Purpose}
    assert len(orders) == len(Purpose)
    # `purpose` is the last word of the counter of NumPy's Philox.
    bits = np.random.Philox(key=np.array([3, 1], np.uint64), counter=[0, 0, 0, 1]).random_raw(50)
    assert np.array_equal(permutation(50, 3, 1, purpose=Purpose.SPLIT), np.argsort(bits, kind="stable"))
    transforms = (augment.TokenDropout, augment.TokenMasking, augment.RandomDeletion, augment.RandomSwap)
    assert len({transform.purpose for transform in transforms}) == len(transforms)
