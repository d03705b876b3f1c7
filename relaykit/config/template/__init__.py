"""The part of Go's text/template that frp's configuration files use.

:func:`relaykit.config.template.rendering.render` is the way in.  A text becomes tokens
(:mod:`~relaykit.config.template.lexing`), then a tree (:mod:`~relaykit.config.template.parsing`) whose nodes
write themselves (:mod:`~relaykit.config.template.nodes`).

It is ours because no library will do: Python's template libraries have another syntax, and what there is for
this one carries a Go program with it.  Named templates and Go's functions for web pages are left out.

Source: https://pkg.go.dev/text/template
"""

__all__: list[str] = []
