"""Published encoders: what `transformers` computes with the same files (tests/golden), and files that go both ways."""

from __future__ import annotations

import io
import json
import logging
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import engine
from engine import nn
from engine.models import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    TransformerClassifier,
    TransformerConfig,
)
from engine.serialization import load_file, save_file
from engine.text import PackedBatch

GOLDEN = Path(__file__).parent / "golden"
KINDS = {
    "model": (AutoModel, BertModel),
    "sequence": (AutoModelForSequenceClassification, BertForSequenceClassification),
    "token": (AutoModelForTokenClassification, BertForTokenClassification),
    "masked": (AutoModelForMaskedLM, BertForMaskedLM),
}
CASES = sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in GOLDEN.glob("*/*/config.json"))
CLOSE = {"rtol": 2e-5, "atol": 2e-6}


def test_all_cases_are_there():
    assert len(CASES) == 23 and {case.split("/")[0] for case in CASES} == {
        "albert", "bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta",
    }  # fmt: skip


def opened(case: str):
    folder = GOLDEN / case
    auto, kind = KINDS[folder.name]
    model, info = auto.from_pretrained(folder, output_loading_info=True)
    assert type(model) is kind and not model.training
    return model, load_file(folder / "expected.safetensors"), info


def inputs(expected, device="cpu"):
    ids, mask = expected["input_ids"], expected["attention_mask"]
    labels = expected.get("labels")
    types = expected.get("token_type_ids")
    real = mask.numpy().astype(bool)
    if labels is not None and labels.ndim == 2:
        labels = labels.numpy()[real]
    batch = PackedBatch.from_padded(ids, mask, token_type_ids=types)
    return batch.to(device), (ids, mask, types), real, None if labels is None else engine.tensor(np.asarray(labels))


@pytest.mark.parametrize("case", CASES)
def test_outputs_of_transformers(case):
    model, expected, info = opened(case)
    batch, rectangle, real, _ = inputs(expected)
    assert info.missing_keys == [] and info.mismatched_keys == []
    for given in ((batch,), rectangle):
        found = model(*given)
        if case.endswith("model"):
            found, pooled = found
            assert (pooled is None) == ("pooler_output" not in expected)
            if pooled is not None:
                np.testing.assert_allclose(pooled.detach().numpy(), expected["pooler_output"].numpy(), **CLOSE)
        wanted = expected["last_hidden_state" if case.endswith("model") else "logits"].numpy()
        if given[0] is batch and wanted.ndim == 3:
            wanted = wanted[real]
        np.testing.assert_allclose(found.detach().numpy(), wanted, **CLOSE)


@pytest.mark.parametrize("case", [case for case in CASES if not case.endswith("model")])
def test_gradients_of_transformers(case, device):
    model, expected, _ = opened(case)
    model.to(device)
    batch, _, _, labels = inputs(expected, device)
    loss = nn.functional.cross_entropy(model(batch), labels.to(device))
    assert loss.item() == pytest.approx(expected["loss"].item(), rel=2e-5)
    loss.backward()
    gradients = {name[5:]: value.numpy() for name, value in expected.items() if name.startswith("grad.")}
    assert len(gradients) >= 3
    found = {}
    for name, p in model.named_parameters():
        if p.grad is None:
            continue
        gradient = p.grad.cpu().numpy()
        if ".self.qkv." in name:
            for part, piece in zip(("query", "key", "value"), np.split(gradient, 3)):
                found[model.published_name(name.replace("qkv", part))] = piece
        else:
            found[model.published_name(name)] = gradient
    largest = max(float(np.abs(wanted).max()) for wanted in gradients.values())
    for name, wanted in gradients.items():
        scale = max(float(np.abs(wanted).max()), 0.01 * largest)  # a key's bias has gradient zero
        np.testing.assert_allclose(found[name], wanted, rtol=2e-4, atol=2e-5 * scale, err_msg=name)


