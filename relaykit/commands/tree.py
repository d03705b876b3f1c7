"""The whole tree of commands: those of relaykit itself, and those of the installed proxy types."""

from __future__ import annotations

from attrs import evolve

from relaykit.commands.forms import Form, find_form, installed_forms
from relaykit.commands.grammar import Command
from relaykit.config.not_implemented.types import NOT_IMPLEMENTED_TYPES
from relaykit.errors import PluginError
from relaykit.plugins import ProxyTypes

__all__ = ["tree_for", "tree_with", "whole_tree"]


def tree_for(root: Command, word: str) -> Command:
    """The tree as far as a command line needs it that begins with this word.

    A command of a proxy type takes that type only.  Any other word takes all, to be listed or suggested.
    """
    try:
        types = ProxyTypes.installed()
        form = find_form(types, word)
    except PluginError as error:
        named = root.child(word) is None and not word.startswith("-")
        return evolve(root, children=(*root.children, *([_unusable(word, str(error))] if named else [])))
    if form is not None:
        return tree_with(root, [form])
    if word in NOT_IMPLEMENTED_TYPES and word not in types:
        return evolve(root, children=(*root.children, _later(word)))
    return tree_with(root, installed_forms(types))


def whole_tree(root: Command) -> Command:
    """The tree with the commands of all installed types.

    :raises DuplicateProxyType: two packages provide one type.
    """
    return tree_with(root, installed_forms(ProxyTypes.installed()))


def tree_with(root: Command, forms: list[Form]) -> Command:
    """The tree with these commands beside relaykit's own, which come first where names clash."""
    own = {child.name for child in root.children}
    added = tuple(form.command() for form in forms if form.line.command not in own)
    return evolve(root, children=(*root.children, *added))


def _later(name: str) -> Command:
    return _unusable(name, f"the proxy type {name} is not available yet")


def _unusable(name: str, reason: str) -> Command:
    """A command that says why it is none, whatever flags it was given."""
    return Command(name, reason, action="relaykit.commands.later:unusable", any_flags=True)
