"""Directives that draw pages from the code: layers, interfaces, transitions, configuration keys."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from docs._ext.api import api_lines
from docs._ext.features import features
from docs._ext.markup import escaped, heading, list_table, problem_lines
from docs._ext.state_diagram import Edge, draw
from relaykit import values
from relaykit.commands.manual import command_contexts
from relaykit.commands.tunnels.commands import is_built_in
from relaykit.config.reference import reference, type_text
from relaykit.options import option_fields
from relaykit.plugins import ProxyTypes
from relaykit.sansio.wire.messages import CORE_MESSAGES
from relaykit.values import Ended, Secret
from tests.layering import LAYERS

if TYPE_CHECKING:
    from types import ModuleType

    from sphinx.application import Sphinx

    from relaykit.interfaces import IProxyType

__all__ = ["setup"]


class Layers(SphinxDirective):
    """``.. layers::`` draws the table that the layering test checks."""

    def run(self) -> list[nodes.Node]:
        rows = (
            (
                f"``{name}``",
                layer.purpose,
                ", ".join(f"``{other}``" for other in layer.may_import) or "nothing",
            )
            for name, layer in LAYERS.items()
        )
        return _parsed(
            self, list_table(("Part of ``relaykit``", "What it is for", "May import"), rows, (15, 40, 45))
        )


class Interfaces(SphinxDirective):
    """``.. interfaces:: PACKAGE MODULE ...`` documents the zope interfaces of a package, module by module.

    Each is named as the package has it.  The source is read rather than the objects, because zope's keep no
    annotations.
    """

    required_arguments = 2
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        package = importlib.import_module(self.arguments[0])
        public = {name: f"{package.__name__}.{name}" for name in package.__all__}
        modules = [f"{package.__name__}.{name}" for name in self.arguments[1].split()]
        imported = [node.module for node in _source(self, package).body if isinstance(node, ast.ImportFrom)]
        if sorted(modules) != sorted(each or "" for each in imported):
            raise self.error(f"{package.__name__} has {imported}")
        lines = [f".. py:module:: {package.__name__}", ""]
        for module in modules:
            tree = _source(self, importlib.import_module(module))
            lines += heading((ast.get_docstring(tree) or "").partition(":")[0].rstrip("."))
            for each in tree.body:
                if isinstance(each, ast.ClassDef):
                    lines += _interface(each, _imported_names(tree) | public)
        return _parsed(self, lines)


class Messages(SphinxDirective):
    """``.. messages::`` lists the messages that the core of a session acts on."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for number, message in sorted(CORE_MESSAGES.by_number.items()):
            if message is not None and message.type_byte is not None:
                fields = ", ".join(f"``{field}``" for field in message.__struct_fields__)
                about = _unlinked(inspect.getdoc(message) or "")
                rows.append(
                    (f"``{message.__name__}``", f"``{chr(message.type_byte)}``", str(number), about, fields)
                )
        heads = ("Message", "v1", "v2", "Who sends it, when, and what answers it", "Fields")
        return _parsed(self, list_table(heads, rows, (18, 5, 5, 44, 28)))


class Constants(SphinxDirective):
    """``.. constants:: MODULE NAME ...`` lists constants of a module with what their docstrings say.

    ``CLASS.FIELD`` is what a field of a class of attrs is where nothing else is said.
    """

    required_arguments = 2
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        tree = _source(self, module)
        wanted = self.arguments[1].split()
        said = _docstrings_of_constants(tree)
        for declared in tree.body:
            if isinstance(declared, ast.ClassDef):
                fields = _docstrings_of_constants(declared)
                said |= {f"{declared.name}.{name}": text for name, text in fields.items()}
        rows = [
            (f"``{name}``", f"``{_shown(_value_of(module, name))}``", _unlinked(said[name]))
            for name in wanted
        ]
        return _parsed(self, list_table(("Name", "Value", "What it is"), rows, (22, 18, 60)))


class Endings(SphinxDirective):
    """``.. endings::`` lists the reasons for an end, as the log has them."""

    def run(self) -> list[nodes.Node]:
        (declared,) = (
            node
            for node in _source(self, values).body
            if isinstance(node, ast.ClassDef) and node.name == Ended.__name__
        )
        said = _docstrings_of_constants(declared)
        rows = [(f"``{ended.value}``", _unlinked(said[ended.name])) for ended in Ended]
        return _parsed(self, list_table(("Word", "What it means"), rows, (25, 75)))


