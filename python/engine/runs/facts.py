"""Facts for the report of a run: about the model, the training, memory and versions."""

from __future__ import annotations

import platform
import resource
import sys
from typing import Any

import engine
from engine import _core
from engine.device import device as Device
from engine.errors import amount
from engine.models.pretrained import Pretrained
from engine.nn import Module

__all__ = ["environment", "memory_facts", "model_facts", "peak_memory_bytes", "resident_bytes", "training_facts"]


def peak_memory_bytes() -> int:
    """The largest amount of memory (resident set) that this process has had, in bytes."""
    try:  # getrusage would also count the program that started this one
        with open("/proc/self/status", encoding="ascii") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int:
    """The memory (resident set) that this process has now, in bytes; where the system does not say it, `peak_memory_bytes`."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * resource.getpagesize()
    except OSError:
        return peak_memory_bytes()


def model_facts(model: Module) -> dict[str, Any]:
    """The sizes of a model; "description" is a part of a sentence."""
    parameters = sum(p.numel() for p in model.parameters())
    sizes = f"{parameters:,} parameters"
    if not isinstance(model, Pretrained):
        return {"parameters": parameters, "description": sizes}
    c = model.config
    layers = f"{amount(c.num_hidden_layers, 'layer')} of {c.hidden_size}, {amount(c.num_attention_heads, 'head')}"
    return {
        "parameters": parameters, "layers": c.num_hidden_layers, "hidden_size": c.hidden_size, "heads": c.num_attention_heads,
        "vocab_size": c.vocab_size, "description": f"{layers}, {sizes}, vocabulary of {c.vocab_size:,}",
    }  # fmt: skip


def training_facts(state: Any) -> dict[str, Any]:
    """The size and the speed of a training. state: a `TrainerState`."""
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
    """The largest amounts of memory that this process and its arrays have had, in bytes."""
    arrays = _core.memory_stats()["peak_allocated_bytes"]
    return {"peak_resident_bytes": peak_memory_bytes(), "peak_array_bytes": arrays}


def environment(device: Device | None = None) -> dict[str, Any]:
    """Versions and settings that the figures of a run depend on. device: where it ran; a CUDA device is named."""
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
