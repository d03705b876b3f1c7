"""Who is let in, and who is believed: certificates, pins, tokens, scopes.  With our ends and with frp's."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from relaykit.sansio.control.credentials import digest
from relaykit.sansio.wire.framing import MAGIC, V1, V2
from relaykit.sansio.wire.messages import (
    Message,
    NewVisitorConn,
    NewVisitorConnResp,
    NewWorkConn,
    StartWorkConn,
)
from tests.certificates.made import DAY, SHA1_PEM, made, weak_key
from tests.integration.certificates import Authority, Certified
from tests.integration.mitm import messages
from tests.integration.peers import mux_frame
from tests.integration.programs import Program, free_port, frp_command, missing_frp, relaykit_command
from tests.integration.relays import NOTHING, SECRET_KEY, TOKEN, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, PIECE_BYTES, converse, dial, echo, end_of

_NOW = datetime.now(UTC)

OTHER_FINGERPRINT = "sha256:" + "00" * 32


def _shown(by: Certified) -> Table:
    """The certificate that an end shows."""
    return {
        "transport.tls.certFile": str(by.certificate),
        "transport.tls.keyFile": str(by.key),
    }


class SecurityTests(RelayTestCase):
    """Between our own ends."""

    def setUp(self) -> None:
        """Makes an authority, a certificate of the server and one of the client."""
        super().setUp()
        self.authority = Authority(self.folder)
        self.trusted = {"transport.tls.trustedCaFile": str(self.authority.file)}
        self.port = free_port()

    def client(self, table: Table = NOTHING) -> Program:
        """A client that publishes an echo."""
        service = self.start_service()
        return self.start_client(
            table,
            [{"name": "echo", "type": "tcp", "localPort": service.port, "remotePort": self.port}],
        )

    def check_let_in(self, table: Table) -> Program:
        """The client publishes its service."""
        client = self.client(table)
        client.wait_for("start proxy success")
        converse(self.port)
        return client

    def check_refused(self, table: Table, reason: str) -> Program:
        """The client ends, because it may not be let in or does not believe the server."""
        client = self.client(table)
        self.assertEqual(client.wait_for_end(), 1)
        self.assertIn("login to the server failed", client.output)
        self.assertIn(reason, client.output)
        return client


class CertificateTests(SecurityTests):
    """Each end checks the certificate of the other, as it is told to."""

    strange_authority = "not signed by a trusted CA"
    wrong_name = 'not for "elsewhere.example"'
    certificate_required = "demands a certificate of this client"
    refused_by_server = "the certificate that was shown to it"

    def start_certified_server(self, table: Table = NOTHING) -> Certified:
        """A server with a certificate for its name and its address."""
        certified = self.authority.certify("relay.example", [LOOPBACK])
        self.start_server({**_shown(certified), **table})
        return certified

    def test_server_by_name(self) -> None:
        """A client with a CA believes a server whose certificate is for the name that it expects."""
        self.start_certified_server()
        self.check_let_in({**self.trusted, "transport.tls.serverName": "relay.example"})

    def test_server_by_address(self) -> None:
        """Without a name the certificate must be for the address that is dialed."""
        self.start_certified_server()
        self.check_let_in(self.trusted)

    def test_server_with_other_name(self) -> None:
        """A client with a CA does not talk to a server with the certificate of somebody else."""
        self.start_certified_server()
        self.check_refused({**self.trusted, "transport.tls.serverName": "elsewhere.example"}, self.wrong_name)

    def test_server_of_other_authority(self) -> None:
        """A client with a CA does not talk to a server that another CA signed for."""
        self.start_certified_server()
        strange = Authority(self.folder, "strange")
        self.check_refused(
            {
                "transport.tls.trustedCaFile": str(strange.file),
                "transport.tls.serverName": "relay.example",
            },
            self.strange_authority,
        )

    def test_both_ends(self) -> None:
        """A server with a CA lets in the client that this CA signed for."""
        self.start_certified_server(self.trusted)
        self.check_let_in(
            {
                **self.trusted,
                **_shown(self.authority.certify("client.example")),
                "transport.tls.serverName": "relay.example",
            }
        )

    def test_parts_of_chains(self) -> None:
        """Either end takes an authority in the middle, or the other end's own certificate, as trusted."""
        middle = Authority(self.folder, "middle", self.authority)
        server, client = middle.certify("relay.example", [LOOPBACK]), middle.certify("client.example")
        for of_server, of_client in ((middle.file, middle.file), (server.certificate, client.certificate)):
            running = self.start_server({**_shown(server), "transport.tls.trustedCaFile": str(of_client)})
            self.check_let_in({**_shown(client), "transport.tls.trustedCaFile": str(of_server)}).stop()
            running.stop()

    def test_client_without_certificate(self) -> None:
        """A server with a CA does not let in a client that shows nothing."""
        self.start_certified_server(self.trusted)
        client = self.check_refused(self.trusted, self.certificate_required)
        self.assertNotIn("tcpMux must be the same", client.output)

    def test_client_of_other_authority(self) -> None:
        """A server with a CA does not let in a client that another CA signed for."""
        self.start_certified_server(self.trusted)
        strange = Authority(self.folder, "strange")
        client = self.check_refused(
            {**self.trusted, **_shown(strange.certify("client.example"))}, self.refused_by_server
        )
        self.assertNotIn("tcpMux must be the same", client.output)

    def test_client_without_tls(self) -> None:
        """A server with a CA does not let in a client without TLS."""
        self.start_certified_server(self.trusted)
        self.check_refused({"transport.tls.enable": False}, "")

    def check_tls_forced(self, server: Table = NOTHING, client: Table = NOTHING) -> None:
        """A server that forces TLS lets nobody in without, and everybody with it."""
        self.start_server({"transport.tls.force": True, **server})
        self.check_refused({"transport.tls.enable": False, **client}, "")
        self.check_let_in({"transport.tls.enable": True, **client})

    def test_tls_forced(self) -> None:
        """It does so on its port of TCP."""
        self.check_tls_forced()

    def test_tls_forced_over_kcp(self) -> None:
        """It does so within KCP, too, where a client that is not let in hears nothing."""
        self.check_tls_forced({"kcpBindPort": self.bind_port}, {"transport.protocol": "kcp"})

    def test_custom_first_byte(self) -> None:
        """A client may announce TLS by a byte of its own, as older ones do."""
        self.start_server({"transport.tls.force": True})
        self.check_let_in({"transport.tls.disableCustomTLSFirstByte": False})