class Transitions(SphinxDirective):
    """``.. transitions:: MODULE`` draws a module's ``TRANSITIONS`` and ``ACTORS``: a picture and a table.

    The table has the module's ``ACTIONS``, too, if there are some.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        _source(self, module)
        edges = [
            Edge(state.value, following.value, step.value, actor.value if actor else "either")
            for (state, step), following in module.TRANSITIONS.items()
            for actor in (module.ACTORS[step],)
        ]
        actions = getattr(module, "ACTIONS", {})
        said = [", ".join(action.value for action in actions.get(cell, ())) for cell in module.TRANSITIONS]
        rows = [
            (edge.before, edge.label, edge.actor, *([done] if actions else []), edge.after)
            for edge, done in zip(edges, said, strict=True)
        ]
        heads = ("State", "Step", "Whose", *(["What is done"] if actions else []), "Next state")
        table = list_table(heads, rows, (100 // len(heads),) * len(heads))
        states = type(next(iter(module.TRANSITIONS))[0])
        picture = nodes.raw("", draw([state.value for state in states], edges), format="html")
        return [picture, *_parsed(self, table)]


class FeaturesOfFrp(SphinxDirective):
    """``.. features-of-frp::`` lists what frp's files can ask for, all of which is here."""

    def run(self) -> list[nodes.Node]:
        rows = ((row.kind, row.name) for row in features())
        return _parsed(self, list_table(("Of frp", ""), rows, (30, 70)))


class KnownProblems(SphinxDirective):
    """``.. known-problems::`` explains every known problem, each at an anchor of its own."""

    def run(self) -> list[nodes.Node]:
        return _parsed(self, problem_lines())


class OwnApi(SphinxDirective):
    """``.. own-api:: ROLE`` lists the calls of a role's own API, with what is answered."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return _parsed(self, api_lines(self.arguments[0]))


class Commands(SphinxDirective):
    """``.. commands::`` shows the usage of every command of relaykit and of the built-in proxy types."""

    def run(self) -> list[nodes.Node]:
        lines: list[str] = []
        for context in command_contexts(is_built_in):
            about = context.command.help or ""
            usage = context.get_help().replace(about, "", 1)
            lines += heading(context.command_path, f"command-{context.command_path}")
            lines += [escaped(about), "", ".. code-block:: text", ""]
            lines += [f"    {line}" if line.strip() else "" for line in usage.splitlines()] + [""]
        return _parsed(self, lines)


class ConfigurationKeys(SphinxDirective):
    """``.. configuration-keys:: PROGRAM`` lists the keys of a program's file, table by table."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        lines: list[str] = []
        entries = (entry for entry in reference() if entry.program == self.arguments[0])
        for (table, about), of_table in groupby(entries, key=lambda entry: (entry.table, entry.table_doc)):
            lines += [*heading(table or "Top level", f"keys-{self.arguments[0]}-{table}"), escaped(about), ""]
            cells = ((entry.key, entry.type, entry.default, _sentence(entry.doc)) for entry in of_table)
            lines += _key_table(cells)
        return _parsed(self, lines)


class ProxyTypeKeys(SphinxDirective):
    """``.. proxy-type-keys::`` lists the built-in proxy types, each with its own keys."""

    def run(self) -> list[nodes.Node]:
        lines: list[str] = []
        for built_in in ProxyTypes.installed():
            if built_in.module.startswith("relaykit."):
                _source(self, importlib.import_module(built_in.module))
                lines += _proxy_type(built_in.load())
        return _parsed(self, lines)


def _proxy_type(proxy_type: IProxyType) -> Iterator[str]:
    yield from (
        *heading(proxy_type.name, f"type-{proxy_type.name}"),
        f"{proxy_type.summary.capitalize()}.",
        "",
    )
    tables = [
        ("Keys of a proxy", proxy_type.proxy_options),
        ("Keys of a visitor", getattr(proxy_type, "visitor_options", None)),
        (f"Keys of the server's table ``proxyTypes.{proxy_type.name}``", proxy_type.ingress_options),
    ]
    for title, cls in tables:
        if cls is not None and option_fields(cls):
            yield from (f"{title}:", "")
            yield from _key_table(
                (field.file_key or field.key, type_text(field.type), _plain(field.default), field.description)
                for field in option_fields(cls)
            )


