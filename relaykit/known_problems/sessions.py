"""What is wrong on the way to a server, and between it and its clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relaykit.known_problems.problem import KnownProblem

__all__ = ["SESSIONS"]

SESSIONS: Final[Mapping[str, KnownProblem]] = {
    "server-failed": KnownProblem(
        "The server failed",
        "Something in the server, or in a plugin of it, failed in a way that it should not.",
        "Look for the traceback in the log of the server, and report it as a defect.",
    ),
    "same-identity": KnownProblem(
        "Two clients have one identity",
        "Two running clients have one identity: the same client runs twice, or a state directory was "
        "copied to another machine.",
        "Stop one of the two, or give it a state directory of its own (--state-dir).",
        is_for_client=True,
    ),
    "already-online": KnownProblem(
        "The client is online already",
        "Another client is logged in under this client id or run id.",
        "Give each client a clientID of its own, or none.",
        is_for_client=True,
    ),
    "too-many-logins": KnownProblem(
        "Too many logins",
        "Many logins from this address prove nothing, or too many wait to be verified at the same time.",
        "Look for a client there with a wrong token, or for somebody who tries tokens.  Clients with the "
        "right one get in all the same.",
    ),
    "too-many-connections": KnownProblem(
        "Too many connections without a login",
        "Somebody connects to the server's port for clients over and over, and hardly ever logs in.",
        "Nothing, if users are served: these connections are dropped before they cost much.  If it lasts, "
        "keep the address out at the firewall.",
    ),
    "not-a-relay-server": KnownProblem(
        "No relay server answers there",
        "Something took the connection and ended it without an answer to the login.",
        "Look whether host and port are those of the relay server, and not of one of its proxies or of a "
        "web server.  With a real frps, transport.tcpMux must be the same at both ends.  Behind nginx or "
        "HAProxy, pass the connection on as plain TCP.",
    ),
    "not-a-client": KnownProblem(
        "No client of this server",
        "Something that is no client of relaykit or frp dialed the server's port, or a client with a "
        "transport that is not there; scanners of the internet do that all day.",
        "Nothing, if it is nobody of yours.  A client must use a transport.protocol that the server has, and "
        "dial the server's bindPort; users dial the ports of the proxies.",
    ),
    "websocket-refused": KnownProblem(
        "A connection over WebSocket is refused",
        "A client asked for a connection over WebSocket, and the server, or a proxy in front of it, did not "
        "take the request.",
        "The message says what was wrong with it.  transport.websocket.path must be the same at both ends "
        "and in between, and a proxy must pass the request on as one for WebSocket, with Upgrade and "
        "Connection.",
    ),
    "not-verified": KnownProblem(
        "The server's certificate is not verified",
        "By transport.websocket.verifyCertificate = false, TLS goes to whoever answers, and whoever gets in "
        "between reads and changes everything.",
        "Leave the key out; or name the authority of the certificate (transport.tls.trustedCaFile), or the "
        "certificate itself (transport.tls.serverFingerprint).",
        is_for_client=True,
    ),
    "connection-refused": KnownProblem(
        "Connection refused",
        "The machine answers, but nothing listens at this port.",
        "Start the server there; compare host and port with what the server says at its start; look "
        "whether a firewall rejects the port.",
    ),
    "no-answer": KnownProblem(
        "No answer, or connection timed out",
        "Nobody answered: the machine is off, or something on the way drops the packets.",
        "Open the port in the firewall of the server and of its provider; look whether the address is right.",
    ),
    "network-unreachable": KnownProblem(
        "No route leads to the network",
        "This machine knows no way to the network of this address: it has none of that version of IP, or "
        "none at all.",
        "Look whether this machine has a network, and whether the address is right.",
    ),
    "no-way": KnownProblem(
        "No way leads to the server",
        'Every carrier was tried (transport.protocol = "auto"), and each failed for the reason that the '
        "message has for it.",
        "Where it is the same reason for all, look at that.  A network that lets nothing out may have a "
        "forward proxy: transport.proxyURL.  For port 443, the server must be found there, too.",
        is_for_client=True,
    ),
    "way-fell-silent": KnownProblem(
        "A carrier fell silent on this network",
        "A session by this carrier died without a word, and another carrier reached the server at once: "
        "something on the way drops what belongs to the first, as some networks do with UDP.",
        "Nothing: on this network it is tried last from now on, at first for an hour.  To have it tried as "
        "before: relaykit forget SERVER.",
        is_for_client=True,
    ),
    "unknown-host": KnownProblem(
        "The server's name has no address",
        "The name of the server has no address.",
        "Correct the name, or look whether this machine can resolve names at all.",
    ),
    "proxy-login": KnownProblem(
        "The proxy on the way wants to know who asks",
        "The server is dialed through a forward proxy, which serves only whom it knows; it did not accept "
        "who asked, or was not told.",
        "Put user and password into transport.proxyURL, percent-encoded: http://user:password@host:port, or "
        "ntlm:// where it takes NTLM only.",
        is_for_client=True,
    ),
    "proxy-refused": KnownProblem(
        "The proxy on the way does not allow the connection",
        "The server is dialed through a forward proxy, whose rules do not let the client connect to this "
        "host or port; the message has what it said.",
        "Have the server listen on a port that the proxy allows, which is mostly 443, or ask who runs it.",
        is_for_client=True,
    ),
    "proxy-cannot-connect": KnownProblem(
        "The proxy on the way cannot reach the server",
        "The forward proxy would connect to the server, but cannot: it does not find the name, or nobody "
        "answers there.",
        "Look at serverAddr and serverPort, whether the server runs, and whether the proxy knows its name.",
    ),
    "proxy-unusable": KnownProblem(
        "The proxy on the way cannot be used",
        "The server is dialed through a forward proxy, which cannot be reached, did not answer, or is none "
        "of the kind that transport.proxyURL, or a variable of the environment, says.",
        'Correct scheme, host and port; where no proxy is wanted, write transport.proxyURL = "direct".',
        is_for_client=True,
    ),
    "no-ntlm": KnownProblem(
        "No library for NTLM",
        "The proxy on the way is to be asked by NTLM, and no library for that is installed.",
        "Install it: pip install 'relaykit[ntlm]'.",
        is_for_client=True,
    ),
    "cannot-connect": KnownProblem(
        "The connection cannot be made",
        "The connection could not be made, for the reason that the message ends with.",
        "Look whether this machine has a network, and whether host and port are right.",
    ),
    "connection-cut": KnownProblem(
        "The connection was cut",
        "The other end closed the connection in the middle.",
        "The log of the other end says why.",
    ),
}
