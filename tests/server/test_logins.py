"""Tests of logins: who has to make way for whom, and who need not."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.proxies.tcp import _OpenPort
from relaykit.sansio.control import events
from relaykit.sansio.control.login_proofs import BoundLogin, ClientProofs
from relaykit.sansio.control.server_control import ServerControl
from relaykit.sansio.control.texts import HELD_TOO_LONG, TOO_MANY_LOGINS
from relaykit.sansio.wire.framing import V1, V2, MessageTooLong
from relaykit.server import logins
from relaykit.server.acceptor import Link
from relaykit.server.liveness import PROBE_TIMEOUT_S
from relaykit.server.logins import PREEMPTION_S
from relaykit.server.registry import WITHDRAW_TIMEOUT_S
from relaykit.values import Ended, Secret
from tests.server.scene import EXPORTER, TOKEN, Client, Key, Scene, versions
from tests.server.test_verification import SlowVerifier

OWNER = ClientProofs(signer=Key(1))
"""A client with an identity, without TLS."""

OTHER = ClientProofs(signer=Key(2))
STANDING_BY = evolve(OWNER, stands_by=True)
BOUND = ClientProofs(exporter=EXPORTER, bound=BoundLogin.PREFER)


class TakeoverTests(SynchronousTestCase):
    """The same identity again."""

    def setUp(self) -> None:
        self.scene = Scene()

    def test_at_once(self) -> None:
        """Who proves the same identity gets its session at once: run id, names and ports."""
        first = Client(self.scene, proofs=OWNER, alive=True)
        first.register("web", remote_port=6000)
        second = Client(self.scene, proofs=OWNER)
        self.assertEqual(second.run_id, first.run_id)
        second.register("web", remote_port=6000)
        self.assertEqual([each.address for each in second.of(events.ProxyRegistered)], [":6000"])
        self.assertEqual(len(self.scene.sessions), 1)

    def test_replaced_is_told(self) -> None:
        """The one that is replaced is told so, and by whom."""
        first = Client(self.scene, proofs=OWNER)
        second = Client(self.scene, proofs=OWNER)
        (ended,) = first.of(events.SessionEnded)
        self.assertEqual(ended.why, Ended.REPLACED)
        self.assertEqual(ended.text, f"the same identity logged in again, from {second.leg.host}")

    def test_does_not_let_go(self) -> None:
        """A client is answered in time, also where a proxy of the one that it replaces does not close."""
        first = Client(self.scene, proofs=OWNER)
        first.register("web", remote_port=6000)

        async def withdraw(exposure: object) -> None:
            await Deferred()

        self.patch(_OpenPort, "withdraw", withdraw)
        second = Client(self.scene, proofs=OWNER)
        self.assertEqual(second.of(events.LoginRefused), [])
        self.scene.advance(PREEMPTION_S)
        self.assertEqual(second.of(events.LoginRefused)[0].text, HELD_TOO_LONG)
        self.scene.advance(WITHDRAW_TIMEOUT_S)
        self.assertEqual(len(self.flushLoggedErrors(DeadlinePassed)), 1)
        self.assertEqual(Client(self.scene, proofs=OWNER).of(events.LoginRefused), [])

    def test_with_the_run_id(self) -> None:
        """A client that lost its connection and names its run id keeps it."""
        first = Client(self.scene, proofs=OWNER)
        second = Client(self.scene, proofs=OWNER, run_id=first.run_id)
        self.assertEqual(second.run_id, first.run_id)
        self.assertEqual(len(self.scene.sessions), 1)

    def test_yielding(self) -> None:
        """A client that takes nothing from a live one is refused while that is alive, and both are named."""
        first = Client(self.scene, proofs=OWNER, alive=True)
        with capturedLogs() as logged:
            second = Client(self.scene, proofs=STANDING_BY)
        (refused,) = second.of(events.LoginRefused)
        self.assertIn("was a state directory copied?", refused.text)
        self.assertEqual(first.of(events.SessionEnded), [])
        (line,) = [each for each in logged if "two clients have the same identity" in each["log_format"]]
        self.assertEqual((line["holder"], str(line["origin"])), (first.leg.host, str(second.leg.host)))

    def test_yielding_to_a_dead_one(self) -> None:
        """Once the other one gives no sign of life, it gets the session all the same."""
        Client(self.scene, proofs=OWNER)
        second = Client(self.scene, proofs=STANDING_BY)
        self.scene.advance(PROBE_TIMEOUT_S)
        self.assertTrue(second.run_id)
        self.assertEqual(len(self.scene.sessions), 1)

    def test_twice_at_once(self) -> None:
        """Of two logins with one identity the later one stays."""
        Client(self.scene, proofs=OWNER)
        second = Client(self.scene, proofs=STANDING_BY)
        third = Client(self.scene, proofs=OWNER)
        self.assertEqual(second.of(events.LoginRefused)[0].text, "control was replaced during login")
        self.assertTrue(third.run_id)
        self.assertEqual(len(self.scene.sessions), 1)


class AnswerTests(SynchronousTestCase):
    """A login whose answer cannot be made."""

    def test_does_not_fit(self) -> None:
        """Nothing is left of a client that cannot be told that it is in."""
        scene = Scene()

        def accept(core: ServerControl, run_id: str, now: float) -> None:
            raise MessageTooLong("LoginResp has 30000 bytes")

        self.patch(ServerControl, "accept", accept)
        client = Client(scene)
        self.assertEqual(len(self.flushLoggedErrors(MessageTooLong)), 1)
        self.assertEqual(len(scene.sessions), 0)
        assert client.leg.host is not None
        self.assertFalse(scene.sessions.is_known(client.leg.host.host))
        self.assertEqual(client.of(events.LoggedIn), [])


class ConflictTests(SynchronousTestCase):
    """Somebody else has what a client asks for."""

    def setUp(self) -> None:
        self.scene = Scene()

    def test_run_id_of_a_live_client(self) -> None:
        """A run id is not taken from a client that is alive, by nobody but its owner."""
        for framing in versions():
            for proofs in (OWNER, ClientProofs()):
                self.setUp()
                first = Client(self.scene, proofs=proofs, alive=True)
                thief = Client(self.scene, framing=framing, run_id=first.run_id)
                (refused,) = thief.of(events.LoginRefused)
                self.assertIn("belongs to another client, which is online", refused.text)
                self.assertEqual(first.of(events.SessionEnded), [])

    def test_run_id_of_a_silent_client(self) -> None:
        """A plain client whose old connection is dead gets its run id back after three seconds."""
        for framing in versions():
            self.setUp()
            first = Client(self.scene, framing=framing)
            first.register("web", remote_port=6000)
            second = Client(self.scene, framing=framing, run_id=first.run_id)
            self.scene.advance(PROBE_TIMEOUT_S - 0.5)
            self.assertEqual(second.told, [])
            self.scene.advance(0.5)
            self.assertEqual(second.run_id, first.run_id)
            second.register("web", remote_port=6000)
            self.assertEqual(len(second.of(events.ProxyRegistered)), 1)

    def test_silent_while_this_side_is_deaf(self) -> None:
        """A client that cannot be heard, for strangers take places away, is not taken for dead."""
        self.scene = Scene(most_pending=4)
        holder = Client(self.scene, user="held")
        Client(self.scene, run_id=holder.run_id)
        for _ in range(6):
            self.scene.accept()
        self.scene.advance(PROBE_TIMEOUT_S)
        self.assertIsNotNone(self.scene.sessions.get(holder.run_id))
        self.scene.bind_port.close_connections()
        Client(self.scene, run_id=holder.run_id, user="new")
        self.scene.advance(PROBE_TIMEOUT_S)
        session = self.scene.sessions.get(holder.run_id)
        assert session is not None
        self.assertEqual(session.identity.user, "new")

    def test_lost_while_it_is_asked(self) -> None:
        """When the old connection turns out to be gone, nobody waits any longer."""
        first = Client(self.scene)
        second = Client(self.scene, run_id=first.run_id)
        first.leg.abort()
        self.scene.flush()
        self.assertEqual(second.run_id, first.run_id)

    def test_run_id_that_a_stranger_has(self) -> None:
        """A client with an identity is not locked out by somebody who uses its run id: it gets another."""
        stranger = Client(self.scene, run_id="0123456789abcdef", alive=True)
        owner = Client(self.scene, proofs=OWNER, run_id="0123456789abcdef")
        self.assertNotEqual(owner.run_id, stranger.run_id)
        self.assertEqual(len(self.scene.sessions), 2)

    def test_client_id(self) -> None:
        """A client id that a live session has is refused; the same user's other ids are not."""
        Client(self.scene, user="u", client_id="c", alive=True)
        refused = Client(self.scene, user="u", client_id="c")
        self.assertEqual(
            refused.of(events.LoginRefused)[0].text, "client_id [c] for user [u] is already online"
        )
        self.assertTrue(Client(self.scene, user="u", client_id="d").run_id)
        self.assertTrue(Client(self.scene, user="v", client_id="c").run_id)

    def test_client_id_of_a_silent_client(self) -> None:
        """A client id is free after three seconds of silence."""
        Client(self.scene, user="u", client_id="c")
        second = Client(self.scene, user="u", client_id="c")
        self.scene.advance(PROBE_TIMEOUT_S)
        self.assertTrue(second.run_id)
        self.assertEqual(len(self.scene.sessions), 1)

    def test_name(self) -> None:
        """A name is taken from a silent client, whatever else that holds, and from no live one."""
        silent = Client(self.scene)
        silent.register("web", remote_port=6000)
        silent.register("db", remote_port=6001)
        second = Client(self.scene, proofs=OTHER, alive=True)
        second.register("web", remote_port=6002)
        self.scene.advance(PROBE_TIMEOUT_S)
        self.assertEqual(second.of(events.ProxyRegistered)[0].address, ":6002")
        self.assertEqual(set(self.scene.ports), {6002})
        self.assertEqual(silent.of(events.SessionEnded)[0].why, Ended.TIMEOUT)
        third = Client(self.scene, proofs=OWNER)
        third.register("web", remote_port=6003)
        self.assertEqual(third.of(events.ProxyRefused)[0].text, "proxy [web] already exists")

    def test_port(self) -> None:
        """So is a port."""
        silent = Client(self.scene)
        silent.register("web", remote_port=6000)
        second = Client(self.scene, alive=True)
        second.register("other", remote_port=6000)
        self.scene.advance(PROBE_TIMEOUT_S)
        self.assertEqual(second.of(events.ProxyRegistered)[0].address, ":6000")
        third = Client(self.scene)
        third.register("third", remote_port=6000)
        self.assertEqual(third.of(events.ProxyRefused)[0].text, "port already used")

    def test_own_name(self) -> None:
        """A client that asks for a name twice is refused at once."""
        client = Client(self.scene)
        client.register("web", remote_port=6000)
        client.register("web", remote_port=6001)
        self.assertEqual(client.of(events.ProxyRefused)[0].text, "proxy [web] already exists")

    def test_heartbeat_is_a_sign_of_life(self) -> None:
        """Anything that a client says while it is asked shows that it is alive."""
        first = Client(self.scene)
        first.register("web", remote_port=6000)
        second = Client(self.scene)
        second.register("web", remote_port=6001)
        first.core._ping()
        first.driver.step()
        self.scene.flush()
        self.assertEqual(len(second.of(events.ProxyRefused)), 1)


