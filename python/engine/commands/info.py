"""`engine info`: versions, instruction set, threads, memory, kernels."""

from __future__ import annotations

import json
from importlib.util import find_spec

import click

import engine
from engine.commands.common import Command, threads_option
from engine.commands.packages import EXTRAS
from engine.commands.terminal import show

__all__ = ["info"]


@click.command(cls=Command, short_help="Show versions, instruction set, threads, memory, kernels.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@threads_option
def info(as_json: bool) -> None:
    """Show versions, the instruction set in use and why it was chosen, threads, memory and kernels.

    \b
    Example:
      engine info
      ENGINE_CPU_ISA=baseline engine info
    """
    from engine import _core
    from engine.runs.facts import environment, peak_memory_bytes

    about, memory, isas = environment(), _core.memory_stats(), _core.cpu_isas()
    devices = [engine.cuda.get_device_properties(n)._asdict() for n in range(engine.cuda.device_count())]
    kernels = sorted(name for name in dir(_core.kernels) if not name.startswith("_"))
    extras = {extra: all(map(find_spec, packages)) for extra, packages in EXTRAS.items()}
    if as_json:
        about.update(
            cpu_isa_reason=_core.cpu_isa_reason(),
            cpu_isas=isas,
            memory=memory,
            kernels=kernels,
            extras=extras,
            cuda={"devices": devices, "why_unavailable": engine.cuda.why_unavailable()},
        )
        click.echo(json.dumps(about, indent=2))
        return
    limit = memory["limit_bytes"]
    rows = [
        ("versions", ", ".join(f"{name} {version}" for name, version in about["versions"].items())),
        ("system", f"{about['system']}, {about['machine']}"),
        ("instruction set", f"{about['cpu_isa']} ({_core.cpu_isa_reason()})"),
        ("built for", ", ".join(f"{i['name']}{'' if i['supported'] else ' (not on this machine)'}" for i in isas)),
        ("threads", str(about["threads"])),
        ("memory", f"{memory['allocated_bytes'] / 2**20:.1f} MiB in arrays, {memory['reserved_bytes'] / 2**20:.1f} MiB "
                   f"held, limit {f'{limit / 2**20:.0f} MiB' if limit else 'none'}, process peak "
                   f"{peak_memory_bytes() / 2**20:.0f} MiB"),
        *([(f"cuda:{n}", f"{d['name']}, compute capability {d['major']}.{d['minor']}, {d['multi_processor_count']} "
                         f"multiprocessors, {d['total_memory'] / 2**30:.1f} GiB") for n, d in enumerate(devices)]
          or [("cuda", f"none: {engine.cuda.why_unavailable()}")]),
        ("kernels", str(len(kernels))),
        ("extras", ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in extras.items())),
    ]  # fmt: skip
    for name, value in rows:
        show(f"{name + ':':<17}{value}", indent=" " * 17)
