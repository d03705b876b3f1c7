"""A man in the middle, with real programs: what he can do to frp's login, and not to a bound one."""

from __future__ import annotations

import contextlib
import ssl
from queue import Queue

from relaykit.sansio.wire.extension_messages import IdentifiedLogin, ProvenLogin, ProvenLoginResp
from relaykit.sansio.wire.framing import MAGIC, V1, V2
from relaykit.sansio.wire.messages import Login, LoginResp, NewWorkConn, StartWorkConn
from tests.integration.certificates import Authority
from tests.integration.mitm import Middle, messages
from tests.integration.programs import (
    PATIENCE_S,
    Program,
    free_port,
    frp_command,
    missing_frp,
    relaykit_command,
)
from tests.integration.relays import NOTHING, RelayTestCase, Table
from tests.integration.traffic import converse, dial, echo, receive_exactly

BOTH_CAUSES = "the token is not the server's, or somebody is between you and the server"
"""What a client says when a bound login fails."""

WORDS = b"what a user says to nobody but the service"


class MiddleTestCase(RelayTestCase):
    """A server, a client that dials somebody else, and what that one sees."""

    client_settings: Table = NOTHING
    server_settings: Table = NOTHING

    def setUp(self) -> None:
        """Starts a server, a service and whoever is in the middle."""
        super().setUp()
        self.served = 0
        self.server = self.start_server(self.server_settings)
        self.service = self.start_service(self.serve)
        self.port = free_port()
        self.middle = Middle(self.bind_port, Authority(self.folder).certify("middle.example"))
        self.addCleanup(self.middle.stop)

    def serve(self, connection: object) -> None:
        """Counts who reaches the service."""
        self.served += 1
        echo(connection)  # type: ignore[arg-type]  # a socket

    def client(self, table: Table = NOTHING) -> Program:
        """A client whose way to the server leads through the middle."""
        return self.start_client(
            {**self.client_settings, **table, "serverPort": self.middle.port},
            [{"name": "echo", "type": "tcp", "localPort": self.service.port, "remotePort": self.port}],
        )


class FrpLoginTests(MiddleTestCase):
    """Against frp's login: between our own ends, where bound logins are switched off."""

    client_settings: Table = {"auth.bound": "off", "transport.tcpMux": False}
    server_settings: Table = {"auth.bound": "off", "transport.tcpMux": False}

    def test_reads(self) -> None:
        """Client and server notice nothing, and what users say is read."""
        self.client().wait_for("start proxy success")
        with dial(self.port) as user:
            user.sendall(WORDS)
            self.assertEqual(receive_exactly(user, len(WORDS)), WORDS)
        self.assertIn(WORDS, self.middle.content)

    def test_logs_in(self) -> None:
        """The login that was seen lets somebody else in, any number of times."""
        client = self.client()
        client.wait_for("start proxy success")
        login = self.seen_login()
        client.stop()
        for _ in range(2):
            answers = self.middle.say(V1.encode(login), answers=1)
            self.assertEqual([type(each) for each in answers], [LoginResp])
            self.assertEqual([each.error for each in answers if isinstance(each, LoginResp)], [""])

    def test_starts_work(self) -> None:
        """Who answers a work connection in the server's place reaches the local service."""
        self.client().wait_for("start proxy success")
        reached: Queue[bytes] = Queue()

        def answer(client: ssl.SSLSocket) -> None:
            (opening,) = messages(client.recv(65536))
            assert isinstance(opening, NewWorkConn)
            framing = V2 if self.version == 2 else V1
            client.sendall(framing.encode(StartWorkConn(proxy_name="echo")) + WORDS)
            reached.put(receive_exactly(client, len(WORDS)))

        self.middle.answer = answer
        # Whom the client has opened a work connection for already; it opens the next.
        with dial(self.port):
            self.assertEqual(reached.get(timeout=PATIENCE_S), WORDS)

    version = 2
    """Of the wire."""

    def seen_login(self) -> Login:
        """A login with the proof of the token that was seen, in the client's own wrapping or without."""
        for each in self.middle.from_clients():
            found = IdentifiedLogin.from_json(each.login) if isinstance(each, ProvenLogin) else each
            if isinstance(found, Login):
                return Login(privilege_key=found.privilege_key, timestamp=found.timestamp)
        raise AssertionError("no login was seen")


