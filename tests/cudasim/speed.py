"""How fast the simulator is: milliseconds, CPU time, best of five, without and with the checker.

python tests/cudasim/speed.py [libcudasim.so]
"""

import os
import sys
import tempfile

from cudasim.build import build
from cudasim.families import TIMED
from cudasim.harness import Simulator, compile

if __name__ == "__main__":
    sim = Simulator(sys.argv[1] if len(sys.argv) > 1 else build())
    sim.load(compile("kernels.cu", tempfile.gettempdir()))
    for name, (family, arguments) in TIMED.items():
        row = []
        for check in "01":
            os.environ["CUDASIM_CHECK"] = check
            row.append(min(family(sim, *arguments)[1] for _ in range(5)) * 1e3)
        print(f"{name:36s} {row[0]:8.1f} {row[1]:8.1f}")
    print([f["kind"] for f in sim.findings()])
