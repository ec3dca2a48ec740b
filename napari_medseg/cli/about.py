"""demo, catalogue and doctor: the product about itself."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_medseg import catalogue as parts
from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.cli.window import BINDINGS, has_display
from napari_medseg.notice import CHECK, RESEARCH

PACKAGES = ("napari-medseg", "napari", "torch", "monai", "SimpleITK", "pydicom", "numpy", "scipy", "scikit-image", "safetensors")
LITTLE_MB = 2000
Check = dict[str, Any]


@answering
def demo(out: Annotated[Path, typer.Option("--out", help="Folder for result.json and report.html; made when missing.", show_default=False)]) -> Answer:
    """Run the main job on the sample data, without a window and without a question.

    Example: medseg demo --out medseg-demo
    """
    from napari_medseg.demo.job import run

    result = last(run(out)).result or {}
    return Answer(result, f"Report: {result.get('report', out)}")


@answering
def catalogue() -> Answer:
    """List every swappable part and what is missing to use it.

    Example: medseg catalogue --json
    """
    found = parts.load()
    entries = []
    for entry in found.entries.values():
        needs = entry.needs(try_import=True)
        hint = parts.install_hint(needs) if needs else ""
        entries.append({
            "id": entry.id, "kind": entry.kind, "available": not needs, "needs": needs, "licence": entry.licence,
            "title": entry.title, "summary": entry.summary, "modalities": entry.modalities, "install": hint,
            "capabilities": entry.capabilities,
            "parameters": entry.parameters if entry.kind in ("network", "loss") else {},
            "asks": [ask.model_dump(exclude_defaults=True) | {"required": ask.required} for ask in entry.asks],
        })
    lines = [
        f"{e['kind']:<10} {e['id']:<24} {e['title']}{_dims(e)} ({e['licence']})" + ("" if e["available"] else f" - not available. {e['install']}")
        for e in entries
    ]
    return Answer({"entries": entries, "problems": found.problems}, "\n".join([*lines, *(f"Problem: {p}" for p in found.problems)]))


def _dims(entry: dict[str, Any]) -> str:
    """Of a network: what it looks at."""
    if entry["kind"] != "network":
        return ""
    return ", " + " and ".join({2: "slices", 3: "volumes"}[n] for n in entry["capabilities"].get("dims", [2, 3]))


@answering
def doctor() -> Answer:
    """Check what this machine has: versions, devices, memory, Qt, OpenGL, the catalogue.

    Example: medseg doctor
    """
    checks = [_python(), *map(_package, PACKAGES), *_devices(), _memory(), _qt(), _display(), _opengl(), *_catalogue()]
    lines = [f"{'ok  ' if c['ok'] else 'MISS' if c['needed'] else 'note'} {c['name']}: {c['found']}" + (f". {c['todo']}" if c["todo"] else "") for c in checks]
    good = all(c["ok"] for c in checks if c["needed"])
    verdict = "Everything needed is here." if good else "Something needed is missing; see MISS above."
    return Answer({"ok": good, "checks": checks}, "\n".join([*lines, verdict, f"{RESEARCH}. {CHECK}"]))


def _check(name: str, found: str, ok: bool = True, *, todo: str = "", needed: bool = True) -> Check:
    return {"name": name, "found": found, "ok": ok, "needed": needed, "todo": "" if ok else todo}


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return _check("python", found, sys.version_info >= (3, 11), todo="Install Python 3.11 or newer")


def _package(name: str) -> Check:
    try:
        return _check(name, version(name))
    except PackageNotFoundError:
        return _check(name, "not installed", ok=False, todo=parts.install_hint([name]))


def _devices() -> Iterator[Check]:
    from napari_medseg.segmenters.devices import list_devices

    try:
        for device in list_devices():
            free = "" if device.free_mb is None else f", {device.free_mb:,} MB free"
            yield _check(f"device {device.name}", f"{device.kind}{free}")
    except (ImportError, OSError) as error:  # a torch that installs and does not load
        yield _check("devices", f"torch does not load ({' '.join(str(error).split())})", ok=False, todo="Install torch again")


def _memory() -> Check:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    except (AttributeError, ValueError, OSError):  # Windows
        return _check("memory", "the system does not say", needed=False)
    return _check("memory", f"{total:,} MB", total >= LITTLE_MB, todo="Work on cropped scans", needed=False)


def _qt() -> Check:
    found = []
    for name in BINDINGS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    wanted = os.environ.get("QT_API", "")
    told = (", ".join(found) or "none") + (f" (QT_API={wanted})" if wanted else "")
    return _check("Qt binding", told, bool(found), todo=parts.install_hint(["napari-medseg[pyqt6]"]))


def _display() -> Check:
    return _check("display", "found" if has_display() else "none", has_display(), todo="The window needs one; every command works without", needed=False)


def _opengl() -> Check:
    library = find_library("GL") or find_library("OpenGL") or find_library("opengl32")
    return _check("OpenGL", library or "not found", library is not None, todo="The window needs it: install libgl1 or the graphics driver", needed=False)


def _catalogue() -> Iterator[Check]:
    found = parts.load()
    yield _check("catalogue", f"{len(found.entries)} parts", bool(found.entries), todo="Install napari-medseg again")
    for problem in found.problems:
        yield _check("catalogue entry", problem, ok=False, todo="Correct it; the other parts work", needed=False)
