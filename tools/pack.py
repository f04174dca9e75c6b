"""python pack.py FROM TO: compresses a file by zlib."""

import sys
import zlib
from pathlib import Path

if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(zlib.compress(Path(sys.argv[1]).read_bytes(), 9))