class FrpcCertificateTests(CertificateTests):
    """The same with frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")
    # With mux it says no more than "session shutdown".
    strange_authority = wrong_name = certificate_required = refused_by_server = ""


class FrpsCertificateTests(CertificateTests):
    """The same with frp's server."""

    skip = missing_frp()
    server_command = frp_command("frps")


class UnusableFilesTests(SecurityTests):
    """Files that cannot be used are told in one line that names them, and end the start."""

    def check(self, table: Table, *said: str) -> None:
        """Neither role starts with these files, and verify says the same."""
        path = self.write_configuration({**table, "auth.token": TOKEN})
        for words in (
            ("verify", path, "--role", "server"),
            ("verify", path, "--role", "client"),
            ("server", path),
            ("client", path),
        ):
            program = Program(relaykit_command(*words), self.folder)
            self.addCleanup(program.stop)
            self.assertEqual(program.wait_for_end(), 1, program.output)
            self.assertNotIn("Traceback", program.output)
            for each in said:
                self.assertIn(each, program.output)

    def test_kinds(self) -> None:
        """Missing, mismatched, of the wrong kind, too weak, and outside their time."""
        good, other = self.authority.certify("relay.example"), self.authority.certify("other.example")
        self.check(
            {**_shown(good), "transport.tls.certFile": "/nonexistent"}, "certFile: /nonexistent cannot"
        )
        self.check(
            {**_shown(good), "transport.tls.keyFile": str(other.key)}, f"{other.key} is not that of the certi"
        )
        self.check({"transport.tls.trustedCaFile": str(good.key)}, f"{good.key} holds a private key")
        old = Authority(self.folder, "old", days=(-2, -1))
        self.check(_shown(old.certify("relay.example")), "relay.example.crt has expired")
        self.check({"transport.tls.trustedCaFile": str(old.file)}, f"{old.file} has expired")
        weak = made("relay.example", key=weak_key(), begins=_NOW - DAY, ends=_NOW + DAY)
        good.certificate.write_bytes(weak.pem)
        good.key.write_bytes(weak.key_pem)
        self.check(_shown(good), f"{good.certificate} has a key of 1024 bits")
        good.certificate.write_bytes(SHA1_PEM)
        self.check(_shown(good), f"{good.certificate} is signed with SHA1")


