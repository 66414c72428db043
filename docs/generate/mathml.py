"""Formulas as MathML, which browsers draw themselves: no script, no fonts, no network."""

import html
import re

from latex2mathml.converter import convert

# What pymdownx.arithmatex makes of $...$ and $$...$$.
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)


def rendered(page):
    """An HTML page, its formulas in LaTeX replaced by MathML."""
    return FORMULA.sub(_as_mathml, page)


def _as_mathml(found):
    display = "block" if found["tag"] == "div" else "inline"
    return convert(html.unescape(found["latex"]).strip(), display=display)
