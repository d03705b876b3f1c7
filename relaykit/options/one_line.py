"""What a proxy type says of its commands: one line of a terminal that runs a proxy or a visitor."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import Factory, frozen

__all__ = ["OneLine"]


@frozen(kw_only=True)
class OneLine:
    """A command that runs one proxy, or one visitor, without a file: ``relaykit COMMAND WORD [flags]``.

    The word is the local service, or the proxy that is visited.  The flags come from the options that the
    entry of a file would have: a key of the type is a flag of the same name (``remotePort`` is
    ``--remote-port``), and one that holds a secret names a file (``secretKey`` is ``--secret-key-file``).
    Some keys of every proxy are flags, too, such as ``--bandwidth-limit``, where they mean something.

    :ivar command: what is typed after ``relaykit``.  With a flag after a blank, such as ``visit --udp``, it
        is what that flag makes of a command of another type.
    :ivar summary: one line for people.
    :ivar visits: whether it runs a visitor.
    :ivar flags: other names for flags, by the key: ``{"customDomains": "domain"}``.
    :ivar from_token: keys of secrets that, when they are not given, are made of the server's token and the
        proxy's name, so that whoever knows the token needs no second secret.
    :ivar scheme: of the address that users type into a browser, where by its type the service is for them.
    :ivar paths: the key of the beginnings of the paths that lead to such a service, if there is one.
    """

    command: str
    summary: str
    visits: bool = False
    flags: Mapping[str, str] = Factory(dict)
    from_token: tuple[str, ...] = ()
    scheme: str = ""
    paths: str = ""