class RenewalTests(SecurityTests):
    """Files that change while both ends run."""

    def shown(self) -> str:
        """The fingerprint of the certificate that the server shows to who dials now."""
        trusting = ssl.create_default_context(cafile=str(self.authority.file))
        with trusting.wrap_socket(dial(self.bind_port), server_hostname="relay.example") as secured:
            certificate = secured.getpeercert(binary_form=True)
        assert certificate is not None
        return f"sha256:{hashlib.sha256(certificate).hexdigest()}"

    def moved(self, certified: Certified) -> list[Path]:
        """Certificate and key, where no new ones are made."""
        files = certified.certificate, certified.key
        return [each.rename(self.folder / f"used{each.suffix}") for each in files]

    def test_server(self) -> None:
        """A server takes new files without a restart, however they come; until then the former ones serve."""
        first = self.authority.certify("relay.example", [LOOPBACK])
        certificate, key = self.moved(first)
        server = self.start_server(
            {"transport.tls.certFile": str(certificate), "transport.tls.keyFile": str(key)}
        )
        # Without mux each user needs a new connection to the server.
        client = self.client({**self.trusted, "transport.tcpMux": False})
        client.wait_for("start proxy success")
        certificate.unlink()
        server.wait_for(
            "no such file or directory; correct the path; what was read before goes on being used"
        )
        converse(self.port)
        certificate.write_bytes(b"garbage")
        server.wait_for("what was read before goes on being used", 2)
        self.assertEqual(self.shown(), first.fingerprint)
        converse(self.port)
        second = self.authority.certify("relay.example", [LOOPBACK])
        certificate.write_bytes(second.certificate.read_bytes())
        key.write_bytes(second.key.read_bytes())
        server.wait_for(f"certificate fingerprint {second.fingerprint}")
        self.assertEqual(self.shown(), second.fingerprint)
        self.check_served(client)
        third = self.authority.certify("relay.example", [LOOPBACK])
        third.certificate.rename(certificate)
        third.key.rename(key)
        server.wait_for(f"certificate fingerprint {third.fingerprint}")
        self.assertEqual(self.shown(), third.fingerprint)
        self.check_served(client)

    def check_served(self, client: Program) -> None:
        """The client, which knew the server by its former certificate, serves its users."""
        converse(self.port)

    def test_client(self) -> None:
        """A client takes new files with its next connection, and those from before while they do not fit."""
        self.start_server({**_shown(self.authority.certify("relay.example", [LOOPBACK])), **self.trusted})
        first = self.authority.certify("client.example")
        certificate, key = self.moved(first)
        own = {"transport.tls.certFile": str(certificate), "transport.tls.keyFile": str(key)}
        self.client({**self.trusted, **own, "transport.tcpMux": False}).wait_for("start proxy success")
        second = self.authority.certify("client.example")
        certificate.unlink()
        converse(self.port)
        second.certificate.rename(certificate)
        converse(self.port)
        second.key.rename(key)
        converse(self.port)


class PinTests(SecurityTests):
    """A client that knows the server's certificate by its digest."""

    def pinned(self, fingerprint: str) -> Table:
        """What a client with a pin has in its configuration."""
        return {"transport.tls.serverFingerprint": fingerprint}

    def told_fingerprint(self, server: Program) -> str:
        """The fingerprint in the server's log."""
        return server.wait_for("certificate fingerprint").split()[-1]

    def test_fingerprint_of_the_log(self) -> None:
        """What a server without certificate says at its start can be pinned, also after a restart."""
        server = self.start_server({"log.disablePrintColor": True})
        fingerprint = self.told_fingerprint(server)
        server.stop()
        server = self.start_server({"log.disablePrintColor": True})
        self.assertEqual(self.told_fingerprint(server), fingerprint)
        self.check_let_in(self.pinned(fingerprint))

    def test_own_certificate(self) -> None:
        """A certificate that the server was given can be pinned, too."""
        certified = self.authority.certify("relay.example")
        self.start_server(_shown(certified))
        self.check_let_in(self.pinned(certified.fingerprint))

    def test_other_certificate(self) -> None:
        """A server with another certificate is not talked to: neither token nor name get out."""
        server = self.start_server()
        client = self.check_refused(self.pinned(OTHER_FINGERPRINT), "not the pinned one")
        self.assertIn("somebody is in between", client.output)
        self.assertNotIn("client login", server.output)


