"""What is wrong with files, commands, and programs themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relaykit.known_problems.problem import KnownProblem

__all__ = ["PROGRAMS"]

PROGRAMS: Final[Mapping[str, KnownProblem]] = {
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
    "policy-slow": KnownProblem(
        "A policy takes too long",
        "A policy of the server's file was asked about a client, a proxy or a user, or told that a proxy is "
        "closed, and did not answer in time; what it was asked about is refused.",
        "See what it waits for, or take its table out of [policies] in the server's file.",
    ),
    "policy-failed": KnownProblem(
        "A policy fails",
        "A policy of the server's file has a defect: it raised an error, which the log has, or answered what "
        "is no answer; what it was asked about is refused.",
        "Have its package mended, or take its table out of [policies] in the server's file.",
    ),
    "http-plugin": KnownProblem(
        "A plugin over HTTP does not answer",
        "A plugin of the server's file ([[httpPlugins]]) cannot be reached, takes too long, or answers what "
        "is no answer; what it is asked about is refused meanwhile.",
        "See that it runs at its addr, answers with status 200 and JSON within seconds, and says reject, "
        "unchange or content; where it is https, that this system trusts its certificate.",
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
    "ssh-library": KnownProblem(
        "The SSH gateway is not installed",
        "The server's file has sshTunnelGateway.bindPort, and a library that the gateway needs is not "
        "installed beside relaykit.",
        "Install it: pip install 'relaykit[ssh]'; or take sshTunnelGateway out of the file.",
    ),
}
