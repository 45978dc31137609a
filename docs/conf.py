"""How the documentation is built: ``nox -s docs``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

# The one place that knows the addresses; README.md repeats them, for index pages.
ABOUT = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]

project = ABOUT["name"]
release = version = ABOUT["version"]
author = copyright = "the wxmedia_async contributors"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "awaited",
    "helped",
    "house",
]
exclude_patterns = ["_build", "locale", "examples"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["site.css"]

html_theme = "furo"
html_title = project
html_baseurl = f"{ABOUT['urls']['Documentation']}/"
html_copy_source = False
html_show_sphinx = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/languages.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 3

# A name in single backticks links to what it names, where that is documented.
default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# Fields of attrs classes are described once, where their docstring lists them.
napoleon_use_ivar = True
napoleon_use_rtype = False

# The text of pages is translated, programs are not.
locale_dirs = ["locale"]
gettext_compact = False
gettext_location = False
gettext_uuid = False