class RealFrpLoginTests(FrpLoginTests):
    """The same with frp's own programs at both ends."""

    skip = missing_frp()
    server_command = frp_command("frps")
    client_command = frp_command("frpc")
    client_settings: Table = {"transport.tcpMux": False}
    server_settings: Table = {"transport.tcpMux": False}
    version = 1


class BoundLoginTests(MiddleTestCase):
    """Against a bound login, with mux."""

    mux = True

    def setUp(self) -> None:
        """Has both ends use mux, or not."""
        self.client_settings = {"transport.tcpMux": self.mux}
        self.server_settings = {"transport.tcpMux": self.mux}
        super().setUp()

    # --- what is checked ------------------------------------------------------------------------

    def check_fails(self, table: Table, *reasons: str) -> Program:
        """A client does not log in, says why, and nobody has reached anything."""
        client = self.client(table)
        self.assertEqual(client.wait_for_end(), 1)
        for reason in reasons:
            self.assertIn(reason, client.output)
        self.assertNotIn("login to server success", client.output)
        self.assertEqual(self.served, 0)
        return client

    def check_nothing_of_use(self) -> None:
        """What was seen lets nobody in, and shows no proof of frp's."""
        for conversation in list(self.middle.conversations):
            content = bytes(conversation.from_client)
            for each in messages(content):
                self.assertNotIsInstance(each, Login)
                if isinstance(each, ProvenLogin):
                    self.assertNotIn(b"privilege_key", each.login)
            for said in self.middle.say(content):
                self.assertNotIsInstance(said, ProvenLoginResp)
                if isinstance(said, LoginResp):
                    self.assertTrue(said.error)
        self.assertNotIn("client login info", self.server.output)

    def log_in_directly(self) -> None:
        """A first contact with nobody in the middle; the client is gone afterwards."""
        self.middle.honest = True
        client = self.client()
        client.wait_for("start proxy success")
        converse(self.port)
        client.stop()
        self.server.wait_for("client exit success")
        self.middle.honest = False
        self.middle.conversations.clear()
        self.served = 0

    # --- first contact --------------------------------------------------------------------------

    def test_first_contact(self) -> None:
        """With ``require`` he neither gets a client in, nor himself, nor anywhere near the service."""
        self.check_fails({"auth.bound": "require"}, BOTH_CAUSES)
        self.server.wait_for("or TLS is ended in between by somebody else")
        self.check_nothing_of_use()

    def test_hidden_offer(self) -> None:
        """Hiding the offer from the server leads to no login at all, and to no proof of any kind."""
        self.middle.alter = without_bound
        self.check_fails({"auth.bound": "require"}, "does not agree to a bound login", "hides this")
        self.assertEqual(logins(self.middle), [])
        self.check_nothing_of_use()

    def test_older_tls(self) -> None:
        """Neither does an older version of TLS, in which two sessions can be made alike."""
        self.middle.client_tls = ssl.TLSVersion.TLSv1_2
        self.check_fails({"auth.bound": "require"}, "takes TLSv1.3, and the connection has TLSv1.2")
        self.assertEqual(logins(self.middle), [])

    def test_older_wire(self) -> None:
        """Nor ending every connection that begins in version 2."""
        self.middle.answer = end_at_once
        self.check_fails({"auth.bound": "require"}, "the connection ended")
        self.assertEqual(len(self.middle.conversations), 1)

    def test_no_promise(self) -> None:
        """With ``prefer`` a first contact through him is not protected: he can bring about version 1."""
        self.middle.alter = without_version_2
        client = self.client()
        client.wait_for("start proxy success")
        client.wait_for("[W]")
        self.assertIn("the server did not prove itself: whoever is in between can read", client.output)
        self.server.wait_for("the client did not prove itself: its login is not bound")
        (seen,) = logins(self.middle)
        assert isinstance(seen, Login)
        self.assertTrue(seen.privilege_key)

    def test_hidden_offer_is_noticed(self) -> None:
        """Even there, hiding the offer gains nothing: both ends seal with what they have heard."""
        self.middle.alter = without_bound
        client = self.client()
        client.wait_for("a record does not authenticate")
        self.assertNotIn("start proxy success", client.output)
        state = self.folder / ".local" / "state" / "relaykit" / "servers.json"
        self.assertFalse(state.exists())

    # --- from the second contact on ---------------------------------------------------------------

    def test_second_contact(self) -> None:
        """With ``prefer`` he comes too late where the server was logged in to before."""
        self.log_in_directly()
        before = self.server.output.count("client login info")
        self.check_fails(NOTHING, BOTH_CAUSES, "is not the one that it had before")
        self.assertEqual(self.server.output.count("client login info"), before)

    def test_second_contact_without_offer(self) -> None:
        """So he does with hiding the offer, an older TLS, or an older wire; nothing of a login is sent."""
        self.log_in_directly()
        forget = f"relaykit forget 127.0.0.1:{self.middle.port}"
        self.middle.alter = without_bound
        self.check_fails(NOTHING, "does not agree to a bound login, as it did before", forget)
        self.middle.alter = bytes
        self.middle.client_tls = ssl.TLSVersion.TLSv1_2
        self.check_fails(NOTHING, "takes TLSv1.3")
        self.middle.client_tls = ssl.TLSVersion.TLSv1_3
        self.middle.answer = end_at_once
        self.check_fails(NOTHING, "so version 1 is not tried", forget)
        self.assertEqual(logins(self.middle), [])

    def test_forgotten(self) -> None:
        """Whoever forgets the server begins anew."""
        self.log_in_directly()
        forget = Program(relaykit_command("forget", f"127.0.0.1:{self.middle.port}"), self.folder)
        self.assertEqual(forget.wait_for_end(), 0)
        self.middle.alter = without_version_2
        self.client().wait_for("start proxy success")

    # --- while a session stands -------------------------------------------------------------------

    def test_work_of_a_stranger(self) -> None:
        """Who knows the run id and offers work connections of his own gets no user."""
        self.middle.honest = True
        client = self.client()
        client.wait_for("start proxy success")
        run_id = client.wait_for("login to server success").rstrip().rpartition("[")[2].partition("]")[0]
        self.assertEqual(len(run_id), 16)
        for framing in (V1, V2):
            start = MAGIC if framing is V2 else b""
            (answer,) = self.middle.say(start + framing.encode(NewWorkConn(run_id=run_id)), answers=1)
            assert isinstance(answer, StartWorkConn)
            self.assertIn("does not belong to the session", answer.error)
        converse(self.port)


