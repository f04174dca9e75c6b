"""Which installed fonts draw a text, for pictures with matplotlib: labels may be in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Fonts", "fonts_for"]

_DEFAULT = "DejaVu Sans"  # comes with matplotlib
_UNKNOWN = "□"
_ADVICE = (  # what to install for characters with these words in their Unicode names; the last is for all others
    (("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"), "Noto Sans CJK: apt install fonts-noto-cjk"),
    ((), "the Noto fonts: apt install fonts-noto-core"),
)
_NO_CHARACTERS = ("\ufdd0", "\uffff", "\U0010fffe")  # Unicode keeps these free for ever
# Among fonts that draw equally many of the characters, these win: clean sans-serif faces.
_PREFERRED = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC", "Hiragino Sans GB",
    "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei", "Droid Sans Fallback", "Arial Unicode MS",
)  # fmt: skip


class Fonts(NamedTuple):
    """families: names for matplotlib, which looks for each character in this order; missing: characters that none of them has."""

    families: list[str]
    missing: frozenset[str]

    def drawable(self, text: str) -> str:
        """The text on one line, with a box in place of each missing character, of which matplotlib would warn."""
        return "".join(_UNKNOWN if c in self.missing else c if c.isprintable() else " " for c in text)

    @property
    def note(self) -> str:
        """What to tell the reader of the picture; empty if nothing is missing."""
        if not self.missing:
            return ""
        names = [unicodedata.name(c, "") for c in self.missing]
        wanted = {next(font for words, font in _ADVICE if not words or any(w in name for w in words)) for name in names}
        return "\n".join(
            [f"{_UNKNOWN}: no installed font has this character", *(f"Install {w}" for w in sorted(wanted))]
        )


def fonts_for(texts: Iterable[str]) -> Fonts:
    """The fewest installed fonts, matplotlib's own first, that draw these texts. Needs matplotlib."""
    characters = frozenset(c for text in texts for c in text if c.isprintable())
    families, missing = [_DEFAULT], characters - _characters_of(_DEFAULT, characters)
    for fresh in (False, True):  # the second time with fonts that were installed after matplotlib made its list
        if fresh and missing:
            _add_new_fonts()
        while missing:
            best = max(_families(), key=lambda name: (len(_characters_of(name, missing)), -_rank(name)))
            drawn = _characters_of(best, missing)
            if not drawn:
                break
            families.append(best)
            missing -= drawn
    return Fonts(families, missing)


def _rank(name: str) -> int:
    return _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED) + (not name.startswith("Noto Sans "))


def _families() -> list[str]:
    from matplotlib import font_manager

    return sorted({font.name for font in font_manager.fontManager.ttflist})


def _add_new_fonts() -> None:
    from matplotlib import font_manager

    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        try:
            font_manager.fontManager.addfont(path)
        except (OSError, RuntimeError, ValueError):  # a file that FreeType cannot read
            continue


@lru_cache(maxsize=4096)
def _characters_of(family: str, characters: frozenset[str]) -> frozenset[str]:
    """Those of the characters that the most regular face of a family has."""
    from matplotlib import font_manager, ft2font

    faces = [font for font in font_manager.fontManager.ttflist if font.name == family]
    if not faces:
        return frozenset()
    face = min(faces, key=lambda font: (font.style != "normal", str(font.weight) not in ("400", "normal"), font.fname))
    try:
        font = ft2font.FT2Font(face.fname)  # get_font would add a fallback font that draws a box for everything
    except (OSError, RuntimeError, ValueError):  # gone, or damaged
        return frozenset()
    if any(font.get_char_index(ord(c)) for c in _NO_CHARACTERS):  # a last-resort font: a box for each code point
        return frozenset()
    return frozenset(c for c in characters if font.get_char_index(ord(c)))
