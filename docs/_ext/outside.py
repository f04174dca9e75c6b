"""Links from pages to files that are not pages of the site, such as ../CONTRIBUTING.md: the site offers these files for download."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def _mark(app: Any, name: str, source: list[str]) -> None:
    folder = Path(app.env.doc2path(name)).parent

    def marked(link: re.Match[str]) -> str:
        path = (folder / link[1]).resolve()
        inside = path.is_relative_to(Path(app.srcdir).resolve())
        return link[0] if inside or not path.is_file() else f"](path:{link[1]})"

    source[0] = re.sub(r"\]\((\.\./[^)#]+)\)", marked, source[0])


def setup(app: Any) -> dict[str, Any]:
    app.connect("source-read", _mark)
    return {"parallel_read_safe": True}
