"""What the site needs besides its plugins: the changelog as a page, settings of notebooks' kernels, and their links."""

import logging
import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

LOGGER = logging.getLogger("mkdocs.hooks")  # a warning ends a strict build
LINK = re.compile(r'href="(?![a-z]+:|#)([^"#]+\.(?:md|ipynb))')


def on_startup(command, dirty):
    """Encrypt the messages of the kernels, which would warn otherwise. Without ipywidgets, tqdm warns in a notebook."""
    os.environ["JUPYTER_CONFIG_PATH"] = str(Path(__file__).parent)
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"


def on_files(files, config):
    """Make the changelog a page of the site."""
    text = (Path(config["config_file_path"]).parent / "CHANGELOG.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "changelog.md", content=text.replace("](docs/", "](")))
    return files


def on_page_content(html, page, config, files):
    """Let links of a notebook to pages and notebooks lead to their place on the site, as links of other pages do."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html

    def link_on_site(link):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), link[1]))
        target = files.get_file_from_path(path)
        if target is None:
            LOGGER.warning("%s links to %s, which does not exist", page.file.src_uri, link[1])
            return link[0]
        return f'href="{target.url_relative_to(page.file)}'

    return LINK.sub(link_on_site, html)