@pytest.mark.parametrize("case", [case for case in CASES if case.endswith(("token", "masked"))])
def test_loss_over_the_labelled_tokens_alone(case):
    """The same number and gradients as over all of them, with fewer rows in the last layer."""
    model, expected, _ = opened(case)
    batch, _, _, labels = inputs(expected)
    labels[::2] = -100
    batch.labels = labels
    found = []
    for unread in (True, False):
        model.bert.compute_unread = unread
        model.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        found.append((loss.item(), {n: p.grad.numpy().copy() for n, p in model.named_parameters()}))
    model.zero_grad()
    all_of_them = nn.functional.cross_entropy(model(batch), labels)
    all_of_them.backward()
    found.append((all_of_them.item(), {n: p.grad.numpy().copy() for n, p in model.named_parameters()}))
    for loss, gradients in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-6)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(gradient, found[0][1][name], rtol=1e-3, atol=1e-7, err_msg=name)
    smoothed = model.loss(batch, label_smoothing=0.5)
    assert smoothed.item() != pytest.approx(found[0][0])
    labels[:] = -100
    assert model.loss(batch).item() == 0.0
    batch.labels = None
    with pytest.raises(ValueError, match="one label a token"):
        model.loss(batch)


def test_rows_are_checked():
    model, expected, _ = opened("bert/token")
    batch, rectangle, _, _ = inputs(expected)
    everything = model(batch).detach().numpy()
    some = model(batch, rows=[1, 4, 18]).detach().numpy()
    np.testing.assert_allclose(some, everything[[1, 4, 18]], rtol=1e-5, atol=1e-6)
    assert model(batch, rows=[]).shape == (0, everything.shape[1])
    for rows, error in [([3, 1], IndexError), ([1, 1], IndexError), ([-1], IndexError), ([20], IndexError)]:
        with pytest.raises(error, match="rising numbers"):
            model(batch, rows=rows)
    with pytest.raises(ValueError, match="expected integers"):
        model(batch, rows=[0.5])
    with pytest.raises(ValueError, match="expected None for a rectangle"):
        model(*rectangle, rows=[1])