class TokenTests(SecurityTests):
    """Who does not know the token does not get in."""

    def test_wrong_token(self) -> None:
        """The client is told why in frp's words, and ends; the server says so, too."""
        server = self.start_server()
        text = "token in login doesn't match token from configuration"
        self.check_refused({"auth.token": "another"}, text)
        server.wait_for(f"register control error: {text}")

    def test_reason_kept_back(self) -> None:
        """A server that does not explain tells its clients only what failed, and its own log why."""
        server = self.start_server({"detailedErrorsToClient": False})
        client = self.check_refused({"auth.token": "another"}, "register control error")
        self.assertNotIn("token in login", client.output)
        server.wait_for("token in login doesn't match")

    def test_token_of_a_file(self) -> None:
        """Either end reads the token from a file."""
        path = self.folder / "token"
        path.write_text(f"{TOKEN}\n")
        source: Table = {
            "auth.token": "",
            "auth.tokenSource": {"type": "file", "file": {"path": str(path)}},
        }
        self.start_server(source)
        self.check_let_in(source)

    def test_scopes(self) -> None:
        """Heartbeats and work connections carry the token, where both ends want that."""
        scopes: Table = {
            "auth.additionalScopes": ["HeartBeats", "NewWorkConns"],
            "transport.tcpMux": False,
        }
        self.start_server(scopes)
        self.check_let_in({**scopes, "transport.heartbeatInterval": 1, "transport.heartbeatTimeout": 3})

    def test_work_connections_without_token(self) -> None:
        """A server that wants the token with each work connection takes none without, and says why.

        Version 1 keeps logins from being bound, after which no connection needs the token any more.
        """
        self.start_server({"auth.additionalScopes": ["NewWorkConns"], "userConnTimeout": 1})
        client = self.client({"transport.wireProtocol": "v1"})
        client.wait_for("start proxy success")
        with dial(self.port) as user:
            self.assertEqual(end_of(user), b"")
        client.wait_for("token in NewWorkConn doesn't match token from configuration")


class FrpcTokenTests(TokenTests):
    """The same with frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpsTokenTests(TokenTests):
    """The same with frp's server."""

    skip = missing_frp()
    server_command = frp_command("frps")


class SecretTests(SecurityTests):
    """No secret is missing by mistake."""

    def check_not_started(self, table: Table, reason: str) -> None:
        """A server does not start, and says why."""
        server = self.start(
            relaykit_command("frps"), {"bindAddr": LOOPBACK, "bindPort": self.bind_port, **table}
        )
        self.assertEqual(server.wait_for_end(), 1)
        self.assertIn(reason, server.output)
        self.assertNotIn("started successfully", server.output)

    def test_server_without_token(self) -> None:
        """A server whose token is not there, of nothing, or blank does not start; nor is its file good."""
        self.check_not_started(NOTHING, "auth.token: must be given")
        undefined: Table = {"auth.token": "{{ .Envs.NO_SUCH_VARIABLE }}"}
        self.check_not_started(undefined, "auth.token: {{ .Envs.NO_SUCH_VARIABLE }} has no value")
        self.check_not_started({"auth.token": " "}, "auth.token: is blank")
        empty = self.folder / "empty"
        empty.write_text(" \n")
        source = {"type": "file", "file": {"path": str(empty)}}
        self.check_not_started({"auth.tokenSource": source}, "nothing where the token should be")
        path = self.write_configuration(undefined)
        verified = Program(relaykit_command("verify", "--role", "server", path), self.folder)
        self.assertEqual(verified.wait_for_end(), 1)

    def test_open_server(self) -> None:
        """A server that is to have none has none, and warns; clients without one get in."""
        server = self.start_server({"auth.token": ""}, relaykit_command("frps"))
        self.assertIn("NO TOKEN IS SET", server.output)
        self.check_let_in({"auth.token": ""})

    def test_secret_proxy_without_key(self) -> None:
        """A secret proxy without a key is not opened to everybody: a client that asks for one is told so."""
        self.start_server(NOTHING, relaykit_command("frps"))
        client = self.start_client(proxies=[{"name": "open", "type": "stcp", "localPort": 1}])
        client.wait_for("secretKey")
        self.assertIn("must be given, and not be empty", client.output)
        self.assertNotIn("start proxy success", client.output)