class ProofTests(SynchronousTestCase):
    """Who gets in at all."""

    def test_bound(self) -> None:
        """A client that can is let in by a bound login, and every other as before."""
        scene = Scene()
        link = Link(False, True, lambda: None, exporter=EXPORTER)
        with capturedLogs() as logged:
            Client(scene, link=link, proofs=BOUND)
            Client(scene, framing=V1)
        self.assertEqual(
            [each["bound"] for each in logged if "client login info" in each["log_format"]], [True, False]
        )

    def test_required(self) -> None:
        """A server that requires it lets in nobody else: not in version 1, not without TLS."""
        scene = Scene(bound=BoundLogin.REQUIRE)
        link = Link(False, True, lambda: None, exporter=EXPORTER)
        self.assertTrue(Client(scene, link=link, proofs=BOUND).run_id)
        for refused in (Client(scene, framing=V1), Client(scene, framing=V2), Client(scene, proofs=OWNER)):
            self.assertIn("requires a bound login", refused.of(events.LoginRefused)[0].text)

    def test_other_tls_session(self) -> None:
        """A login for another TLS session is refused, and its own link is not admitted."""
        scene = Scene()
        link = Link(False, True, lambda: None, exporter=bytes(32))
        client = Client(scene, link=link, proofs=BOUND)
        self.assertEqual(len(client.of(events.BindingFailed)), 1)
        self.assertFalse(link.is_admitted)

    def test_identity_is_remembered(self) -> None:
        """The session knows the key that its client proved to have."""
        scene = Scene()
        for proofs, key in ((OWNER, Key(1).public_key), (ClientProofs(), b"")):
            session = scene.sessions.get(Client(scene, proofs=proofs).run_id)
            assert session is not None
            self.assertEqual(session.identity.key, key)


