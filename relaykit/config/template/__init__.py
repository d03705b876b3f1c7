"""The part of Go's text/template that frp's configuration files may use.

:func:`relaykit.config.template.rendering.render` is the way in.  A text becomes tokens
(:mod:`~relaykit.config.template.lexing`), then a tree (:mod:`~relaykit.config.template.parsing`),
which is then carried out (:mod:`~relaykit.config.template.evaluation`).

Source: https://pkg.go.dev/text/template
"""

__all__: list[str] = []
