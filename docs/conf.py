"""How the site is built: `sphinx-build -W -n -c docs . site`, from the repository root.

The source root is the repository root, so that links between the pages, README.md and the figures
are the same here and where the files are read one by one. Nothing is fetched, neither when the site
is built nor when it is read.
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "extensions"))

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
project = "design_space"
author = "The design_space authors"
copyright = author
release = version = _PROJECT["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "mathml",
    "pages",
    "reference",
]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = [".*", "site", "build", "dist", "results", "tests", "analyses", "design_space"]
highlight_language = "none"
default_role = "code"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
html_math_renderer = "mathml"

# the reference names types of other projects, which are not described here
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"(jaxtyping\.)?(Bool|Float|Int|Real|Key)|(jax\.)?Array|ArrayLike|Scalar"),
    ("py:class", r"np\.\w+|pd\.\w+|(pathlib\.)?Path|collections\.abc\.\w+"),
    ("py:class", r"eqx\.AbstractVar|jax\.jaxlib\._jax\.Array"),
    ("py:class", r"jaxlib\._jax\.Array|'.*'|''"),  # the names of the axes of an array
    # names of unions, literals and functions, and records that only the inside of a method sees
    ("py:class", r"Classifier|ErrorProfile|Grid|Local|Method|Told|Transform|Variable|Weights"),
    ("py:class", r"AbstractOperators|Seen|Linear|Factor|Row|Coefficients|Line|Info|Where"),
]

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
pygments_dark_style = "monokai"
html_title = "design_space"
html_static_path = ["static"]
html_extra_path = ["root"]  # index.html, which leads to the landing page
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it reads pages by script, which a browser refuses from file://
copybutton_exclude = ".linenos, .gp, .go"
