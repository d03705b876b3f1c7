"""Configuration of Sphinx: build with ``python -m sphinx -W -n docs OUTPUT``."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
# The pages are generated from this checkout, not from an installed package.
sys.path.insert(0, str(_HERE.parent))

from relaykit import __version__  # noqa: E402 - needs the path above

project = "relaykit"
author = "The relaykit contributors"
project_copyright = "2026, The relaykit contributors"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_design",
    "docs._ext.relaykit_docs",
    "docs._ext.nat_pairs",
    "docs._ext.panels",
]
# Flags and commands are copied from the pages, so two hyphens stay two hyphens.
smartquotes = False
exclude_patterns = ["_build"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["relaykit.css"]
html_title = "relaykit"
html_show_sphinx = False
nitpicky = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

# Names of other projects: the build needs no network, so they are not linked.
nitpick_ignore_regex = [
    (r"py:.*", r"(twisted|zope|attr|attrs|msgspec|collections|typing|enum|cryptography|OpenSSL)(\..*)?"),
    (r"py:.*", r"(pathlib|ipaddress|types|argparse|_?abc|functools|unittest)(\..*)?"),
    # What autodoc makes of annotated fields and of zope's interfaces as return types.
    (r"py:class", r".*Annotated\[.*|dict\[str|<InterfaceClass .*>"),
    # Type variables are not documented one by one.
    (r"py:.*", r"(.*\.)?([A-Z][A-Za-z]*T|T)(_co|_contra)?"),
]
nitpick_ignore = [
    ("py:class", name)
    for name in (
        "Any",
        "Deferred",
        "Steering",
        "IReactorTime",
        "relaykit.config.definitions.Definitions",
        "bool",
        "bytes",
        "bytearray",
        "dict",
        "float",
        "int",
        "list",
        "None",
        "object",
        "str",
        "tuple",
    )
]
