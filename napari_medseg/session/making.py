"""How a result came to be: what its label version tells of it, enough to do it again without a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from napari_medseg.volume import LabelArray

Kind = Literal["imported", "weak", "proposal", "corrected", "verified"]


@dataclass(eq=False)
class Making:
    """Tool, settings and prompts of one result.

    Attributes
    ----------
    tool : str
        "levelset", "scribble", "cleanup", "interpolate", "segment:<id>", "refine", "brush", "import", "restore".
    kind : str
        What a version made of it is.
    parameters : dict
        The engine's own keyword arguments.
    prompts : dict
        Seeds by class value, LPS mm (x, y, z).
    arrays : dict of uint8 (z, y, x)
        The limit, the strokes; on the display grid.
    model : str
        Hash of the network; "" for none, and until it was loaded.
    """

    tool: str
    kind: Kind = "weak"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, LabelArray] = field(default_factory=dict)
    model: str = ""


def brush(kind: Kind = "corrected") -> Making:
    """Work by hand."""
    return Making("brush", kind)
