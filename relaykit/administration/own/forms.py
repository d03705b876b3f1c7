"""What a form for a proxy or a visitor needs to know of its type, made of the classes of its options."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from relaykit.administration.calls import Answer, Call, json_answer
from relaykit.administration.own.openapi import PREFIX, own_failure
from relaykit.administration.own.shapes import Form, FormField, FormPlugin, Forms, FormSection
from relaykit.administration.routes import Route
from relaykit.config.definitions import Definitions
from relaykit.config.schema.local_plugins import PROXY_PLUGINS, VISITOR_PLUGINS
from relaykit.errors import PluginError
from relaykit.options import OptionField, Options, ProxyCommon, VisitorCommon, option_fields, options_class
from relaykit.values import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["form_routes", "forms"]

_KINDS: Mapping[Any, str] = {
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    Secret: "secret",
}
_UNITS = {"port": "port", "seconds": "duration", "bandwidth": "bandwidth"}
_CHOSEN = "type"
"""The key that a form is chosen by."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def form_routes(definitions: Callable[[], Definitions | None]) -> Iterator[Route]:
    """Asking for the forms.

    :param definitions: answers what reads definitions at the moment; None where nothing does.
    """
    # They are made once for all who ask, as long as the files are the same.
    made = functools.lru_cache(maxsize=1)(_answer)

    def answer(call: Call) -> Answer:
        return made(definitions())

    yield Route(
        method="GET",
        path=f"{PREFIX}/forms",
        handler=answer,
        failed=own_failure,
        summary="What each type of proxy and visitor can be told: the keys, for who makes a form of them.",
        told=Forms,
    )


def _answer(definitions: Definitions | None) -> Answer:
    return json_answer(Forms(proxies=[], visitors=[]) if definitions is None else forms(definitions))


def forms(definitions: Definitions) -> Forms:
    """A form for each type that is installed and can be used."""
    proxies, visitors = [], []
    for reference in definitions.types:
        try:
            found = definitions.types.get(reference.name)
        except PluginError:
            continue
        proxies.append(
            _form(definitions, "proxies", reference.name, found.summary, ProxyCommon, found.proxy_options)
        )
        visited: type[Options] | None = getattr(found, "visitor_options", None)
        if visited is not None:
            visitors.append(
                _form(definitions, "visitors", reference.name, found.summary, VisitorCommon, visited)
            )
    return Forms(proxies=proxies, visitors=visitors)


def _form(
    definitions: Definitions,
    list_name: str,
    name: str,
    summary: str,
    common: type[Options],
    own: type[Options],
) -> Form:
    required = _required(definitions, list_name, name, [*option_fields(common), *option_fields(own)])
    plugins = PROXY_PLUGINS if common is ProxyCommon else VISITOR_PLUGINS
    return Form(
        type=name,
        doc=summary,
        sections=[
            _section("", common, "", required, plain=True),
            _section(name, own, "", required, plain=True),
            *_tables(common, "", required),
            *_tables(own, "", required),
        ],
        plugins=[
            FormPlugin(type=each, doc=_doc(cls), fields=list(_fields(cls, "plugin.", set())))
            for each, cls in plugins.items()
        ],
    )


def _required(definitions: Definitions, list_name: str, name: str, fields: list[OptionField]) -> set[str]:
    """What one without any key is blamed for, whatever else it is given."""
    texts = {each.key: "x" for each in fields if each.type is str and each.key != _CHOSEN}

    def blamed(**given: str) -> set[str]:
        checked = definitions.check(list_name, {"type": name, **given})
        return {each.key for each in (*checked.unread, *checked.problems)}

    return {key for key in blamed() if key in blamed(**{each: "x" for each in texts if each != key})}


def _section(
    name: str, cls: type[Options], before: str, required: set[str], *, plain: bool = False
) -> FormSection:
    return FormSection(
        name=name,
        label=_label(name.rpartition(".")[2]),
        doc=_doc(cls),
        advanced=not plain,
        fields=list(_fields(cls, before, required)),
    )


def _tables(cls: type[Options], before: str, required: set[str]) -> Iterator[FormSection]:
    """A section for each table inside, and for those inside of these."""
    for each in option_fields(cls):
        inner = options_class(each.type)
        if inner is not None:
            key = f"{before}{each.key}"
            yield _section(key, inner, f"{key}.", required)
            yield from _tables(inner, f"{key}.", required)


def _fields(cls: type[Options], before: str, required: set[str]) -> Iterator[FormField]:
    """The plain fields of a class; those that are at the top of the file are not a definition's."""
    for each in option_fields(cls):
        key = f"{before}{each.key}"
        if options_class(each.type) is None and each.file_key is None and key != _CHOSEN:
            yield _field(each, key, key in required or each.required)


def _field(option: OptionField, key: str, required: bool) -> FormField:
    item = _item_class(option.type)
    kind = _kind(option)
    return FormField(
        key=key,
        label=_label(option.key),
        doc=option.description,
        kind=kind,
        choices=list(option.choices),
        default=_plain(option.default),
        required=required,
        least=option.least,
        greatest=option.greatest,
        advanced=option.advanced or kind in ("map", "tables"),
        fields=[] if item is None else list(_fields(item, "", set())),
    )


def _kind(option: OptionField) -> str:
    if option.choices:
        return "choice"
    if option.unit:
        return _UNITS[option.unit]
    origin = typing.get_origin(option.type)
    if origin is tuple:
        return "tables" if _item_class(option.type) else "texts"
    return "map" if origin is dict else _KINDS.get(option.type, "text")


def _item_class(declared: Any) -> type[Options] | None:
    if typing.get_origin(declared) is tuple:
        return options_class(typing.get_args(declared)[0])
    return None


def _plain(default: Any) -> Any:
    if default is msgspec.NODEFAULT or isinstance(default, Secret):
        return None
    return msgspec.to_builtins(default)


def _doc(cls: type[Options]) -> str:
    return inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]


def _label(key: str) -> str:
    """A key as people write it: ``localIP`` is Local IP, ``bandwidthLimit`` is Bandwidth limit."""
    words = _WORDS.sub(" ", key).split(" ")
    text = " ".join(word if word.isupper() else word.lower() for word in words)
    return text[:1].upper() + text[1:]
