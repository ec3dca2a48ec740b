"""The entry of the Study menu that writes verified labels for other programs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMenu, QWidget

from napari_medseg.session import study_export
from napari_medseg.session.session import Session


def add_export(menu: QMenu, session: Session, window: QWidget) -> None:
    """Add "Export verified labels" with a format each; greyed out where nothing is verified."""
    count = study_export.verified(session)
    export = menu.addMenu("Export verified labels" + (f" ({count})" if count else ""))
    export.setEnabled(count > 0 and session.study.project is not None)
    titles = dict(study_export.FORMATS)
    for suffixes in (study_export.BOTH, *((suffix,) for suffix in titles)):
        title = " and ".join(titles[suffix] for suffix in suffixes)
        export.addAction(f"{title} ({', '.join(suffixes)})…", partial(_ask, session, window, suffixes, title))


def _ask(session: Session, window: QWidget, suffixes: tuple[str, ...], title: str) -> None:
    path = QFileDialog.getExistingDirectory(window, f"Export as {title}: the folder for the files", str(Path.home()))
    if path:
        study_export.export(session, Path(path), *suffixes)
