"""The table of troubles: every message that a user may see, what it means, and what to do.

The order counts: messages contain others (``start error: port already used``), so what is specific comes
before what it is wrapped in.
"""

from __future__ import annotations

from collections.abc import Sequence

from relaykit.commands.advice import Trouble

__all__ = ["TROUBLES"]

_LOCAL = (
    Trouble(
        anchor="local-service",
        says=("connect to local service [...] error:",),
        means="A user came, but the client could not connect to the local service; the user was let go.",
        remedy="Start the service, or correct its address: localPort, localIP or local, or the word after "
        "the command.",
    ),
    Trouble(
        anchor="not-an-endpoint",
        says=('"..." is not an endpoint:',),
        means="The local service is named by a text that Twisted cannot connect to.",
        remedy="Write a port, host:port, or an endpoint string such as unix:/run/app.sock.",
    ),
)

_REACHING = (
    Trouble(
        anchor="connection-refused",
        says=("cannot connect to ...: connection refused",),
        means="The machine answers, but nothing listens at this port.",
        remedy="Start the server there; compare host and port with what the server says at its start; "
        "look whether a firewall rejects the port.",
    ),
    Trouble(
        anchor="no-answer",
        says=("cannot connect to ...: no answer within", "cannot connect to ...: connection timed out"),
        means="Nobody answered: the machine is off, or something on the way drops the packets.",
        remedy="Open the port in the firewall of the server and of its provider; look whether the address "
        "is right.",
    ),
    Trouble(
        anchor="unknown-host",
        says=("cannot connect to ...: it has no address",),
        means="The name of the server has no address.",
        remedy="Correct the name, or look whether this machine can resolve names at all.",
    ),
    Trouble(
        anchor="cannot-connect",
        says=("cannot connect to ...",),
        means="The connection could not be made, for the reason that the message ends with.",
        remedy="Look whether this machine has a network, and whether host and port are right.",
    ),
    Trouble(
        anchor="connection-cut",
        says=("the relay cut the connection", "ended before it was understood"),
        means="The other end closed the connection in the middle.",
        remedy="The log of the other end says why.",
    ),
)

_TLS = (
    Trouble(
        anchor="other-certificate",
        says=("not the pinned one", "has another certificate than the server of this session"),
        means="Who answered has another certificate than the one that is expected: the server's was "
        "replaced, or somebody is in between.",
        remedy="Ask whoever runs the server for the fingerprint, which it logs at its start; only if it "
        "is the new one, pin that.",
    ),
    Trouble(
        anchor="fingerprint",
        says=('"..." is not a fingerprint', "must be the SHA-256 of a certificate"),
        means="A fingerprint is the SHA-256 of the server's certificate.",
        remedy='Copy it from the line "certificate fingerprint" of the server\'s log: sha256: and 64 '
        "hexadecimal digits.",
    ),
    Trouble(
        anchor="server-name",
        says=("no server can be asked for by its name",),
        means="What is given as the server's name cannot be the name of a host.",
        remedy="Write the name alone in transport.tls.serverName or serverAddr: no port, scheme or blank.",
    ),
    Trouble(
        anchor="certificate-name",
        says=("the server's certificate is not for",),
        means="The certificate is valid, but for another name than the one that the client asked for.",
        remedy="Set transport.tls.serverName to a name in the certificate, or serverAddr to that name.",
    ),
    Trouble(
        anchor="tls-files",
        says=(
            "the TLS certificate cannot be read as PEM",
            "the TLS private key cannot be read as PEM",
            "the TLS private key is not that of the certificate",
            "the trusted CA file cannot be read as PEM",
            "the files of transport.tls cannot be used",
        ),
        means="A file of transport.tls is not there or does not hold what it should.",
        remedy="Give PEM files: the certificate chain with the own certificate first, its private key "
        "without a password, the authorities' certificates.",
    ),
    Trouble(
        anchor="tls-failed",
        says=("TLS... failed:",),
        means="The two ends could not agree on TLS, or one of them did not accept the other's certificate.",
        remedy="Use TLS at both ends or at neither (transport.tls.enable); look whether another program "
        "listens at the port; with trustedCaFile, look whether the certificate comes from that authority "
        "and is valid today.",
    ),
    Trouble(
        anchor="tls-only",
        says=("without TLS, which transport.tls.force forbids",),
        means="The server takes clients with TLS only, and this one came without.",
        remedy="Set transport.tls.enable = true at the client.",
    ),
)

