"""``relaykit verify``: everything that is wrong with a configuration file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relaykit.commands.loading import loaded_or_said
from relaykit.config.load import load_client, load_server, role_of
from relaykit.config.problems import ConfigurationProblems
from relaykit.errors import RelaykitError
from relaykit.plugins import ProxyTypes

if TYPE_CHECKING:
    from relaykit.commands.grammar import Call
    from relaykit.commands.surroundings import Surroundings

__all__ = ["run"]

_LOADERS: dict[str, Callable[..., Any]] = {"server": load_server, "client": load_client}


def run(call: Call, around: Surroundings) -> int:
    """Checks a file as the configuration of a role: of the one whose keys it has, if none was named."""
    path, role = call["config"], call["role"]
    if not path:
        around.explain("a configuration file is needed: -c FILE", "no-file-given")
        return 1
    if role not in ("", *_LOADERS):
        around.complain(f'there is no role "{role}": it is server or client')
        return 1
    types = ProxyTypes.installed()

    def load(role: str) -> Any:
        return _LOADERS[role](
            path,
            types=types,
            environ=around.environ,
            strict=call["strict-config"],
            allow_unsafe=call["allow-unsafe"],
        )

    role = role or role_of(path, environ=around.environ, strict=call["strict-config"])
    role = role or min(_LOADERS, key=lambda each: _problem_count(load, each))
    if loaded_or_said(lambda: load(role), around.complain) is None:
        return 1
    around.say(f"{path} is good for a {role}")
    return 0


def _problem_count(load: Callable[[str], Any], role: str) -> int:
    """How many problems a file has in a role; a file that says nothing of a role has equally many in both."""
    try:
        load(role)
    except ConfigurationProblems as error:
        return len(error.problems)
    except RelaykitError:
        return 1
    return 0
