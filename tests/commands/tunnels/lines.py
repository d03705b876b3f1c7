"""Command lines to try, of the built-in types and of an odd one."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from attrs import frozen
from zope.interface import implementer

from relaykit.commands.tunnels.commands import TunnelCommand, find_tunnel
from relaykit.config.load import LoadedClient, client_from_table
from relaykit.interfaces import IOneLineProxyType
from relaykit.options import OneLine, Options, doc
from relaykit.plugins import ProxyTypeReference, ProxyTypes
from relaykit.proxies.tcp import TcpOptions
from relaykit.values import Secret

BUILT_IN = ProxyTypes.from_references(
    [
        ProxyTypeReference("tcp", "relaykit.proxies.tcp", commands=("tcp",)),
        ProxyTypeReference("http", "relaykit.proxies.http", commands=("http",)),
        ProxyTypeReference("https", "relaykit.proxies.https", commands=("https",)),
        ProxyTypeReference("sudp", "relaykit.proxies.sudp", commands=("secret --udp", "visit --udp")),
        ProxyTypeReference("udp", "relaykit.proxies.udp", commands=("udp",)),
        ProxyTypeReference("stcp", "relaykit.proxies.stcp", commands=("secret", "visit")),
    ]
)
TOKEN = Secret("a token")


class OddOptions(Options, frozen=True, kw_only=True):
    """Options of every kind."""

    domains: Annotated[tuple[str, ...], doc("Names that lead here.")] = ()
    strict: Annotated[bool, doc("Whether to be strict.")] = False
    labels: Annotated[dict[str, str], doc("Labels.")] = {}
    pass_word: Annotated[Secret, doc("What users must know.")] = Secret("")
    inner: TcpOptions = TcpOptions()


@implementer(IOneLineProxyType)
@frozen
class Odd:
    """A type with a form, and no halves."""

    name = "odd"
    summary = "odd"
    proxy_options: ClassVar[type[Options]] = OddOptions
    ingress_options = Options
    one_lines = (OneLine(command="odd", summary="Be odd", flags={"domains": "domain"}),)

    def make_ingress(self, options: Any, host: Any) -> Any:
        """There is none."""

    def make_backend(self, options: Any, host: Any) -> Any:
        """There is none."""


class GreetingOptions(Options, frozen=True, kw_only=True):
    """Options with a key of its own that is called as a key of every proxy is."""

    proxy_protocol: Annotated[str, doc("What is spoken before.")] = ""


@frozen
class Greeting(Odd):
    """A type with such options."""

    proxy_options = GreetingOptions


def called(tunnel: TunnelCommand, *words: str) -> dict[str, Any]:
    """The values of the flags that the words are."""
    return tunnel.command().make_context("relaykit", list(words)).params


def table(command: str, *words: str, token: Secret = TOKEN, **environ: str) -> dict[str, Any]:
    """What a command line stands for."""
    tunnel = find_tunnel(BUILT_IN, command)
    assert tunnel is not None
    return tunnel.table(called(tunnel, *words), environ, token)


def loaded(table: dict[str, Any]) -> LoadedClient:
    """The configuration that a table is."""
    return client_from_table(table, types=BUILT_IN, environ={})
