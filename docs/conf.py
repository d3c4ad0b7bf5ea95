"""Sphinx settings. No network: nothing is looked up on other sites."""

from importlib.metadata import version as installed_version

project = "heartbeat_kit"
author = "The heartbeat_kit developers"
copyright = author
release = version = installed_version("heartbeat-kit")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Notebooks are stored without outputs: each build runs them in a folder of its own and fails if a cell does.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 300  # seconds a cell
nb_execution_raise_on_error = True
nb_merge_streams = True

# Docstrings write names in single backticks.
default_role = "py:obj"
add_module_names = False
python_use_unqualified_type_names = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
# A property with the name of a documented attribute must not appear twice.
napoleon_use_ivar = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "heartbeat_kit"
html_static_path = ["_static"]
html_css_files = ["wrap.css"]
pygments_style = "friendly"
pygments_dark_style = "monokai"
