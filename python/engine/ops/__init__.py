"""The operations, one file a family. Importing them attaches the Tensor methods too."""

from engine.ops.norm import *  # noqa: F403
