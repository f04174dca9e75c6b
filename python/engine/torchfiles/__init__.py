"""Files in PyTorch's own format (`torch.save`): read without executing anything, and written so that `torch.load` opens them."""

from engine.torchfiles.read import load as load
from engine.torchfiles.write import save as save

__all__ = ["load", "save"]