def _plain(default: object) -> str:
    return str(default) if default not in (None, "", (), Secret("")) else ""


def _key_table(cells: Iterable[tuple[str, str, str, str]]) -> Iterator[str]:
    rows = (
        (f"``{key}``", kind, f"``{default}``" if default else "", escaped(meaning))
        for key, kind, default, meaning in cells
    )
    return list_table(("Key", "Value", "Default", "Meaning"), rows, (28, 16, 16, 40))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


def _interface(node: ast.ClassDef, names: dict[str, str]) -> Iterator[str]:
    yield from ("", f".. py:class:: {node.name}", "")
    bases = [names.get(ast.unparse(base), ast.unparse(base)) for base in node.bases]
    own = [base for base in bases if base.startswith("relaykit.")]
    if own:
        yield from ("   Extends " + ", ".join(f":class:`~{base}`" for base in own) + ".", "")
    yield from _indented(ast.get_docstring(node) or "", 3)
    for member in node.body:
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
            prefix = ":async:" if isinstance(member, ast.AsyncFunctionDef) else ""
            yield from ("", f"   .. py:method:: {member.name}{_signature(member, names)}")
            if prefix:
                yield f"      {prefix}"
            yield ""
            yield from _indented(ast.get_docstring(member) or "", 6)
        elif isinstance(member, ast.Assign) and isinstance(member.value, ast.Call):
            (target,) = member.targets
            (text,) = member.value.args
            yield from ("", f"   .. py:attribute:: {ast.unparse(target)}", "")
            yield from _indented(str(ast.literal_eval(text)), 6)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, names: dict[str, str]) -> str:
    arguments = ast.unparse(_Qualified(names).visit(node.args))
    returns = ast.unparse(_Qualified(names).visit(node.returns)) if node.returns else "None"
    return f"({arguments}) -> {returns}"


class _Qualified(ast.NodeTransformer):
    """Spells every name out, so that Sphinx can link it."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self._names.get(node.id, node.id), node.ctx)


def _imported_names(tree: ast.Module) -> dict[str, str]:
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _source(directive: SphinxDirective, module: ModuleType) -> ast.Module:
    path = Path(inspect.getsourcefile(module) or "")
    directive.env.note_dependency(str(path))
    return ast.parse(path.read_text("utf-8"))


def _docstrings_of_constants(tree: ast.Module | ast.ClassDef) -> dict[str, str]:
    """The text that stands under each assignment of a module or a class."""
    found = {}
    for node, below in pairwise(tree.body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if (
            isinstance(target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[target.id] = inspect.cleandoc(str(below.value.value))
    return found


def _unlinked(text: str) -> str:
    """A docstring as plain markup: names of its own module, which has no page, become code."""
    return re.sub(r":(?:class|meth|func|attr|data|mod):`~?([^`]+)`", r"``\1``", text)


def _value_of(module: ModuleType, name: str) -> object:
    owner, _, field = name.rpartition(".")
    return attrs.fields_dict(getattr(module, owner))[field].default if owner else getattr(module, name)


def _shown(value: object) -> str:
    return value.hex(" ") if isinstance(value, bytes) else str(value)


def _indented(text: str, by: int) -> Iterator[str]:
    for line in text.splitlines():
        yield (" " * by + line).rstrip()


def _parsed(directive: SphinxDirective, lines: Iterable[str]) -> list[nodes.Node]:
    return directive.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Tells Sphinx of the directives."""
    app.add_directive("layers", Layers)
    app.add_directive("interfaces", Interfaces)
    app.add_directive("configuration-keys", ConfigurationKeys)
    app.add_directive("proxy-type-keys", ProxyTypeKeys)
    app.add_directive("messages", Messages)
    app.add_directive("constants", Constants)
    app.add_directive("endings", Endings)
    app.add_directive("transitions", Transitions)
    app.add_directive("features-of-frp", FeaturesOfFrp)
    app.add_directive("known-problems", KnownProblems)
    app.add_directive("commands", Commands)
    app.add_directive("own-api", OwnApi)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