class FrpcSecretTests(SecretTests):
    """The same with frp's client, which lets its users forget."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class StrangerTests(SecurityTests):
    """Somebody without the token, who knows the run id of a client, and the key of its secret proxy.

    The client's login is not bound, and it uses mux.
    """

    wires = ("v1", "v2")
    ended = 0
    settings: Table = {"auth.bound": "off"}

    def start_victim(self, table: Table) -> str:
        """A client with a public proxy and a secret one; answers its run id."""
        self.served = 0
        service = self.start_service(self.serve)
        self.port = free_port()
        self.victim = self.start_client(
            {**self.settings, **table},
            [
                {"name": "echo", "type": "tcp", "localPort": service.port, "remotePort": self.port},
                {"name": "secret", "type": "stcp", "localPort": service.port, "secretKey": SECRET_KEY},
            ],
        )
        self.victim.wait_for("start proxy success", 2)
        line = self.victim.wait_for("login to server success").rstrip()
        return line.rpartition("run id [")[2].partition("]")[0]

    def end_victim(self) -> None:
        """Ends it, and waits until its names are free."""
        self.victim.stop()
        self.ended += 1
        self.server.wait_for("client exit success", self.ended)

    def serve(self, connection: socket.socket) -> None:
        """Counts who reaches the service."""
        self.served += 1
        echo(connection)

    def answers(self, message: Message) -> Iterator[Message]:
        """What the server answers to a message of a stranger: in both versions, with mux and without."""
        for said in (V1.encode(message), MAGIC + V2.encode(message)):
            in_mux = mux_frame(1, 1, 1, 0) + mux_frame(0, 0, 1, len(said), said)
            for content in (said, in_mux):
                (answer,) = self.ask(content)
                yield answer

    def ask(self, content: bytes) -> list[Message]:
        """Says something on a connection of its own; answers the first messages that come back."""
        heard = b""
        with dial(self.bind_port) as stranger, contextlib.suppress(ConnectionError):
            stranger.sendall(content)
            while not messages(heard) and (data := stranger.recv(PIECE_BYTES)):
                heard += data
        return messages(heard)

    def check_work_refused(self, run_id: str, reason: str) -> None:
        """A work connection in the name of this client is refused, and its users get on."""
        for answer in self.answers(NewWorkConn(run_id=run_id)):
            assert isinstance(answer, StartWorkConn), answer
            self.assertIn(reason, answer.error)
        for _ in range(12):
            converse(self.port)
        self.assertEqual(self.served, 12)

    def check_visit_refused(self, run_id: str, reason: str) -> None:
        """A visit in the name of this client is refused, although it knows the key."""
        proof = digest(SECRET_KEY.encode(), 1)
        visit = NewVisitorConn(run_id=run_id, proxy_name="secret", sign_key=proof, timestamp=1)
        for answer in self.answers(visit):
            assert isinstance(answer, NewVisitorConnResp), answer
            self.assertIn(reason, answer.error)
        self.assertEqual(self.served, 0)

    def test_in_the_name_of_a_client(self) -> None:
        """He gets no user of it, and visits nobody in its name."""
        self.server = self.start_server()
        for wire in self.wires:
            run_id = self.start_victim({"transport.wireProtocol": wire})
            self.check_visit_refused(run_id, "does not belong to the session")
            self.check_work_refused(run_id, "does not belong to the session")
            self.end_victim()

    def test_in_nobodys_name(self) -> None:
        """He visits nobody without a name, either."""
        self.server = self.start_server()
        self.start_victim(NOTHING)
        self.check_visit_refused("", "no client control found")

    def test_without_mux(self) -> None:
        """Without mux, what keeps users from him is that work connections have to prove the token, too."""
        scopes: Table = {"auth.additionalScopes": ["NewWorkConns"], "transport.tcpMux": False}
        self.server = self.start_server(scopes)
        for wire in self.wires:
            run_id = self.start_victim({**scopes, "transport.wireProtocol": wire})
            for answer in self.answers(NewWorkConn(run_id=run_id)):
                assert isinstance(answer, StartWorkConn), answer
                self.assertNotEqual(answer.error, "")
            for _ in range(12):
                converse(self.port)
            self.assertEqual(self.served, 12)
            self.end_victim()


class FrpcStrangerTests(StrangerTests):
    """The same with frp's client, whose logins are never bound."""

    skip = missing_frp()
    client_command = frp_command("frpc")
    settings = NOTHING
