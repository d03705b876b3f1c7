"""``relaykit completion``: scripts that let shells complete command lines, made from the tree of commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve, frozen

from relaykit.commands.grammar import Command, Flag, Path, flags_of, path_text

if TYPE_CHECKING:
    from relaykit.commands.grammar import Call
    from relaykit.commands.surroundings import Surroundings

__all__ = ["bash_script", "fish_script", "run", "zsh_script"]


def run(call: Call, around: Surroundings) -> int:
    """Prints the script for the shell that the command is named after, for the program it belongs to."""
    root = call.path[0]
    if root.name == "relaykit":
        root = _with_everything(root)
    around.stdout.write(SHELLS[call.path[-1].name](root, not call["no-descriptions"]))
    return 0


def _with_everything(root: Command) -> Command:
    """The tree with the commands of proxy types, and with frp's programs whole."""
    from relaykit.commands.frpflags import FRPC, FRPS
    from relaykit.commands.tree import whole_tree

    programs = {program.name: program for program in (FRPS, FRPC)}
    tree = whole_tree(root)
    return evolve(tree, children=tuple(programs.get(child.name, child) for child in tree.children))


# --- what all shells need -------------------------------------------------------------------------


T = TypeVar("T", Command, Flag)


@frozen
class _Place:
    """One command of the tree: its path in words, and what may be typed there."""

    words: str
    children: tuple[Command, ...]
    flags: tuple[Flag, ...]

    def spelled(self, wanted: Callable[[Flag], bool]) -> list[str]:
        """All spellings of the flags that are wanted."""
        return [each for flag in self.flags if wanted(flag) for each in _spellings(flag)]


def _places(root: Command, described: bool) -> Iterator[_Place]:
    def plain(each: T) -> T:
        return each if described else evolve(each, summary="")

    def below(path: Path) -> Iterator[_Place]:
        own, inherited = flags_of(path)
        children, flags = path[-1].children, (*own, *inherited)
        yield _Place(path_text(path), tuple(map(plain, children)), tuple(map(plain, flags)))
        for child in path[-1].children:
            yield from below((*path, child))

    return below((root,))


def _spellings(flag: Flag) -> list[str]:
    long = f"--{_dashed(flag)}"
    return [long, f"-{flag.short}"] if flag.short else [long]


def _dashed(flag: Flag) -> str:
    return flag.name.replace("_", "-")


def _takes_file(flag: Flag) -> bool:
    """Whether a flag names a file; the names of all such flags say so."""
    return flag.kind.implied is None and _dashed(flag).split("-")[-1] in ("config", "file")


def _takes_folder(flag: Flag) -> bool:
    return flag.kind.implied is None and _dashed(flag).split("-")[-1] == "dir"


def _takes_other(flag: Flag) -> bool:
    return flag.kind.implied is None and not _takes_file(flag) and not _takes_folder(flag)


def _quoted(text: str) -> str:
    """A word for any of the shells."""
    return "'" + text.replace("'", "'\\''") + "'"


# --- bash ---------------------------------------------------------------------------------------------


def bash_script(root: Command, described: bool = True) -> str:
    """The script for bash; descriptions are not shown there."""
    name, places = root.name, list(_places(root, described))
    paths = " | ".join(_quoted(place.words) for place in places[1:])
    lines = [
        f"# Completion of {name} for bash.",
        f"_{name}() {{",
        f"    local where={name} word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}",
        "    local at words files folders others",
        "    for ((at = 1; at < COMP_CWORD; at++)); do",
        '        case "$where ${COMP_WORDS[at]}" in',
        f'            {paths}) where="$where ${{COMP_WORDS[at]}}" ;;',
        "        esac",
        "    done",
        "    case $where in",
    ]
    for place in places:
        words = [child.name for child in place.children] + [f"--{_dashed(flag)}" for flag in place.flags]
        lines += [
            f"        {_quoted(place.words)})",
            f"            words={_quoted(' '.join(words))}",
            f"            files={_padded(place.spelled(_takes_file))}",
            f"            folders={_padded(place.spelled(_takes_folder))}",
            f"            others={_padded(place.spelled(_takes_other))}",
            "            ;;",
        ]
    lines += [
        "    esac",
        "    COMPREPLY=()",
        '    if [[ $files == *" $before "* ]]; then',
        "        compopt -o filenames",
        '        mapfile -t COMPREPLY < <(compgen -f -- "$word")',
        '    elif [[ $folders == *" $before "* ]]; then',
        "        compopt -o filenames",
        '        mapfile -t COMPREPLY < <(compgen -d -- "$word")',
        '    elif [[ $others != *" $before "* ]]; then',
        '        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")',
        "    fi",
        "}",
        f"complete -F _{name} {name}",
    ]
    return "\n".join(lines) + "\n"


