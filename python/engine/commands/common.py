"""What the commands share: errors in the words of options, options that several have, settings files."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

import engine
from engine.device import number_of
from engine.errors import ArgumentError, BadValue, NotFinite

if TYPE_CHECKING:
    from engine.train import InterruptAfterStep

__all__ = [
    "PATH",
    "RUN",
    "Command",
    "TaskName",
    "begin_or_resume",
    "columns_of",
    "config_option",
    "device_option",
    "encoding_option",
    "option_values",
    "refuse_beside_init",
    "settings_options",
    "threads_option",
]

PATH = click.Path(exists=True)
RUN = click.Path(exists=True, file_okay=False)

_FIELDS = {
    "hidden_size": "dim", "num_hidden_layers": "layers", "num_attention_heads": "heads", "intermediate_size": "ff",
    "hidden_dropout_prob": "dropout", "attention_probs_dropout_prob": "dropout", "extra_columns": "group_columns",
    "kinds": "remove",
}  # fmt: skip


class Command(click.Command):
    """Words the package's errors, which name arguments of Python, in options."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (ValueError, OSError, ImportError, MemoryError, FloatingPointError) as error:
            if ctx.find_root().params["debug"]:
                raise
            raise click.UsageError(self._in_options(error), ctx) from error

    def _in_options(self, error: Exception) -> str:
        options = {p.name: p.opts[0] for p in self.params if isinstance(p, click.Option) and p.name}
        options |= {name: options[option] for name, option in _FIELDS.items() if option in options}
        if not isinstance(error, ArgumentError):
            return str(error)
        return f"{options.get(error.argument) or f'[{error.op}] {error.argument}'}: {error.problem(options)}"


# --- options ---------------------------------------------------------------------------------------------------------


def _threads(ctx: click.Context, parameter: click.Parameter, value: int | None) -> None:
    if value is not None:
        engine.set_num_threads(value)


def _device(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    try:
        number_of(value)
    except ArgumentError as error:  # there is none, or no such one
        raise click.BadParameter(error.problem()) from None
    return value


class TaskName(click.ParamType):
    """The name of a task. The tasks are imported when a value is read, so that help stays quick."""

    name = "task"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from engine.tasks import TASKS

        if value not in TASKS:
            self.fail(f"expected one of {', '.join(TASKS)}, got {value!r}.", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        from engine.tasks import TASKS

        return [CompletionItem(name) for name in TASKS if name.startswith(incomplete)]


def refuse_beside_init(ctx: click.Context, names: Iterable[str]) -> None:
    """Raises UsageError where an option that decides a size stands beside --init."""
    for name in names:
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} cannot be given beside --init: the published model has its own.", ctx)


encoding_option = click.option(
    "--encoding", metavar="NAME", help="Of the files (default: by their byte-order mark, else UTF-8)."
)
device_option = click.option(
    "--device", metavar="NAME", callback=_device, help="cpu, cuda or cuda:1: where the model runs (default: cpu)."
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1),
    expose_value=False,
    callback=_threads,
    help="CPU threads (default: all allowed).",
)