class RateTests(SynchronousTestCase):
    """More logins than one address may get wrong."""

    wrong = Secret("wrong")

    def setUp(self) -> None:
        self.patch(logins, "LOGINS_AT_ONCE", 2)
        self.scene = Scene()

    def refusals(self, times: int, token: Secret = wrong) -> list[str]:
        """What so many clients are told; empty for nothing."""
        clients = [Client(self.scene, token=token) for _ in range(times)]
        return ["".join(each.text for each in client.of(events.LoginRefused)) for client in clients]

    def test_wrong_token(self) -> None:
        """Of many that prove nothing the first ones are told so; the others are dropped, until later."""
        for _ in range(2):
            self.assertEqual([bool(text) for text in self.refusals(4)], [True, True, False, False])
            self.scene.advance(60)

    def test_right_token(self) -> None:
        """A login that proves itself is let in in every version of the wire, however many others failed."""
        self.refusals(10)
        for framing in versions():
            self.assertTrue(Client(self.scene, framing=framing).run_id)

    def test_right_token_costs_nothing(self) -> None:
        """However many proved themselves, one that does not is told so."""
        self.assertEqual(self.refusals(10, TOKEN), [""] * 10)
        self.assertTrue(all(self.refusals(2)))

    def test_told(self) -> None:
        """Each login that is dropped is told of, with its host, so that a flood of them is counted."""
        with capturedLogs() as logged:
            for _ in range(6):
                Client(self.scene, token=self.wrong)
        told = [each for each in logged if each.get("reason") == TOO_MANY_LOGINS]
        self.assertNotEqual(told, [])
        self.assertEqual({each["log_level"] for each in told}, {LogLevel.warn})
        self.assertNotIn(None, {each.get("stranger") for each in told})

    def test_slow_verifier(self) -> None:
        """So many may wait for a slow verifier; for one more the one that has waited longest is refused."""
        self.patch(logins, "MOST_UNVERIFIED_OF_SOURCE", 2)
        verifier = SlowVerifier()
        self.scene = Scene(verifier=verifier)
        clients = [Client(self.scene) for _ in range(3)]
        self.scene.flush()
        self.assertEqual([each.text for each in clients[0].of(events.LoginRefused)], [TOO_MANY_LOGINS])
        self.assertEqual(verifier.cancelled, 1)
        for answer in verifier.answers[1:]:
            answer.callback(None)
        self.scene.flush()
        self.assertEqual([bool(each.of(events.LoggedIn)) for each in clients], [False, True, True])
        late = Client(self.scene)
        verifier.answers[-1].callback(None)
        self.scene.flush()
        self.assertTrue(late.run_id)

    def test_identity_that_fails(self) -> None:
        """A client whose signature does not hold is let in without identity, and that is said."""
        scene = Scene()
        link = Link(False, True, lambda: None, exporter=bytes(32))
        with capturedLogs() as logged:
            client = Client(scene, link=link, proofs=ClientProofs(exporter=EXPORTER, signer=Key(1)))
        session = scene.sessions.get(client.run_id)
        assert session is not None
        self.assertEqual(session.identity.key, b"")
        self.assertTrue(any("somebody ends TLS in between" in each["log_format"] for each in logged))
