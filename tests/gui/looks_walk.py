"""Open every tab and page in the real window and save a picture of each, to be looked at one by one.

    python tests/gui/looks_walk.py OUT_FOLDER [--theme light]

It needs a display. Set QT_SCALE_FACTOR for high-DPI screens.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from every_page import pages, propose
from qtpy.QtWidgets import QApplication
from walkthrough import Walk

log = logging.getLogger("walkthrough")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--theme", choices=["dark", "light"], default="dark")
    parser.add_argument("--font", type=int, help="size of napari's text in points")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    walk = Walk(options.out, None)
    walk.viewer.theme = options.theme
    if options.font:
        from napari.settings import get_settings

        get_settings().appearance.font_size = options.font
    walk.picture("0-empty")
    for index, name in enumerate(pages(walk.dock, lambda: walk.wait(0.3)), 1):
        if name in ("refine", "review-statistics"):
            walk.picture(f"0{index}-empty-{name}")
    walk.dock.desk.open_sample("brain1")
    walk.wait(3)
    session = walk.session
    for index, name in enumerate(pages(walk.dock, lambda: walk.wait(0.4)), 1):
        walk.picture(f"{index:02}-{name}")
    session.set(tab="weak", mode="levelset")
    propose(session)
    walk.picture("50-preview")
    session.accept()
    for name in ("Tumour with a name that is long", "Vessel"):
        session.add_class(name)
    session.table.lock(1, True)
    session.table.show(2, False)
    walk.picture("51-accepted")
    walk.dock.desk.keys.sheet.toggle()
    walk.picture("52-keys")
    walk.viewer.close()  # not closeAllWindows: to napari that is a person's hand, and it asks
    QApplication.processEvents()
    return 0


if __name__ == "__main__":
    sys.exit(main())
