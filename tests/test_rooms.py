"""What the contract of layers in pyproject.toml, which `lint-imports` checks, cannot see: imports of the root package.

The root package re-exports what lies above most rooms, and loads the rest when asked for it. A room that imported it could
reach any other one.
"""

import ast
from pathlib import Path

import engine

ROOT = Path(engine.__file__).parent
ROOMS = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
EXTENSIONS = {"_core", "_cuda"}
AS_A_USER = {"__init__", "commands", "runs"}  # the rooms above all others, and the root itself


def root_imports(path: Path) -> list[str]:
    """What a file takes from the root package that is neither a room nor an extension."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [
                f"import {a.name}" for a in node.names if a.name == "engine" or (a.name + ".").startswith("engine.")
            ]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.append(f"a relative import, level {node.level}")
            elif node.module == "engine":
                found += [a.name for a in node.names if a.name not in ROOMS | EXTENSIONS]
    return found


def test_rooms_do_not_import_the_root_package():
    wrong = {}
    for path in ROOT.rglob("*.py"):
        inside = path.relative_to(ROOT)
        if inside.parts[0].removesuffix(".py") not in AS_A_USER and root_imports(path):
            wrong[str(inside)] = root_imports(path)
    assert not wrong


def test_a_root_import_is_found(tmp_path):
    path = tmp_path / "room.py"
    path.write_text(
        "from engine import _core, ops\nfrom engine.nn import Linear\n\ndef f():\n    import engine\n    from engine import zeros\n"
    )
    assert root_imports(path) == ["import engine", "zeros"]
