"""LoRA: low-rank adapters of frozen projections (Hu et al. 2021, arXiv 2106.09685), in the files of `peft`.

A projection y = x Wᵀ becomes y = x Wᵀ + s · (x Aᵀ) Bᵀ with A (r, in) and B (out, r), which alone are trained. Called as a
layer it computes just that, and the backward of W costs no weight gradient. Fused ops, which take `weight`, get
W + s · B A: right as well, but its gradient is as large as that of W.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine import ops
from engine.autograd import no_grad
from engine.errors import BadValue, FileMissing
from engine.nn import functional as F
from engine.nn import init
from engine.nn.layers import Linear, new_parameter
from engine.nn.module import Module, Parameter, copy_state
from engine.ops.convert import copy_into
from engine.serialization import load_file, save_file, write_text
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
"""Projections that are several in one piece of memory, each of the same height: their names, and those of the parts."""

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."  # of all names in files of peft
_HEADS = ("classifier", "score")
_TASKS = {"sequence": "SEQ_CLS", "token": "TOKEN_CLS", "base": "FEATURE_EXTRACTION"}


@dataclass(frozen=True)
class LoRAConfig:
    """What is adapted, and how.

    Attributes:
        r: rank of the adapters.
        alpha: they count alpha / r.
        dropout: of the adapters' input while training; there is none where a fused op takes the weight (see `LoRALinear`).
        target_modules: names of projections, or how they end: "query", "attention.output.dense". In models of a published
            family the names in its files serve too ("q_lin" of DistilBERT).
        modules_to_save: how the names of modules end (these, or above these) that are trained whole; None: "classifier" and
            "score", where there are such.

    Raises:
        ValueError: for a value out of range.
    """

    r: int = 8
    alpha: float = 16
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ("query", "value")
    modules_to_save: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("target_modules", "modules_to_save"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise BadValue("LoRAConfig", name, "a list of names", repr(value))
            object.__setattr__(self, name, None if value is None else tuple(value))
        self._check("r", self.r >= 1, "at least 1")
        self._check("alpha", 0 < self.alpha < math.inf, "a finite number > 0")
        self._check("dropout", 0 <= self.dropout <= 1, "a probability in [0, 1]")
        self._check("target_modules", bool(self.target_modules), "at least one name")

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise BadValue("LoRAConfig", name, expected, repr(getattr(self, name)))


class _Part(NamedTuple):
    """Rows [begin, end) of a projection, and the names of what adapts them."""

    name: str  # "" for the whole
    begin: int
    end: int

    @property
    def a(self) -> str:
        return f"lora_A_{self.name}" if self.name else "lora_A"

    @property
    def b(self) -> str:
        return f"lora_B_{self.name}" if self.name else "lora_B"


class LoRALinear(Linear):
    """A frozen projection with adapters of all its rows, or of parts of them: a stand-in for the `Linear` it is made of.

    `weight` is W + s · B A of the adapters as they are, made anew each time; `base_weight` is W. lora_A… (r, in) begin as those
    of a Linear, lora_B… (rows, r) as zeros, so that nothing is changed at first.
    """

    def __init__(self, base: Linear, config: LoRAConfig, parts: Mapping[str, tuple[int, int]] | None = None) -> None:
        """parts: names and the rows [begin, end) that are adapted, which do not overlap; None: all."""
        Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.training = base.training
        self.dropout, self.scaling = config.dropout, config.alpha / config.r
        found = {"": (0, base.out_features)} if parts is None else parts
        self.parts = sorted((_Part(name, *rows) for name, rows in found.items()), key=lambda part: part.begin)
        weight = base._parameters["weight"]
        assert weight is not None
        self._register("_parameters", "weight", weight)
        self._register("_parameters", "bias", base._parameters["bias"])
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
        rows = [getattr(self, part.a) for part in self.parts]
        return rows[0] if len(rows) == 1 else ops.cat(rows)

    def _tall(self) -> Tensor:
        """s · B of each part in columns of its own, at its rows: (out, parts * r)."""
        columns = []
        for part in self.parts:
            b = getattr(self, part.b)
            above, below = part.begin, self.out_features - part.end
            pieces = [ops.zeros(n, b.shape[1], dtype=b.dtype, device=b.device) if n else None for n in (above, below)]
            column = [piece for piece in (pieces[0], b, pieces[1]) if piece is not None]
            columns.append(column[0] if len(column) == 1 else ops.cat(column))
        return (columns[0] if len(columns) == 1 else ops.cat(columns, 1)) * self.scaling

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
        linear._register("_parameters", "weight", self.base_weight)
        linear._register("_parameters", "bias", self._parameters["bias"])
        return linear

    def extra_repr(self) -> str:
        names = ", ".join(part.name for part in self.parts if part.name)
        rank = self._parameters[self.parts[0].a].shape[0]  # type: ignore[union-attr]
        return super().extra_repr() + f", r={rank}, scaling={self.scaling}" + (f", parts={names}" if names else "")


def _published(model: Module, path: str) -> str:
    """The name in files of the module at `path`."""
    publish = getattr(model, "published_name", None)
    return path if publish is None else publish(f"{path}.weight")[: -len(".weight")]


def _fitting(model: Module, path: str, names: Iterable[str]) -> set[str]:
    """Those of the names with which the module's name ends, here or in files."""
    paths = (path, _published(model, path))
    return {name for name in names if any(f".{p}".endswith(f".{name}") for p in paths)}


