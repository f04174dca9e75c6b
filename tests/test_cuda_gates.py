"""What must hold of the device code without running it, on every architecture: ptxas compiles the very PTX that the
extension carries, without a warning or a spill; each kernel keeps to a budget of registers, shared memory and occupancy;
the instructions that were meant are in the machine code."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from cuda_budget import BUDGETS, DEFAULT, INSTRUCTIONS
from cuda_occupancy import occupancy

ARCHITECTURES = (80, 86, 89, 90, 100, 120)

HAS_CUDA = find_spec("engine._cuda") is not None
NVCC = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
PTXAS = shutil.which("ptxas") or str(Path(NVCC).parent / "ptxas")
pytestmark = [
    pytest.mark.skipif(not HAS_CUDA, reason="this build has no CUDA backend: nvcc was not found"),
    pytest.mark.skipif(not Path(PTXAS).exists(), reason="no ptxas on the PATH or in /usr/local/cuda"),
]


@dataclass(frozen=True)
class Kernel:
    name: str
    family: str
    threads: int
    registers: int
    shared: int  # static


def compile_family(ptx: Path, architecture: int) -> str:
    """What ptxas says of a family's kernels. A warning, a spill included, is an error."""
    cubin = ptx.with_suffix(f".{architecture}.cubin")
    command = [
        PTXAS,
        "-O3",
        f"-arch=sm_{architecture}",
        "-v",
        "--warn-on-spills",
        "--warning-as-error",
        ptx,
        "-o",
        cubin,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{ptx.stem} on sm_{architecture}:\n{done.stderr}"
    assert "warning" not in done.stderr, f"{ptx.stem} on sm_{architecture}:\n{done.stderr}"
    return done.stderr


def kernels_of(family: str, text: str, log: str) -> list[Kernel]:
    threads = {}
    for entry in re.finditer(r"\.entry (\w+)\((?:[^{]*?)\{", text, re.DOTALL):
        found = re.search(r"\.maxntid (\d+)(?:, (\d+))?(?:, (\d+))?", entry.group(0))
        assert found, f"{entry.group(1)}: no __launch_bounds__"
        threads[entry.group(1)] = int(found.group(1)) * int(found.group(2) or 1) * int(found.group(3) or 1)
    kernels = []
    for part in log.split("Compiling entry function '")[1:]:
        name = part[: part.index("'")]
        registers = re.search(r"Used (\d+) registers", part)
        shared = re.search(r"(\d+) bytes smem", part)
        assert registers, part
        kernels.append(
            Kernel(name, family, threads[name], int(registers.group(1)), int(shared.group(1)) if shared else 0)
        )
    assert len(kernels) == len(threads)
    return kernels


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The kernels on each architecture, and the folder of their machine code."""
    from engine import _cuda

    folder = tmp_path_factory.mktemp("gates")
    texts = {family: data.decode() for family, kind, _, data in _cuda.images() if kind == "ptx"}
    for family, text in texts.items():  # without line information, as cmake/StripPaths.cmake gives it to ptxas
        text = re.sub(r"\n[\t ]*\.(loc|file)[\t ][^\n]*", "", text)
        (folder / f"{family}.ptx").write_text(re.sub(r"\n[\t ]*\.section[\t ]+\.debug[^}]*}", "", text))
    jobs = [(family, a) for a in ARCHITECTURES for family in texts]
    with ThreadPoolExecutor(2) as pool:
        logs = pool.map(lambda job: compile_family(folder / f"{job[0]}.ptx", job[1]), jobs)
    made: dict[int, list[Kernel]] = {a: [] for a in ARCHITECTURES}
    for (family, a), log in zip(jobs, logs):
        made[a] += kernels_of(family, texts[family], log)
    return made, folder


def budget_of(name: str):
    """The first pattern that fits."""
    return next((b for pattern, b in BUDGETS.items() if re.fullmatch(pattern, name)), DEFAULT)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_keep_to_their_budget(architecture: int, compiled) -> None:
    over = []
    for k in compiled[0][architecture]:
        b = budget_of(k.name)
        shared = k.shared + b.dynamic_shared
        reached = occupancy(architecture, k.threads, k.registers, shared)
        if k.registers > b.registers or shared > b.shared or reached < b.occupancy:
            over.append(
                f"{k.name}: {k.registers} registers (of {b.registers}), {shared} bytes of shared memory (of {b.shared}), "
                f"occupancy {reached:.0%} (at least {b.occupancy:.0%})"
            )
    assert not over, f"over budget on sm_{architecture}:\n" + "\n".join(over)


def test_budgets_name_kernels_that_exist(compiled) -> None:
    names = [k.name for k in compiled[0][80]]
    assert len(set(names)) == len(names), "two kernels of one name"
    for pattern in (*BUDGETS, *INSTRUCTIONS):
        assert any(re.fullmatch(pattern, n) for n in names), f"no kernel is called {pattern}"


def test_every_access_says_its_memory(compiled) -> None:
    """A pointer from a table in memory is generic to the compiler, and slower, unless it is told (common.cuh: in_global)."""
    generic = []
    for ptx in compiled[1].glob("*.ptx"):
        for name, body in re.findall(r"\.entry (\w+)\((.*?)\n\}", ptx.read_text(), re.DOTALL):
            if re.search(r"\t(ld|st)\.(v[24]\.)?[fbsu]\d+", body):
                generic.append(name)
    assert not generic


def machine_code(cubin: Path) -> dict[str, str]:
    """Disassembly by kernel."""
    spec = find_spec("nvidia")
    folders = [Path(p) for p in spec.submodule_search_locations] if spec and spec.submodule_search_locations else []
    tools = [t for f in folders for t in f.glob("cu*/bin/nvdisasm")]
    tool = shutil.which("nvdisasm") or (str(tools[0]) if tools else None)
    if tool is None:
        pytest.skip("no nvdisasm: pip install nvidia-cuda-nvdisasm")
    text = subprocess.run([tool, "-c", cubin], capture_output=True, text=True, check=True).stdout
    parts = re.split(r"^\.text\.(\w+):", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_machine_code_has_the_instructions_that_were_meant(architecture: int, compiled) -> None:
    made, folder = compiled
    families = {k.name: k.family for k in made[architecture]}
    code: dict[str, dict[str, str]] = {}
    missing = []
    for pattern, wanted in INSTRUCTIONS.items():
        for name in filter(re.compile(pattern).fullmatch, families):
            family = families[name]
            if family not in code:
                code[family] = machine_code(folder / f"{family}.{architecture}.cubin")
            missing += [f"{name}: no {w}" for w in wanted if not re.search(w, code[family][name])]
    assert not missing, f"on sm_{architecture}: {missing}"
