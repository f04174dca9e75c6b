"""Launches kernels by name on libcudasim.so through the driver API, by ctypes, and fetches what the simulator found.

A Simulator is the library in this process; compile() makes PTX of a .cu file. Tests of settings that are read once a process
(CUDASIM_MEMORY and the like) start one of their own."""

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np

KERNELS = Path(__file__).resolve().parent / "kernels"


def nvcc() -> str | None:
    """The compiler: CUDACXX, or nvcc of the PATH."""
    return os.environ.get("CUDACXX") or shutil.which("nvcc")


def compile(source: str | os.PathLike, directory: str | os.PathLike, *options: str, architecture: int = 80) -> bytes:
    """PTX with source lines of a .cu file (of kernels/, unless a path is given); compiled once for each text and options."""
    path = KERNELS / source
    text = b"".join(p.read_bytes() for p in [path, *sorted(KERNELS.glob("*.cuh"))])
    key = hashlib.sha256(repr((text, options, architecture)).encode()).hexdigest()[:16]
    out = Path(directory) / f"{path.stem}-{key}.ptx"
    if not out.exists():
        command = [nvcc(), "-std=c++17", "-O3", "-ptx", "-lineinfo", f"-arch=compute_{architecture}"]
        partial = out.with_suffix(f".{os.getpid()}")
        done = subprocess.run([*command, *options, "-o", partial, path], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"nvcc {path.name} {' '.join(options)} failed:\n{done.stderr}")
        partial.rename(out)
    return out.read_bytes() + b"\0"


class CudaError(RuntimeError):
    def __init__(self, code: int, name: str, what: str) -> None:
        super().__init__(f"[{what}] {name}")
        self.code = code
        self.name = name


class Buffer:
    """Device memory: of so many bytes, or with an array in it."""

    def __init__(self, simulator: "Simulator", value) -> None:
        array = None if isinstance(value, int) else np.ascontiguousarray(value)
        self.simulator = simulator
        self.nbytes = value if array is None else array.nbytes
        pointer = ctypes.c_uint64()
        simulator.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(max(self.nbytes, 1)))
        self.pointer = pointer.value
        if array is not None and array.nbytes:
            source = array.ctypes.data_as(ctypes.c_void_p)
            simulator.call("cuMemcpyHtoD_v2", pointer, source, ctypes.c_size_t(array.nbytes))

    def numpy(self, shape, dtype) -> np.ndarray:
        out = np.empty(shape, dtype)
        source = ctypes.c_uint64(self.pointer)
        self.simulator.call("cuMemcpyDtoH_v2", out.ctypes.data_as(ctypes.c_void_p), source, ctypes.c_size_t(out.nbytes))
        return out


class Simulator:
    def __init__(self, library: str | os.PathLike) -> None:
        self.library = ctypes.CDLL(os.fspath(library))
        for name in ("cudasim_report", "cudasim_counters"):
            getattr(self.library, name).restype = ctypes.c_size_t
        self.library.cudasim_executed.restype = ctypes.c_ulonglong
        self.functions: dict[str, ctypes.c_void_p] = {}
        self.modules: list[ctypes.c_void_p] = []
        self.images: list[bytes] = []
        self.call("cuInit", 0)
        self.retain()

    def retain(self, device: int = 0) -> None:
        context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)

    def call(self, name: str, *arguments) -> None:
        code = getattr(self.library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self.library.cuGetErrorName(code, ctypes.byref(text))
            raise CudaError(code, (text.value or b"?").decode(), name)

    def load(self, ptx: bytes) -> None:
        """Its kernels can be launched from now on."""
        module = ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(module), ptx)
        self.modules.append(module)
        self.images.append(ptx)

    def function(self, name: str) -> ctypes.c_void_p:
        if name in self.functions:
            return self.functions[name]
        for module in reversed(self.modules):
            function = ctypes.c_void_p()
            code = self.library.cuModuleGetFunction(ctypes.byref(function), module, name.encode())
            if code == 0:
                self.functions[name] = function
                return function
            if code != 500:
                raise CudaError(code, "cuModuleGetFunction", name)
        raise KeyError(name)

    def buffer(self, value) -> Buffer:
        return Buffer(self, value)

    def launch(self, name: str, grid, block, *arguments, shared: int = 0) -> None:
        """Arguments are Buffers and NumPy scalars or arrays, passed with the size that they have."""
        function = self.function(name)
        if shared > 48 * 1024:
            self.call("cuFuncSetAttribute", function, 8, shared)
        values = [np.uint64(a.pointer) if isinstance(a, Buffer) else a for a in arguments]
        raw = [np.ascontiguousarray(v) for v in values]
        pointers = (ctypes.c_void_p * max(len(raw), 1))(*[a.ctypes.data for a in raw])
        sizes = [*self._three(grid), *self._three(block)]
        self.call("cuLaunchKernel", function, *sizes, shared, None, pointers, None)

    @staticmethod
    def _three(size) -> tuple[int, ...]:
        size = (size,) if isinstance(size, int) else tuple(size)
        return size + (1,) * (3 - len(size))

    def synchronize(self) -> None:
        self.call("cuCtxSynchronize")

    def reset(self) -> None:
        """Out of an error that a kernel has left behind; the modules are loaded again."""
        self.library.cuDevicePrimaryCtxReset_v2(0)
        images, self.images, self.modules, self.functions = self.images, [], [], {}
        for image in images:
            self.load(image)

    @contextmanager
    def instead(self, ptx: bytes):
        """Only this module's kernels, in a context that is reset before and after."""
        images = self.images
        self.images = [ptx]
        self.reset()
        try:
            yield
        finally:
            self.images = images
            self.reset()

    def findings(self) -> list[dict]:
        """Since the last call: kind, what, kernel, at (source lines, innermost first), ptx_line, ptx, other, count."""
        return json.loads(self._text(self.library.cudasim_report))

    def counters(self, kernel: str) -> dict:
        """Since the last call, with CUDASIM_PROFILE=1: in all, `lines`, `instructions`."""
        return json.loads(self._text(lambda *buffer: self.library.cudasim_counters(kernel.encode(), *buffer)))

    def executed(self) -> int:
        return self.library.cudasim_executed()

    @staticmethod
    def _text(call) -> str:
        size = call(None, ctypes.c_size_t(0)) + 1
        buffer = ctypes.create_string_buffer(size)
        call(buffer, ctypes.c_size_t(size))
        return buffer.value.decode()


def describe(finding: dict) -> str:
    other = f" | other: {' < '.join(finding['other'])}" if finding["other"] else ""
    at = " < ".join(finding["at"])
    return f"{finding['kind']} | {finding['kernel']} {at} | {finding['what']}{other} | x{finding['count']}"


def to_bf16(a: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(a, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)