def _beside(path: str, name: str) -> str:
    """`name` in the place of the path's last part."""
    head, dot, _ = path.rpartition(".")
    return head + dot + name


def add_lora(
    model: Module, config: LoRAConfig | None = None, *, fused: Mapping[str, tuple[str, ...]] = FUSED
) -> list[str]:
    """Puts adapters on the projections that `config` names, and freezes everything else but `modules_to_save`.

    fused: projections that are several in one, by name; a part is adapted by its own name. The config stays with the model
    (`model.lora_config`). Returns the names of what is adapted. An optimizer is made after this; one for the parameters that
    require grad (`engine.train.parameter_groups`) leaves frozen ones out.

    Raises ValueError, before anything is changed, where a name fits no Linear or module, or the model has adapters.
    """
    config = config or LoRAConfig()
    plan: dict[str, dict[str, tuple[int, int]] | None] = {}
    left = set(config.target_modules)
    adapted = []
    saved_paths = _saved(model, config)
    for path, module in model.named_modules():
        if isinstance(module, LoRALinear):
            raise BadValue(
                "add_lora", "model", "a model without adapters", f"one with adapters at {path}", "call merge_lora first"
            )
        if not isinstance(module, Linear) or any(path == s or path.startswith(f"{s}.") for s in saved_paths):
            continue  # what is trained whole needs no adapter, and its weights would be lost from the adapters' file
        whole = _fitting(model, path, config.target_modules)
        left -= whole
        names = fused.get(path.rpartition(".")[2], ())
        height = module.out_features // max(len(names), 1)
        parts = {}
        for i, part in enumerate(names):
            fits = _fitting(model, _beside(path, part), config.target_modules)
            left -= fits
            if fits or whole:
                parts[part] = (i * height, (i + 1) * height)
        if parts or whole:
            plan[path] = parts or None
            adapted += [_beside(path, part) for part in parts] or [path]
    if left:
        raise BadValue(
            "add_lora",
            "target_modules",
            "names of Linear layers",
            f"{sorted(left)[0]!r}",
            "no Linear layer has that name, or modules_to_save has it trained whole",
        )
    saved = [p for name in saved_paths for p in model.get_submodule(name).parameters()]
    model.requires_grad_(False)
    for p in saved:
        p.requires_grad_(True)
    for path, rows in plan.items():
        base = model.get_submodule(path)
        assert isinstance(base, Linear)
        _replace(model, path, LoRALinear(base, config, rows))
    object.__setattr__(model, "lora_config", config)
    return adapted


def _saved(model: Module, config: LoRAConfig) -> list[str]:
    names = _HEADS if config.modules_to_save is None else config.modules_to_save
    found: dict[str, list[str]] = {name: [] for name in names}
    for path, _ in model.named_modules():
        for name in names:
            if path and any(f"{name}." in f"{p}." for p in (path, _published(model, path))):
                found[name].append(path)
    missing = [name for name, paths in found.items() if not paths]
    if missing and config.modules_to_save is not None:
        raise BadValue("add_lora", "modules_to_save", "names of modules of the model", repr(missing[0]))
    return [path for paths in found.values() for path in paths]


def _replace(model: Module, path: str, module: Module) -> None:
    parent, _, name = path.rpartition(".")
    model.get_submodule(parent).add_module(name, module)


def _adapters(op: str, model: Module) -> dict[str, LoRALinear]:
    found = {path: module for path, module in model.named_modules() if isinstance(module, LoRALinear)}
    if not found:
        raise BadValue(op, "model", "a model with adapters", "one without", "call add_lora first")
    return found


def merge_lora(model: Module) -> Module:
    """Folds the adapters into the weights and puts plain layers back; the same model. What was frozen stays so
    (`model.requires_grad_()` trains all). Raises ValueError where there are no adapters."""
    for path, module in _adapters("merge_lora", model).items():
        _replace(model, path, module.merged())
    model.__dict__.pop("lora_config", None)
    return model