_LOGIN = (
    Trouble(
        anchor="bound-login",
        says=(
            "the bound login failed",
            "TLS is ended in between by somebody else",
            "the signature of the client from ... does not hold",
            "does not agree to a bound login",
            "cannot be bound",
            "this server requires a bound login",
            'auth.bound = "require" needs',
            "the server's hello has no salt for a bound login",
        ),
        means="The two ends could not prove the token to each other within this TLS session: the tokens "
        "differ, or somebody ends TLS in between, or one end cannot do it.",
        remedy="Compare the tokens first.  If they are the same and the server was replaced on purpose: "
        "relaykit forget HOST.  Otherwise somebody is in between: do not go on from this network.",
    ),
    Trouble(
        anchor="wrong-token",
        says=("token in ... doesn't match token from configuration", "invalid ping"),
        means="The server did not accept the login, most likely because the client's token is another one.",
        remedy="Give both ends the same token; white space around it does not count.  The log of the "
        "server says more.",
    ),
    Trouble(
        anchor="same-identity",
        says=(
            "another client with the identity of this one took its place",
            "another client with the same identity is online",
            "two clients have the same identity",
        ),
        means="Two running clients have one identity: the same client runs twice, or a state directory "
        "was copied to another machine.",
        remedy="Stop one of the two, or give it a state directory of its own (--state-dir).",
    ),
    Trouble(
        anchor="already-online",
        says=(
            "is already online",
            "belongs to another client, which is online",
            "control was replaced during login",
        ),
        means="Another client is logged in under this client id or run id.",
        remedy="Give each client a clientID of its own, or none.",
    ),
    Trouble(
        anchor="too-many-logins",
        says=("too many logins from this address",),
        means="Clients at this address log in faster than the server allows, or many of them began at once.",
        remedy="Nothing: each tries again by itself.  If it lasts, look for one that logs in all the time.",
    ),
    Trouble(
        anchor="not-a-relay-server",
        says=(
            "frp's server wants transport.tcpMux to be the same at both ends",
            "the connection ended during the login",
            "the server did not answer the login",
            "missing v2 crypto negotiation",
        ),
        means="Something took the connection and ended it without an answer to the login.",
        remedy="Look whether host and port are those of the relay server, and not of one of its proxies "
        "or of a web server.  With a real frps, transport.tcpMux must be the same at both ends.  Behind "
        "nginx or HAProxy, pass the connection on as plain TCP.",
    ),
    Trouble(
        anchor="not-a-client",
        says=(
            "not a client of this server",
            'the transport protocol "..." is not available',
        ),
        means="Something that is no client of relaykit or frp dialed the server's port, or a client with "
        "a transport that is not there; scanners of the internet do that all day.",
        remedy='Nothing, if it is nobody of yours.  A client must use transport.protocol = "tcp" and dial '
        "the server's bindPort; users dial the ports of the proxies.",
    ),
)

_SESSION = (
    Trouble(
        anchor="session-ended",
        says=("the session ended:", "there is no session with the server", "the client's session ended"),
        means="The connection between client and server was lost, or one of them ended it.",
        remedy="Nothing: the client connects again by itself.  If it happens often, look at the network, "
        "and at the other end's log for the same moment.",
    ),
    Trouble(
        anchor="broke-the-rules",
        says=("broke the rules:", "a signal makes no sense:", "sent what cannot be decoded"),
        means="The other end sent something that its protocol does not allow here, or the two ends "
        "disagree about encryption or compression.",
        remedy="Look whether token, secretKey, useEncryption and useCompression are the same at both "
        "ends, and what program is at the other end.  If both are relaykit or frp, report it as a defect.",
    ),
    Trouble(
        anchor="work-connections",
        says=(
            "a work connection cannot be opened:",
            "a work connection ended:",
            "the server refused a work connection:",
            "a work connection from ... is refused:",
            "invalid NewWorkConn",
            "no client control found for run id",
            "client control for run id [...] is n",
            "this connection does not belong to the session of run id",
            "control manager is closed",
            "work connection pool is full",
        ),
        means="A connection that is to carry a user could not be had.  Right after a session ended this "
        "is normal.",
        remedy="If it lasts: look whether the client can still reach the server, and whether a limit of "
        "open files or of a firewall is reached.",
    ),
    Trouble(
        anchor="no-work-connection",
        says=("no work connection for",),
        means="A user came to a proxy, and the client offered no connection in time; the user was let go.",
        remedy="Look whether the client runs and can reach the server; a larger transport.poolCount helps "
        "where many users come at once.",
    ),
    Trouble(
        anchor="too-many-streams",
        says=("takes no more streams", "streams and can have no more"),
        means="One connection between client and server carries as many flows as it can.",
        remedy="Spread the users over several clients, or set transport.tcpMux = false.",
    ),
    Trouble(
        anchor="signals",
        says=("takes no signals",),
        means="The other end does not know relaykit's signals: it is frp, or not connected.",
        remedy="Use relaykit at both ends for this type of proxy.",
    ),
)

