"""The documentation site: `make docs` builds it from this folder into build/docs, without a network and without a warning."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "napari-medseg"
author = "The napari-medseg founders"
copyright = author
release = installed("napari-medseg")
version = release
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "sphinx_design", "written_pages"]
exclude_patterns = ["_ext", "examples"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries = False
suppress_warnings = ["ref.python"]  # two rooms may each have a Case

html_theme = "furo"
html_title = "napari-medseg"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {"footer_icons": [], "source_repository": ""}
pygments_style = "tango"
copybutton_prompt_text = "$ "
