"""Another build of engine as the benchmark's peer: what is measured, what is said of it, and that no failure is hidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from bench import against, builds, protocol
from bench.against import SIDE, Against, compared, interval, verdict, widest
from bench.protocol import Comparison, Table
from bench.sides import answer

ROOT = Path(__file__).parent.parent
Y = np.linspace(-1, 1, 1000, dtype=np.float32)


class Build:
    """A worker of one build, whose times are given in turn; after a start they go on."""

    tasks = "engine"

    def __init__(self, side: str, seconds: list[float], failure: str = "") -> None:
        self.side, self.seconds, self.failure = side, iter(seconds), failure
        self.starts, self.asked = 1, []

    def start(self) -> None:
        self.starts += 1

    def close(self) -> None: ...

    def ask(self, do: str, **message: Any) -> Any:
        if do == "time":
            return next(self.seconds)
        if self.failure:
            raise RuntimeError(self.failure)
        self.asked.append(message)
        return answer(Y)


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REST", 0.0)


def measured(ours: Build, theirs: Build, **options: Any) -> Comparison:
    run = Against([ours, theirs], {}, False, 2, total=3)  # type: ignore[list-item]
    return run.compare("a:b", pairs=7, seconds=0.0, **options)


def row_of(c: Comparison) -> tuple[str, dict[str, Any]]:
    table = Table("title", "us")
    table.add("row", c)
    text, (data,) = compared(table)
    return text, data


def test_the_interval_holds_the_median_with_95_percent() -> None:
    assert interval([1.0] * 5) is None
    assert interval([7, 1, 6, 2, 5, 3, 4]) == (1, 7)  # of seven: all of them, 2 / 2 ^ 7
    assert interval(range(1, 10)) == (2, 8)  # of nine: all but one at each end, 2 * (1 + 9) / 2 ^ 9
    rng = np.random.default_rng(0)
    for n in (7, 9, 25):
        held = [low <= 1 <= high for low, high in (interval(rng.lognormal(0, 0.1, n)) for _ in range(2000))]  # type: ignore[misc]
        assert 0.94 < np.mean(held) < 1.0


def test_only_a_spread_on_one_side_of_1_is_a_difference() -> None:
    assert verdict((1.01, 1.2)) == "faster" and verdict((0.8, 0.99)) == "SLOWER"
    assert verdict((0.99, 1.2)) == "within noise" and verdict(None) == "too few pairs"
    assert widest([(1.1, 1.3), (0.9, 1.2)]) == (0.9, 1.3) and widest([None]) is None


def test_both_builds_get_the_same_work() -> None:
    ours, theirs = Build("engine", [1.0] * 8), Build(SIDE, [1.0] * 8)
    c = measured(ours, theirs, savings=("rows",), n=3, per_side={"engine": {"k": 1}, "torch": {"k": 2}})
    assert ours.asked == theirs.asked and ours.asked[0]["arguments"] == {"n": 3, "k": 1}
    text, row = row_of(c)
    assert row["verdict"] == "within noise" and row["ratio"] == 1.0 and ours.starts == 1
    assert "within noise" in text and "1.000-1.000" in text


def test_what_seems_to_differ_is_measured_again_in_fresh_processes(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = Build("engine", [1.0] * 16), Build(SIDE, [2.0] * 16)
    text, row = row_of(measured(ours, theirs))
    assert (row["verdict"], row["spread"], ours.starts, theirs.starts) == ("faster", (2.0, 2.0), 2, 2)
    assert "2.000-2.000" in text
    assert "again in fresh processes" in capsys.readouterr().err
    # Chance, which does not come again.
    ours, theirs = Build("engine", [1.0] * 16), Build(SIDE, [0.5] * 8 + [1.5] * 8)
    _, row = row_of(measured(ours, theirs))
    assert (row["verdict"], row["spread"]) == ("within noise", (0.5, 1.5))


def test_a_build_that_fails_is_a_failed_row() -> None:
    text, row = row_of(measured(Build("engine", [1.0] * 8), Build(SIDE, [], failure="no such op")))
    assert row["verdict"] == "failed" and row["failure"] == "no such op" and "failed: no such op" in text
    with pytest.raises(RuntimeError, match="broken"):
        measured(Build("engine", [], failure="broken"), Build(SIDE, [1.0] * 8))


def test_the_peer_must_be_the_wheels() -> None:
    class Told:
        def __init__(self, side: str, path: str) -> None:
            self.side, self.path = side, path

        def ask(self, **_: Any) -> dict[str, str]:
            return {"path": self.path}

    here = Told("engine", "/here/engine/__init__.py")
    against.facts([here, Told(SIDE, "/tmp/x/engine/__init__.py")], 2, Path("/tmp/x"))  # type: ignore[list-item]
    with pytest.raises(RuntimeError, match="expected engine from /tmp/x in the worker of the other build only"):
        against.facts([here, Told(SIDE, here.path)], 2, Path("/tmp/x"))  # type: ignore[list-item]


def test_names_are_found_where_this_build_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, homes in builds.HOMES.items():
        found = builds.find(name)
        assert found is getattr(engine.text, name) and homes[0] == "engine.text"
    monkeypatch.setitem(builds.HOMES, "PackedBatch", ("engine.nowhere", "engine.nn"))
    with pytest.raises(ImportError, match=r"PackedBatch: expected in one of engine.nowhere, engine.nn, got .*engine"):
        builds.find("PackedBatch")


def wheel_of_this_build(folder: Path) -> Path:
    """engine as it is imported here, packed as a wheel that any Python takes."""
    path, package = folder / "engine-0.0.1-py3-none-any.whl", Path(engine.__file__).parent
    with zipfile.ZipFile(path, "w") as wheel:
        for file in sorted(package.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts and "_cuda" not in file.name:
                wheel.write(file, f"engine/{file.relative_to(package)}")
        info = "engine-0.0.1.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: engine\nVersion: 0.0.1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def bench(*options: Any) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "bench", "--quick", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))


def test_a_wheel_is_measured(tmp_path: Path) -> None:
    pytest.importorskip("pip")
    out, wheel = tmp_path / "bench.json", wheel_of_this_build(tmp_path)
    done = bench("--only", "small", "--against", wheel, "--json", out)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert report["against"] == wheel.name and report["machine"]
    ours, theirs = report["builds"]["engine"], report["builds"][SIDE]
    assert Path(ours["path"]) == Path(engine.__file__) and Path(theirs["path"]) != Path(engine.__file__)
    assert theirs["version"] == engine.__version__ and theirs["isa"] == ours["isa"] == report["isa"]
    rows = [row for table in report["small"].values() for row in table]
    assert len(rows) == 8 and all(set(row["seconds"]) == {"engine", SIDE} and len(row["pairs"]) == 3 for row in rows)
    for said in (str(wheel), report["machine"], ours["isa"], "Small calls", "Import, beyond NumPy"):
        assert said in done.stdout
    assert "8 of 8" in done.stderr and "left" in done.stderr


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    done = bench("--only", "parity", "--against", "x.whl", "--json", tmp_path / "a.json")
    assert done.returncode == 2 and "--only: expected some of ops, gemm" in done.stderr
    wheel = tmp_path / "engine-0.1.0-py3-none-any.whl"
    wheel.write_text("no wheel")
    done = bench("--only", "small", "--against", wheel, "--json", tmp_path / "a.json")
    assert done.returncode == 1 and f"--against: expected a wheel that pip can install, got {wheel}" in done.stderr