_PROXIES = (
    Trouble(
        anchor="name-in-use",
        says=("proxy [...] already exists", "was closed while it was being opened"),
        means="Another client of this server has a proxy of this name, or this one is only just going.",
        remedy="Choose another name (--name), or a user, which is put before all names of a client.  "
        "Nothing, if it was this client itself: it tries again.",
    ),
    Trouble(
        anchor="port-in-use",
        says=("port already used",),
        means="Another proxy of the server has this port.",
        remedy="Ask for another remotePort, or for none: then the server picks one.",
    ),
    Trouble(
        anchor="port-not-allowed",
        says=("port not allowed", "exceed the max_ports_per_client"),
        means="The server's configuration does not let this client have the port (allowPorts, "
        "maxPortsPerClient).",
        remedy="Ask for a port that is allowed, or have the server's configuration changed.",
    ),
    Trouble(
        anchor="port-unavailable",
        says=("port unavailable", "no available port"),
        means="The server could not open the port: another program has it, or the system forbids it.",
        remedy="Ask for another remotePort.  Ports below 1024 need CAP_NET_BIND_SERVICE at the server.",
    ),
    Trouble(
        anchor="unknown-type",
        says=(
            "unknown proxy type",
            "cannot be used on this server",
            'no proxy type "..." is installed',
            'unknown ... type "..."',
        ),
        means="This proxy type is not installed, here or on the server.",
        remedy="Correct the type, or install the package that has it on both machines; relaykit plugins "
        "lists what is there.",
    ),
    Trouble(
        anchor="broken-type",
        says=(
            'proxy type "..." cannot be used',
            'proxy type "..." is provided twice',
            'proxy type "..." has no',
            'the command "..." is provided twice',
        ),
        means="An installed package announces a proxy type that cannot be used.",
        remedy="Update or uninstall the package that the message names.",
    ),
    Trouble(
        anchor="not-available-yet",
        says=("not available yet",),
        means="This is a part of frp that relaykit does not have yet.",
        remedy="Leave it out, or use another type; the page on differences from frp lists what is missing.",
    ),
    Trouble(
        anchor="visit-secret",
        says=("visitor connection of [...] auth failed",),
        means="The visitor's secret key is not that of the proxy.",
        remedy="Give both the same secretKey.  With one-line commands: the same token and the same name, "
        "or the same --secret-key-file.",
    ),
    Trouble(
        anchor="visit-user",
        says=("visitor connection of [...] user [...] not allowed",),
        means="The proxy does not let in visitors of this user.",
        remedy="Add the user to allowUsers of the proxy, or * for everybody who knows the key.",
    ),
    Trouble(
        anchor="visit-nobody",
        says=("custom listener for [...] doesn't exist", "the visitor's client is not logged in"),
        means="No client that is logged in has a secret proxy of this name.",
        remedy="Start the client that has it; compare the names; if that client has a user, name it with "
        "serverUser (--server-user).",
    ),
    Trouble(
        anchor="user-for-nothing",
        says=("the server sent a user for [...], which does not run",),
        means="A user came for a proxy that this client does not offer at the moment.",
        remedy="Nothing: it happens when a proxy is being taken back.",
    ),
    Trouble(
        anchor="cannot-listen",
        says=("cannot listen on",),
        means="The port could not be opened, for the reason given.",
        remedy="End the other program or choose another port.  Ports below 1024 need root or "
        "CAP_NET_BIND_SERVICE.",
    ),
)

