"""What is wrong with options that single values cannot tell: rules of frp, permissions.

The functions take complete options (see :mod:`relaykit.config.rules.completing`), from a file or from a
command line alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from relaykit.config.problems import Findings
from relaykit.config.schema import ClientConfig, ClientTls, HttpPlugin, ServerConfig, ServerTls
from relaykit.config.schema.addresses import endpoint_problem, host_and_port_problem, is_loopback
from relaykit.config.schema.auth import Auth, TokenSource
from relaykit.config.schema.sections import WebServerConfig, choice_problems
from relaykit.errors import BrokenCarrier
from relaykit.escaping import masked_endpoint, told
from relaykit.options import (
    HealthCheck,
    Options,
    Problem,
    ProxyCommon,
    VisitorCommon,
    bandwidth_problem,
    is_no_limit,
    option_fields,
    secret_problems,
)
from relaykit.plugins import Carriers
from relaykit.sansio.parsers.proxy_protocol import VERSIONS
from relaykit.sansio.wire.messages import MOST_NAME
from relaykit.values import NO_SECRET, Secret

__all__ = [
    "TOKEN_SOURCE_EXEC",
    "check_client",
    "check_proxy",
    "check_server",
    "check_visitor",
    "nested_problems",
    "value_problems",
]

TOKEN_SOURCE_EXEC = "TokenSourceExec"
"""The feature that a token from a command needs: ``--allow-unsafe TokenSourceExec``."""

_DEFAULT_OF_FRP = Secret("admin")
"""Of the web server's user and password, by frp's flags."""

_VIRTUAL_NET = "VirtualNet"
_FEATURE_GATES = (_VIRTUAL_NET,)
"""Those that frp knows.  None changes anything by itself."""

_LIMITING_ENDS = ("client", "server")
_HEALTH_CHECKS = ("tcp", "http")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Source: RFC 9110 section 5.6.2."""


def nested_problems(options: Options) -> Iterator[Problem]:
    """The problems of options and of all options inside them, secrets included, by key from the outermost."""
    yield from _nested_problems(options, "")
    yield from secret_problems(options)


def _nested_problems(options: Options, prefix: str) -> Iterator[Problem]:
    for problem in options.problems():
        yield Problem((prefix + problem.key).removesuffix("."), problem.reason)
    for each in option_fields(type(options)):
        value, key = getattr(options, each.name), each.file_key or each.key
        if isinstance(value, Options):
            yield from _nested_problems(value, f"{prefix}{key}.")
        elif isinstance(value, tuple):
            for position, item in enumerate(value):
                if isinstance(item, Options):
                    yield from _nested_problems(item, f"{prefix}{key}[{position}].")


def check_server(
    config: ServerConfig, allow_unsafe: Collection[str] = (), *, token_given: bool = False
) -> Findings:
    """Everything that is wrong or worth a warning in a server's configuration.

    ``token_given`` says that the token comes from elsewhere.
    """
    found = Findings()
    found.add(each for each in nested_problems(config) if not (token_given and each.key == "auth.token"))
    found.add(_unsafe_problems("auth.tokenSource", config.auth.token_source, allow_unsafe))
    if not token_given:
        found.add(_unbindable(config.auth))
        if config.auth.token is not NO_SECRET and not config.auth.token:
            found.warn((Problem("auth.token", "is empty: whoever reaches the port may log in"),))
    found.warn(_half_pairs(config.transport.tls))
    found.warn(_known_passwords(config.web_server))
    found.warn(_idle_profiling(config.web_server))
    found.add(_port_problems(config))
    found.warn(_idle_plugins(config.http_plugins))
    found.warn(
        _idle_limits(
            {
                "bandwidth.perClient": config.bandwidth.per_client,
                "bandwidth.perUser": config.bandwidth.per_user,
            }
        )
    )
    return found


