"""Facts about a run for its report: the model, the training, memory, versions."""

from __future__ import annotations

import platform
import resource
import sys
from typing import Any

import engine
from engine import _core
from engine.device import device as Device
from engine.models.pretrained import Pretrained
from engine.nn import Module

__all__ = ["environment", "memory_facts", "model_facts", "peak_memory_bytes", "training_facts"]


def peak_memory_bytes() -> int:
    """The largest resident set that this process has had."""
    try:  # of this program alone; getrusage also remembers the program that started it
        with open("/proc/self/status", encoding="ascii") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def model_facts(model: Module) -> dict[str, Any]:
    """The sizes of a model, for its report; "description": a part of a sentence."""
    facts: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters())}
    sizes = f"{facts['parameters']:,} parameters"
    if isinstance(model, Pretrained):
        c = model.config
        facts |= {
            "layers": c.num_hidden_layers, "hidden_size": c.hidden_size, "heads": c.num_attention_heads,
            "vocab_size": c.vocab_size,
        }  # fmt: skip
        sizes = (
            f"{c.num_hidden_layers} layers of {c.hidden_size}, {c.num_attention_heads} heads, {sizes}, "
            f"vocabulary of {c.vocab_size:,}"
        )
    return {**facts, "description": sizes}


def training_facts(state: Any) -> dict[str, Any]:
    """How long a training took, for its report; state: a `TrainerState`."""
    return {
        "epochs": state.epoch,
        "steps": state.step,
        "seconds": state.seconds,
        "tokens": state.tokens,
        "tokens_per_second": state.tokens / max(state.seconds, 1e-9),
        "samples_per_second": state.samples / max(state.seconds, 1e-9),
        "padding_saved": 1 - state.tokens / max(state.padded_tokens, 1),
        "best_step": state.best_step,
    }


def memory_facts() -> dict[str, int]:
    """The largest memory that this process has had, in bytes."""
    return {
        "peak_resident_bytes": peak_memory_bytes(),
        "peak_array_bytes": _core.memory_stats()["peak_allocated_bytes"],
    }


def environment(device: Device | None = None) -> dict[str, Any]:
    """Versions and settings that the figures of a run depend on; device: where it ran, named where it is not the CPU."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"engine": engine.__version__, "python": platform.python_version()}
    for package in ("numpy", "safetensors", "tokenizers"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    about = {
        "versions": versions,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu_isa": _core.get_cpu_isa(),
        "threads": _core.get_num_threads(),
    }
    if device is not None and device.type == "cuda":
        about["device"] = f"{device}, {engine.cuda.get_device_name(device)}"
    return about
