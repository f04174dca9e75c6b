"""What a model's answer depends on: attention probabilities, and integrated gradients of each token (Sundararajan et al. 2017,
arXiv 1703.01365)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from engine.autograd import enable_grad, grad
from engine.data.batch import host_array
from engine.data.groups import groups
from engine.errors import BadType, BadValue, require
from engine.models.forward import device_of_model, evaluating, run_batches
from engine.nn import Module
from engine.ops.factory import from_numpy
from engine.text import PackedBatch, TextDataset, Tokenizer

__all__ = ["Attribution", "attention_maps", "attention_of", "explain_examples", "integrated_gradients"]


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


def _checked(op: str, model: Module, batch: Any) -> tuple[Any, PackedBatch]:
    """(the model's encoder, the batch where the model is)."""
    encoder = getattr(model, "bert", model)
    known = hasattr(encoder, "encoder") and hasattr(encoder, "embeddings")
    require(known, op, "model", "a transformer of engine.models", type(model).__name__, error=BadType)
    require(isinstance(batch, PackedBatch), op, "batch", "a PackedBatch", type(batch).__name__, error=BadType)
    return encoder, batch.to(device_of_model(model))


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
    encoder, batch = _checked("attention_maps", model, batch)
    maps: list[list[np.ndarray]] = [[] for _ in batch.layout.lengths]

    def record(module: Any, args: tuple[Any, ...]) -> None:
        tokens, d = args[0].shape
        qkv = host_array(module.qkv(args[0])).reshape(tokens, 3, module.heads, d // module.heads)
        for layers, own in zip(maps, batch.layout.split(qkv)):
            layers.append(_probabilities(own[:, 0], own[:, 1]))

    hooks = [layer.attention.get_submodule("self").register_forward_pre_hook(record) for layer in encoder.encoder.layer]
    try:
        with evaluating(model):
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    heads = encoder.config.num_attention_heads
    return [
        np.array(layers, np.float32).reshape(len(layers), heads, n, n) for layers, n in zip(maps, batch.layout.lengths)
    ]


def _probabilities(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """softmax(q kᵀ / √d), (heads, n, n) float64, of (n, heads, d)."""
    scores = np.einsum("ihd,jhd->hij", q.astype(np.float64), k.astype(np.float64)) / np.sqrt(q.shape[-1])
    scores = np.exp(scores - scores.max(-1, keepdims=True, initial=-np.inf))
    return np.asarray(scores / scores.sum(-1, keepdims=True))


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
    """What each token adds to the logit of a class: the gradient of the logit by the token's word embedding, integrated along the
    straight line from a baseline to the text, times the difference between the two.

    Args:
        model: gives logits (batch, num_labels) and takes `inputs_embeds`; it runs in evaluation mode, and no `.grad` changes.
        batch: the texts.
        target: the class, or one class for each text; None: the predicted class.
        steps: the number of points of the integral (Gauss-Legendre). The points of all texts are packed into shared batches.
        baseline: the embedding that means "nothing": "pad" (that of the padding token), "zero" (all zeros), or the id of a token,
            such as `tokenizer.mask_token_id`.
        special_ids: ids that the baseline keeps, such as the first and the last token of each text; their values are 0.
        max_tokens: the most tokens in a packed batch of points; a point of a longer text has its own batch. A larger number takes
            more memory and saves hardly any time.

    Raises:
        TypeError: for another model or batch, or a baseline that is neither a string nor an integer.
        ValueError: for another baseline or target, for steps below 1, or if the model gives logits for each token.
    """
    op = "integrated_gradients"
    encoder, moved = _checked(op, model, batch)
    require(steps >= 1, op, "steps", "at least 1", steps)
    n = batch.batch_size
    if not n:
        return []
    with evaluating(model):
        logits = host_array(model(moved))
        end = host_array(encoder.embeddings.word_embeddings(moved.input_ids))
    require(logits.ndim == 2 and len(logits) == n, op, "model", f"logits ({n}, num_labels)", logits.shape)
    targets = _targets(op, target, logits)
    ids = batch.host("input_ids")
    types = None if batch.token_type_ids is None else batch.host("token_type_ids")
    begin = np.where(np.isin(ids, list(special_ids))[:, None], end, _baseline_row(op, encoder, baseline))
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    # The nodes on [0, 1] and both ends, which give the scores.
    alphas, shares = np.array([0, *(nodes + 1) / 2, 1]), np.array([0, *weights / 2, 0])
    layout = batch.layout
    sizes = layout.lengths.tolist()

    def points() -> Iterator[tuple[Any, ...]]:
        """(texts, which of `alphas`, their rows in `batch`; then what `_score` reads) of each batch of points."""
        for part in groups(product(range(n), range(len(alphas))), lambda pair: sizes[pair[0]], max_tokens):
            texts, at = np.array(part).T
            lengths, rows = layout.lengths[texts], layout.select(texts)[1]
            alpha = np.repeat(alphas[at], lengths)[:, None]
            embeds = (begin[rows] + alpha * (end[rows] - begin[rows])).astype(end.dtype)
            packed = PackedBatch.from_flat(ids[rows], lengths, token_type_ids=None if types is None else types[rows])
            chosen = np.eye(logits.shape[1], dtype=end.dtype)[targets[texts]]
            yield texts, at, rows, packed, from_numpy(embeds), from_numpy(chosen)

    total, scores = np.zeros(end.shape), np.zeros((n, len(alphas)))
    with _frozen(model):
        for (texts, at, rows, *_), (found, slopes) in run_batches(model, points(), _score):
            scores[texts, at] = found
            np.add.at(total, rows, np.repeat(shares[at], layout.lengths[texts])[:, None] * slopes)
    values = (total * (end.astype(np.float64) - begin)).sum(1)
    return [
        Attribution(own, int(label), float(line[-1]), float(line[0]), float(own.sum() - (line[-1] - line[0])))
        for own, label, line in zip(layout.split(values), targets, scores)
    ]


def _score(model: Module, given: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The logit of each point's class, (batch,), and its gradient by the embeddings, (total_tokens, d)."""
    *_, packed, embeds, chosen = given
    with enable_grad():
        scores = (model(packed, inputs_embeds=embeds.requires_grad_()) * chosen).sum(1)
        (slopes,) = grad(scores.sum(), embeds)
    assert slopes is not None  # every logit depends on the embeddings
    return host_array(scores), host_array(slopes)


@contextmanager
def _frozen(model: Module) -> Iterator[None]:
    """No gradients of parameters: they would cost as much as those of the embeddings."""
    asked = [p for p in model.parameters() if p.requires_grad]
    try:
        for p in asked:
            p.requires_grad_(False)
        yield
    finally:
        for p in asked:
            p.requires_grad_(True)


def _baseline_row(op: str, encoder: Any, baseline: str | int) -> np.ndarray:
    """The word embedding (d,) of the baseline."""
    words = encoder.embeddings.word_embeddings.weight
    expected, got = f"'pad', 'zero' or a token id in [0, {words.shape[0]})", repr(baseline)
    known = isinstance(baseline, str | int) and not isinstance(baseline, bool)
    require(known, op, "baseline", expected, got, error=BadType)
    if baseline == "zero":
        return np.zeros_like(host_array(words[0]))
    number = encoder.config.pad_token_id if baseline == "pad" else baseline
    if not isinstance(number, int) or not 0 <= number < words.shape[0]:
        hint = ["this model has no padding token"] * (baseline == "pad")
        raise BadValue(op, "baseline", expected, got, *hint)
    return host_array(words[number])


def _targets(op: str, target: int | Sequence[int] | None, logits: np.ndarray) -> np.ndarray:
    """The class of each text, int64 (n,)."""
    n, classes = logits.shape
    if target is None:
        return logits.argmax(1)
    numbers, got = np.asarray(target), repr(target)
    fits = numbers.dtype.kind in "iu" and numbers.shape in ((), (n,))
    require(fits, op, "target", f"None, a class number, or {n} class numbers", got)
    require(((numbers >= 0) & (numbers < classes)).all(), op, "target", f"class numbers in [0, {classes})", got)
    return np.broadcast_to(numbers, (n,)).astype(np.int64)


# --- for the report --------------------------------------------------------------------------------------------------


def token_texts(tokenizer: Tokenizer, ids: Sequence[int] | np.ndarray) -> list[str]:
    """The tokens of ids as a reader should see them: as in the vocabulary, but byte-level tokens as letters instead of bytes."""
    tokens = [token or "" for token in tokenizer.tokens([int(i) for i in ids])]
    if type(tokenizer.backend.decoder).__name__ != "ByteLevel":
        return tokens
    special = set(tokenizer.special_tokens.values())
    return [token if token in special else _letters(token) for token in tokens]


# The byte of each letter of byte-level BPE: printable bytes stand for themselves, the others for U+0100 and on.
_PRINTED = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [b for b in range(256) if b not in _PRINTED]
_BYTES = {chr(b): b for b in _PRINTED} | {chr(0x100 + i): b for i, b in enumerate(_OTHERS)}


def _letters(token: str) -> str:
    """The text of a byte-level token; "Ġ", the space before a word, stays."""
    begins = token.startswith("Ġ")
    known = bytes(_BYTES[c] for c in token[begins:] if c in _BYTES)
    return "Ġ" * begins + known.decode("utf-8", "replace")


def explain_examples(
    examples: Sequence[Mapping[str, Any]],
    model: Module,
    dataset: TextDataset,
    tokenizer: Tokenizer,
    labels: Sequence[str],
    steps: int = 32,
    baseline: str | int = "pad",
) -> list[dict[str, Any]]:
    """The examples of a report (`worst_examples`) with their tokens, and the attributions and delta of their predicted label.

    dataset: the samples; an example's "index" is its row there. The baseline keeps the special tokens at both ends of a text.
    Raises as `integrated_gradients`.
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
    """The attention of the sample `index` as a report shows it: {"tokens", "weights": (layers, heads, n, n) float32}."""
    batch = dataset.gather([index])
    return {"tokens": token_texts(tokenizer, batch.input_ids.numpy()), "weights": attention_maps(model, batch)[0]}
