"""The operations, one file a family. Importing them attaches the Tensor methods too."""

from engine.ops.activation import *  # noqa: F403
from engine.ops.arithmetic import *  # noqa: F403
from engine.ops.attention import *  # noqa: F403
from engine.ops.comparison import *  # noqa: F403
from engine.ops.convert import *  # noqa: F403
from engine.ops.dropout import *  # noqa: F403
from engine.ops.embedding import *  # noqa: F403
from engine.ops.factory import *  # noqa: F403
from engine.ops.indexing import *  # noqa: F403
from engine.ops.linear import *  # noqa: F403
from engine.ops.loss import *  # noqa: F403
from engine.ops.norm import *  # noqa: F403
from engine.ops.packing import *  # noqa: F403
from engine.ops.pooling import *  # noqa: F403
from engine.ops.random import *  # noqa: F403
from engine.ops.reduction import *  # noqa: F403
from engine.ops.shape import *  # noqa: F403
from engine.ops.softmax import *  # noqa: F403
from engine.ops.unary import *  # noqa: F403
