"""What the commands share: errors in the words of options, options that several commands have, settings files, runs."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

import engine
from engine.commands.packages import require_packages
from engine.commands.terminal import page
from engine.device import number_of
from engine.errors import Argument, ArgumentError, BadValue, FileExists, NotFinite, require
from engine.files import mode_to_write
from engine.suggestions import suggestion

__all__ = [
    "PATH",
    "RUN",
    "Command",
    "NewFile",
    "begin_or_resume",
    "columns_for",
    "complete_folder",
    "columns_of",
    "complete_task",
    "config_option",
    "device_option",
    "drop_output",
    "file_options",
    "file_settings",
    "model_sizes",
    "need",
    "worded",
    "one_text_only",
    "option_values",
    "options_by_name",
    "overwrite_option",
    "run_options",
    "settings_options",
    "set_threshold",
    "threads_option",
    "threshold_option",
]

PATH = click.Path(exists=True)
RUN = click.Path(exists=True, file_okay=False)


class NewFile(click.Path):
    """A file to write, new or regular, in a folder that exists. endings: how its name may end; none: as it likes."""

    def __init__(self, *endings: str) -> None:
        super().__init__(dir_okay=False, writable=True)
        self.endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = str(super().convert(value, param, ctx))
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            self.fail(f"No such file or directory: {path!r}", param, ctx)
        if not os.access(folder, os.W_OK):
            self.fail(f"expected a folder that may be written to, got {folder}", param, ctx)
        if self.endings and not path.lower().endswith(self.endings):
            self.fail(f"expected a file name that ends in {' or '.join(self.endings)}, got {path}", param, ctx)
        try:  # now, and not after the work
            mode_to_write(path, "output")
        except OSError as error:
            self.fail(error.problem() if isinstance(error, ArgumentError) else str(error), param, ctx)
        return path


# Fields of a model's config and other arguments whose option has another name; of several the first that the command has.
_SIZES = {
    "hidden_size": "dim", "num_hidden_layers": "layers", "num_attention_heads": "heads", "intermediate_size": "ff",
}  # fmt: skip
_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")
_OTHERS = {
    "extra_columns": "group_columns", "kinds": "remove", "name": "task", "tag_column": "label_column", "tables": "source",
    "folder": "run", "directory": "run model init", "run_folder": "run", "word_column": "text_column",
}  # fmt: skip
_OF_FILES = ("path", "paths")  # these errors name the file
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Command(click.Command):
    """Errors of the package name arguments of Python. This command names its options instead.

    packages: modules of the extras that the command always needs; see `require_packages`.
    """

    def __init__(self, *args: Any, packages: Iterable[str] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.packages = tuple(packages)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with self._errors_in_options(ctx):
            try:
                return super().parse_args(ctx, args)
            except click.NoSuchOption as error:
                known = {
                    name for p in self.get_params(ctx) for name in (*p.opts, *p.secondary_opts) if name[:2] == "--"
                }
                meant = suggestion(error.option_name, known)
                raise click.UsageError(f"No such option: {error.option_name}. {meant}".rstrip(), ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        with self._errors_in_options(ctx):
            check_new_files(ctx)
            require_packages(ctx, self.packages)
            return super().invoke(ctx)

    @contextmanager
    def _errors_in_options(self, ctx: click.Context) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise click.exceptions.Exit(141) from None  # see `engine.cli.main`
        except (ArgumentError, ValueError, OSError, ImportError, MemoryError, FloatingPointError) as error:
            if ctx.find_root().params.get("debug"):
                raise
            raise click.UsageError(self._in_options(error), ctx) from error

    def _in_options(self, error: Exception) -> str:
        if not isinstance(error, ArgumentError):
            return str(worded(error))
        given = [p for p in self.params if isinstance(p, click.Option) and p.name]
        options = {str(p.name): p.opts[0] for p in given}
        options |= {f"{p.name}=True": p.opts[0] for p in given if p.secondary_opts}
        options |= {f"{p.name}=False": p.secondary_opts[0] for p in given if p.secondary_opts}
        shown = {str(p.name): _shown(p) for p in self.params} | options
        for name, others in {**_SIZES, **dict.fromkeys(_DROPOUT, "dropout"), **_OTHERS}.items():
            for option in others.split():
                if option in options:
                    options.setdefault(name, options[option])
                if option in shown:
                    shown.setdefault(name, shown[option])
        if error.argument in _OF_FILES:
            return error.problem(options)
        inner = error.argument.replace("_", " ") if error.argument.isidentifier() else error.argument
        return f"{error.op if error.op.isupper() else shown.get(error.argument, inner)}: {error.problem(options)}"


def drop_output() -> None:
    """Drops what is left to be written to standard output, and cannot be. Python would try it again at its end, and say so."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def worded(error: Exception) -> Exception:
    """The error, with words that it lacks: Python and C++ say little or nothing when there is no memory, and nothing when it is standard
    output that fails. (Who writes a file names it, so an error of a disk without a name is one of standard output.)"""
    if isinstance(error, MemoryError) and str(error) in ("", "std::bad_alloc"):
        return MemoryError("not enough memory: the system refused an allocation")
    if isinstance(error, OSError) and error.filename is None and error.errno in _OF_DISKS:
        drop_output()
        return OSError(error.errno, error.strerror, "standard output")
    return error