def check_client(
    config: ClientConfig,
    allow_unsafe: Collection[str] = (),
    *,
    token_given: bool = False,
) -> Findings:
    """Everything that is wrong or worth a warning in a client's configuration, proxies left out.

    ``token_given`` as for :func:`check_server`.
    """
    found = Findings()
    found.add(nested_problems(config))
    found.add(_too_long({"user": config.user, "clientID": config.client_id}))
    found.add(_unsafe_problems("auth.tokenSource", config.auth.token_source, allow_unsafe))
    found.add(_unsafe_problems("auth.oidc.tokenSource", config.auth.oidc.token_source, allow_unsafe))
    if not token_given:
        found.add(_unbindable(config.auth))
    found.add(_unknown_gates(config.feature_gates))
    found.add(_closed_gates(config))
    found.add(_protocol_problems(config.transport.protocol))
    found.warn(_idle_tls_keys(config))
    found.warn(_half_pairs(config.transport.tls))
    found.warn(_known_passwords(config.web_server))
    found.warn(_idle_profiling(config.web_server))
    return found


def _idle_plugins(plugins: Sequence[HttpPlugin]) -> Iterator[Problem]:
    """Plugins that are asked about nothing."""
    for position, each in enumerate(plugins):
        if not each.ops:
            yield Problem(f"httpPlugins[{position}].ops", "is empty: the plugin is asked about nothing")


def _known_passwords(config: WebServerConfig) -> Iterator[Problem]:
    """A password that everybody tries first, where others reach the web server."""
    if config.port and config.password == _DEFAULT_OF_FRP and not is_loopback(config.addr):
        yield Problem("webServer.password", "is the default of frp, which everybody knows: give one of yours")


def _idle_profiling(config: WebServerConfig) -> Iterator[Problem]:
    """Pages of the runtime of Go, which is not there."""
    if config.pprof_enable:
        yield Problem(
            "webServer.pprofEnable",
            "has no effect: py-spy shows what a running program of Python spends its time with",
        )


def _unknown_gates(gates: Iterable[str]) -> Iterator[Problem]:
    for name in gates:
        if name not in _FEATURE_GATES:
            known = ", ".join(_FEATURE_GATES)
            yield Problem("featureGates", f"unrecognized feature gate: {told(name)} (there is {known})")


def _closed_gates(config: ClientConfig) -> Iterator[Problem]:
    """What needs a gate that is not open."""
    if config.virtual_net.address and not config.feature_gates.get(_VIRTUAL_NET):
        yield Problem(
            "virtualNet.address",
            "VirtualNet feature is not enabled: the file needs featureGates = { VirtualNet = true }",
        )


def _protocol_problems(protocol: str) -> Iterator[Problem]:
    """Why a client's carrier cannot be used on this machine."""
    carriers = Carriers.installed()
    if protocol in carriers:
        reason = _lacks(carriers, protocol)
        if reason:
            yield Problem("transport.protocol", f"{protocol} {reason}")


def _port_problems(config: ServerConfig) -> Iterator[Problem]:
    """Why the carriers that have ports of their own cannot be used as a server's file wants it."""
    carriers = Carriers.installed()
    for reference in carriers:
        if not getattr(config, f"{reference.name}_bind_port", 0):
            continue
        key = f"{reference.name}BindPort"
        if reason := _lacks(carriers, reference.name):
            yield Problem(key, f"{reference.name} {reason}")
        elif config.transport.tls.trusted_ca_file and carriers.get(reference.name).capabilities.encryption:
            yield Problem(
                key, "clients show no certificates there, which transport.tls.trustedCaFile demands of all"
            )


def _lacks(carriers: Carriers, name: str) -> str:
    try:
        lacks: str = carriers.get(name).lacks()
    except BrokenCarrier as error:
        return str(error)
    return lacks


def check_proxy(
    common: ProxyCommon,
    options: Options,
    *,
    user: str = "",
    has_plugin: bool = False,
    is_groupable: bool = True,
    takes_datagrams: bool = False,
) -> Findings:
    """Everything that is wrong or worth a warning in one proxy.

    The server knows the proxy by the name of the client's ``user`` and its own.  A plugin stands for the
    local service.  ``is_groupable`` says whether the type has groups, and ``takes_datagrams`` whether it
    leads to a service that takes datagrams.
    """
    found = Findings()
    found.add(_proxy_problems(common, has_plugin, takes_datagrams))
    found.add(_too_long({"name": common.name}, user))
    found.add(each for each in secret_problems(common) if is_groupable or each.key != "loadBalancer.groupKey")
    found.add(nested_problems(options))
    if not has_plugin and not common.local and common.local_port == 0:
        found.warn((Problem("localPort", "is 0: there is no local service to connect to"),))
    found.warn(_idle_checks(common, has_plugin))
    found.warn(_idle_group_keys(common, is_groupable))
    if takes_datagrams:
        found.warn(_limits_of_datagrams(common))
    found.warn(_idle_limits({"transport.bandwidthLimit": common.transport.bandwidth_limit}))
    return found


