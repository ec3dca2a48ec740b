"""Which versions of which packages a report was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("napari-medseg", "numpy", "scipy", "SimpleITK", "torch", "matplotlib")


def packages() -> dict[str, str]:
    """Version by package, and Python's own."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
