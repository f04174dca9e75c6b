"""Removing markup from texts that come from web pages or XML.

`html.parser` would not do: it reads "x<y and y>z" as a tag, and its treatment of unfinished tags differs between versions of
Python. Here every step stops at the next "<", so the time is linear in the length of the text.
"""

from __future__ import annotations

import html
import re
from html.entities import html5

from engine.errors import BadType

__all__ = ["strip_markup"]

# The value of an attribute has no "<" here (XML forbids it), which keeps the scan linear.
_TAG = re.compile(
    r"""<(?P<end>/?)(?P<name>[A-Za-z][\w:.-]*)
        (?P<attributes>(?:\s+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"<]*"|'[^'<]*'|[^\s"'=<>`]+))?)*)
        \s*(?P<closed>/?)>""",
    re.VERBOSE,
)
_ATTRIBUTE = re.compile(r"""[^\s"'<>/=]+(?P<value>\s*=\s*(?:(?P<quoted>"[^"]*"|'[^']*')|[^\s"'=<>`]+))?""")
_END_TAG = re.compile(r"</([A-Za-z][\w:.-]*)\s*>")
_DECLARATION = re.compile(r"<(?:![Dd][Oo][Cc][Tt][Yy][Pp][Ee]\b[^<>]*|\?xml\b[^<>]*\?)>")
# An entity needs its semicolon: "?a=1&copy=2" is an address and has no copyright sign.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Elements within a line of text: "<b>w</b>ord" is one word. All other elements separate the text around them.
_INLINE = _names(
    "a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark q ruby s samp small span strike strong "
    "sub sup time tt u var wbr"
)
_BLOCK = _names(
    "address area article aside audio base blockquote body br button canvas caption center col colgroup dd details "
    "dialog div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html "
    "iframe img input legend li link main map menu meta nav noscript object ol optgroup option output p param picture "
    "pre progress rp rt script section select source style summary svg table tbody td template textarea tfoot th thead "
    "title tr track ul video"
)
_WITHOUT_VALUE = _names(
    "alt async autofocus autoplay checked controls default defer disabled hidden itemscope loop multiple muted nowrap "
    "open readonly required reversed selected"
)
_LETTERS = frozenset("abiqsu")  # names that also occur in comparisons: "a<b>c"


def strip_markup(text: str) -> str:
    """The text without HTML or XML. Tags, comments and the contents of `script` and `style` are removed, entities become
    characters.

    Tags that end a line or a cell become a space, tags within a line become nothing. Text that only looks like markup stays:
    "a < b", "<3", "x<y and y>z", "List<String>", "<name@host>". Something in angle brackets is a tag if HTML has its name,
    or if it has an end tag, closes itself, or has quoted attributes. One level of entities is replaced: "&lt;b&gt;" becomes
    the text "<b>". `clean_text` can tidy the white space afterwards.

    Raises:
        TypeError: if `text` is not a string.
    """
    if not isinstance(text, str):
        raise BadType("strip_markup", "text", "a string", type(text).__name__)
    if "<" not in text:
        return _unescaped(text) if "&" in text else text
    ended = {name.lower() for name in _END_TAG.findall(text)}
    parts: list[str] = []
    literal = begin = 0  # where the text that is not copied yet begins; where the search for the next "<" begins
    while (at := text.find("<", begin)) >= 0:
        found = _markup_at(text, at, ended)
        begin = at + 1
        if found is not None:
            begin, replacement = found
            parts += (_unescaped(text[literal:at]), replacement)
            literal = begin
    return "".join(parts) + _unescaped(text[literal:])


def _markup_at(text: str, at: int, ended: set[str]) -> tuple[int, str] | None:
    """The markup that begins at a "<": (where it ends, the text that replaces it), or None if it is text."""
    for opening, closing in (("<!--", "-->"), ("<![CDATA[", "]]>")):
        if text.startswith(opening, at):
            # Without an end it is text. `ended` remembers that, or each later opening would search to the end again.
            end = -1 if opening in ended else text.find(closing, at + len(opening))
            if end < 0:
                ended.add(opening)
                return None
            return end + len(closing), text[at + len(opening) : end] if opening == "<![CDATA[" else ""
    declaration = _DECLARATION.match(text, at)
    if declaration is not None:
        return declaration.end(), " "
    tag = _TAG.match(text, at)
    if tag is None or not _is_tag(tag, ended):
        return None
    name = tag["name"].lower()
    if name in ("script", "style") and not tag["end"] and not tag["closed"]:
        if name not in ended:
            return tag.end(), " "
        close = re.compile(rf"</{name}\s*>", re.IGNORECASE).search(text, tag.end())
        if close is not None:
            return close.end(), " "
        ended.discard(name)
    return tag.end(), "" if name in _INLINE else " "


def _is_tag(tag: re.Match[str], ended: set[str]) -> bool:
    name = tag["name"].lower()
    if tag["end"]:
        return not tag["attributes"].strip()
    if name in ended and name not in _LETTERS:
        return True
    attributes = list(_ATTRIBUTE.finditer(tag["attributes"]))
    if name in _LETTERS and not (name in ended or (attributes and all(a["quoted"] for a in attributes))):
        return False
    if name in _INLINE or name in _BLOCK:
        # "x<b and c>" is not a tag: only a few attributes have no value.
        return all(a["value"] or a[0].lower() in _WITHOUT_VALUE for a in attributes)
    return bool(tag["closed"]) or (bool(attributes) and all(a["quoted"] for a in attributes))


def _unescaped(text: str) -> str:
    return _ENTITY.sub(_character, text)


def _character(entity: re.Match[str]) -> str:
    # html.unescape would also replace a known entity at the beginning of an unknown name.
    return html.unescape(entity[0]) if entity[0][1] == "#" else html5.get(entity[0][1:], entity[0])
