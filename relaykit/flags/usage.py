"""Help texts, made from the tables of commands and flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from relaykit.flags.flag_types import quoted
from relaykit.flags.grammar import Flag, Path, flags_of, path_text

__all__ = ["flags_text", "help_text", "usage_text"]


def help_text(path: Path) -> str:
    """What ``--help`` prints."""
    return f"{path[-1].summary}\n\n{usage_text(path)}"


def usage_text(path: Path) -> str:
    """How a command is called: its forms, children and flags."""
    command = path[-1]
    name = path_text(path)
    sections = [["Usage:", *(f"  {form}" for form in _forms(path))]]
    if command.children:
        width = max(len(child.name) for child in command.children)
        children = sorted(command.children, key=lambda child: child.name)
        sections.append(["Commands:", *(f"  {child.name:{width}}  {child.summary}" for child in children)])
    own, inherited = flags_of(path)
    sections.append(["Flags:", *_flag_lines(own)])
    if inherited:
        sections.append(["Global Flags:", *_flag_lines(inherited)])
    if command.children:
        sections.append([f'Use "{name} [command] --help" to see more about a command.'])
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def flags_text(path: Path) -> str:
    """The flags of a command alone."""
    own, inherited = flags_of(path)
    return "\n".join(["Flags:", *_flag_lines((*own, *inherited))]) + "\n"


def _forms(path: Path) -> Iterable[str]:
    command = path[-1]
    name = path_text(path)
    if command.action or not command.children:
        yield f"{name} [flags]"
    if command.children:
        yield f"{name} [command]"


def _flag_lines(flags: Sequence[Flag]) -> list[str]:
    rows = [(_flag_form(flag), flag.summary + _default_text(flag.default)) for flag in flags]
    width = max(len(form) for form, _ in rows)
    return [f"{form:{width}}   {text}" for form, text in rows]


def _flag_form(flag: Flag) -> str:
    """How a flag is written, indented so that long forms are below each other."""
    letter = f"-{flag.short}, " if flag.short else "    "
    return f"  {letter}--{flag.name.replace('_', '-')} {flag.type.name}".rstrip()


def _default_text(default: Any) -> str:
    """What is said of a default value; nothing of one that means "not given"."""
    if not default:
        return ""
    if isinstance(default, str):
        return f" (default {quoted(default)})"
    if isinstance(default, bool):
        return " (default true)"
    if isinstance(default, float):
        return f" (default {default:g}s)"
    return f" (default {default})"
