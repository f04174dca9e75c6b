"""Graph: an ONNX model in the making, on top of the `onnx` library. It knows operators and files, no transformer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import not_installed

__all__ = ["OPSET", "Graph"]

OPSET = 17  # the first with LayerNormalization; ONNX Runtime reads it since 1.12
_IR_VERSION = 8  # what files of that time have
INLINE_BYTES = 2**31 - 2**24  # a protobuf message holds less than 2 GiB: weights beyond it go into a second file
_ALIGNMENT = 4096  # so that weights in a file of their own can be mapped into memory


class Graph:
    """Nodes, weights, inputs and outputs. Values are known by their names, which the methods take and return.

    Shapes of inputs and outputs hold numbers, and names for sizes that may differ from call to call. Raises ImportError if `onnx` is
    missing (extra `onnx`).
    """

    def __init__(self, op: str) -> None:
        try:
            import onnx
        except ModuleNotFoundError as error:
            raise not_installed(op, "onnx", "onnx") from error
        self._onnx: Any = onnx
        self._nodes: list[Any] = []
        self._weights: dict[str, np.ndarray] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], tuple[str, np.ndarray]] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        """A value that the caller gives."""
        self._inputs.append(self._described(name, dtype, shape))
        return name

    def output(self, name: str, value: str, shape: Sequence[int | str]) -> None:
        """The value is an output of this name, in float32."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(self._described(name, np.float32, shape))

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The output of a new node. ONNX's documentation explains the operators and their attributes."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def cast(self, value: str, dtype: Any) -> str:
        """The value in a dtype of NumPy."""
        return self("Cast", value, to=self._number_of(dtype))

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A number or an array that never changes."""
        array = np.asarray(value, dtype)
        key, name = (array.dtype.str, array.shape, array.tobytes()), f"constant_{len(self._constants)}"
        return self._constants.setdefault(key, (name, array))[0]

    def weight(self, name: str, array: np.ndarray) -> str:
        """An array under a name of its own. The same name twice is the same array."""
        self._weights.setdefault(name, array)
        return name

    def save(self, path: Path) -> None:
        """Writes the model. Weights of 2 GiB and more go into a second file beside it, `path`.data."""
        helper, numbers = self._onnx.helper, self._onnx.numpy_helper
        tensors = [numbers.from_array(array, name) for name, array in self._constants.values()]
        if sum(array.nbytes for array in self._weights.values()) < INLINE_BYTES:
            tensors += [numbers.from_array(np.asarray(array, order="C"), name) for name, array in self._weights.items()]
        else:
            tensors += self._beside(path.with_name(f"{path.name}.data"))
        graph = helper.make_graph(self._nodes, "engine", self._inputs, self._outputs, tensors)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="engine")
        path.write_bytes(model.SerializeToString())
        self._onnx.checker.check_model(os.fspath(path), full_check=True)

    def _beside(self, path: Path) -> list[Any]:
        """Writes the weights to a file. Returns tensors that say where each of them is."""
        tensors = []
        with path.open("wb") as file:
            for name, array in self._weights.items():
                file.seek(-(-file.tell() // _ALIGNMENT) * _ALIGNMENT)
                tensor = self._onnx.TensorProto(
                    name=name, data_type=self._number_of(array.dtype), dims=array.shape, raw_data=b""
                )
                self._onnx.external_data_helper.set_external_data(tensor, path.name, file.tell(), array.nbytes)
                tensor.ClearField("raw_data")
                tensors.append(tensor)
                file.write(np.asarray(array, order="C").data)
        return tensors

    def _described(self, name: str, dtype: Any, shape: Sequence[int | str]) -> Any:
        return self._onnx.helper.make_tensor_value_info(name, self._number_of(dtype), list(shape))

    def _number_of(self, dtype: Any) -> int:
        """ONNX's number for a dtype of NumPy."""
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