class BoundWithoutMuxTests(BoundLoginTests):
    """The same without mux, where each work connection has a TLS session of its own."""

    mux = False

    def test_later_connections(self) -> None:
        """Who comes between later gets no work connection, starts no work, and reaches nothing."""
        self.middle.honest = True
        client = self.client()
        client.wait_for("start proxy success")
        self.middle.honest = False
        # The first one may have the work connection that was there before; for the others there is none, and
        # the session ends for it, with its port.
        answers = []
        for _ in range(2):
            with contextlib.suppress(ConnectionError), dial(self.port) as user:
                user.sendall(WORDS)
                answers.append(receive_exactly(user, len(WORDS)))
            client.wait_for("who answers now has another certificate than the server of this session")
        self.assertEqual([each for each in answers[1:] if each], [])
        self.assertNotIn(WORDS, self.middle.content)
        self.assertEqual(self.middle.from_clients(), [])
        self.assertLessEqual(self.served, 1)


def without_bound(said: bytes) -> bytes:
    """A client's hello without the offer of a bound login; everything else as it is."""
    offer = b'"bound":true,'
    return said.replace(offer, b'"bounx":true,')


def without_version_2(said: bytes) -> bytes:
    """What a client says, as long as it is not version 2."""
    if MAGIC in said:
        raise ConnectionAbortedError
    return said


def end_at_once(client: ssl.SSLSocket) -> None:
    """What a server does that does not know version 2."""
    client.recv(65536)


def logins(middle: Middle) -> list[object]:
    """The logins that were seen, of every kind."""
    return [each for each in middle.from_clients() if isinstance(each, Login | ProvenLogin)]
