"""What is wrong with addresses behind NATs, and with direct paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relaykit.known_problems.problem import KnownProblem

__all__ = ["DIRECT"]

DIRECT: Final[Mapping[str, KnownProblem]] = {
    "stun-behind-nat": KnownProblem(
        "STUN behind a NAT",
        "Clients reach the server by an address that is not its own, as in most clouds, and its STUN "
        "service, which has to name a second place to ask, does not know it.",
        "Write the public address into stunPublicAddrs of the server's file.",
    ),
    "stun-second-port": KnownProblem(
        "The STUN service has one port only",
        "The server's STUN service could open only one port, and frpc's hole punching needs two.",
        "Free the port after it, or choose another one.",
    ),
    "stun-server": KnownProblem(
        "The STUN service cannot be started",
        "The server's own STUN service could not be started, for the reason given.",
        "Free its port, or choose another one; everything else goes on.",
    ),
    "nat-address": KnownProblem(
        "Not an address to ask",
        "The command frpc nathole discover was given an address that is none, or a name without one.",
        "Write host:port for the server, and ip:port or :port for the local address.",
    ),
    "nat-local-address": KnownProblem(
        "The local address cannot be used",
        "The local address that frpc nathole discover was given cannot be used.",
        "Name an address of this machine and a port that is free, or leave it out.",
    ),
    "no-such-visitor": KnownProblem(
        "The other visitor is not there",
        "A visitor's fallbackTo names one that the file does not have, that takes datagrams, or that hands "
        "its own users back.",
        "Name a visitor of the same file, such as one of type stcp to the same service.",
    ),
    "hole-punching": KnownProblem(
        "There is no direct path",
        "A direct path between two clients could not be had; the relay goes on serving.",
        "relaykit nat says what this network allows.",
    ),
    "no-quic": KnownProblem(
        "QUIC is not installed",
        "Streams over UDP were asked for, and no library for QUIC is installed beside relaykit.",
        "Install it at both ends: pip install 'relaykit[quic]'.",
    ),
    "no-rendezvous": KnownProblem(
        "The other end knows of no direct paths",
        "A visitor wanted a direct path, and the server or the proxy's client cannot take part: it is "
        "older, or frp's own, or speaks the older version of the wire.",
        "Nothing: everything goes through the relay.  For direct paths use relaykit at all three places.",
    ),
    "too-many-rendezvous": KnownProblem(
        "Too many direct paths are asked for",
        "Direct paths are asked for faster, or more of them at once, than the server or this client allows.",
        "Nothing: it is tried again later.  If it lasts, look for a visitor that asks all the time.",
    ),
    "hole-refused": KnownProblem(
        "A visitor of xtcp is refused",
        "A visitor of a proxy of type xtcp asked for a direct path and got none, for the reason given.",
        "Compare secretKey at both ends, allowUsers with the visitor's user, and serverName with the proxy's "
        "name; where it is about addresses, see whether both ends reach natHoleStunServer.",
    ),
    "hole-not-answered": KnownProblem(
        "The client of an xtcp proxy does not answer",
        "A visitor waits for a direct path, and the proxy's client did not say in time where it is seen.",
        "See whether that client reaches its natHoleStunServer: it asks that first, for up to six seconds.",
    ),
    "rendezvous-refused": KnownProblem(
        "A direct path is refused",
        "A visitor asked to meet a proxy's client directly and was not let in, for the reason given.",
        "Compare secretKey at both ends, and allowUsers with the visitor's user.",
    ),
    "server-knows-secret": KnownProblem(
        "The server is told a secret key",
        "A proxy that frp's programs may reach directly tells the server its secretKey, as frp does; so "
        "whoever runs the server can be the other end of a direct path, or stand in between.",
        "Nothing, if you trust the server.  Else use relaykit at all three places, with peers = relaykit at "
        "both ends.",
    ),
    "peer-unproven": KnownProblem(
        "The other end of a direct path is not proven",
        "The other end of a direct path did not show that it knows the secret, for this very session: the "
        "ends have different ones, or the server or somebody on the way stands between them.",
        "Compare secretKey at both ends, and the proxy's user and name with serverUser and serverName of the "
        "visitor.  If they are the same, do not trust the server or the network.",
    ),
    "rendezvous-failed": KnownProblem(
        "The attempt at a direct path failed",
        "A defect ended an attempt at a direct path; the relay goes on.",
        "Report it, with what the log says.",
    ),
}
