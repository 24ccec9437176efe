"""How Sphinx builds the site of the documentation: `make docs`."""

import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

import bnkit  # noqa: E402  the sources beside this file, if they are not installed

project = "bnkit"
author = "The bnkit authors"
version = release = bnkit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated", "mathml"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# What is not marked as Python is a command or a list of files.
highlight_language = "text"
# Dashes alone: a prime of a formula is no quotation mark.
smartquotes_action = "D"

# Docstrings have formulas in single backticks: code, not references.
default_role = "code"
autodoc_member_order = "bysource"
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_rtype = False

html_theme = "furo"
html_title = "bnkit"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False
