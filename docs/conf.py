"""How Sphinx builds these pages: offline, with every warning an error (``-W -n``)."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "pytest-droplet"
author = "The pytest-droplet developers"
release = version = installed_version("pytest-droplet")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "droplet_reference",
]
exclude_patterns = ["_build", "_ext", "_generated", "changelog.d"]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_title = f"pytest-droplet {release}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False

# Only names of our own are looked up: those of other projects would need the network.
nitpick_ignore_regex = [(r"py:.*", r"(?!pytest_droplet\.).*")]