def check_visitor(
    common: VisitorCommon, options: Options, *, has_plugin: bool = False, takes_datagrams: bool = False
) -> Findings:
    """Everything that is wrong or worth a warning in one visitor; the arguments are as with a proxy."""
    found = Findings()
    for key, value in (("name", common.name), ("serverName", common.server_name)):
        if not value:
            found.add((Problem(key, "must be given"),))
    found.add(_too_long({"name": common.name}))
    found.add(_too_long({"serverName": common.server_name}, common.server_user))
    if common.bind_port == 0:
        found.add((Problem("bindPort", "must be given; -1 opens no port"),))
    found.add(_standing_problems(common, has_plugin, takes_datagrams))
    found.add(nested_problems(options))
    return found


def _standing_problems(common: VisitorCommon, has_plugin: bool, takes_datagrams: bool) -> Iterator[Problem]:
    """Why a local service cannot be connected to what a visitor visits."""
    key = "local" if common.local else "plugin"
    if common.local and has_plugin:
        yield Problem(key, "cannot be given together with plugin")
    elif common.local and (reason := endpoint_problem(common.local)):
        yield Problem(key, f'"{masked_endpoint(common.local)}" is not an endpoint: {reason}')
    elif (common.local or has_plugin) and (takes_datagrams or _leads_to_datagrams(common.local)):
        kind = f"visitors of type {common.type}" if takes_datagrams else "udp: services"
        yield Problem(key, f"{kind} take datagrams, and what is connected here are streams")


def _too_long(names: Mapping[str, str], user: str = "") -> Iterator[Problem]:
    """Names, by key, that do not fit into a message; a ``user`` is put before them, with a dot."""
    before = f"{user}." if user else ""
    for key, name in names.items():
        if len(before + name) > MOST_NAME:
            yield Problem(
                key, f"has {len(name)} characters, {max(0, MOST_NAME - len(before))} fit into a message"
            )


def _proxy_problems(common: ProxyCommon, has_plugin: bool, takes_datagrams: bool) -> Iterator[Problem]:
    transport = common.transport
    if not common.name:
        yield Problem("name", "must be given")
    yield from common.problems()
    if transport.proxy_protocol_version:
        yield from choice_problems(
            "transport.proxyProtocolVersion", transport.proxy_protocol_version, VERSIONS
        )
    yield from choice_problems("transport.bandwidthLimitMode", transport.bandwidth_limit_mode, _LIMITING_ENDS)
    yield from _local_problems(common, has_plugin, takes_datagrams)
    if common.health_check.type:
        yield from _health_check_problems(common)


def _health_check_problems(common: ProxyCommon) -> Iterator[Problem]:
    health = common.health_check
    yield from choice_problems("healthCheck.type", health.type, _HEALTH_CHECKS)
    if _leads_to_datagrams(common.local):
        yield Problem("healthCheck.type", "a service that takes datagrams cannot be checked")
    if health.type != "http":
        return
    if not health.path:
        yield Problem("healthCheck.path", "must be given for a check of type http")
    for position, header in enumerate(health.http_headers):
        key = f"healthCheck.httpHeaders[{position}]"
        if not _HEADER_NAME.fullmatch(header.name):
            yield Problem(f"{key}.name", f'"{header.name}" is not the name of a header')
        elif not header.value.isprintable():
            yield Problem(f"{key}.value", "must be one line of printable characters")
        elif header.name.lower() == "host" and (reason := host_and_port_problem(header.value)):
            yield Problem(f"{key}.value", reason)


def _idle_checks(common: ProxyCommon, has_plugin: bool) -> Iterator[Problem]:
    """What a health check is given for nothing."""
    health = common.health_check
    if not health.type:
        if health != HealthCheck():
            yield Problem("healthCheck.type", "is empty: nothing is checked")
    elif not common.is_checked and not has_plugin:
        yield Problem("healthCheck.type", "there is no local service to check: localPort is 0")