# ---- files


def _targets(op: str, model: Module) -> dict[str, Parameter]:
    """Adapters, and what is trained beside them, by their names in peft's files."""
    targets: dict[str, Parameter] = {}
    inner: set[int] = set()
    for path, module in _adapters(op, model).items():
        inner |= {id(p) for p in module.parameters()}
        for part in module.parts:
            place = _PREFIX + _published(model, _beside(path, part.name) if part.name else path)
            targets[f"{place}.lora_A.weight"] = module._parameters[part.a]  # type: ignore[assignment]
            targets[f"{place}.lora_B.weight"] = module._parameters[part.b]  # type: ignore[assignment]
    publish = getattr(model, "published_name", lambda name: name)
    for name, p in model.named_parameters():
        if p.requires_grad and id(p) not in inner:
            targets[_PREFIX + publish(name)] = p
    return targets


def lora_state_dict(model: Module) -> dict[str, Tensor]:
    """The adapters, and the parameters that are trained beside them, by the names that `peft` gives them; detached, sharing
    memory. Raises ValueError where there are no adapters."""
    return {name: p.detach() for name, p in _targets("lora_state_dict", model).items()}


def load_lora_state_dict(model: Module, state_dict: Mapping[str, Tensor]) -> None:
    """Copies a `lora_state_dict` into a model with the same adapters.

    Raises ValueError that lists missing, unexpected and mis-shaped entries, before anything is written.
    """
    op = "load_lora_state_dict"
    copy_state(op, "the model's adapters", _targets(op, model), state_dict)


def save_lora(model: Module, directory: str | os.PathLike[str], base_model: str | None = None) -> None:
    """Writes adapter_model.safetensors and adapter_config.json, which `peft` opens on top of the base model.

    base_model: where that is, for those who open the files. Raises ValueError where there are no adapters.
    """
    state = lora_state_dict(model)
    config: LoRAConfig = model.lora_config
    end = ".lora_A.weight"
    paths = [name[len(_PREFIX) : -len(end)] for name in state if name.endswith(end)]
    names = config.modules_to_save or _HEADS
    beside = [name[len(_PREFIX) :].rpartition(".")[0] for name in state if ".lora_" not in name]
    beside = [next((name for name in names if f"{name}." in f"{path}."), path) for path in beside]
    values = {
        "peft_type": "LORA",
        "task_type": _TASKS.get(getattr(model, "head", "")),
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        "r": config.r,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": paths,
        "modules_to_save": list(dict.fromkeys(beside)) or None,
        "bias": "none",
        "fan_in_fan_out": False,
    }
    os.makedirs(directory, exist_ok=True)
    save_file(state, os.path.join(directory, _WEIGHTS), {"format": "pt"})
    write_text(os.path.join(directory, _CONFIG), json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def load_lora(model: Module, directory: str | os.PathLike[str]) -> LoRAConfig:
    """Adds the adapters of a directory, which `save_lora` or `peft` wrote, to the base model. Returns their config.

    Raises FileNotFoundError where a file is missing, ValueError where one is damaged, does not fit the model, or is of adapters
    of another kind (DoRA, ranks that differ, trained biases).
    """
    config = _read_config(os.path.join(directory, _CONFIG))
    state = load_file(os.path.join(directory, _WEIGHTS))
    if set(config.modules_to_save or ()) <= set(_HEADS):  # peft names both where there is one
        config = replace(config, modules_to_save=None)
    trained = [(p, p.requires_grad) for p in model.parameters()]
    add_lora(model, config)
    try:
        load_lora_state_dict(model, state)
    except ValueError:
        merge_lora(model)  # adapters that were not loaded change nothing
        for p, before in trained:
            p.requires_grad_(before)
        raise
    return config


# What other adapters than those here say in their config.
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
    try:
        with open(path, encoding="utf-8") as stream:
            values = json.load(stream)
        if values["peft_type"] != "LORA" or values.get("bias", "none") != "none":
            raise ValueError(f"peft_type {values['peft_type']!r}, bias {values.get('bias')!r}")
        for name in _OTHER:
            if values.get(name):
                raise ValueError(f"{name} {values[name]!r}")
        return LoRAConfig(
            values["r"],
            values["lora_alpha"],
            values["lora_dropout"],
            values["target_modules"],
            values["modules_to_save"],
        )
    except FileNotFoundError:
        raise FileMissing("load_lora", "directory", "an existing file", path) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadValue("load_lora", "directory", f"the config of LoRA adapters in {path}", error) from None
