"""What is wrong with proxies and visitors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relaykit.known_problems.problem import KnownProblem

__all__ = ["PROXIES"]

PROXIES: Final[Mapping[str, KnownProblem]] = {
    "name-in-use": KnownProblem(
        "The proxy's name is in use",
        "Another client of this server has a proxy of this name, or this one is only just going.",
        "Choose another name (--name), or a user, which is put before all names of a client.  Nothing, if "
        "it was this client itself: it tries again.",
        is_for_client=True,
    ),
    "group-key": KnownProblem(
        "The key of a group is wrong",
        "Another proxy has opened this group with another groupKey (--group-key-file).",
        "Give all proxies of the group the same loadBalancer.groupKey, or this one another group.",
        is_for_client=True,
    ),
    "group-mismatch": KnownProblem(
        "A proxy does not fit into its group",
        "The proxies of a group share one exposure, and this one asks for another: a remotePort, or a "
        "loadBalancer.balance, other than that of those that are there.",
        "Give all proxies of the group the same values; only loadBalancer.balance may be left out.",
        is_for_client=True,
    ),
    "domain-in-use": KnownProblem(
        "The domain is in use by another proxy",
        "Another proxy of the server has one of these host names, for http with the same path and user; in a "
        "group all proxies have the same ones.",
        "Ask for another name in customDomains (--domain) or subdomain (--subdomain), or for other paths of "
        "it in locations (--location, of http); or give all proxies of the name the same loadBalancer.group "
        "(--group).",
        is_for_client=True,
    ),
    "domain-refused": KnownProblem(
        "The server does not give the domain",
        "A name in customDomains (--domain) is none, or is one below the server's subDomainHost, which "
        "subdomain (--subdomain) is for; or subdomain has a dot.",
        "Write one label in subdomain for a name below subDomainHost, and all others in customDomains.",
        is_for_client=True,
    ),
    "no-sub-domain-host": KnownProblem(
        "The server has no domain for subdomains",
        "A subdomain (--subdomain) is put before a domain of the server's own, and its configuration names "
        "none.",
        "Ask for a whole name in customDomains (--domain), or have subDomainHost put into the server's file; "
        "relaykit server --quick has --subdomain-host.",
        is_for_client=True,
    ),
    "no-vhost-port": KnownProblem(
        "The server has no port for the proxy type",
        "Proxies of this type share one port of the server, and its configuration names none.",
        "Have vhostHTTPPort (for http), vhostHTTPSPort (for https) or tcpmuxHTTPConnectPort (for tcpmux) put "
        "into the server's file; relaykit server --quick has --http-port and --https-port.  A tcp proxy, as "
        "by relaykit tcp with --web, needs none of them.",
        is_for_client=True,
    ),
    "unreadable-page": KnownProblem(
        "The page for unknown hosts cannot be read",
        "The server's file names a page for hosts that nobody has (custom404Page), and that file could not "
        "be read, for the reason given; users get the built-in page until it can be.",
        "Correct the path, or have the server's user allowed to read the file; no restart is needed.",
    ),
    "port-in-use": KnownProblem(
        "The port is in use by another proxy",
        "Another proxy of the server has this port.",
        "Ask for another remotePort (--remote-port), or for none: then the server picks one.",
        is_for_client=True,
    ),
    "port-not-allowed": KnownProblem(
        "The port is not allowed",
        "The server's configuration does not let this client have the port (allowPorts, maxPortsPerClient).",
        "Ask for a port that is allowed, or have the server's configuration changed.",
        is_for_client=True,
    ),
    "too-many-proxies": KnownProblem(
        "Too many proxies",
        "A server takes so many proxies, and of one client only a part of them (maxProxiesPerClient).",
        "Have maxProxiesPerClient raised in the server's configuration, or spread the proxies over clients.",
        is_for_client=True,
    ),
    "port-unavailable": KnownProblem(
        "The port cannot be opened at the server",
        "The server could not open the port, for the reason given; mostly another program has it, or, of UDP "
        "ports, the server's own STUN service.",
        "Ask for another remotePort (--remote-port), or for none: then the server picks one.  Or end the "
        "other program, or give the STUN service another stunPort.",
        is_for_client=True,
    ),
    "privileged-port": KnownProblem(
        "A port below 1024 cannot be opened",
        "Ports below 1024 take a right that the program does not have.",
        "In a systemd unit: AmbientCapabilities=CAP_NET_BIND_SERVICE; the unit that relaykit systemd prints "
        "has it where the configuration names such a port.  Or have systemd open a server's ports, by the "
        "socket unit that relaykit systemd sockets prints.  Elsewhere: setcap cap_net_bind_service=+ep for "
        "the Python that runs it, if nobody else runs that one.  Or choose a port from 1024 on.",
    ),
    "unknown-type": KnownProblem(
        "Unknown proxy type",
        "This proxy type is not installed, here or on the server.",
        "Correct the type, or install the package that has it on both machines; relaykit plugins lists "
        "what is there.",
        is_for_client=True,
    ),
    "broken-type": KnownProblem(
        "A proxy type cannot be used",
        "An installed package announces a proxy type that cannot be used.",
        "Update or uninstall the package that the message names.",
    ),
    "not-legacy": KnownProblem(
        "Not an INI file of frp's",
        "Only INI files of frp before version 0.52 need to be written anew: they have a section [common].",
        "Use the file as it is, or give --included if another INI file includes it.",
    ),
    "visit-secret": KnownProblem(
        "The visitor's secret key is another one",
        "The visitor's secret key is not that of the proxy.",
        "Give both the same secretKey.  With one-line commands: the same token and the same name, or the "
        "same --secret-key-file.",
        is_for_client=True,
    ),
    "visit-user": KnownProblem(
        "The visitor's user is not allowed",
        "The proxy does not let in visitors of this user.",
        "Add the user to allowUsers (--allow-users) of the proxy, or * for everybody who knows the key.",
        is_for_client=True,
    ),
    "visit-nobody": KnownProblem(
        "Nobody has the secret proxy",
        "No client that is logged in has a secret proxy of this name.",
        "Start the client that has it; compare the names; if that client has a user, name it with "
        "serverUser (--server-user).",
        is_for_client=True,
    ),
    "user-for-nothing": KnownProblem(
        "A user for a proxy that does not run",
        "A user came for a proxy that this client does not offer at the moment.",
        "Nothing: it happens when a proxy is being taken back.",
    ),
    "cannot-listen": KnownProblem(
        "A port cannot be opened here",
        "The port could not be opened, for the reason given.",
        "End the other program or choose another port; an address must be one of this machine.",
    ),
    "session-ended": KnownProblem(
        "The session ended",
        "The connection between client and server was lost, or one of them ended it.",
        "Nothing: the client connects again by itself.  If it happens often, look at the network, and at "
        "the other end's log for the same moment.",
    ),
    "broke-the-rules": KnownProblem(
        "The other end broke the rules of the protocol",
        "The other end sent something that its protocol does not allow here, or the two ends disagree "
        "about encryption or compression.",
        "Look whether token, secretKey, useEncryption and useCompression are the same at both ends, and "
        "what program is at the other end.  If both are relaykit or frp, report it as a defect.",
    ),
    "work-connections": KnownProblem(
        "A work connection cannot be had",
        "A connection that is to carry a user could not be had.  Right after a session ended this is normal.",
        "If it lasts: look whether the client can still reach the server, and whether a limit of open "
        "files or of a firewall is reached.",
    ),
    "no-work-connection": KnownProblem(
        "No work connection in time",
        "A user came to a proxy, and the client offered no connection in time; the user was let go.",
        "Look whether the client runs and can reach the server; a larger transport.poolCount helps where "
        "many users come at once.",
    ),
    "too-many-streams": KnownProblem(
        "Too many streams in one connection",
        "One connection between client and server carries as many flows as it can.",
        "Spread the users over several clients, or set transport.tcpMux = false.",
    ),
    "datagram-too-large": KnownProblem(
        "A datagram was too large",
        "The format of frp has room for datagrams of udpPacketSize, and for less where that is more than a "
        "message of its wire can have; larger ones are dropped, whole.",
        "Set the same larger udpPacketSize at both ends; above some 7,600 bytes set "
        'transport.wireProtocol = "v2", too. Between two ends of relaykit every datagram has room.',
    ),
    "too-many-sources": KnownProblem(
        "Datagrams come from too many sources",
        "More users send datagrams than there is room for, or somebody forges their addresses.",
        "Nothing, if all users are served.  Else keep out at the firewall what nobody should send.",
    ),
    "signals": KnownProblem(
        "The other end takes no signals",
        "The other end does not know relaykit's signals: it is frp, or not connected.",
        "Use relaykit at both ends for this type of proxy.",
    ),
}
