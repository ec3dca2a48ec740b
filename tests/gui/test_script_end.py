"""A script that ends, or fails, with our docks open leaves without a word about Qt's objects."""

import os
import subprocess
import sys

SCRIPT = """
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtWidgets import QApplication

app = QApplication([])
PluginManager.instance().discover()
from napari_medseg.gui.window import MedsegWidget

widget = MedsegWidget(ViewerModel())
widget.show()
app.processEvents()
raise ValueError("the script fails")
"""


def test_only_the_script_s_own_fault_is_told():
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=240, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"}, check=False,
    )
    assert told.returncode == 1, told.stderr
    assert "the script fails" in told.stderr
    assert told.stderr.count("Traceback") == 1, told.stderr
    assert "has been deleted" not in told.stderr
