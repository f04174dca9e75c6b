"""LoRA: low-rank adapters of frozen projections (Hu et al. 2021, arXiv 2106.09685), in the file format of `peft`.

A projection y = x Wᵀ becomes y = x Wᵀ + s · (x Aᵀ) Bᵀ with A (r, in) and B (out, r). Only A and B are trained. When the layer is
called, it computes exactly this, and no gradient of W is computed. Modules that hold projections call them. What reads `weight`
instead gets W + s · B A: the result is the same, but the gradient of `weight` is as large as that of W.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple, TypedDict

from engine import ops
from engine.autograd import no_grad
from engine.entries import as_kind
from engine.errors import BadValue, require
from engine.nn import functional as F
from engine.nn import init
from engine.nn.layers import Linear, new_parameter
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.nn.plain import plain
from engine.nn.state import copy_state
from engine.ops.convert import copy_into
from engine.serialization import load_file, read_json, save_file, write_json
from engine.settings import Between, Settings, shortened
from engine.tensor import Tensor

__all__ = [
    "LoRAConfig",
    "LoRALinear",
    "add_lora",
    "load_lora",
    "load_lora_state_dict",
    "lora_state_dict",
    "merge_lora",
    "save_lora",
]

FUSED: Mapping[str, tuple[str, ...]] = {"qkv": ("query", "key", "value")}
"""Projections that hold several of equal height in one piece of memory: their names, and the names of their parts."""

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."  # peft puts it in front of all names in its files
_HEADS = ("classifier", "score")
_TASKS = {"sequence": "SEQ_CLS", "token": "TOKEN_CLS", "base": "FEATURE_EXTRACTION"}


@dataclass(frozen=True)
class LoRAConfig(Settings):
    """What is adapted, and how.

    Attributes:
        r: rank of the adapters.
        alpha: what the adapters add is multiplied by s = alpha / r.
        dropout: probability with which elements of the adapters' input are dropped in training.
        target_modules: names of projections, or ends of names: "query", "attention.output.dense". For models of a published
            family the names in its files work too ("q_lin" of DistilBERT).
        modules_to_save: modules that are trained whole. A name fits modules whose names end with it, and the modules below them.
            None: "classifier" and "score", if the model has them.

    Raises:
        TypeError: for a value of another type, such as a string for a list of names.
        ValueError: for a value out of range.
    """

    r: int = 8
    alpha: float = 16
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ("query", "value")
    modules_to_save: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, right, expected in (
            ("r", self.r >= 1, "at least 1"),
            ("alpha", 0 < self.alpha < math.inf, "a finite number > 0"),
            ("dropout", 0 <= self.dropout <= 1, "a probability in [0, 1]"),
            ("target_modules", self.target_modules, "at least one name"),
        ):
            self.require(name, right, expected)


class _Part(NamedTuple):
    """Rows [begin, end) of a projection, and the names of the adapter's parameters."""

    name: str  # "": the whole projection
    begin: int
    end: int

    @property
    def a(self) -> str:
        return f"lora_A_{self.name}" if self.name else "lora_A"

    @property
    def b(self) -> str:
        return f"lora_B_{self.name}" if self.name else "lora_B"


