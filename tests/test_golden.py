"""The tiny models of tests/golden: complete, small, and what tools/golden.py writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.serialization import load_file

FOLDER = Path(__file__).parent / "golden"
MODELS = sorted(path.parent.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*/config.json"))
LENGTHS = [9, 4, 1, 6]


def test_families_and_size() -> None:
    assert {name.split("/")[0] for name in MODELS} == {
        "albert", "bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"
    }  # fmt: skip
    assert len(MODELS) == 23
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 1_500_000


@pytest.mark.parametrize("name", MODELS)
def test_files(name: str) -> None:
    weights = load_file(FOLDER / name / "model.safetensors")
    expected = {key: t.numpy() for key, t in load_file(FOLDER / name / "expected.safetensors").items()}
    mask = expected["attention_mask"]
    assert mask.tolist() == [[1] * n + [0] * (9 - n) for n in LENGTHS]
    assert all(np.isfinite(a).all() for a in expected.values())
    head = name.split("/")[1]
    if head == "model":
        assert not expected["last_hidden_state"][mask == 0].any() and expected["last_hidden_state"][mask > 0].any()
        return
    grads = {key[5:]: a for key, a in expected.items() if key.startswith("grad.")}
    assert len(grads) >= 3 and all(weights[key].shape == a.shape for key, a in grads.items())
    logits, labels = expected["logits"].astype(np.float64), expected["labels"]
    counted = labels >= 0
    if head != "sequence":
        assert not logits[mask == 0].any() and not counted[mask == 0].any() and counted.any()
    chosen = logits[counted]
    loss = np.log(np.exp(chosen).sum(-1)) - chosen[np.arange(len(chosen)), labels[counted]]
    np.testing.assert_allclose(expected["loss"], loss.mean(), rtol=1e-6)


def test_the_tool_writes_these_files(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    if f"transformers {transformers.__version__} " not in (FOLDER / "README.md").read_text(encoding="utf-8"):
        pytest.skip("written with another version of transformers")
    command = [sys.executable, FOLDER.parent.parent / "tools" / "golden.py", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    files = {path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.is_file()}
    assert files == {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    for path in files - {Path("README.md")}:
        if path.name != "expected.safetensors":
            assert (FOLDER / path).read_bytes() == (tmp_path / path).read_bytes(), path
            continue
        again = load_file(tmp_path / path)
        for key, t in load_file(FOLDER / path).items():  # another processor may round the last bit otherwise
            np.testing.assert_allclose(again[key].numpy(), t.numpy(), rtol=1e-6, atol=1e-12, err_msg=f"{path} {key}")
