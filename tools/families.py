"""python families.py KERNELS.DEF FOLDER: writes each family's rows of the list to FOLDER/<family>.def, where they changed."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path


def main(source: str, folder: str) -> None:
    text = re.sub(r"^//.*\n", "", Path(source).read_text(encoding="utf-8"), flags=re.MULTILINE)
    families: dict[str, str] = defaultdict(str)
    for row in re.split(r"^(?=KERNEL\()", text, flags=re.MULTILINE)[1:]:
        families[row[len("KERNEL(") : row.index(",")]] += row.rstrip() + "\n"
    Path(folder).mkdir(parents=True, exist_ok=True)
    for family, rows in families.items():
        path = Path(folder) / f"{family}.def"
        if not path.exists() or path.read_text(encoding="utf-8") != rows:
            path.write_text(rows, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
