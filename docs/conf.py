"""Sphinx configuration."""

import importlib.metadata

project = "actorcred"
author = "The actorcred developers"
copyright = "2026, The actorcred developers"
release = importlib.metadata.version("actorcred")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"actorcred {release}"

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "description"
autodoc_class_signature = "separated"
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Class attributes", "Attributes")]
myst_heading_anchors = 3
# The docstrings are Markdown-like: `name` is a name.
default_role = "code"
suppress_warnings = ["ref.python"]
