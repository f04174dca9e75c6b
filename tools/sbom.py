"""Writes what engine is made of as CycloneDX 1.5 (JSON): the packages that it needs, and the code that is compiled into it.

    python tools/sbom.py [WHEEL] > engine.cdx.json

With a wheel, the file names its SHA-256. The versions of packages are those that are installed here. The same input gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
LICENCES = {"numpy": "BSD-3-Clause", "safetensors": "Apache-2.0", "pybind11": "BSD-3-Clause"}


def main() -> int:
    wheel = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    json.dump(sbom(wheel), sys.stdout, indent=2)
    print()
    return 0


def sbom(wheel: Path | None = None) -> dict[str, object]:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    own = re.search(r'^version = "(.+)"', project, re.MULTILINE)
    needed = re.search(r"^dependencies = \[(.*)\]", project, re.MULTILINE)
    assert own and needed
    names = [re.split(r"[<>=!~ ]", requirement)[0] for requirement in re.findall(r'"(.+?)"', needed[1])]
    engine = component("engine", own[1], "Apache-2.0")
    if wheel is not None:
        engine["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    parts = [component(name, version(name), LICENCES[name]) for name in (*names, "pybind11")]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": engine},
        "components": parts,
        "dependencies": [
            {"ref": engine["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]},
            *({"ref": part["bom-ref"]} for part in parts),
        ],
    }


def component(name: str, number: str, licence: str) -> dict[str, object]:
    place = f"pkg:pypi/{name}@{number}"
    return {
        "type": "library", "bom-ref": place, "name": name, "version": number, "purl": place,
        "licenses": [{"license": {"id": licence}}],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