_MACHINE = (
    Trouble(
        anchor="too-many-files",
        says=("no more connections can be", "accepting on ... failed:"),
        means="The process has as many files and connections open as the system allows it.",
        remedy="Raise the limit: LimitNOFILE= in a systemd unit, ulimit -n in a shell.",
    ),
    Trouble(
        anchor="file-not-found",
        says=("open ...: no such file or directory", "cannot read ...: No such file"),
        means="A file that the configuration names is not there; relative paths are those of the folder "
        "that the program was started in.",
        remedy="Correct the path, or make it absolute.",
    ),
    Trouble(
        anchor="file-permission",
        says=("open ...: permission denied", "cannot read ...: Permission denied"),
        means="The program may not read a file that it needs.",
        remedy="Let the user that the program runs as read it; in a systemd unit, hand secrets over with "
        "LoadCredential=.",
    ),
    Trouble(
        anchor="token-file",
        says=("cannot read the ... file", "cannot use the ... file"),
        means="The file with the token, or with another secret, cannot be used.",
        remedy="Make it with relaykit token > FILE, and give the path.",
    ),
    Trouble(
        anchor="state-directory",
        says=(
            "nothing can be remembered",
            "is remembered only until this program ends",
            "servers are remembered already",
            "a new certificate at every start",
            "a new identity at every start",
            "is another one at every start",
            "holds no key and is made anew",
            "cannot hold",
            "it is no JSON",
            "cannot write",
            "cannot read ...: it is larger",
            "cannot read",
        ),
        means="What is kept from one start to the next cannot be kept or read: there is no folder for it, "
        "or it is not writable, full or damaged.",
        remedy="Name a folder of its own with --state-dir, writable for the user that the program runs as.",
    ),
    Trouble(
        anchor="log-full",
        says=("the log ... cannot be written:", "lines of this log could not be written"),
        means="There was no room for the log, or its disk failed; the program went on without it.",
        remedy="Make room.  log.maxDays says how long old logs are kept.",
    ),
    Trouble(
        anchor="log-file",
        says=("cannot log to",),
        means="The log file cannot be opened; the log goes to the console.",
        remedy="Correct log.to, or the permissions of its folder.",
    ),
    Trouble(
        anchor="open-file",
        says=("open ...:",),
        means="A file that the configuration names cannot be opened.",
        remedy="Correct the path or the file.",
    ),
)

_COMMANDS = (
    Trouble(
        anchor="no-token-set",
        says=("NO TOKEN IS SET", "auth.token: is empty"),
        means="The server has no token, so whoever reaches it may publish services on it.",
        remedy="Make a token with relaykit token, and give it to the server and to its clients.",
    ),
    Trouble(
        anchor="weak-token",
        says=("THE TOKEN IS WEAK",),
        means="The token is so short or so regular that a program can find it out by guessing.",
        remedy="Make a strong one with relaykit token, and give it to the server and to its clients.",
    ),
    Trouble(
        anchor="no-token-given",
        says=("no token is given for", "a secret key is needed:"),
        means="A one-line command needs the server's token, and a secret service a key.",
        remedy="Put the token into a file (--token-file FILE) or into the environment variable "
        "RELAYKIT_TOKEN.  With --remember it is kept for the next time.",
    ),
    Trouble(
        anchor="no-server-named",
        says=("no server is named", '"..." names no server'),
        means="A one-line command needs to know its server.",
        remedy="Give --server HOST or --server HOST:PORT; with --remember it is kept for the next time.",
    ),
    Trouble(
        anchor="no-file-given",
        says=("a configuration file is needed", "--quick runs without a file"),
        means="The program was started without a file, or with a file and --quick.",
        remedy="Give the file with -c FILE, or start a server without one: relaykit server --quick.",
    ),
    Trouble(
        anchor="no-such-role",
        says=("there is no role",),
        means="relaykit verify checks a file as that of a server or of a client.",
        remedy="Leave --role out, or give server or client.",
    ),
    Trouble(
        anchor="systemd-unit",
        says=("the unit allows no port below", "home directories are hidden from it"),
        means="The unit that was printed will not do everything as it is.",
        remedy="Write the configuration file, or install relaykit outside of home directories; then print it "
        "again.",
    ),
    Trouble(
        anchor="nothing-remembered",
        says=("nothing is remembered of",),
        means="The state directory knows nothing of this server.",
        remedy="Name it as on the command line that remembered it; name the folder with --state-dir.",
    ),
    Trouble(
        anchor="demo",
        says=("the page was not there after", "which is not the page"),
        means="The demonstration did not come to its end on this machine.",
        remedy="Look whether a firewall or a proxy stands between programs of this machine, and report it "
        "if not.",
    ),
    Trouble(
        anchor="command-line",
        says=("Error: ", "Unknown help topic", "is missing"),
        means="The command line has a command, a flag or a value that does not exist.",
        remedy="relaykit help, and relaykit help COMMAND, show what there is.",
    ),
)