@plain
class LoRALinear(Linear):
    """A frozen projection with adapters of all its rows, or of parts of them. It takes the place of a `Linear`.

    `weight` is W + s · B A, computed each time it is read; `base_weight` is W. Each lora_A (r, in) starts with the initial values of a
    Linear, and each lora_B (rows, r) with zeros, so that the projection is unchanged at first.
    """

    def __init__(self, base: Linear, config: LoRAConfig, parts: Mapping[str, tuple[int, int]] | None = None) -> None:
        """parts: names, and the rows [begin, end) that are adapted, which do not overlap; None: all rows."""
        Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.training = base.training
        self.dropout, self.scaling = config.dropout, config.alpha / config.r
        found = parts or {"": (0, base.out_features)}
        self.parts = sorted((_Part(name, *rows) for name, rows in found.items()), key=lambda part: part.begin)
        weight = base.weight
        self._register("_parameters", "weight", weight)
        self.register_parameter("bias", base.bias)
        for part in self.parts:
            a = new_parameter(config.r, self.in_features, dtype=weight.dtype, device=weight.device)
            b = new_parameter(part.end - part.begin, config.r, dtype=weight.dtype, device=weight.device)
            init.kaiming_uniform_(a, a=math.sqrt(5))
            init.zeros_(b)
            self.register_parameter(part.a, a)
            self.register_parameter(part.b, b)

    @property
    def base_weight(self) -> Parameter:
        """W, (out_features, in_features)."""
        return self._parameters["weight"]  # type: ignore[return-value]

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """W + s · B A, (out_features, in_features)."""
        return self.base_weight + ops.matmul(self._tall(), self._wide())

    def _wide(self) -> Tensor:
        """All A, one below the other: (parts * r, in)."""
        return _joined([getattr(self, part.a) for part in self.parts], 0)

    def _tall(self) -> Tensor:
        """s · B. Each part has its own columns, and zeros outside of its rows: (out, parts * r)."""
        columns = []
        for part in self.parts:
            b = getattr(self, part.b)
            heights = (part.begin, self.out_features - part.end)
            above, below = ([ops.zeros(n, b.shape[1], dtype=b.dtype, device=b.device)] if n else [] for n in heights)
            columns.append(_joined([*above, b, *below], 0))
        return _joined(columns, 1) * self.scaling

    def forward(self, input: Tensor) -> Tensor:
        low = F.linear(F.dropout(input, self.dropout, self.training), self._wide())
        return F.linear(input, self.base_weight, self.bias) + F.linear(low, self._tall())

    def merged(self) -> Linear:
        """A Linear whose weight is `weight`, in the memory of `base_weight`."""
        with no_grad():
            copy_into(self.base_weight._data, self.weight._data)
        linear = Linear.__new__(Linear)
        Module.__init__(linear)
        linear.in_features, linear.out_features, linear.training = self.in_features, self.out_features, self.training
        linear.weight = self.base_weight
        linear.register_parameter("bias", self.bias)
        return linear

    def extra_repr(self) -> str:
        names = ", ".join(part.name for part in self.parts if part.name)
        rank = getattr(self, self.parts[0].a).shape[0]
        return super().extra_repr() + f", r={rank}, scaling={self.scaling}" + (f", parts={names}" if names else "")


def _joined(pieces: list[Tensor], dim: int) -> Tensor:
    return pieces[0] if len(pieces) == 1 else ops.cat(pieces, dim)


def _namer(model: Module) -> Callable[[str], str]:
    """What gives the names in files of the model's parameters."""
    return getattr(model, "published_name", lambda name: name)


def _published(model: Module, path: str) -> str:
    """The name in files of the module at `path`."""
    return _namer(model)(f"{path}.weight").removesuffix(".weight")


def _fitting(model: Module, path: str, names: Iterable[str]) -> set[str]:
    """Those of the names that the module's name, here or in files, ends with."""
    paths = (path, _published(model, path))
    return {name for name in names if any(f".{p}".endswith(f".{name}") for p in paths)}


def _beside(path: str, name: str) -> str:
    """The path with `name` as its last part; "": the path itself."""
    head, dot, _ = path.rpartition(".")
    return head + dot + name if name else path


def add_lora(
    model: Module, config: LoRAConfig | None = None, *, fused: Mapping[str, tuple[str, ...]] = FUSED
) -> list[str]:
    """Adds adapters to the projections that `config` names, and freezes everything else except `modules_to_save`.

    fused: names of projections that hold several, and the names of their parts. A part is adapted by its own name. The config stays
    with the model (`model.lora_config`). Returns the names of what is adapted. Make the optimizer after this call, from the
    parameters that require grad (`engine.train.parameter_groups` leaves out frozen ones).

    Raises ValueError, before anything is changed, if a name fits no Linear or module, or if the model has adapters already.
    """
    config = config or LoRAConfig()
    plan: dict[str, tuple[Linear, dict[str, tuple[int, int]]]] = {}
    unused = set(config.target_modules)
    saved = _saved(model, config)
    for path, module in model.named_modules():
        plain, got = not isinstance(module, LoRALinear), f"one with adapters at {path}"
        require(plain, "add_lora", "model", "a model without adapters", got, "call merge_lora first")
        if not isinstance(module, Linear) or any(path == s or path.startswith(f"{s}.") for s in saved):
            continue  # a module that is trained whole needs no adapter, and its weights would be lost from the adapters' file
        whole = _fitting(model, path, config.target_modules)
        names = fused.get(path.rpartition(".")[2], ("",))
        height = module.out_features // len(names)
        parts = {}
        for i, name in enumerate(names):
            fits = whole | _fitting(model, _beside(path, name), config.target_modules)
            unused -= fits
            if fits:
                parts[name] = (i * height, (i + 1) * height)
        if parts:
            plan[path] = module, parts
    if unused:
        reason = "no Linear layer has that name, or it is trained whole, as the head is"
        there = f"the model has {', '.join(_linears(model, saved, fused))}"
        got = ", ".join(map(repr, sorted(unused)))
        raise BadValue("add_lora", "target_modules", "names of Linear layers", got, reason, there)
    model.requires_grad_(False)
    for path in saved:
        model.get_submodule(path).requires_grad_()
    for path, (base, parts) in plan.items():
        _replace(model, path, LoRALinear(base, config, parts))
    object.__setattr__(model, "lora_config", config)
    return [_beside(path, name) for path, (_, parts) in plan.items() for name in parts]


