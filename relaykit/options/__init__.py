"""Options: how a class declares its configuration keys, their limits, and what of them travels.

Every table of a configuration file is a frozen subclass of :class:`Options`.  A field's
configuration key is its name in camel case (or ``msgspec.field(name=...)``).  What a proxy's
options send to the other end is declared at the field too::

    class KnockOptions(Options, frozen=True, kw_only=True):
        remote_port: Annotated[Port, wire("remote_port"), doc("Port on the server; 0 picks one.")] = 0
        open_seconds: Annotated[
            Seconds, extension("open_seconds"), doc("Seconds that a knock opens it for.")
        ] = 60
        greeting: Annotated[str, doc("A line that each user gets first.")] = ""

:func:`wire` names a field of frp's NewProxy message, so that real ``frps`` and ``frpc`` understand
it; :func:`extension` a field of relaykit's own part of that message, which only relaykit reads.  A
field with neither stays on its side.  :func:`file_key` gives a field a place at the top of the file, such
as the ``vhostHTTPPort`` of a type that has one port for all its proxies.  Every number has limits: those of
``Port``, ``Seconds`` and the like, or its own; what names a host is a ``Host``.  A ``Secret``
must be given and not be empty, unless :func:`secret` says otherwise.  That, and the limits that msgspec
knows, are checked at both ends.
"""

from relaykit.options.bandwidth import bandwidth_problem, is_no_limit, parse_bandwidth
from relaykit.options.entries import (
    HealthCheck,
    HttpHeader,
    LoadBalancer,
    ProxyCommon,
    ProxyTransport,
    VisitorCommon,
    VisitorTransport,
)
from relaykit.options.fields import (
    Bandwidth,
    Count,
    CountOrOff,
    Domains,
    Effect,
    FileUse,
    Host,
    HostAndPort,
    ListeningPort,
    ListeningPortOrOff,
    NamedFile,
    OptionField,
    Options,
    Port,
    PortOrOff,
    Problem,
    RemotePort,
    Seconds,
    SecondsOrOff,
    SecretRule,
    VisitorName,
    advanced,
    choice,
    doc,
    effect,
    extension,
    file,
    file_key,
    is_led_back,
    limits_of,
    listened_ports,
    named_visitors,
    option_fields,
    options_class,
    plain_type,
    secret,
    wire,
    with_files,
)
from relaykit.options.one_line import OneLine
from relaykit.options.secrets import secret_problems
from relaykit.options.travel import EXTENSION_KEY, convert, from_wire, to_wire

__all__ = [
    "EXTENSION_KEY",
    "Bandwidth",
    "Count",
    "CountOrOff",
    "Domains",
    "Effect",
    "FileUse",
    "HealthCheck",
    "Host",
    "HostAndPort",
    "HttpHeader",
    "ListeningPort",
    "ListeningPortOrOff",
    "LoadBalancer",
    "NamedFile",
    "OneLine",
    "OptionField",
    "Options",
    "Port",
    "PortOrOff",
    "Problem",
    "ProxyCommon",
    "ProxyTransport",
    "RemotePort",
    "Seconds",
    "SecondsOrOff",
    "SecretRule",
    "VisitorCommon",
    "VisitorName",
    "VisitorTransport",
    "advanced",
    "bandwidth_problem",
    "choice",
    "convert",
    "doc",
    "effect",
    "extension",
    "file",
    "file_key",
    "from_wire",
    "is_led_back",
    "is_no_limit",
    "limits_of",
    "listened_ports",
    "named_visitors",
    "option_fields",
    "options_class",
    "parse_bandwidth",
    "plain_type",
    "secret",
    "secret_problems",
    "to_wire",
    "wire",
    "with_files",
]
