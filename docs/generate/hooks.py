"""Hooks of MkDocs: pages made from the code, formulas made into MathML, and links checked."""

import logging
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")  # the models' classes are imported, nothing is run
sys.path.append(str(Path(__file__).parents[2]))  # for `benchmarks`, which is not installed

import links
import mathml
import pages
from mkdocs.structure.files import File

logger = logging.getLogger("mkdocs.hooks")  # a warning fails a strict build


def on_files(files, config):
    """Add the generated pages, and the navigation, which lists them."""
    for path, content in pages.contents().items():
        files.append(File.generated(config, path, content=content))
    config.nav = pages.navigation()
    return files


def on_page_content(html, page, config, files):
    return mathml.rendered(html)


def on_post_build(config):
    for problem in links.problems(Path(config.site_dir)):
        logger.warning(problem)