def _idle_group_keys(common: ProxyCommon, is_groupable: bool) -> Iterator[Problem]:
    """What a load balancer is given for nothing."""
    balancer = common.load_balancer
    if balancer.group:
        if not is_groupable:
            reason = f"has no effect: proxies of type {common.type} cannot be grouped"
            yield Problem("loadBalancer.group", reason)
        return
    for key, value in (("groupKey", balancer.group_key), ("balance", balancer.balance)):
        if value:
            yield Problem(f"loadBalancer.{key}", "has no effect without loadBalancer.group")


def _limits_of_datagrams(common: ProxyCommon) -> Iterator[Problem]:
    """What does less than it says where the local service takes datagrams."""
    if common.is_checked:
        reason = "connects by TCP, and datagrams go to the UDP port of that number"
        yield Problem("healthCheck.type", reason)
    if common.transport.proxy_protocol_version == "v1":
        reason = "v1 cannot name users of datagrams, who are announced as UNKNOWN: use v2"
        yield Problem("transport.proxyProtocolVersion", reason)


def _leads_to_datagrams(endpoint: str) -> bool:
    return endpoint.lower().startswith("udp:")


def _local_problems(common: ProxyCommon, has_plugin: bool, takes_datagrams: bool) -> Iterator[Problem]:
    if not common.local:
        return
    if common.local_port or has_plugin:
        yield Problem("local", "cannot be given together with localPort or plugin")
    if reason := endpoint_problem(common.local):
        yield Problem("local", f'"{masked_endpoint(common.local)}" is not an endpoint: {reason}')
    elif takes_datagrams != _leads_to_datagrams(common.local):
        service = "udp:127.0.0.1:53, for datagrams" if takes_datagrams else "tcp:127.0.0.1:22, for streams"
        reason = f"proxies of type {common.type} need such as {service}"
        yield Problem("local", f'"{masked_endpoint(common.local)}" is of the wrong kind: {reason}')


def value_problems(common: ProxyCommon) -> Iterator[Problem]:
    """What is wrong with texts of a proxy that stand for something else, whether it is started or not."""
    if reason := bandwidth_problem(common.transport.bandwidth_limit):
        yield Problem("transport.bandwidthLimit", reason)


def _idle_limits(limits: Mapping[str, str]) -> Iterator[Problem]:
    """Limits of bandwidth, by key, that limit nothing."""
    for key, text in limits.items():
        if is_no_limit(text):
            yield Problem(key, f'is "{text}", which is no limit: leave it out, or give such as 512KB')


def _has_no_token(auth: Auth) -> bool:
    return not auth.token and auth.token_source is None


def _unbindable(auth: Auth) -> Iterator[Problem]:
    if auth.bound == "require" and _has_no_token(auth):
        yield Problem("auth.bound", 'is "require", which needs a token: auth.token or auth.tokenSource')


def _unsafe_problems(key: str, source: TokenSource | None, allowed: Collection[str]) -> Iterator[Problem]:
    if source is not None and source.type == "exec" and TOKEN_SOURCE_EXEC not in allowed:
        yield Problem(
            f"{key}.type", f"a token from a command needs permission: --allow-unsafe {TOKEN_SOURCE_EXEC}"
        )


def _idle_tls_keys(config: ClientConfig) -> Iterator[Problem]:
    tls = config.transport.tls
    if tls.enable:
        return
    for key, value in (
        ("certFile", tls.cert_file),
        ("keyFile", tls.key_file),
        ("trustedCaFile", tls.trusted_ca_file),
    ):
        if value:
            yield Problem(f"transport.tls.{key}", "has no effect while transport.tls.enable is false")


def _half_pairs(tls: ServerTls | ClientTls) -> Iterator[Problem]:
    """A certificate without its key, or the other way round, which frp takes for none."""
    for key, value, other, its_value in (
        ("certFile", tls.cert_file, "keyFile", tls.key_file),
        ("keyFile", tls.key_file, "certFile", tls.cert_file),
    ):
        if value and not its_value:
            yield Problem(f"transport.tls.{key}", f"has no effect without transport.tls.{other}")