# --- options ---------------------------------------------------------------------------------------------------------


def _threads(ctx: click.Context, parameter: click.Parameter, value: int | None) -> None:
    if value is not None:
        engine.set_num_threads(value)


def _device(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    try:
        number_of(value)
    except ArgumentError as error:  # also BadState, if there is no such device
        raise click.BadParameter(error.problem()) from None
    return value


def complete_task(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The tasks whose names begin like this, for a shell's completion. They are imported only here, so that help is quick."""
    from engine.tasks import TASKS

    return [name for name in TASKS if name.startswith(incomplete)]


def complete_folder(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Folders, for a shell's completion of a value that may also be a name on the hub, or a new folder."""
    return [CompletionItem(incomplete, type="dir")]


def _names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())


def _delimiter(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return {"tab": "\t", "\\t": "\t"}.get(value or "", value)


file_options = [
    click.option("--columns", metavar="NAMES", callback=_names,
                 help="Names of all columns, separated by commas, for files without a header."),
    click.option("--delimiter", metavar="CHARACTER", callback=_delimiter,
                 help="Character between fields, or tab (default: recognised by the first line)."),
    click.option("--quotes/--no-quotes", "quoting", default=None,
                 help="Whether fields of CSV and TSV may be in double quotes (default: only in CSV)."),
    click.option("--encoding", metavar="NAME", help="Encoding of the files, such as cp1252 (default: by the byte-order mark, otherwise UTF-8)."),
    click.option("--format", metavar="NAME",
                 help="Form of the files: csv, tsv, jsonl, txt, fasttext, parquet, arrow or excel, for tags also conll (default: by their contents and names)."),
]  # fmt: skip
"""How files are read, for all commands that read tables."""
device_option = click.option(
    "--device", metavar="NAME", callback=_device, help="Where the model runs: cpu, cuda or cuda:1 (default: cpu)."
)
threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="For several labels: a text gets those with at least this probability (default: chosen in training, otherwise 0.5).",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1),
    expose_value=False,
    callback=_threads,
    help="Number of CPU threads (default: all that the process may use).",
)


def settings_options(options: Iterable[Any]) -> Any:
    """Several options as one decorator, in the order of help."""

    def decorate(function: Any) -> Any:
        for option in reversed(list(options)):
            function = option(function)
        return function

    return decorate


overwrite_option = click.option("--overwrite", is_flag=True, help="Replace the file that is written, if it is there.")


def check_new_files(ctx: click.Context) -> None:
    """Raises FileExistsError if a file that the command writes is there, unless --overwrite is given; ValueError if the command also
    reads it."""
    op, paths = str(ctx.command.name), [p for p in ctx.command.params if isinstance(p.type, click.Path)]
    given = {str(p.name): ctx.params.get(str(p.name)) for p in paths if not isinstance(p.type, NewFile)}
    read = [path for value in given.values() for path in ([value] if isinstance(value, str) else value or ())]
    for p in paths:
        name, path = str(p.name), ctx.params.get(str(p.name))
        if (
            not isinstance(p.type, NewFile) or path is None or not os.path.isfile(path)
        ):  # or refused where it is written
            continue
        same = any(os.path.exists(each) and os.path.samefile(each, path) for each in read)
        require(not same, op, name, "another file", path, "the command reads that file, and would replace it")
        got, way = f"{path}, which is there", ("replace it with ", Argument("overwrite"))
        require(ctx.params["overwrite"], op, name, "a new file", got, way, error=FileExists)


run_options = settings_options([
    click.option("--output", "-o", metavar="RUN", shell_complete=complete_folder, help="Folder for the run; must be new."),
    click.option("--resume", metavar="RUN", type=RUN, help="Continue an interrupted run, with the settings it began with."),
    click.option("--overwrite", is_flag=True, help="Remove an earlier run in the output folder."),
    click.option("--keep-checkpoints", is_flag=True,
                 help="Leave the last checkpoint, with the optimizer's state, in the folder of the finished run."),
])  # fmt: skip


def _shown(p: click.Parameter) -> str:
    """What a user calls a parameter: --output, DATA."""
    return p.opts[0] if isinstance(p, click.Option) else str(p.name).upper()


def _refuse(
    ctx: click.Context, names: Container[str | None], sources: Container[ParameterSource | None], why: str
) -> None:
    """Raises UsageError if one of these parameters has its value from one of these sources."""
    for p in ctx.command.params:
        if p.name in names and ctx.get_parameter_source(p.name) in sources:
            raise click.UsageError(f"{_shown(p)} cannot be combined with {why}", ctx)


def need(ctx: click.Context, *names: str) -> None:
    """Raises MissingParameter for the first of these parameters that has no value."""
    for p in ctx.command.params:
        if p.name in names and not ctx.params[p.name]:
            raise click.MissingParameter(ctx=ctx, param=p, param_hint=f"'{_shown(p)}'")


def model_sizes(ctx: click.Context, options: Mapping[str, Any], *others: str) -> dict[str, Any]:
    """Fields of a model's config from the options of its size and dropout.

    Raises UsageError if --init is given with an option of size, or with one of `others`.
    """
    sizes = {}
    if options["init"] is None:
        sizes = {field: options[option] for field, option in _SIZES.items()}
        if options["ff"] is None:
            sizes["intermediate_size"] = 4 * options["dim"]
    else:
        sources = set(ParameterSource) - {ParameterSource.DEFAULT}
        _refuse(ctx, {*_SIZES.values(), *others}, sources, "--init: the published model has its own.")
    return sizes if options["dropout"] is None else sizes | dict.fromkeys(_DROPOUT, options["dropout"])


# --- settings files --------------------------------------------------------------------------------------------------


def _read_config(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Makes the values of a TOML file the defaults; options on the command line override them."""
    if value is not None:
        from engine.runs.toml import read_toml

        ctx.default_map = {**(ctx.default_map or {}), **option_values(ctx.command, flat(read_toml(value)), value)}


config_option = click.option(
    "--config", type=click.Path(exists=True, dir_okay=False), is_eager=True, expose_value=False, callback=_read_config,
    help="A TOML file of options, such as lr = 1e-4. Options on the command line override it.",
)  # fmt: skip


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options in a settings file by name; its tables only group them. Raises ValueError for a name that is there twice."""
    settings: dict[str, Any] = {}
    for name, value in values.items():
        inner = flat(value) if isinstance(value, Mapping) else {name.replace("-", "_"): value}
        twice = sorted(settings.keys() & inner.keys())
        if twice:
            raise BadValue("config", twice[0], "it once", "it twice")
        settings.update(inner)
    return settings


def options_by_name(command: click.Command) -> dict[str, click.Parameter]:
    """The parameters of a command by all names that a settings file may use for them."""
    return {
        name.lstrip("-").replace("-", "_"): p
        for p in command.params
        if p.name and p.name not in ("config", "resume", "overwrite")
        for name in (p.name, *p.opts)
    }


_KINDS: dict[type, tuple[type, str]] = {
    click.types.BoolParamType: (bool, "true or false"),
    click.types.IntParamType: (int, "an integer"),
    click.types.FloatParamType: (float, "a number"),
}


def option_values(command: click.Command, values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The values of a settings file by the names of a command's parameters. A list is for options that may be repeated, or that
    take several values with commas.

    Raises ValueError, which names the file `source`, for an unknown name or a value of another type.
    """
    known = options_by_name(command)
    settings = {}
    for name, value in values.items():
        if name not in known:
            meant = suggestion(name, {option.replace("_", "-") for option in known}, "")
            raise BadValue("config", source, "names of options", repr(name), *[meant] * bool(meant))
        p = known[name]
        kind, words = next((words for t, words in _KINDS.items() if isinstance(p.type, t)), (str, "a string"))
        several = value if isinstance(value, list) else [value]
        repeated = p.nargs == -1 or p.multiple
        fits = (len(several) == 1 or repeated or kind is str) and all(_is(v, kind) for v in several)
        require(fits, "config", source, f"{words} for {name}", repr(value))
        settings[str(p.name)] = several if repeated else ",".join(several) if kind is str else several[0]
    return settings


def _is(value: Any, kind: type) -> bool:
    """Whether a value of TOML is of that kind: an integer is a number, true and false are not."""
    return isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) == (kind is bool)


# --- runs ------------------------------------------------------------------------------------------------------------


def begin_or_resume(ctx: click.Context, kind: str, begin: Callable[[str, tuple[Any, ...]], dict[str, Any]]) -> None:
    """Begin a run or, with --resume, continue one of that kind, and print its report. Ctrl-C ends either with a checkpoint.

    begin: `begin(folder, callbacks)` trains and gives the report.
    """
    from engine.report import show_report
    from engine.runs import resume
    from engine.train import InterruptAfterStep

    given, ctrl_c = ctx.params, InterruptAfterStep()
    if given["resume"] is not None:
        names = {p.name for p in ctx.command.params} - {"resume", "threads", "progress"}
        why = "--resume: a run continues with the settings it began with."
        _refuse(ctx, names, [ParameterSource.COMMANDLINE], why)
    if given["resume"] is None:
        need(ctx, "data", "files", "output")
    folder = given["resume"] or given["output"]
    with _advice(folder, given["resume"] is not None, str(ctx.command.name)):
        if given["resume"] is None:
            report = begin(folder, (ctrl_c,))
        else:
            try:
                report = resume(folder, kind=kind, progress=given["progress"], callbacks=(ctrl_c,))
            except ArgumentError as error:
                error.relabel(error.op, {"output": "resume", "folder": "resume"})
                raise
    click.echo(show_report(report, f"report: {os.path.join(folder, 'report.html')}", page()), nl=False)


@contextmanager
def _advice(folder: str, resumes: bool, command: str) -> Iterator[None]:
    """Adds to the error how to continue an interrupted training, or how to begin again after one that failed."""
    from engine.train import latest_checkpoint

    def stamp(path: str) -> int | None:
        return os.stat(path).st_mtime_ns if os.path.exists(path) else None

    record = os.path.join(folder, "run.json")
    before = stamp(record)  # of an earlier run
    try:
        yield
    except NotFinite as error:
        error.add_hint(f"to begin again in {folder}, give --overwrite")
        raise
    except KeyboardInterrupt:
        if stamp(record) in ((None,) if resumes else (None, before)):
            raise  # nothing was written
        if sys.stderr.isatty():
            click.echo(err=True)  # below the terminal's ^C
        begun = latest_checkpoint(os.path.join(folder, "checkpoints")) is not None
        what = "interrupted; to go on" if begun else "interrupted before a checkpoint; to begin again"
        raise Interrupted(f"{what}: engine {command} --resume {shlex.quote(folder)}") from None


class Interrupted(click.ClickException):
    exit_code = 130


def one_text_only(run: str, pair_column: str | None) -> None:
    """Raises UsageError for a column of second texts if the run's model was trained on one text a sample."""
    trained = columns_of(run)
    if pair_column and trained and not trained.get("pair_column"):
        raise click.UsageError("--pair-column is for models of pairs of texts, but this run's model takes one text.")


def set_threshold(task: Any, threshold: float | None) -> None:
    """Sets the threshold of several labels. Raises UsageError for another task."""
    if threshold is not None:
        if "threshold" in task.unused:
            raise click.UsageError(f"--threshold is for several labels a text, but this run's task is {task.name}.")
        task.threshold = threshold


def file_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `file_options` as arguments of `read_table`."""
    return {
        "columns": options["columns"] or None,
        **{name: options[name] for name in ("delimiter", "quoting", "encoding", "format")},
    }


_UNNAMED = ("txt", "conll", None)  # forms of files whose columns have no names


def columns_for(
    path: str, options: Mapping[str, Any], trained: Mapping[str, Any], separator: str, labelled: bool
) -> Any:
    """The columns of a file: those of the options or, if an option is not given, those of the training.

    The names of the training's columns hold for files with named columns, and how its files were read holds for delimited files; both
    hold for files of the training's form, unless they are plain texts. labelled: whether labels are read, and groups to compare; if
    not, all other columns are."""
    from engine.tasks import Columns
    from engine.text.files import extension_of
    from engine.text.formats import DELIMITED, ENDINGS

    def form_of(name: str, given: str | None) -> str | None:
        return given or ENDINGS.get(extension_of(name))

    form, before = form_of(path, options["format"]), form_of((trained.get("train") or [""])[0], trained.get("format"))
    alike = form == before and (labelled or form != "txt")
    named = trained if alike or form not in _UNNAMED else {}
    read = trained if alike or form in DELIMITED else {}
    text, label, pair = (options.get(n) or named.get(n) for n in ("text_column", "label_column", "pair_column"))
    names = options["columns"] or tuple(read.get("columns") or ())
    delimiter = options["delimiter"] or (read.get("delimiter") if form != "excel" else None)
    quoting = options["quoting"] if options["quoting"] is not None or form == "excel" else read.get("quoting")
    extra = options["group_columns"] if labelled else None
    return Columns(
        text, label if labelled else None, pair, extra, options["encoding"], separator, names, delimiter, quoting, options["format"]
    )  # fmt: skip


def columns_of(run: str) -> dict[str, Any]:
    """The columns that the run's training data were read by; {} for a folder that `save_pretrained` wrote."""
    from engine.runs import read_run

    if not os.path.exists(os.path.join(run, "run.json")):
        return {}
    record = read_run(run)
    return {**record.get("data", {}), "label_separator": record.get("task", {}).get("label_separator", "|")}
