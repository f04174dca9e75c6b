"""The operations, one file a family. Importing them attaches the Tensor methods too."""

from types import ModuleType as _ModuleType

from engine.ops.activation import *
from engine.ops.arithmetic import *
from engine.ops.attention import *
from engine.ops.comparison import *
from engine.ops.convert import *
from engine.ops.dropout import *
from engine.ops.embedding import *
from engine.ops.factory import *
from engine.ops.indexing import *
from engine.ops.linear import *
from engine.ops.loss import *
from engine.ops.norm import *
from engine.ops.operands import *
from engine.ops.operators import *
from engine.ops.packing import *
from engine.ops.pooling import *
from engine.ops.precision import *
from engine.ops.random import *
from engine.ops.reduction import *
from engine.ops.shape import *
from engine.ops.softmax import *
from engine.ops.typed import *
from engine.ops.unary import *

# What the families export; without it, `from engine.ops import *` would bring the families themselves.
__all__ = [name for name, value in globals().items() if not name.startswith("_") and not isinstance(value, _ModuleType)]
