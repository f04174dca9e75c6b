"""The settings of the site. `make docs` builds it from these pages and from the docstrings of the installed engine."""

import sys
from pathlib import Path

import engine

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "engine"
version = release = engine.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docstrings", "outside", "reference"]
exclude_patterns = ["_build"]
highlight_language = "none"  # blocks that name no language are commands

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_inherit_docstrings = False  # an override without words of its own is not listed again
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 120
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "pydata_sphinx_theme"
html_title = f"engine {version}"
html_show_copyright = html_show_sourcelink = html_copy_source = False
html_theme_options = {
    "show_prev_next": False,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": ["sphinx-version"],
}
