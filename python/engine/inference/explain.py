"""What a model's answer depends on: attention probabilities, and integrated gradients of each token (Sundararajan et al. 2017,
arXiv 1703.01365)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from engine import _core
from engine.autograd import grad, no_grad
from engine.data.groups import groups
from engine.errors import BadType, BadValue
from engine.models.forward import device_of_model, evaluating
from engine.nn import Module
from engine.ops.factory import from_numpy
from engine.tensor import Tensor
from engine.text import PackedBatch, TextDataset, Tokenizer

__all__ = ["Attribution", "attention_maps", "attention_of", "explain_examples", "integrated_gradients", "token_texts"]


@dataclass(frozen=True)
class Attribution:
    """What each token of a text adds to the score of a class.

    Attributes:
        values: (n,) float64, a number for each token; 0 for tokens that the baseline has as well.
        target: the class whose logit is explained.
        score, baseline_score: the logit of the text, and the logit of the baseline.
        delta: the sum of values minus (score - baseline_score). It is 0 for exact integrals; more steps make it smaller.
    """

    values: np.ndarray
    target: int
    score: float
    baseline_score: float
    delta: float


def _encoder(op: str, model: Module) -> Any:
    encoder = getattr(model, "bert", model)
    if not (hasattr(encoder, "encoder") and hasattr(encoder, "embeddings")):
        raise BadType(op, "model", "a transformer of engine.models", type(model).__name__)
    return encoder


def _checked(op: str, batch: Any) -> PackedBatch:
    if not isinstance(batch, PackedBatch):
        raise BadType(op, "batch", "a PackedBatch", type(batch).__name__)
    return batch


def _numpy(x: Tensor) -> np.ndarray:
    x = x.detach()
    return (x.float() if x.dtype is _core.bfloat16 else x).cpu().numpy()


# --- attention -------------------------------------------------------------------------------------------------------


def attention_maps(model: Module, batch: PackedBatch) -> list[np.ndarray]:
    """The attention probabilities of each sequence, float32 (layers, heads, n, n): row i holds what token i attends to.

    The model does not store them, so they are computed again from the queries and keys of each layer. A layer that runs several
    times (ALBERT's) has an entry for each time.

    Args:
        model: an encoder, or a model with an encoder as its `bert`; it runs in evaluation mode.
        batch: the texts.

    Raises:
        TypeError: for another model or batch.
    """
    op = "attention_maps"
    encoder, batch = _encoder(op, model), _checked(op, batch).to(device_of_model(model))
    layout = batch.layout
    maps: list[list[np.ndarray]] = [[] for _ in layout.lengths]

    def record(module: Any, args: tuple[Any, ...]) -> None:
        hidden = args[0]
        tokens, d = hidden.shape
        qkv = _numpy(module.qkv(hidden)).reshape(tokens, 3, module.heads, d // module.heads)
        for sequence, own in zip(maps, layout.split(qkv)):
            sequence.append(_probabilities(own[:, 0], own[:, 1]))

    modules = {id(layer): layer.attention.get_submodule("self") for layer in encoder.encoder.layer}
    hooks = [module.register_forward_pre_hook(record) for module in modules.values()]
    try:
        with evaluating(model):
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    heads = encoder.config.num_attention_heads
    return [
        np.stack(layers) if layers else np.zeros((0, heads, n, n), np.float32)
        for layers, n in zip(maps, layout.lengths.tolist())
    ]


def _probabilities(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """softmax(q kᵀ / √d), (heads, n, n) float32, of (n, heads, d)."""
    scores = np.einsum("ihd,jhd->hij", q.astype(np.float64), k.astype(np.float64)) / np.sqrt(q.shape[-1])
    scores = np.exp(scores - scores.max(-1, keepdims=True, initial=-np.inf))
    return (scores / scores.sum(-1, keepdims=True)).astype(np.float32)


# --- integrated gradients --------------------------------------------------------------------------------------------


def integrated_gradients(
    model: Module,
    batch: PackedBatch,
    target: int | Sequence[int] | None = None,
    steps: int = 32,
    baseline: str | int = "pad",
    *,
    special_ids: Collection[int] = (),
    max_tokens: int = 512,
) -> list[Attribution]:
    """What each token adds to the logit of a class: the gradient by its word embedding, integrated on the straight line from a
    baseline to the text, times the difference of the two.

    Args:
        model: gives logits (batch, num_labels) and takes `inputs_embeds`; it runs in evaluation mode, and no `.grad` changes.
        batch: the texts.
        target: the class, or one class for each text; None: the predicted class.
        steps: the number of points of the integral (Gauss-Legendre). Points of all texts are packed into common batches.
        baseline: the embedding that stands for "nothing": "pad", that of the padding token; "zero"; or the id of a token, such
            as `tokenizer.mask_token_id`.
        special_ids: ids that the baseline keeps, such as the first and the last token of each text; their values are 0.
        max_tokens: the most tokens in a packed batch of points; a point of a longer text has its own batch. A larger number takes
            more memory and hardly less time.

    Raises:
        TypeError: for another model or batch.
        ValueError: for another baseline or target, for steps below 1, or if the model gives logits for each token.
    """
    op = "integrated_gradients"
    encoder, batch = _encoder(op, model), _checked(op, batch)
    if steps < 1:
        raise BadValue(op, "steps", "at least 1", steps)
    if not batch.batch_size:
        return []
    ids = batch.input_ids.cpu().numpy()
    types = None if batch.token_type_ids is None else batch.token_type_ids.cpu().numpy()
    with _frozen(model):
        with no_grad():
            logits = _numpy(model(batch.to(device_of_model(model))))
            words = encoder.embeddings.word_embeddings
            end = _numpy(words(batch.input_ids.to(device_of_model(model))))
            begin = np.array(np.broadcast_to(_baseline_row(op, encoder, baseline), end.shape))
        if logits.shape[0] != batch.batch_size or logits.ndim != 2:
            raise BadValue(op, "model", f"logits ({batch.batch_size}, num_labels)", logits.shape)
        targets = _targets(op, target, logits)
        kept = np.isin(ids, list(special_ids))
        begin[kept] = end[kept]
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        # The nodes on [0, 1] and both ends, which give the scores.
        alphas, shares = np.array([0, *(nodes + 1) / 2, 1]), np.array([0, *weights / 2, 0])
        total = np.zeros(end.shape)
        scores = np.zeros((batch.batch_size, len(alphas)))
        sizes = batch.layout.lengths
        for part in groups(product(*map(range, scores.shape)), lambda pair: int(sizes[pair[0]]), max_tokens):
            layout, source = batch.layout.select([i for i, _ in part])
            lengths = layout.lengths
            alpha = np.repeat([alphas[k] for _, k in part], lengths)[:, None]
            points = (begin[source] + alpha * (end[source] - begin[source])).astype(end.dtype)
            points_batch = PackedBatch.from_flat(
                ids[source], lengths, token_type_ids=None if types is None else types[source]
            )
            found, slopes = _score(model, points_batch, points, targets[[i for i, _ in part]])
            for (i, k), score in zip(part, found):
                scores[i, k] = score
            np.add.at(total, source, np.repeat([shares[k] for _, k in part], lengths)[:, None] * slopes)
    values = (total * (end.astype(np.float64) - begin)).sum(1)
    result = []
    for i, own in enumerate(batch.layout.split(values)):
        low, high = float(scores[i, 0]), float(scores[i, -1])
        result.append(Attribution(own, int(targets[i]), high, low, float(own.sum()) - (high - low)))
    return result


@contextmanager
def _frozen(model: Module) -> Iterator[None]:
    """Evaluation mode without gradients of parameters, which would cost as much as the gradients of the embeddings."""
    training = model.training
    asked = [p for p in model.parameters() if p.requires_grad]
    model.eval()
    for p in asked:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in asked:
            p.requires_grad_(True)
        model.train(training)


def _baseline_row(op: str, encoder: Any, baseline: str | int) -> np.ndarray:
    words = encoder.embeddings.word_embeddings.weight
    if isinstance(baseline, bool) or not isinstance(baseline, str | int):
        raise BadType(op, "baseline", "'pad', 'zero' or the id of a token", repr(baseline))
    if baseline == "zero":
        return np.zeros(words.shape[1], _numpy(words[:1]).dtype)
    number = encoder.config.pad_token_id if baseline == "pad" else baseline
    if isinstance(number, str) or number is None or not 0 <= number < words.shape[0]:
        got = "a model without a padding token" if baseline == "pad" else repr(baseline)
        raise BadValue(op, "baseline", f"'pad', 'zero' or a token in [0, {words.shape[0]})", got)
    return _numpy(words[number : number + 1])[0]


def _targets(op: str, target: int | Sequence[int] | None, logits: np.ndarray) -> np.ndarray:
    n, classes = logits.shape
    if target is None:
        return logits.argmax(1)
    numbers = np.asarray(target)
    if numbers.dtype.kind not in "iu" or numbers.shape not in ((), (n,)):
        raise BadValue(op, "target", f"None, a class, or {n} classes", repr(target))
    if numbers.size and (numbers.min() < 0 or numbers.max() >= classes):
        raise BadValue(op, "target", f"classes in [0, {classes})", repr(target))
    return np.broadcast_to(numbers, (n,)).astype(np.int64)


def _score(model: Module, batch: PackedBatch, points: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The logit of each sequence's target, (batch,), and its gradient by the embeddings, (total_tokens, d)."""
    where = device_of_model(model)
    embeds = from_numpy(points).to(where).requires_grad_()
    logits = model(batch.to(where), inputs_embeds=embeds)
    chosen = np.zeros(logits.shape, points.dtype)
    chosen[np.arange(len(targets)), targets] = 1
    (slopes,) = grad((logits * from_numpy(chosen).to(where)).sum(), embeds)
    assert slopes is not None
    return (_numpy(logits) * chosen).sum(1), _numpy(slopes)


# --- for the report --------------------------------------------------------------------------------------------------


def token_texts(tokenizer: Tokenizer, ids: Sequence[int] | np.ndarray) -> list[str]:
    """The tokens of ids, to be shown: as in the vocabulary, except that the bytes of byte-level tokens become letters again."""
    tokens = [token or "" for token in tokenizer.tokens([int(i) for i in ids])]
    if type(tokenizer.backend.decoder).__name__ != "ByteLevel":
        return tokens
    special = set(tokenizer.special_tokens.values())
    return [token if token in special else _letters(token) for token in tokens]


def _letters(token: str) -> str:
    """The text of a byte-level token; "Ġ", the space before a word, stays."""
    codes = _byte_letters()
    begins = token.startswith("Ġ")
    known = bytes(codes[c] for c in token[begins:] if c in codes)
    return "Ġ" * begins + known.decode("utf-8", "replace")


def _byte_letters() -> dict[str, int]:
    """The byte of each letter of byte-level BPE: printable bytes stand for themselves, the others for U+0100 and further."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in set(printed)]
    return {chr(b): b for b in printed} | {chr(0x100 + i): b for i, b in enumerate(others)}


def explain_examples(
    examples: Sequence[Mapping[str, Any]],
    model: Module,
    dataset: TextDataset,
    tokenizer: Tokenizer,
    labels: Sequence[str],
    steps: int = 32,
    baseline: str | int = "pad",
) -> list[dict[str, Any]]:
    """The examples of a report (`worst_examples`) with the tokens, attributions and delta of their predicted label.

    dataset: the samples; the "index" of an example is its place there. The baseline keeps the special tokens around the texts.
    """
    batch = dataset.gather([e["index"] for e in examples])
    numbers = {label: i for i, label in enumerate(labels)}
    ends = [i for i in (tokenizer.cls_token_id, tokenizer.sep_token_id) if i is not None]
    found = integrated_gradients(
        model, batch, [numbers[e["predicted"]] for e in examples], steps, baseline, special_ids=ends
    )
    return [
        {
            **example,
            "tokens": token_texts(tokenizer, ids),
            "attributions": part.values.tolist(),
            "delta": part.delta,
        }
        for example, part, ids in zip(examples, found, batch.layout.split(batch.input_ids.numpy()))
    ]


def attention_of(model: Module, dataset: TextDataset, tokenizer: Tokenizer, index: int) -> dict[str, Any]:
    """The attention of one sample as a report shows it: {"tokens", "weights": (layers, heads, n, n) float32}."""
    batch = dataset.gather([index])
    return {"tokens": token_texts(tokenizer, batch.input_ids.numpy()), "weights": attention_maps(model, batch)[0]}
