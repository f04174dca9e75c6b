"""What is shipped: its parts and their licences, pinned tools, and the same bytes from the same commit."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))


def test_the_list_of_parts_names_what_is_needed_and_what_is_compiled_in(tmp_path):
    from sbom import sbom

    wheel = tmp_path / "engine.whl"
    wheel.write_bytes(b"x")
    made = sbom(wheel)
    assert made["bomFormat"] == "CycloneDX" and made == sbom(wheel)
    assert [part["name"] for part in made["components"]] == ["numpy", "safetensors", "pybind11"]
    assert made["metadata"]["component"]["hashes"][0]["content"] == hashlib.sha256(b"x").hexdigest()
    assert made["dependencies"][0]["dependsOn"] == [part["bom-ref"] for part in made["components"]]


def test_all_work_of_others_has_its_licence():
    listed = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    for name in re.findall(r"\]\(([^)]+)\)", listed):
        assert (ROOT / name).is_file(), name
    for folder in (ROOT / "examples").iterdir():
        if folder.is_dir() and any(file.name in ("train.csv", "train.tsv") for file in folder.iterdir()):
            assert f"`examples/{folder.name}`" in listed
            assert "licen" in (folder / "README.md").read_text(encoding="utf-8").lower()


def test_ci_pins_its_tools():
    """Every package that CI asks for has one version."""
    pinned = re.findall(
        r"^([a-z0-9.-]+)==\S+$", (ROOT / ".ci/constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(pinned) == len(set(pinned)) > 50
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in ("cli", "plot", "dev", "docs", "requires", "dependencies"):
        listed = re.search(rf"^{extra} = \[(.*)\]", project, re.MULTILINE)
        assert listed, extra
        for requirement in re.findall(r'"([^"]+)"', listed[1]):
            name = re.split(r"[<>=!~ ;\[]", requirement)[0].lower().replace("_", "-")
            assert name in pinned or "python_version <" in requirement, requirement
    assert "constraints.txt" in (ROOT / ".ci/run").read_text(encoding="utf-8")


@pytest.mark.long
def test_two_builds_of_a_commit_have_the_same_bytes(tmp_path):
    """The source archive and the wheel, built in two folders. `ENGINE_ISAS` and the like may be given in SKBUILD_CMAKE_DEFINE."""
    hashes = []
    for folder in ("one", "another/place"):
        source, out = tmp_path / folder / "engine", tmp_path / folder / "out"
        shutil.copytree(
            ROOT,
            source,
            ignore=shutil.ignore_patterns("build", ".venv*", "*.so", "__pycache__", ".pytest_cache", ".*_cache"),
        )
        env = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "CCACHE_DISABLE": "1"}
        command = [sys.executable, "-m", "build", "--no-isolation", "-o", str(out), str(source)]
        result = subprocess.run(command, env=env, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        hashes.append({file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(out.iterdir())})
    assert hashes[0] == hashes[1] and len(hashes[0]) == 2
