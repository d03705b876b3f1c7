"""The table of known problems: what is behind a message, and what to do.

A message is not recognized by its words: the error or the log event that it comes from carries the id of
its problem (:func:`relaykit.errors.problem_of`).  The page of the documentation is made of this table, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

__all__ = ["KNOWN_PROBLEMS", "KnownProblem", "with_hint"]


@frozen
class KnownProblem:
    """One kind of problem.

    :ivar cause: what happened, in a sentence or two.
    :ivar remedy: what to do about it.
    :ivar is_for_client: whether that is done where the client runs, also if the server told of it.
    """

    title: str
    cause: str
    remedy: str
    is_for_client: bool = False


def with_hint(text: str, problem: str) -> str:
    """A message with what its problem means and what to do, each on a line of its own."""
    known = KNOWN_PROBLEMS.get(problem)
    return text if known is None else f"{text}\n  {known.cause}\n  {known.remedy}"


KNOWN_PROBLEMS: Mapping[str, KnownProblem] = {
    "local-service": KnownProblem(
        "The local service cannot be reached",
        "A user came, but the client could not connect to the local service; the user was let go.",
        "Start the service, or correct its address: localPort, localIP or local, or the word after the "
        "command.",
    ),
    "probe-failed": KnownProblem(
        "Users of a proxy would not be served",
        "The server looked whether users of a proxy are served, over the way that they take, and they would "
        "not be: the message says why.",
        "Where it names the local service, start that, or correct its address at the client; where the "
        "client has not answered, look whether its machine and its network are well.",
    ),
    "leads-back": KnownProblem(
        "The local service leads back to the proxy",
        "The user that came is this client's own connection to the local service: that is a port of the "
        "server which leads to this client, so that it would serve itself without end; it was let go.",
        "Write the address of the service itself: localPort, localIP or local, or the word after the "
        "command.",
    ),
    "user-not-announced": KnownProblem(
        "A user cannot be announced to the local service",
        "By transport.proxyProtocolVersion the local service gets a header with the user's address, and what "
        "the server sent in its place is no IP address; the user was let go.",
        "Look what the server is: no server of frp or relaykit sends that.",
    ),
    "health-check": KnownProblem(
        "A health check failed",
        "The local service of a proxy did not pass the checks that healthCheck asks for; until it does, the "
        "proxy is not registered, and no users come.",
        "Look whether the service runs and answers; if it does, look at healthCheck.path, its headers and "
        "healthCheck.timeoutSeconds.",
    ),
    "proxy-header": KnownProblem(
        "A load balancer sends no PROXY header",
        "The server's file has its address in proxyProtocol.trusted, and a connection or a datagram from "
        "there did not begin with a PROXY header that makes sense; it was closed, or dropped.",
        "Have the load balancer send the header (send-proxy-v2 of HAProxy, proxy_protocol of nginx, "
        "useProxyProtocol of dnsdist), of version 2 in front of each datagram, or take its address out of "
        "proxyProtocol.trusted.  Clients and users on that machine have to go through it.",
    ),
    "not-an-endpoint": KnownProblem(
        "Not an endpoint",
        "The local service is named by a text that Twisted cannot connect to.",
        "Write a port, host:port, or an endpoint string such as unix:/run/app.sock.",
    ),
    "other-certificate": KnownProblem(
        "Another certificate than expected",
        "Who answered has another certificate than the one that is expected: the server's was replaced, or "
        "somebody is in between.",
        "Ask whoever runs the server for the fingerprint, which it logs at its start; only if it is the "
        "new one, pin that.",
    ),
    "fingerprint": KnownProblem(
        "Not a fingerprint",
        "A fingerprint is the SHA-256 of the server's certificate.",
        'Copy it from the line "certificate fingerprint" of the server\'s log: sha256: and 64 hexadecimal '
        "digits.",
    ),
    "server-name": KnownProblem(
        "The server's name cannot be one",
        "What is given as the server's name cannot be the name of a host.",
        "Write the name alone in transport.tls.serverName or serverAddr: no port, scheme or blank.",
    ),
    "certificate-name": KnownProblem(
        "The certificate is for another name",
        "The certificate is valid, but for another name than the one that the client asked for.",
        "Set transport.tls.serverName to a name in the certificate, or serverAddr to that name.",
    ),
    "certificate-without-names": KnownProblem(
        "The certificate is for nobody",
        "The server's certificate has no subjectAltName.  The name in its subject (CN) has not counted for "
        "years, so that whoever verifies names cannot accept it, whatever name is expected.",
        "Have the certificate made with one, such as by openssl req -addext subjectAltName=DNS:HOST, or have "
        "clients pin it with transport.tls.serverFingerprint in place of trustedCaFile.",
    ),
    "tls-files": KnownProblem(
        "A file of a certificate, a key or a CA cannot be used",
        "A file that transport.tls or vhostHTTPSCertificates names is not there, or does not hold what it "
        "should; at its start the program ends then, and later it goes on with what it read before.",
        "Give PEM files that the program's user may read: the certificate chain with the own certificate "
        "first, its private key without a password, the authorities' certificates; a certificate for sites "
        "needs host names in its subjectAltName.  Files that are corrected are taken without a restart.",
    ),
    "weak-certificate": KnownProblem(
        "A certificate is too weak",
        "OpenSSL on this system does not use certificates whose keys or digests can be broken.",
        "Make a new key, RSA with 2048 bits or ECDSA, and have a certificate made for it with SHA-256.",
    ),
    "certificate-time": KnownProblem(
        "A certificate has expired, or will soon",
        "A certificate in transport.tls or vhostHTTPSCertificates has expired, or is about to; nobody who "
        "verifies it accepts one outside its time.",
        "Have it renewed, and look why whatever should do that has not; new files are taken without a "
        "restart.  If the time is wrong, correct this machine's clock.",
    ),
    "certificate-not-yet": KnownProblem(
        "A certificate is not valid yet",
        "A certificate in transport.tls begins to be valid later than now, or the clock of this machine is "
        "behind.",
        "Correct the clock; a client tries again by itself until the time has come.",
    ),
    "open-state": KnownProblem(
        "Others can use the state directory",
        "The modes of the state directory, or of a file in it, let other users of this machine read or "
        "replace the keys that are kept there.",
        "Take their access away, as the message says; if others use the machine, remove the files, so that "
        "new keys are made.",
    ),
    "open-key-file": KnownProblem(
        "A private key can be read by everybody",
        "The mode of a file with a private key lets every user of the machine have the key, and with it "
        "take the server's place.",
        "Take their access away (chmod o= FILE), and make a new key if others use the machine.",
    ),
    "tls-failed": KnownProblem(
        "TLS failed",
        "The two ends could not agree on TLS, or one of them did not accept the other's certificate.",
        "Use TLS at both ends or at neither (transport.tls.enable); look whether another program listens "
        "at the port; with trustedCaFile, look whether the certificate comes from that authority and is "
        "valid today.",
    ),
    "tls-only": KnownProblem(
        "The server takes clients with TLS only",
        "The server takes clients with TLS only, and this one came without.",
        "Set transport.tls.enable = true at the client.",
        is_for_client=True,
    ),
    "bound-login": KnownProblem(
        "The login cannot be bound to its TLS session",
        "The two tokens differ, or somebody ends TLS in between, or one end cannot bind logins.",
        "Compare the tokens.  If they are the same and the server was replaced: relaykit forget HOST.  If it "
        "was not, somebody is in between: do not go on from this network.",
        is_for_client=True,
    ),
    "server-not-proved": KnownProblem(
        "The server did not prove itself",
        "TLS alone does not tell the server from who answers in its place, and the login was not bound: the "
        'server is of frp, or has no token, or one end has auth.bound = "off", or somebody in between hid '
        "that it can be.",
        "Pin the fingerprint that the server logs at its start (transport.tls.serverFingerprint, "
        "--fingerprint), or verify its certificate (transport.tls.trustedCaFile).  Where both ends are "
        'relaykit, set auth.bound = "require" at both.',
    ),
    "client-not-bound": KnownProblem(
        "A client's login is not bound",
        "The login proves the token by frp's digest, which who saw it can use again: the client is of frp, "
        'or came without TLS 1.3, or one end has auth.bound = "off", or somebody is in between.',
        'Where no client of frp takes part, set auth.bound = "require".  Have clients of frp verify the '
        "server's certificate (transport.tls.trustedCaFile).",
    ),
    "named-only": KnownProblem(
        "Only a run id tells a client's connections",
        "Without mux each work connection of a client of frp comes by itself and says whose it is.  Who has "
        "learned another client's run id, which logs and connections without TLS show, gets its users.",
        'Set auth.additionalScopes = ["NewWorkConns"] at both ends, or transport.tcpMux = true.',
    ),
    "new-certificate": KnownProblem(
        "The server has another certificate than before",
        "The server proved by the token that it is the right one, and showed another certificate than the "
        "last time.",
        "Nothing, if its certificate was renewed or its state directory is new.  If not, somebody else has "
        "the token: make another one.",
    ),
    "secret-on-the-line": KnownProblem(
        "A secret is on the command line",
        "A token, a key or a password was given as a flag, as frp's programs take it; every user of the "
        "machine can read it in the list of processes.",
        "Put it into a configuration file that only its owner may read, or use --token-file with relaykit "
        "server and relaykit client.",
    ),
    "no-secret": KnownProblem(
        "A secret is missing, empty or blank",
        "A token, a secret key or a password has to be there, and is not.",
        'Make one with relaykit token.  For a server without a token write auth.token = "" into its file.',
    ),
    "wrong-token": KnownProblem(
        "The token is another one",
        "The server did not accept the login, most likely because the client's token is another one.",
        "Give both ends the same token; white space around it does not count.  The log of the server says "
        "more.",
        is_for_client=True,
    ),
    "no-credential": KnownProblem(
        "What proves who a client is cannot be had, or be verified",
        "A service that the login depends on, an issuer of access tokens or a hook of the server, does not "
        "answer or has failed.",
        "Look whether that service runs and can be reached; the client tries again by itself.",
    ),
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
    "no-token-set": KnownProblem(
        "The server has no token",
        "The server has no token, so whoever reaches it may publish services on it.",
        "Make a token with relaykit token, and give it to the server and to its clients.",
    ),
    "web-password": KnownProblem(
        "Somebody does not know the password of the web server",
        "Somebody asked the web server for something with a wrong user or password.",
        "If that was you, give webServer.user and webServer.password as the file has them.  If it happens "
        "again and again somebody is guessing: ban the host, or let the web server listen on 127.0.0.1 only.",
    ),
    "weak-token": KnownProblem(
        "The token is weak",
        "The token is so short or so regular that a program can find it out by guessing.",
        "Make a strong one with relaykit token, and give it to the server and to its clients.",
    ),
    "no-token-given": KnownProblem(
        "No token, or no secret key, is given",
        "A one-line command needs the server's token, and a secret service a key.",
        "Put the token into a file (--token-file FILE) or into the environment variable RELAYKIT_TOKEN.  "
        "With --remember it is kept for the next time.",
    ),
    "no-server-named": KnownProblem(
        "No server is named",
        "A one-line command, and relaykit nat, need to know whom to ask.",
        "Give --server HOST or --server HOST:PORT; with --remember it is kept for the next time.",
    ),
    "no-file-given": KnownProblem(
        "No configuration file is given",
        "The program was started without a file, or with a file and --quick.",
        "Give the file with -c FILE, or start a server without one: relaykit server --quick.",
    ),
    "passed-socket": KnownProblem(
        "A passed socket cannot be used",
        "The process was started with a descriptor that is no listening TCP socket and no UDP socket.",
        "In the socket unit, have ListenStream= and ListenDatagram= with ports only, and no Accept=yes.",
    ),
    "systemd-unit": KnownProblem(
        "The systemd unit needs something else",
        "The unit that was printed will not do everything as it is.",
        "Write the configuration file, or install relaykit outside of home directories; then print it again.",
    ),
    "nothing-remembered": KnownProblem(
        "Nothing is remembered",
        "The state directory knows nothing of this server.",
        "Name it as on the command line that remembered it; name the folder with --state-dir.",
    ),
    "demo": KnownProblem(
        "The demonstration failed",
        "The demonstration did not come to its end on this machine.",
        "Look whether a firewall or a proxy stands between programs of this machine, and report it if not.",
    ),
    "laboratory": KnownProblem(
        "There can be no laboratory",
        "relaykit demo --nat makes homes and routers of network namespaces, and something that it takes for "
        "that is missing on this machine, or does not work.",
        "Run it as root on a machine with Linux, ip (iproute2), nft (nftables) and setpriv (util-linux).",
    ),
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
    "too-many-files": KnownProblem(
        "Too many open files",
        "The process has as many files and connections open as the system allows it.",
        "Raise the limit: LimitNOFILE= in a systemd unit, ulimit -n in a shell.",
    ),
    "file-not-found": KnownProblem(
        "A file is not there",
        "A file that the configuration names is not there; relative paths are those of the folder that the "
        "program was started in.",
        "Correct the path, or make it absolute.",
    ),
    "file-permission": KnownProblem(
        "A file may not be read",
        "The program may not read a file that it needs.",
        "Let the user that the program runs as read it; in a systemd unit, hand secrets over with "
        "LoadCredential=.",
    ),
    "token-file": KnownProblem(
        "The file of a secret cannot be used",
        "The file with the token, or with another secret, cannot be used.",
        "Make it with relaykit token > FILE, and give the path.",
    ),
    "store-file": KnownProblem(
        "The store cannot be written",
        "A proxy or visitor was to be kept, changed or deleted while the client runs, and the file of the "
        "store (store.path) could not be replaced: what is kept, and what runs, is as it was.",
        "Make room on the disk, or have store.path be in a folder that the user of the program may write to, "
        "and try again.",
        is_for_client=True,
    ),
    "state-directory": KnownProblem(
        "The state directory cannot be used",
        "What is kept from one start to the next cannot be kept or read: there is no folder for it, or it "
        "is not writable, full or damaged.",
        "Name a folder of its own with --state-dir, writable for the user that the program runs as.",
    ),
    "history-file": KnownProblem(
        "The history of traffic cannot be kept",
        "What was moved is written into a file of the state directory each minute, which is damaged, or "
        "cannot be written; users are served all the same, and the minutes are missing in the history.",
        "Make room, or let the user that the program runs as write there; what is damaged was renamed, and "
        "can be removed.  keepHistory = false keeps no history.",
    ),
    "output": KnownProblem(
        "The output cannot be written",
        "What the program prints goes to a file, and there is no room for it, or its disk failed.",
        "Make room, or send the output elsewhere.",
    ),
    "log-full": KnownProblem(
        "The log cannot be written",
        "There was no room for the log, or its disk failed; the program went on without it.",
        "Make room.  log.maxDays says how long old logs are kept.",
    ),
    "configuration-warning": KnownProblem(
        "Something in a configuration is odd",
        "A configuration was read again that can be used, and has something in it that is hardly meant.",
        "Look at what the line says; relaykit verify says it as well.",
    ),
    "control-socket": KnownProblem(
        "A control socket cannot be opened",
        "A program opens a socket for relaykit status, reload and stop in its runtime or state directory, "
        "and could not; all else works.",
        "Look whether another program runs with the same file, and whether the user of this one can write "
        "to the folder; --state-dir names another one.",
    ),
    "not-running": KnownProblem(
        "No program is found to ask",
        "relaykit status, reload and stop find a program that runs by its control socket, which is in the "
        "runtime directory or the state directory of its user, under a name for its configuration file.",
        "Run the command as the user that the program runs as, name the file that it was started with, and "
        "give --state-dir where it was given there.",
    ),
    "reload-refused": KnownProblem(
        "A configuration that was read again cannot be used",
        "A program that runs was asked to read its configuration again, which cannot be used, or not now: "
        "nothing has changed, and its users are served as before.",
        "Correct what the lines before say, look with relaykit verify, and ask it again.",
    ),
    "needs-restart": KnownProblem(
        "Keys that count after a restart",
        "A configuration was read again while the program runs, and some of what is different in it cannot "
        "be changed while it does; all else counts.",
        "Restart the program when its users can do without it.",
    ),
    "access-log": KnownProblem(
        "The access log has gaps",
        "The lines about users' connections cannot be written, or not as fast as users come; they are served "
        "all the same.",
        "Make room, correct log.access or the permissions of its folder, or have it on a faster disk.",
    ),
    "log-file": KnownProblem(
        "The log file cannot be opened",
        "The log file cannot be opened: at the start the log then goes to the console, and later on "
        "into the former file, wherever that was moved.",
        "Correct log.to, or the permissions of its folder.",
    ),
    "visit-refused": KnownProblem(
        "A visit is refused",
        "A user of a visitor's port could not be brought to the secret service, for the reason given.",
        "Look at the log of the server for its reason.",
        is_for_client=True,
    ),
    "start-error": KnownProblem(
        "A proxy or visitor does not start",
        "The server did not open this proxy, or the visitor's port could not be opened; it is tried again.",
        "Correct the entry as the message says; the server's log may say more.",
        is_for_client=True,
    ),
    "stopped-late": KnownProblem(
        "Stopping took too long",
        "The program was told to stop, and a peer or a user did not let go in time; the program ended.",
        "Nothing: it happens where a network is dead.",
    ),
    "cannot-start": KnownProblem(
        "The program cannot start",
        "The program, or a proxy or visitor of it, cannot do what it was started for, for the reason given.",
        "Look the reason up on this page.",
    ),
    "no-session": KnownProblem(
        "The client is not logged in",
        "The client is not let in, or cannot reach its server, for the reason that the message ends with.",
        "Look at the server's log for the same moment.",
    ),
    "connection-refused-here": KnownProblem(
        "A connection is refused",
        "The server did not understand a connection, and closed it.",
        "Nothing, if it is nobody of yours: scanners of the internet do that all day.",
    ),
    "open-file": KnownProblem(
        "A file cannot be opened",
        "A file that the configuration names cannot be opened.",
        "Correct the path or the file.",
    ),
}
"""The known problems by id."""
