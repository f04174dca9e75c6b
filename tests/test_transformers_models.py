"""Random small models of `transformers` with random masks, token types and positions: engine computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.models import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCAB, LENGTH = 40, 9
HEADS = {
    "Model": AutoModel,
    "ForSequenceClassification": AutoModelForSequenceClassification,
    "ForTokenClassification": AutoModelForTokenClassification,
    "ForMaskedLM": AutoModelForMaskedLM,
}
FAMILIES = ("Bert", "DistilBert", "Roberta", "XLMRoberta", "Electra", "Albert", "Camembert")
MASKS = ("none", "right", "left", "holes")


def random_config(family: str, rng: np.random.Generator) -> Any:
    heads = int(rng.choice([1, 2, 4]))
    width, layers, wide = heads * int(rng.choice([4, 8])), int(rng.integers(1, 4)), int(rng.choice([12, 24]))
    act = str(rng.choice(["gelu", "gelu_new", "relu"]))
    labels, positions = int(rng.integers(1, 5)), LENGTH + 2 + int(rng.integers(4))
    common: dict[str, Any] = {"vocab_size": VOCAB, "max_position_embeddings": positions, "num_labels": labels}
    if family == "DistilBert":
        sizes = {"dim": width, "n_heads": heads, "n_layers": layers, "hidden_dim": wide, "activation": act}
        if act == "gelu_new":
            sizes["activation"] = "gelu"
        return transformers.DistilBertConfig(**common, **sizes)
    sizes = {
        "hidden_size": width, "num_attention_heads": heads, "num_hidden_layers": layers, "intermediate_size": wide,
        "hidden_act": act, "type_vocab_size": int(rng.integers(1, 4)),
        "layer_norm_eps": float(rng.choice([1e-12, 1e-5])),
    }  # fmt: skip
    if family in ("Electra", "Albert"):
        sizes["embedding_size"] = int(rng.choice([width, 6]))
    if family == "Albert":
        sizes |= {"num_hidden_groups": int(rng.integers(1, layers + 1)), "hidden_dropout_prob": 0.0}
    pad = int(rng.integers(3))
    if "oberta" in family or family == "Camembert":
        common["max_position_embeddings"] += pad
    return getattr(transformers, f"{family}Config")(**common, **sizes, pad_token_id=pad, bos_token_id=3, eos_token_id=4)


def random_mask(kind: str, rng: np.random.Generator) -> np.ndarray:
    """(3, LENGTH), with at least one real token in each row."""
    lengths = rng.integers(1, LENGTH + 1, 3)
    places = np.arange(LENGTH)
    if kind == "left":
        return (places >= LENGTH - lengths[:, None]).astype(np.int64)
    if kind == "holes":
        mask = rng.integers(2, size=(3, LENGTH))
        mask[np.arange(3), rng.integers(LENGTH, size=3)] = 1
        return mask
    return (places < lengths[:, None]).astype(np.int64)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_outputs(family: str, head: str, tmp_path: Path) -> None:
    for mask_kind in MASKS:
        rng = np.random.default_rng([*map(ord, family + head + mask_kind)])
        config = random_config(family, rng)
        theirs = getattr(transformers, family + head)(config).double().eval()
        with torch.no_grad():
            for p in theirs.parameters():
                p.copy_(torch.tensor(rng.uniform(-0.5, 0.5, tuple(p.shape)).astype(np.float32)))
        theirs.float().save_pretrained(tmp_path / mask_kind)
        theirs.double()
        ours = HEADS[head].from_pretrained(tmp_path / mask_kind)
        mask = None if mask_kind == "none" else random_mask(mask_kind, rng)
        real = np.ones((3, LENGTH), bool) if mask is None else mask == 1
        ids = rng.integers(VOCAB, size=(3, LENGTH))
        if mask is not None and rng.integers(2):
            ids[~real] = config.pad_token_id
        given = {"input_ids": ids} if mask is None else {"input_ids": ids, "attention_mask": mask}
        if family != "DistilBert" and rng.integers(2):
            given["token_type_ids"] = rng.integers(config.type_vocab_size, size=ids.shape)
        for positions in (None, (3, LENGTH), (1, LENGTH)):
            if positions is not None:
                given["position_ids"] = rng.integers(config.max_position_embeddings, size=positions)
            with torch.no_grad():
                expected = theirs(**{name: torch.tensor(value) for name, value in given.items()})
            found = ours(**{name: engine.tensor(value) for name, value in given.items()})
            if head == "Model":
                pairs = [(found.last_hidden_state, expected.last_hidden_state, real)]
                pooled = getattr(expected, "pooler_output", None)
                assert (found.pooler_output is None) == (pooled is None)
                if pooled is not None:  # theirs reads the first column, also if it is padding
                    pairs.append((found.pooler_output, pooled, real[:, 0]))
            else:
                pairs = [(found, expected.logits, real[:, 0] if head == "ForSequenceClassification" else real)]
            for got, wanted, rows in pairs:
                got, wanted = got.detach().numpy(), wanted.numpy()
                assert got.shape == wanted.shape
                np.testing.assert_allclose(got[rows], wanted[rows], rtol=1e-3, atol=1e-4)
                if rows is real:
                    assert not got[~real].any()


def test_positions_given_to_a_packed_batch_are_rows_of_the_table(tmp_path: Path) -> None:
    """As in a rectangle; the batch's own `position_ids` count from 0."""
    rng = np.random.default_rng(0)
    config = random_config("Roberta", rng)
    theirs = transformers.RobertaModel(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = AutoModel.from_pretrained(tmp_path)
    ids = rng.integers(5, VOCAB, size=(2, 4))
    batch = engine.text.PackedBatch.from_padded(ids)
    rows = engine.tensor(ids % 7)
    with torch.no_grad():
        expected = theirs(torch.tensor(ids), position_ids=torch.tensor(ids % 7)).last_hidden_state.numpy()
    found = ours(batch, position_ids=rows.reshape(-1)).last_hidden_state.detach().numpy()
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-4, atol=1e-5)
    batch.position_ids = rows.reshape(-1)
    np.testing.assert_allclose(
        ours(batch).last_hidden_state.detach().numpy(),
        ours(batch, position_ids=rows.reshape(-1) + config.pad_token_id + 1).last_hidden_state.detach().numpy(),
    )


def test_positions_outside_of_the_table_are_named() -> None:
    engine.manual_seed(0)
    model = AutoModel.from_config(
        engine.models.TransformerConfig(10, 8, 1, 2, 8, 4, type_vocab_size=2, model_type="bert")
    )
    ids = engine.tensor([[1, 2, 3]])
    for wrong in ([[0, 1, 4]], [[0, -1, 1]]):
        with pytest.raises(IndexError, match=r"\[BertModel\] position_ids: expected"):
            model(ids, position_ids=engine.tensor(wrong))
    with pytest.raises(ValueError, match=r"\[BertModel\] position_ids: expected shape \(1, 3\), got \(1, 2\)"):
        model(ids, position_ids=engine.tensor([[0, 1]]))
    with pytest.raises(IndexError, match=r"\[BertModel\] position_ids"):  # columns count, also those of padding
        model(engine.tensor([[1] * 6]), engine.tensor([[0, 0, 0, 0, 1, 1]]))