def _read_config(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Values of a TOML file become the defaults; what the command line says goes before them."""
    if value is None:
        return
    from engine.runs.toml import read_toml

    try:
        found = option_values(ctx.command, flat(read_toml(value)), value)
    except ArgumentError as error:
        raise click.UsageError(f"{error.argument}: {error.problem()}", ctx) from None
    except OSError as error:
        raise click.UsageError(str(error), ctx) from None
    ctx.default_map = {**(ctx.default_map or {}), **found}


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name of a settings file: its tables only group them."""
    settings: dict[str, Any] = {}
    for name, value in values.items():
        inner = flat(value) if isinstance(value, Mapping) else {name.replace("-", "_"): value}
        twice = sorted(settings.keys() & inner.keys())
        if twice:
            raise BadValue("config", twice[0], "it once", "it twice")
        settings.update(inner)
    return settings


def option_values(command: click.Command, values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Values of a settings file by the names of a command's parameters. Raises ValueError for others, and of other types.

    Lists are for options with commas and those that may be repeated."""
    known: dict[str, click.Parameter] = {}
    for p in command.params:
        if p.name and p.name not in ("config", "resume", "overwrite"):
            known |= {name.lstrip("-").replace("-", "_"): p for name in (p.name, *p.opts)}
    settings = {}
    for name, value in values.items():
        if name not in known:
            raise BadValue("config", source, "names of options", repr(name))
        p = known[name]
        kind, words = _kind(p)
        several = value if isinstance(value, list) else [value]
        many = p.nargs == -1 or p.multiple or kind is str
        if not (len(several) == 1 or many) or not all(_is(v, kind) for v in several):
            raise BadValue("config", source, f"{words} for {name}", repr(value))
        joined = ",".join(several) if kind is str else several[0]
        settings[str(p.name)] = several if p.nargs == -1 or p.multiple else joined
    return settings


def _kind(p: click.Parameter) -> tuple[Any, str]:
    if isinstance(p.type, click.types.BoolParamType):
        return bool, "true or false"
    if isinstance(p.type, click.types.IntParamType):
        return int, "an integer"
    return (float, "a number") if isinstance(p.type, click.types.FloatParamType) else (str, "a string")


def _is(value: Any, kind: Any) -> bool:
    """Whether a value of TOML is of that kind; a whole number is a number, true is none."""
    return isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) == (kind is bool)


config_option = click.option(
    "--config", type=click.Path(exists=True, dir_okay=False), is_eager=True, expose_value=False, callback=_read_config,
    help="A TOML file of options, such as lr = 1e-4; those given here go before it.",
)  # fmt: skip


def settings_options(options: Iterable[Any]) -> Any:
    """Several options as one decorator, in the order of help."""

    def decorate(function: Any) -> Any:
        for option in reversed(list(options)):
            function = option(function)
        return function

    return decorate


def _given_beside_resume(ctx: click.Context, data: Any) -> None:
    """Raises UsageError where --resume stands beside settings: a run goes on with its own."""
    free = ("data", "resume", "threads", "progress")
    given = [
        p.name
        for p in ctx.command.params
        if p.name and p.name not in free and ctx.get_parameter_source(p.name) is click.core.ParameterSource.COMMANDLINE
    ]
    if data or given:
        name = "DATA" if data else f"--{given[0].replace('_', '-')}"
        raise click.UsageError(f"{name} cannot be given beside --resume: a run goes on with its own settings.", ctx)


# --- runs ------------------------------------------------------------------------------------------------------------


def begin_or_resume(
    ctx: click.Context,
    data: tuple[str, ...],
    output: str | None,
    resume: str | None,
    begin: Callable[[str, tuple[Any, ...]], Any],
    go_on: Callable[[str, tuple[Any, ...]], Any],
) -> Any:
    """What `begin` or, with --resume, `go_on` gives for (folder, callbacks); Ctrl-C ends either with a checkpoint."""
    from engine.train import InterruptAfterStep

    ctrl_c = InterruptAfterStep()
    if resume is not None:
        _given_beside_resume(ctx, data)
        with _advice(resume, ctrl_c, str(ctx.command.name)):
            return go_on(resume, (ctrl_c,))
    if not data:
        argument = next(p.human_readable_name for p in ctx.command.params if isinstance(p, click.Argument))
        raise click.UsageError(f"Missing argument '{argument.upper()}...'.", ctx)
    if output is None:
        raise click.UsageError("Missing option '--output'.", ctx)
    with _advice(output, ctrl_c, str(ctx.command.name)):
        return begin(output, (ctrl_c,))


@contextmanager
def _advice(folder: str, ctrl_c: InterruptAfterStep, command: str) -> Iterator[None]:
    """Says beside the error how to go on where training was broken off, or how to begin again where it failed."""
    from engine.train import latest_checkpoint

    try:
        yield
    except NotFinite as error:
        error.add_hint(f"to begin again in {folder}, give --overwrite")
        raise
    except KeyboardInterrupt:
        if not ctrl_c.begun or latest_checkpoint(os.path.join(folder, "checkpoints")) is None:
            raise
        if sys.stderr.isatty():
            click.echo(err=True)  # below the terminal's ^C
        raise _Interrupted(f"interrupted; to go on: engine {command} --resume {shlex.quote(folder)}") from None


class _Interrupted(click.ClickException):
    exit_code = 130


def columns_of(run: str) -> dict[str, Any]:
    """What the run was told of its data's columns, {} for a folder of `save_pretrained`."""
    from engine.runs import read_run

    if not os.path.exists(os.path.join(run, "run.json")):
        return {}
    record = read_run(run)
    return {**record.get("data", {}), "label_separator": record.get("task", {}).get("label_separator", "|")}