def _linears(model: Module, saved: list[str], fused: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The names of the layers that can be adapted, without the number of the block and what is above it."""
    found: dict[str, None] = {}
    for path, module in model.named_modules():
        if isinstance(module, Linear) and not any(path == s or path.startswith(f"{s}.") for s in saved):
            for name in fused.get(path.rpartition(".")[2], ("",)):
                found[re.sub(r".*\.\d+\.", "", _beside(path, name))] = None
    return list(found)


def _saved(model: Module, config: LoRAConfig) -> list[str]:
    """The paths of the modules that are trained whole."""
    found: list[str] = []
    for name in _HEADS if config.modules_to_save is None else config.modules_to_save:
        paths = [path for path, _ in model.named_modules() if path]
        fits = [p for p in paths if any(f"{name}." in f"{alias}." for alias in (p, _published(model, p)))]
        optional = config.modules_to_save is None
        require(fits or optional, "add_lora", "modules_to_save", "names of modules of the model", repr(name))
        found += fits
    return found


def _replace(model: Module, path: str, module: Module) -> None:
    parent, _, name = path.rpartition(".")
    model.get_submodule(parent).add_module(name, module)


def _adapters(op: str, model: Module) -> dict[str, LoRALinear]:
    found = {path: module for path, module in model.named_modules() if isinstance(module, LoRALinear)}
    require(found, op, "model", "a model with adapters", "one without", "call add_lora first")
    return found


def merge_lora(model: Module) -> Module:
    """Adds the adapters to the weights, and puts plain Linear layers back. Returns the same model. Frozen parameters stay frozen
    (`model.requires_grad_()` trains all). Raises ValueError if there are no adapters."""
    for path, module in _adapters("merge_lora", model).items():
        _replace(model, path, module.merged())
    model.__dict__.pop("lora_config", None)
    return model


# ---- files


def _targets(op: str, model: Module) -> dict[str, Parameter]:
    """The adapters' parameters and the other trained parameters, by their names in peft's files."""
    targets: dict[str, Parameter] = {}
    inner: set[int] = set()
    for path, module in _adapters(op, model).items():
        inner |= {id(p) for p in module.parameters()}
        for part in module.parts:
            place = _PREFIX + _published(model, _beside(path, part.name))
            targets[f"{place}.lora_A.weight"] = getattr(module, part.a)
            targets[f"{place}.lora_B.weight"] = getattr(module, part.b)
    for name, p in model.named_parameters():
        if p.requires_grad and id(p) not in inner:
            targets[_PREFIX + _namer(model)(name)] = p
    return targets


def lora_state_dict(model: Module) -> dict[str, Tensor]:
    """The adapters' parameters and the other trained parameters, by the names that `peft` gives them. The tensors are detached and
    share the parameters' memory. Raises ValueError if there are no adapters."""
    return {name: p.detach() for name, p in _targets("lora_state_dict", model).items()}


def load_lora_state_dict(model: Module, state_dict: Mapping[str, Tensor]) -> None:
    """Copies a `lora_state_dict` into a model with the same adapters.

    Raises ValueError that lists missing, unexpected and mis-shaped entries, before anything is written.
    """
    op = "load_lora_state_dict"
    copy_state(op, "the model's adapters", _targets(op, model), state_dict)


def save_lora(model: Module, directory: str | os.PathLike[str], base_model: str | None = None) -> None:
    """Writes adapter_model.safetensors and adapter_config.json, which `peft` opens on top of the base model.

    base_model: the directory or the name of the base model, for programs that open the files. Raises ValueError if there are no
    adapters.
    """
    state = lora_state_dict(model)
    config: LoRAConfig = model.lora_config
    names = [name.removeprefix(_PREFIX) for name in state]
    end = ".lora_A.weight"
    paths = [name.removesuffix(end) for name in names if name.endswith(end)]
    whole = [name.rpartition(".")[0] for name in names if ".lora_" not in name]
    heads = config.modules_to_save or _HEADS
    whole = [next((head for head in heads if f"{head}." in f"{path}."), path) for path in whole]
    values = {
        "peft_type": "LORA",
        "task_type": _TASKS.get(getattr(model, "head", "")),
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        "r": config.r,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": paths,
        "modules_to_save": list(dict.fromkeys(whole)) or None,
        "bias": "none",
        "fan_in_fan_out": False,
    }
    os.makedirs(directory, exist_ok=True)
    save_file(state, os.path.join(directory, _WEIGHTS), {"format": "pt"})
    write_json(os.path.join(directory, _CONFIG), values)


def load_lora(model: Module, directory: str | os.PathLike[str]) -> LoRAConfig:
    """Adds the adapters in a directory that `save_lora` or `peft` wrote to the base model. Returns their config.

    Raises FileNotFoundError if a file is missing, and ValueError if one is damaged, does not fit the model, or holds adapters of
    another kind (DoRA, several ranks, trained biases). The model is unchanged then.
    """
    config = _read_config(os.path.join(directory, _CONFIG))
    state = load_file(os.path.join(directory, _WEIGHTS))
    _check_rank(model, config, state, directory)
    if set(config.modules_to_save or ()) <= set(
        _HEADS
    ):  # peft writes both names, even if the model has only one of them
        config = replace(config, modules_to_save=None)
    trained = [(p, p.requires_grad) for p in model.parameters()]
    add_lora(model, config)
    try:
        load_lora_state_dict(model, state)
    except ValueError:
        merge_lora(model)  # new adapters change nothing
        for p, before in trained:
            p.requires_grad_(before)
        raise
    return config


class _File(TypedDict):
    """What an adapter_config.json must hold."""

    r: Annotated[int, Between(1)]
    lora_alpha: float
    lora_dropout: float
    target_modules: list[str]
    modules_to_save: list[str] | None


# Entries in the config of adapters of other kinds.
_OTHER = (
    "use_dora",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "layers_to_transform",
    "fan_in_fan_out",
    "lora_bias",
)


def _read_config(path: str) -> LoRAConfig:
    values = read_json(path, "load_lora", "directory")
    expected = f"the config of LoRA adapters in {path}"
    kind, bias = values.get("peft_type"), values.get("bias", "none")
    other = [f"{name} {shortened(values[name])}" for name in _OTHER if values.get(name)]
    got = ", ".join([f"peft_type {shortened(kind)}", f"bias {shortened(bias)}", *other])
    plain = kind == "LORA" and bias == "none" and not other
    require(plain, "load_lora", "directory", expected, got, "only plain LoRA is supported")
    found: _File = as_kind(values, _File, path, "load_lora", "directory")
    try:
        return LoRAConfig(
            found["r"],
            found["lora_alpha"],
            found["lora_dropout"],
            tuple(found["target_modules"]),
            None if found["modules_to_save"] is None else tuple(found["modules_to_save"]),
        )
    except ValueError as error:
        raise BadValue("load_lora", "directory", expected, str(error)) from None


def _check_rank(
    model: Module, config: LoRAConfig, state: Mapping[str, Tensor], directory: str | os.PathLike[str]
) -> None:
    """Raises ValueError if the adapters have another rank than their config says, or one far beyond the model's sizes: each projection
    would get adapters of that rank before their shapes are compared."""
    widths = [max(m.in_features, m.out_features) for m in model.modules() if isinstance(m, Linear)]
    most = max(256, *widths, 0)
    require(config.r <= most, "load_lora", "directory", f"a rank of at most {most} in {directory}", config.r)
    ends = {".lora_A.weight": 0, ".lora_B.weight": 1}
    for name, tensor in state.items():
        dim = next((dim for end, dim in ends.items() if name.endswith(end)), None)
        if dim is not None and (tensor.ndim != 2 or tensor.shape[dim] != config.r):
            got = f"shape {tuple(tensor.shape)}"
            raise BadValue(
                "load_lora", "directory", f"rank {config.r} of {name} in {directory}, as its config says", got
            )
    adapted = any(name.endswith(tuple(ends)) for name in state)
    require(adapted, "load_lora", "directory", f"adapters in {directory}", "none")