_NAT = (
    Trouble(
        anchor="stun-second-port",
        says=("stun has no second port beside",),
        means="The server's STUN service could open only one port, and frpc's hole punching needs two.",
        remedy="Free the port after it, or choose another one.",
    ),
    Trouble(
        anchor="stun-server",
        says=("there is no stun server:",),
        means="The server's own STUN service could not be started, for the reason given.",
        remedy="Free its port, or choose another one; everything else goes on.",
    ),
    Trouble(
        anchor="nat-address",
        says=(
            "missing port in address",
            "missing host in address",
            "too many colons in address",
            "invalid port",
            "unknown port",
            "no such host",
        ),
        means="The command frpc nathole discover was given an address that is none, or a name without one.",
        remedy="Write host:port for the server, and ip:port or :port for the local address.",
    ),
    Trouble(
        anchor="nat-local-address",
        says=("listen udp4 ...: bind:",),
        means="The local address that frpc nathole discover was given cannot be used.",
        remedy="Name an address of this machine and a port that is free, or leave it out.",
    ),
    Trouble(
        anchor="traversal",
        says=(
            "no UDP socket could be opened",
            "no TCP connection to the peer came to stand",
            "no socket could be opened to ask the router",
            "UPnP",
        ),
        means="A direct path between two clients could not be had; the relay goes on serving.",
        remedy="relaykit nat says what this network allows.",
    ),
)

_MEETINGS = (
    Trouble(
        anchor="no-meetings",
        says=("knows of no meetings",),
        means="A visitor wanted a direct path, and the server or the proxy's client cannot take part: it is "
        "older, or frp's own, or speaks the older version of the wire.",
        remedy="Nothing: everything goes through the relay.  For direct paths use relaykit at "
        "all three places.",
    ),
    Trouble(
        anchor="too-many-meetings",
        says=(
            "too many calls, try again",
            "too many meetings are under way",
            "this visitor has too many meetings already",
        ),
        means="Direct paths are asked for faster, or more of them at once, than the server or this client "
        "allows.",
        remedy="Nothing: it is tried again later.  If it lasts, look for a visitor that asks all the time.",
    ),
    Trouble(
        anchor="call-refused",
        says=("a call from ... is refused:", "this call was made already"),
        means="A visitor asked to meet a proxy's client directly and was not let in, for the reason given.",
        remedy="Compare secretKey at both ends, and allowUsers with the visitor's user.",
    ),
    Trouble(
        anchor="meeting-failed",
        says=("this end failed; its log says why",),
        means="A defect ended an attempt at a direct path; the relay goes on.",
        remedy="Report it, with what the log says.",
    ),
)

_WRAPPING = (
    Trouble(
        anchor="visit-refused",
        says=(
            "no visit for",
            "visit of [...] from ... is refused:",
            "register visitor conn error",
            "the server did not answer within",
        ),
        means="A user of a visitor's port could not be brought to the secret service, for the reason given.",
        remedy="Look at the log of the server for its reason.",
    ),
    Trouble(
        anchor="start-error",
        says=("start error:", "new proxy [...] type [...] error:", "new proxy [...] error", "proxy [...]:"),
        means="The server did not open this proxy, or the visitor's port could not be opened; it is tried "
        "again.",
        remedy="Correct the entry as the message says; the server's log may say more.",
    ),
    Trouble(
        anchor="cannot-start",
        says=("the server cannot start:", "the program ends:", "cannot start: "),
        means="The program, or one proxy or visitor of it, cannot do what it was started for, for the reason "
        "given.",
        remedy="Look the reason up on this page.",
    ),
    Trouble(
        anchor="no-session",
        says=("connect to server error:", "register control error:"),
        means="The client is not let in, or cannot reach its server, for the reason that the message ends "
        "with.",
        remedy="Look at the server's log for the same moment.",
    ),
    Trouble(
        anchor="connection-refused-here",
        says=("a connection from ... is refused:",),
        means="The server did not understand a connection, and closed it.",
        remedy="Nothing, if it is nobody of yours: scanners of the internet do that all day.",
    ),
)
"""Messages that have another one in them."""

TROUBLES: Sequence[Trouble] = (
    *_LOCAL,
    *_TLS,
    *_LOGIN,
    *_REACHING,
    *_PROXIES,
    *_SESSION,
    *_COMMANDS,
    *_NAT,
    *_MEETINGS,
    *_MACHINE,
    *_WRAPPING,
)
"""All of them; the first that a message fits is meant."""
