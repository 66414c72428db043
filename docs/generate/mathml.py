"""Formulas as MathML, which browsers draw themselves: no script, no fonts, no network."""

import html
import re

from latex2mathml.converter import convert

# What pymdownx.arithmatex makes of $...$ and $$...$$.
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
# log p(x), with the space that TeX puts after the name of a function.
FUNCTION = re.compile(r"(<mi>(?:arg|exp|ln|log|max|min)</mi>)(?!</m|<mo stretchy=\"false\">)")


def rendered(page):
    """An HTML page, its formulas in LaTeX replaced by MathML."""
    return FORMULA.sub(_as_mathml, page)


def _as_mathml(found):
    display = "block" if found["tag"] == "div" else "inline"
    mathml = convert(html.unescape(found["latex"]).strip(), display=display)
    return FUNCTION.sub(r'\1<mspace width="0.17em"/>', mathml)
