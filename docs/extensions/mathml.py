"""Formulas as MathML, which browsers show by themselves: no script, no request to anywhere."""

from docutils.utils.math.latex2mathml import tex2mathml


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator, node):
    translator.body.append(tex2mathml(node.astext()))
    _skip()


def _block(translator, node):
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    _skip()


def _skip():
    """The formula is written: its text is no part of the page."""
    from docutils.nodes import SkipNode

    raise SkipNode
