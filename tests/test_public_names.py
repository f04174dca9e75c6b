"""What `engine` exports: `engine.__all__`, what is loaded at first use, and what a star import brings."""

import builtins
import subprocess
import sys
from types import ModuleType

import engine


def test_all_names_are_there_once():
    assert len(engine.__all__) == len(set(engine.__all__))
    assert all(hasattr(engine, name) for name in engine.__all__)  # loads the packages, too
    assert {"Tensor", "zeros", "softmax", "float32", "device", "nn", "train", "no_grad", "errors"} <= set(
        engine.__all__
    )


def test_what_is_public_is_exported_but_for_the_names_of_builtins():
    assert callable(engine.compile)  # loaded when it is asked for
    submodules = {name for name, value in vars(engine).items() if isinstance(value, ModuleType)}
    public = {name for name in vars(engine) if not name.startswith("_")} - submodules
    kept_back = public - set(engine.__all__)
    assert kept_back == {"abs", "all", "any", "bool", "compile", "float", "int", "max", "min", "pow", "round", "sum"}
    assert all(hasattr(builtins, name) for name in kept_back)


def test_the_ops_export_their_families_names_alone():
    families = [m for m in vars(engine.ops).values() if isinstance(m, ModuleType) and hasattr(m, "__all__")]
    for family in families:
        assert set(family.__all__) <= set(engine.ops.__all__), family.__name__
    assert not any(isinstance(getattr(engine.ops, name), ModuleType) for name in engine.ops.__all__)
    assert "annotations" not in engine.ops.__all__


def test_a_star_import_leaves_builtins_alone():
    code = """
import builtins
before = dict(vars(builtins))
from engine import *
assert all(vars(builtins)[name] is value for name, value in before.items()) and not set(globals()) & set(before) - {
    "__name__", "__doc__", "__package__", "__loader__", "__spec__"}
assert sum([1, 2]) == 3 and max(1, 2) == 2 and bool(1) is True
assert zeros(2).shape == (2,) and nn.Linear(2, 2) and optim.SGD and device("cpu")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_name_is_an_attribute_error():
    assert not hasattr(engine, "nothing")
