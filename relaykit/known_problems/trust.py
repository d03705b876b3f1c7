"""What is wrong with certificates, tokens and proofs of who somebody is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relaykit.known_problems.problem import KnownProblem

__all__ = ["TRUST"]

TRUST: Final[Mapping[str, KnownProblem]] = {
    "oidc-token": KnownProblem(
        "The server does not take the token of the provider",
        "With OpenID Connect the server checks the issuer, the audience, the time and the signature of the "
        "token that the client got from the provider, and one of them is not as the server's file wants it; "
        "or the server cannot get the provider's keys.",
        "The message says which.  Compare auth.oidc.audience at both ends and auth.oidc.issuer with what the "
        "provider calls itself, and the clocks; have the provider give out signed JWTs as access tokens.",
    ),
    "oidc-provider": KnownProblem(
        "The OpenID Connect provider cannot be asked",
        "The server needs the provider's discovery document and its keys, and did not get them.  Without "
        "keys nobody can log in; those that it had before hold for a day.",
        "See whether this machine reaches auth.oidc.issuer, for instance by curl of "
        "ISSUER/.well-known/openid-configuration, and that the issuer named there is the same.  The server "
        "asks again by itself.",
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
    "ssh-host-key": KnownProblem(
        "The host key of the SSH gateway cannot be used",
        "A file that sshTunnelGateway names, or the one in the state directory, holds no key that the "
        "gateway could show to ssh, or none can be kept there.",
        "Name another file, or none, so that a key is made; ssh-keygen -t ed25519 -N '' -f FILE makes one, "
        "too.  A server without a place for its state has another key after each start, and ssh refuses it "
        "then: give it one by stateDir.",
    ),
    "ssh-authorized-keys": KnownProblem(
        "A key may not log in at the SSH gateway",
        "The file that sshTunnelGateway.authorizedKeysFile names cannot be read, or has a line whose key is "
        "not accepted: with options, damaged, or of a type that is not taken.",
        "Correct the line; the file is read again at the next login.  A key in it is as ssh-keygen writes it "
        "to its .pub file, with the user in place of the comment.",
    ),
}
