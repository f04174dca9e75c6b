"""Layers with their own parameters: projections, embeddings, normalisation, dropout. Initial values are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine import ops
from engine._core import DType
from engine.errors import require
from engine.nn import functional as F
from engine.nn import init
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.nn.plain import plain
from engine.ops.sizes import new_sizes, sizes_of
from engine.tensor import Tensor

__all__ = ["Dropout", "Embedding", "Flatten", "Identity", "LayerNorm", "Linear", "RMSNorm", "Unflatten"]


def new_parameter(*shape: int, dtype: DType | None = None, device: Any = None) -> Parameter:
    """A parameter whose contents are not defined yet."""
    return Parameter(ops.empty(shape, dtype=dtype, device=device))


@plain
class Identity(Module):
    """Returns its input. Arguments are accepted and change nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Flatten(Module):
    """Joins the dimensions from start_dim to end_dim into one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension `dim` into several of the sizes `unflattened_size`, of which one may be -1."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, sizes_of("Unflatten", "unflattened_size", (unflattened_size,))

    def forward(self, input: Tensor) -> Tensor:
        return ops.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


@plain
class Linear(Module):
    """y = x W^T + b: (*, in_features) -> (*, out_features).

    weight: (out_features, in_features), bias: (out_features,), both drawn from U(-k, k) with k = 1 / sqrt(in_features).
    """

    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: DType | None = None
    ) -> None:
        super().__init__()
        (self.in_features,) = new_sizes("Linear", "in_features", (in_features,))
        (self.out_features,) = new_sizes("Linear", "out_features", (out_features,))
        self.weight = new_parameter(out_features, in_features, dtype=dtype, device=device)
        self.register_parameter("bias", new_parameter(out_features, dtype=dtype, device=device) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the initial values again."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


@plain
class Embedding(Module):
    """Rows of a table by number: int64 (*) -> (*, embedding_dim).

    weight: (num_embeddings, embedding_dim) from N(0, 1). padding_idx: a row that starts as zeros and gets no gradient.
    max_norm, norm_type, scale_grad_by_freq and sparse as in the function `embedding`. _weight: a table to use, whose memory is
    shared; _freeze: it is not trained.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        (self.num_embeddings,) = new_sizes("Embedding", "num_embeddings", (num_embeddings,))
        (self.embedding_dim,) = new_sizes("Embedding", "embedding_dim", (embedding_dim,))
        inside = padding_idx is None or -num_embeddings <= padding_idx < num_embeddings
        expected = f"None or a number in [{-num_embeddings}, {num_embeddings})"
        require(inside, "Embedding", "padding_idx", expected, padding_idx)
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            self.weight = new_parameter(num_embeddings, embedding_dim, dtype=dtype, device=device)
            self.weight.requires_grad_(not _freeze)
            self.reset_parameters()
        else:
            shape = (num_embeddings, embedding_dim)
            require(_weight.shape == shape, "Embedding", "_weight", f"shape {shape}", _weight.shape)
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def reset_parameters(self) -> None:
        """Draws the initial values again."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach().select(0, self.padding_idx))

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer with an existing table (num_embeddings, embedding_dim), whose memory it shares. freeze: do not train it."""
        two = embeddings.ndim == 2
        require(two, "Embedding.from_pretrained", "embeddings", "2 dimensions", f"shape {tuple(embeddings.shape)}")
        rows, dim = embeddings.shape
        return cls(rows, dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze)

    def forward(self, input: Tensor) -> Tensor:
        if self.max_norm is None and not self.scale_grad_by_freq:
            return F.embedding(input, self.weight, self.padding_idx)
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        for name, usual in (
            ("padding_idx", None),
            ("max_norm", None),
            ("norm_type", 2.0),
            ("scale_grad_by_freq", False),
        ):
            value = getattr(self, name)
            text += "" if value == usual else f", {name}={value}"
        return text


@plain
class LayerNorm(Module):
    """Layer normalisation (Ba et al. 2016, arXiv 1607.06450) over the last dimensions, with weight and bias."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = new_sizes("LayerNorm", "normalized_shape", (normalized_shape,))
        self.eps, self.elementwise_affine = eps, elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(
                name, new_parameter(*self.normalized_shape, dtype=dtype, device=device) if wanted else None
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


@plain
class RMSNorm(Module):
    """Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467) over the last dimensions."""

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = new_sizes("RMSNorm", "normalized_shape", (normalized_shape,))
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.register_parameter(
            "weight", new_parameter(*self.normalized_shape, dtype=dtype, device=device) if elementwise_affine else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


@plain
class Dropout(Module):
    """In training, zeroes each element with probability p and scales the others by 1 / (1 - p) (Srivastava et al. 2014).

    inplace: the result is written to the memory of the input.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        require(0 <= p <= 1, "Dropout", "p", "a probability in [0, 1]", p)
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