def _padded(words: Iterable[str]) -> str:
    return _quoted(" " + "".join(f"{word} " for word in words))


# --- zsh ----------------------------------------------------------------------------------------------


def zsh_script(root: Command, described: bool = True) -> str:
    """The script for zsh: a file ``_NAME`` of a folder in ``fpath``, or something to source."""
    name, places = root.name, list(_places(root, described))
    paths = "|".join(_quoted(place.words) for place in places[1:])
    lines = [
        f"#compdef {name}",
        f"_{name}() {{",
        f"    local where={name} before=${{words[CURRENT - 1]}} at",
        "    local -a commands flags files folders others",
        "    for ((at = 2; at < CURRENT; at++)); do",
        '        case "$where ${words[at]}" in',
        f'            ({paths}) where="$where ${{words[at]}}" ;;',
        "        esac",
        "    done",
        "    case $where in",
    ]
    for place in places:
        commands = (_zsh_described(child.name, child.summary) for child in place.children)
        flags = (_zsh_described(f"--{_dashed(flag)}", flag.summary) for flag in place.flags)
        lines += [
            f"        ({_quoted(place.words)})",
            f"            commands=({' '.join(commands)})",
            f"            flags=({' '.join(flags)})",
            f"            files=({' '.join(place.spelled(_takes_file))})",
            f"            folders=({' '.join(place.spelled(_takes_folder))})",
            f"            others=({' '.join(place.spelled(_takes_other))})",
            "            ;;",
        ]
    lines += [
        "    esac",
        "    if (( ${files[(Ie)$before]} )); then",
        "        _files",
        "    elif (( ${folders[(Ie)$before]} )); then",
        "        _files -/",
        "    elif (( ! ${others[(Ie)$before]} )); then",
        "        _describe -t commands command commands",
        "        _describe -o -t flags flag flags",
        "    fi",
        "}",
        f'if [[ $funcstack[1] == _{name} ]]; then _{name} "$@"; else compdef _{name} {name}; fi',
    ]
    return "\n".join(lines) + "\n"


def _zsh_described(word: str, summary: str) -> str:
    return _quoted(f"{word}:{summary}" if summary else word)


# --- fish -----------------------------------------------------------------------------------------------


def fish_script(root: Command, described: bool = True) -> str:
    """The script for fish."""
    name, places = root.name, list(_places(root, described))
    paths = " ".join(_quoted(place.words) for place in places[1:])
    lines = [
        f"# Completion of {name} for fish.",
        f"function __{name}_at",
        f"    set -l where {name}",
        "    for word in (commandline -opc)[2..]",
        '        switch "$where $word"',
        f"            case {paths or _quoted('')}",
        '                set where "$where $word"',
        "        end",
        "    end",
        '    test "$where" = "$argv"',
        "end",
        f"complete -c {name} -f",
    ]
    for place in places:
        begin = f"complete -c {name} -n {_quoted(f'__{name}_at {place.words}')}"
        lines += [f"{begin} -a {child.name}{_fish_described(child.summary)}" for child in place.children]
        lines += [f"{begin}{_fish_flag(flag)}{_fish_described(flag.summary)}" for flag in place.flags]
    return "\n".join(lines) + "\n"


def _fish_flag(flag: Flag) -> str:
    short = f" -s {flag.short}" if flag.short else ""
    value = ""
    if _takes_file(flag):
        value = " -r -F"
    elif _takes_folder(flag):
        value = " -x -a '(__fish_complete_directories)'"
    elif _takes_other(flag):
        value = " -x"
    return f" -l {_dashed(flag)}{short}{value}"


def _fish_described(summary: str) -> str:
    return f" -d {_quoted(summary)}" if summary else ""


SHELLS: Mapping[str, Callable[[Command, bool], str]] = {
    "bash": bash_script,
    "fish": fish_script,
    "zsh": zsh_script,
}
