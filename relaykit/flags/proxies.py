"""The flags by which one proxy is published from a command line, as data.

A flag's key is what it sets in a configuration.
"""

from __future__ import annotations

from collections.abc import Mapping

from relaykit.flags.flag_types import INTEGER, LIST, MAPPING, SECRET, TEXT
from relaykit.flags.grammar import Flag

__all__ = ["ANNOTATIONS", "CLIENT_ID", "METADATAS", "PROXY_NAME", "TOKEN", "TYPE_FLAGS", "USER"]

USER = Flag("user", TEXT, "prefix of the proxies' names", "", "user", short="u")
CLIENT_ID = Flag("client-id", TEXT, "name of this client", "", "clientID")
TOKEN = Flag("token", SECRET, "secret that the server asks for", "", "auth.token", short="t")

PROXY_NAME = Flag("proxy_name", TEXT, "name of the proxy", "", "name", short="n")
METADATAS = Flag("metadatas", MAPPING, "values for the server's plugins", {}, "metadatas")
ANNOTATIONS = Flag("annotations", MAPPING, "labels for people and programs", {}, "annotations")

_REMOTE_PORT = (Flag("remote_port", INTEGER, "port on the server", 0, "remotePort", short="r"),)
_DOMAINS = (
    Flag("custom_domain", LIST, "domains that users ask for", (), "customDomains", short="d"),
    Flag("sd", TEXT, "subdomain of the server's own domain", "", "subdomain"),
)
_CREDENTIALS = (
    Flag("http_user", TEXT, "user that HTTP clients must name", "", "httpUser"),
    Flag("http_pwd", SECRET, "password of that user", "", "httpPassword"),
)
_SECRET = (
    Flag("sk", SECRET, "secret key that visitors must know", "", "secretKey"),
    Flag("allow_users", LIST, "users whose visitors may come; * for all", (), "allowUsers"),
)

TYPE_FLAGS: Mapping[str, tuple[Flag, ...]] = {
    "tcp": _REMOTE_PORT,
    "udp": _REMOTE_PORT,
    "http": (
        *_DOMAINS,
        *_CREDENTIALS,
        Flag("locations", LIST, "prefixes of the paths that are served", (), "locations"),
        Flag("host_header_rewrite", TEXT, "Host header for the local service", "", "hostHeaderRewrite"),
    ),
    "https": _DOMAINS,
    "tcpmux": (
        *_DOMAINS,
        *_CREDENTIALS,
        Flag("mux", TEXT, "multiplexer: httpconnect", "", "multiplexer"),
    ),
    "stcp": _SECRET,
    "sudp": _SECRET,
    "xtcp": _SECRET,
}
"""What only proxies of a type have."""
