"""Names in a state_dict."""

from __future__ import annotations

from typing import Any

__all__ = ["consume_prefix_in_state_dict_if_present"]


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Removes the prefix, "module." for example, from the names that begin with it, and from those of the metadata. In place."""
    whole = prefix.replace(".", "")
    for names in (state_dict, getattr(state_dict, "_metadata", {})):
        for name in list(names):
            if name.startswith(prefix) or (names is not state_dict and name and name == whole):
                names[name[len(prefix) :]] = names.pop(name)