@pytest.mark.parametrize("case", CASES)
def test_inputs_embeds(case):
    model, expected, _ = opened(case)
    batch, _, _, _ = inputs(expected)
    encoder = model if case.endswith("model") else model.bert
    words = encoder.embeddings.word_embeddings(batch.input_ids)
    plain, given = model(batch), model(batch, inputs_embeds=words)
    if case.endswith("model"):
        plain, given = plain.last_hidden_state, given.last_hidden_state
    np.testing.assert_allclose(given.detach().numpy(), plain.detach().numpy(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="inputs_embeds: expected one row"):
        model(batch, inputs_embeds=words[1:])


@pytest.mark.parametrize("case", CASES)
def test_saved_as_it_was_published(case, tmp_path):
    model, _, _ = opened(case)
    model.save_pretrained(tmp_path)
    before, after = load_file(GOLDEN / case / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(before[name].tolist() == after[name].tolist() for name in before)
    was, now = (json.loads((folder / "config.json").read_text()) for folder in (GOLDEN / case, tmp_path))
    assert {key: value for key, value in was.items() if now.get(key) != value} == {}
    again = type(model).from_pretrained(tmp_path)
    assert again.config == model.config


@pytest.mark.parametrize("case", CASES)
def test_opened_by_transformers(case, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model, expected, _ = opened(case)
    model.save_pretrained(tmp_path)
    name = json.loads((tmp_path / "config.json").read_text())["architectures"][0]
    theirs, info = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    given = {
        key: torch.tensor(expected[key].numpy())
        for key in ("input_ids", "attention_mask", "token_type_ids")
        if key in expected
    }
    with torch.no_grad():
        output = theirs.eval()(**given)
    found = output.last_hidden_state if case.endswith("model") else output.logits
    wanted = expected["last_hidden_state" if case.endswith("model") else "logits"].numpy()
    real = expected["attention_mask"].numpy().astype(bool) if wanted.ndim == 3 else slice(None)
    np.testing.assert_allclose(found.numpy()[real], wanted[real], **CLOSE)


# ---- what files may lack, and have besides


def edited(case: str, folder: Path, change=None, **config) -> Path:
    """A copy of golden files with other weights or entries of config.json."""
    shutil.copytree(GOLDEN / case, folder, dirs_exist_ok=True)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **config}))
    if change:
        state = load_file(folder / "model.safetensors")
        save_file(change(state), folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("family", ["bert", "distilbert", "electra", "albert", "roberta", "xlm-roberta", "camembert"])
def test_a_head_for_a_bare_encoder(family, caplog):
    model, info = BertForSequenceClassification.from_pretrained(
        GOLDEN / family / "model", num_labels=5, output_loading_info=True
    )
    encoder = AutoModel.from_pretrained(GOLDEN / family / "model")
    batch = PackedBatch.from_sequences([[5, 6, 7], [8]])
    np.testing.assert_array_equal(
        model.bert.encode(model.bert.inputs(batch, None, None)).detach().numpy(),
        encoder(batch).last_hidden_state.detach().numpy(),
    )
    assert model(batch).shape == (2, 5)
    head = [name for name in info.missing_keys if "classifier" in name]
    assert len(head) >= 2 and all("encoder" not in name and "layer." not in name for name in info.missing_keys)
    assert not caplog.records  # who takes the names needs no words
    BertForSequenceClassification.from_pretrained(GOLDEN / family / "model", num_labels=5)
    assert all(name in caplog.text for name in info.missing_keys) and caplog.records[0].levelno == logging.WARNING
    if family in ("roberta", "xlm-roberta", "camembert"):  # the head's dense layer is not the encoder's pooler
        assert "classifier.dense.weight" in info.missing_keys and "pooler.dense.weight" in info.unexpected_keys


def test_an_encoder_out_of_a_model_with_a_head():
    model, info = AutoModel.from_pretrained(GOLDEN / "bert" / "masked", output_loading_info=True)
    assert info.missing_keys == ["pooler.dense.weight", "pooler.dense.bias"]
    assert any(name.startswith("cls.predictions") for name in info.unexpected_keys)
    masked = BertForMaskedLM.from_pretrained(GOLDEN / "bert" / "masked")
    batch = PackedBatch.from_sequences([[5, 6, 7], [8]])
    wanted = masked.bert(batch)
    assert model(batch).last_hidden_state.tolist() == wanted.tolist()


def test_old_spellings(tmp_path):
    def old(state):
        names = {
            n: n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            for n in state
        }
        state = {names[n]: t for n, t in state.items()}
        state["bert.embeddings.position_ids"] = engine.arange(24).reshape(1, 24)
        state["cls.seq_relationship.weight"] = engine.ones(2, 16)
        state["cls.predictions.decoder.bias"] = state.pop("cls.predictions.bias")
        return state

    folder = edited("bert/masked", tmp_path, old)
    model, info = BertForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert info.missing_keys == [] and len(info.unexpected_keys) == 2
    batch = PackedBatch.from_sequences([[5, 6, 7]])
    assert model(batch).tolist() == BertForMaskedLM.from_pretrained(GOLDEN / "bert" / "masked")(batch).tolist()


def test_unexpected_and_missing_and_misshaped_by_name(tmp_path, caplog):
    name = "bert.encoder.layer.1.attention.self.key.bias"
    folder = edited(
        "bert/sequence", tmp_path / "a", lambda s: {**{k: v for k, v in s.items() if k != name}, "odd.one": s[name]}
    )
    with pytest.raises(ValueError, match=f"missing: {name}$"):
        BertForSequenceClassification.from_pretrained(folder)
    folder = edited("bert/sequence", tmp_path / "b", lambda s: {**s, "odd.one": s[name]})
    _, info = BertForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert info.unexpected_keys == ["odd.one"] and "not used: odd.one" in caplog.text
    folder = edited("bert/sequence", tmp_path / "c", lambda s: {**s, name: s[name][:4]})
    with pytest.raises(ValueError, match=rf"mis-shaped: {name}: expected shape \(16,\), got \(4,\)"):
        BertForSequenceClassification.from_pretrained(folder, ignore_mismatched_sizes=True)
    with pytest.raises(ValueError, match=r"mis-shaped: classifier.weight: expected shape \(7, 16\), got \(3, 16\)"):
        BertForSequenceClassification.from_pretrained(GOLDEN / "bert" / "sequence", num_labels=7)
    model, info = BertForSequenceClassification.from_pretrained(
        GOLDEN / "bert" / "sequence", num_labels=7, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert info.mismatched_keys == ["classifier.weight", "classifier.bias"] and model.classifier.out_features == 7


def test_shards(tmp_path):
    folder = edited("bert/sequence", tmp_path)
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    places = {name: f"model-0000{1 + (i % 2)}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in sorted(set(places.values())):
        save_file({n: state[n] for n in names if places[n] == file}, folder / file)
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    batch = PackedBatch.from_sequences([[5, 6, 7]])
    whole = BertForSequenceClassification.from_pretrained(GOLDEN / "bert" / "sequence")
    assert BertForSequenceClassification.from_pretrained(folder)(batch).tolist() == whole(batch).tolist()
    for text, error, message in [
        ("[]", ValueError, "JSON object"),
        ("{}", ValueError, "weight_map"),
        (json.dumps({"weight_map": {"a": "../model.safetensors"}}), ValueError, "names of safetensors files"),
        (json.dumps({"weight_map": {"a": "pytorch_model.bin"}}), ValueError, "names of safetensors files"),
        (json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}), ValueError, "expected a in"),
        (json.dumps({"weight_map": {"a": "none.safetensors"}}), FileNotFoundError, "none.safetensors"),
    ]:
        index.write_text(text)
        with pytest.raises(error, match=message):
            BertForSequenceClassification.from_pretrained(folder)


def test_weights_in_the_format_of_pytorch(tmp_path):
    batch = PackedBatch.from_sequences([[5, 6, 7]])
    whole = BertForSequenceClassification.from_pretrained(GOLDEN / "bert" / "sequence")
    folder = edited("bert/sequence", tmp_path)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    engine.save(weights, folder / "pytorch_model.bin")
    assert BertForSequenceClassification.from_pretrained(folder)(batch).tolist() == whole(batch).tolist()
    (folder / "pytorch_model.bin").unlink()
    places = {name: f"pytorch_model-0000{1 + i % 2}-of-00002.bin" for i, name in enumerate(weights)}
    for file in set(places.values()):
        engine.save({name: weights[name] for name in weights if places[name] == file}, folder / file)
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert BertForSequenceClassification.from_pretrained(folder)(batch).tolist() == whole(batch).tolist()
    index.write_text(json.dumps({"weight_map": {"a": "../pytorch_model.bin"}}))
    with pytest.raises(ValueError, match="names of bin files"):
        BertForSequenceClassification.from_pretrained(folder)
    index.unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors, pytorch_model\.bin"):
        BertForSequenceClassification.from_pretrained(folder)


class Harmful:
    def __reduce__(self):
        return print, ("executed",)


def test_pickles_execute_nothing(tmp_path, capsys):
    folder = edited("bert/model", tmp_path)
    (folder / "model.safetensors").unlink()
    for held, message in ((Harmful(), "print"), ({"a": 1}, "tensors by name"), ([1.0], "tensors by name")):
        (folder / "pytorch_model.bin").write_bytes(zipped(pickle.dumps(held, protocol=2)))
        with pytest.raises(ValueError, match=message):
            BertModel.from_pretrained(folder)
    assert "executed" not in capsys.readouterr().out


def zipped(data: bytes) -> bytes:
    """A file as `torch.save` writes it, with any pickle in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", b"3\n")
    return stream.getvalue()


@pytest.mark.parametrize(
    "config, message",
    [
        ({"vocab_size": 2**30}, r"expected weights for the \d+ parameters"),
        ({"num_hidden_layers": 2**30}, "num_hidden_layers: expected a number from 0 to 4096"),
        ({"num_labels": 2**30, "id2label": None}, r"expected weights for the \d+ parameters"),
        ({"hidden_size": 2**15}, r"expected weights for the \d+ parameters"),
        ({"hidden_size": "16"}, "hidden_size: expected an integer"),
        ({"model_type": "gpt2"}, "model_type: expected one of bert, "),
        ({"model_type": 3}, "model_type: expected one of"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type: expected 'absolute'"),
        ({"is_decoder": True}, "is_decoder: expected False"),
        ({"hidden_act": "mish"}, "hidden_act: expected one of"),
        ({"hidden_act": ["gelu"]}, "hidden_act: expected a string"),
        ({"id2label": [1, 2]}, "id2label: expected a dict"),
        ({"id2label": {"x": "a"}}, "id2label: expected numbers of classes, got 'x'"),
        ({"num_attention_heads": 3}, "multiple of the number of attention heads"),
        ({"problem_type": "odd"}, "problem_type: expected one of"),
        ({"layer_norm_eps": "1e-5"}, "layer_norm_eps"),
    ],
)  # fmt: skip
def test_config_is_not_trusted(config, message, tmp_path):
    folder = edited("bert/sequence", tmp_path, **config)
    with pytest.raises(ValueError, match=message):
        AutoModelForSequenceClassification.from_pretrained(folder)


def test_headers_are_not_trusted(tmp_path):
    folder = edited("bert/model", tmp_path)
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    for damaged in (
        b"", whole[:7], whole[:100], whole[:-1], whole + b"\0", (2**62).to_bytes(8, "little") + whole[8:],
        whole[:8] + whole[8 : 8 + size].replace(b'"shape":[16]', b'"shape":[99]', 1) + whole[8 + size :],
    ):  # fmt: skip
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"\[load_file\] filename"):
            BertModel.from_pretrained(folder)


@pytest.mark.parametrize("case", CASES)
def test_a_config_that_names_only_the_class(case, tmp_path):
    """As files of 2019 do."""
    values = json.loads((GOLDEN / case / "config.json").read_text())
    folder = edited(case, tmp_path / "a", model_type=None)
    auto, kind = KINDS[Path(case).name]
    model = auto.from_pretrained(folder)
    assert type(model) is kind and model.config.model_type == values["model_type"]


@pytest.mark.parametrize("architectures", [[], ["Strange"], "BertModel", [3], None])
def test_a_config_that_names_no_class_is_refused(architectures, tmp_path):
    folder = edited("bert/model", tmp_path, model_type=None, architectures=architectures)
    with pytest.raises(ValueError, match=r"expected the weights of TransformerEncoderModel|architectures"):
        AutoModel.from_pretrained(folder)


@pytest.mark.parametrize("wrapper", ["module.", "model."])
def test_names_of_weights_in_a_wrapper(wrapper, tmp_path):
    """As `DataParallel` and other wrappers save them."""
    folder = edited("bert/sequence", tmp_path, lambda s: {wrapper + name: t for name, t in s.items()})
    model, info = BertForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    batch = PackedBatch.from_sequences([[5, 6, 7]])
    assert info.missing_keys == info.unexpected_keys == []
    whole = BertForSequenceClassification.from_pretrained(GOLDEN / "bert" / "sequence")
    assert model(batch).tolist() == whole(batch).tolist()


def test_quantised_weights_are_refused(tmp_path):
    name = "encoder.layer.0.output.dense.weight"
    folder = edited("bert/model", tmp_path / "a", lambda s: {**s, name: s[name].to(engine.uint8)})
    with pytest.raises(ValueError, match=rf"not of a floating-point dtype: {name}: uint8"):
        BertModel.from_pretrained(folder)
    folder = edited("bert/model", tmp_path / "b", quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(ValueError, match="quantization_config: expected None"):
        BertModel.from_pretrained(folder)


def test_half_precision_files(tmp_path):
    for dtype in (engine.bfloat16, engine.float16):
        folder = edited("bert/model", tmp_path / dtype.name, lambda s, d=dtype: {k: t.to(d) for k, t in s.items()})
        model = BertModel.from_pretrained(folder)
        assert {p.dtype for p in model.parameters()} == {engine.float32}


def test_names_that_are_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected an existing folder"):
        BertModel.from_pretrained(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="expected an existing folder"):
        BertModel.from_pretrained("./none")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="got the file"):
        BertModel.from_pretrained(tmp_path / "file")


def test_a_name_on_the_hub(monkeypatch):
    import sys
    import types

    asked = []
    hub = types.ModuleType("huggingface_hub")
    hub.snapshot_download = lambda name, **options: asked.append((name, options)) or str(GOLDEN / "bert" / "model")
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert BertModel.from_pretrained("someone/bert", revision="v1").config.vocab_size == 60
    assert asked[0][0] == "someone/bert" and asked[0][1]["revision"] == "v1"
    with pytest.raises(ValueError, match=r"revision: expected None for the folder .*, got 'v1'"):
        BertModel.from_pretrained(GOLDEN / "bert" / "model", revision="v1")
    assert not any(pattern.endswith((".bin", "*")) for pattern in asked[0][1]["allow_patterns"])

    def fails(name, **options):
        raise RuntimeError("no network\nand more")

    hub.snapshot_download = fails
    with pytest.raises(OSError, match=r"got someone/bert \(.*gave RuntimeError: no network; nothing was downloaded\)"):
        BertModel.from_pretrained("someone/bert")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'engine\[hub\]'"):
        BertModel.from_pretrained("someone/bert")


# ---- configs


def test_a_model_from_a_config(tmp_path):
    config = TransformerConfig(vocab_size=50, hidden_size=16, num_labels=3, num_attention_heads=2, type_vocab_size=2)
    model = BertForSequenceClassification(config)
    assert model.config.model_type == "bert" and model.config.pooler and not config.pooler
    model.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    assert values["architectures"] == ["BertForSequenceClassification"] and values["id2label"]["2"] == "LABEL_2"
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    batch = PackedBatch.from_sequences([[5, 6, 7], [8]])
    assert again(batch).tolist() == model.eval()(batch).tolist()


def test_overrides():
    folder = GOLDEN / "bert" / "sequence"
    model = BertForSequenceClassification.from_pretrained(folder, hidden_dropout_prob=0.3, problem_type="regression")
    assert model.dropout.p == 0.3 and model.config.problem_type == "regression"
    with pytest.raises(TypeError, match="dropuot: expected a field of TransformerConfig"):
        BertForSequenceClassification.from_pretrained(folder, dropuot=0.1)
    named = BertForSequenceClassification.from_pretrained(folder, id2label={0: "a", 1: "b", 2: "c"})
    assert named.config.labels == {0: "a", 1: "b", 2: "c"}


def test_own_models_are_told_apart(tmp_path):
    own = TransformerClassifier(TransformerConfig(vocab_size=50, hidden_size=16, pooling="mean"))
    own.save_pretrained(tmp_path)
    assert type(AutoModelForSequenceClassification.from_pretrained(tmp_path)) is TransformerClassifier
    with pytest.raises(ValueError, match="TransformerClassifier reads engine's own"):
        BertForSequenceClassification.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="BertForSequenceClassification"):
        TransformerClassifier.from_pretrained(GOLDEN / "bert" / "sequence")


def test_a_last_projection_of_its_own_is_refused(tmp_path):
    """transformers leaves one that differs from the table of words as it is; here it would be lost in silence."""
    words = "bert.embeddings.word_embeddings.weight"
    equal = edited("bert/masked", tmp_path / "a", lambda s: {**s, "cls.predictions.decoder.weight": s[words]})
    BertForMaskedLM.from_pretrained(equal)
    other = edited("bert/masked", tmp_path / "b", lambda s: {**s, "cls.predictions.decoder.weight": s[words] * 2})
    with pytest.raises(ValueError, match=r"table of words \(tied\), got another cls.predictions.decoder.weight"):
        BertForMaskedLM.from_pretrained(other)
    untied = edited("bert/masked", tmp_path / "c", tie_word_embeddings=False)
    with pytest.raises(ValueError, match="tie_word_embeddings: expected True"):
        BertForMaskedLM.from_pretrained(untied)
    for kind in (BertModel, BertForSequenceClassification, BertForTokenClassification):  # they have none
        kind.from_pretrained(untied)


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_files_say_the_dtype_that_they_have(key, tmp_path):
    """float16 weights are float32 in memory and are written so; a config that says float16 would have them rounded."""
    half = edited(
        "bert/model", tmp_path / "a", lambda s: {k: t.to(engine.float16) for k, t in s.items()}, **{key: "float16"}
    )
    model = BertModel.from_pretrained(half)
    model.save_pretrained(tmp_path / "b")
    assert json.loads((tmp_path / "b" / "config.json").read_text())[key] == "float32"
    assert load_file(tmp_path / "b" / "model.safetensors")["embeddings.LayerNorm.bias"].dtype is engine.float32
