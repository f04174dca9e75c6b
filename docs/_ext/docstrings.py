"""Docstrings as reStructuredText. They are written as plain text with sections such as `Args:`, which napoleon reads; what is in
backticks is code, indented blocks are examples, and nothing else is markup."""

from __future__ import annotations

import re
from typing import Any

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
_NAMES = re.compile(r"    [*\w][\w*, ]*:", re.ASCII)  # `name: what it is`, which napoleon takes apart itself
_CODE = re.compile(r"(`[^`]+`)")
_MARKUP = re.compile(r"\\|\*|\||(?<=\w)_(?!\w)|(?<=\w)_(?=_*\W)")


def as_rst(lines: list[str]) -> list[str]:
    """The lines of a docstring as lines of reStructuredText."""
    lines = _each_alone(lines)
    out: list[str] = []
    text: list[str] = []
    section = example = bullet = False
    before = ""
    for line in lines:
        indented = line.startswith(" ")
        if line.strip() and not indented:
            section, example = bool(_SECTION.match(line)), False
            if line.startswith("- ") and not bullet and before:
                text.append("")
            bullet = line.startswith("- ")
        if example or (indented and not section and not before):
            if not example:
                out += [*_escaped(text), f".. code-block:: {'pycon' if '>>>' in line else 'python'}", ""]
                text, example = [], True
            out.append(line)
        elif indented and not section and not bullet:
            text.append(line.strip())
        else:
            text.append(line)
        before = line.strip()
    return out + _escaped(text)


def _each_alone(lines: list[str]) -> list[str]:
    """In `Attributes:`, an entry for each name of `betas, eps: of AdamW`. napoleon does so in `Args:` only."""
    out: list[str] = []
    names: list[str] = []
    entry: list[str] = []
    section = False
    for line in [*lines, "end"]:
        if entry and not line.startswith("     "):
            out += [text for name in names for text in (f"    {name}:{entry[0]}", *entry[1:])]
            entry = []
        section = line == "Attributes:" or (section and (not line.strip() or line.startswith(" ")))
        match = _NAMES.match(line) if section else None
        if match and "," in match.group():
            names, entry = [name.strip() for name in match.group()[:-1].split(",")], [line[match.end() :]]
        elif entry:
            entry.append(line)
        else:
            out.append(line)
    return out[:-1]


def _escaped(lines: list[str]) -> list[str]:
    """Text in which backticks make code, and no other character is markup."""
    names = [match.group() if (match := _NAMES.match(line)) else "" for line in lines]
    marked = "\n".join(f"\0{row}\0" + line[len(name) :] for row, (line, name) in enumerate(zip(lines, names)))
    parts = _CODE.split(marked)
    for i, part in enumerate(parts):
        if i % 2:
            code = re.sub(r"\s*\n(\0\d+\0)?\s*", " ", part[1:-1])
            word = parts[i + 1][:1]
            parts[i] = f"``{code}``" + ("\\ " if word.isalnum() or word == "(" else "")
        else:
            parts[i] = _MARKUP.sub(lambda found: "\\" + found.group(), part)
    return re.sub(r"\0(\d+)\0", lambda found: names[int(found.group(1))], "".join(parts)).split("\n")


def _process(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_rst(lines)


def _skip(app: Any, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Fields of named tuples have docstrings that say nothing."""
    return True if str(getattr(value, "__doc__", None)).startswith("Alias for field number") else None


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", _process, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True}
