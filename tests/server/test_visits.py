"""Tests of visits: how visitors reach secret proxies, and who does not."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.interfaces import ISignalPeer, IVisit
from relaykit.sansio.control.channel_binding import Purpose
from relaykit.sansio.control.client_opening import Refusal, VisitAccepted, open_visit, visit_answer
from relaykit.sansio.control.extensions import EXTENSIONS
from relaykit.sansio.control.login_proofs import BoundLogin, ClientProofs
from relaykit.sansio.lanes.agreement import agreed_codec
from relaykit.sansio.lanes.codec import LaneCodec
from relaykit.sansio.wire.framing import V1, V2
from relaykit.sansio.wire.messages import NewVisitorConn
from relaykit.server.acceptor import Link
from relaykit.server.visits import Visit
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.values import ClientIdentity, Origin, Secret
from tests.server.scene import EXPORTER, Client, Scene, versions

KEY = Secret("a key")
"""What the proxy and its visitors share."""


class _Proxy:
    """A proxy whose client has frp's format, in version 2."""

    def lane_codec(self) -> LaneCodec:
        return agreed_codec(V2, ())


class VisitTests(SynchronousTestCase):
    """What visits come to."""

    def setUp(self) -> None:
        self.scene = Scene()

    def provider(self, *, user: str = "", allow_users: tuple[str, ...] = ()) -> Client:
        """A client with the secret proxy ``db``."""
        client = Client(self.scene, user=user)
        client.register("db", "stcp", sk=KEY.reveal(), allow_users=list(allow_users))
        return client

    def visit(
        self, run_id: str, name: str = "db", secret: Secret = KEY, framing: Any = V2
    ) -> tuple[MemoryLeg, Deferred[Any]]:
        """A visit and its answer."""
        leg = self.scene.open()
        leg.write(open_visit(framing, run_id, name, secret, 1_700_000_000.0))
        answer = leg.take(visit_answer(framing))
        self.scene.flush()
        return leg, answer

    def refused(self, *args: Any, **named: Any) -> str:
        """What a visit that is refused is told."""
        answer = self.successResultOf(self.visit(*args, **named)[1])
        assert isinstance(answer, Refusal)
        return answer.text

    def test_admitted(self) -> None:
        """A visitor that knows the secret is connected with the local service, in either version."""
        for framing in versions():
            self.scene = Scene()
            provider, visitor = self.provider(), Client(self.scene)
            leg, answer = self.visit(visitor.run_id, framing=framing)
            self.assertIsInstance(self.successResultOf(answer), VisitAccepted)
            visiting = RecordingReceiver(leg)
            leg.write(b"select")
            work, assigned = provider.offer_work()
            self.assertEqual(self.successResultOf(assigned).proxy_name, "db")
            served = RecordingReceiver(work)
            work.write(b"rows")
            self.scene.flush()
            self.assertEqual((served.data, visiting.data), (b"select", b"rows"))

    def test_wrong_secret(self) -> None:
        """A visitor that does not know the secret is refused."""
        self.provider()
        self.assertEqual(
            self.refused(Client(self.scene).run_id, secret=Secret("guess")),
            "visitor connection of [db] auth failed",
        )

    def test_no_such_proxy(self) -> None:
        """A visit to what does not exist, or has no visitors, is refused alike."""
        client = self.provider()
        client.register("web", remote_port=6000)
        for name in ("nothing", "web"):
            self.assertEqual(self.refused(client.run_id, name), f"custom listener for [{name}] doesn't exist")

    def test_unknown_session(self) -> None:
        """A visit whose client is not logged in is refused."""
        self.provider()
        self.assertEqual(self.refused("nobody"), "no client control found for run id [nobody]")

    def test_without_run_id(self) -> None:
        """A visit that names no session is refused, whatever it knows."""
        self.provider()
        self.assertEqual(self.refused(""), "no client control found for run id []")

    def test_of_another_link(self) -> None:
        """A visit in the name of a client with mux comes over its link."""
        self.provider()
        own = Link(True, False, lambda: None)
        client = Client(self.scene, link=own)
        for link, answered in (
            (own, VisitAccepted),
            (Link(True, False, lambda: None), Refusal),
            (Link(False, False, lambda: None), Refusal),
        ):
            leg = self.scene.open(link)
            leg.write(open_visit(V2, client.run_id, "db", KEY, 1_700_000_000.0))
            answer = leg.take(visit_answer(V2))
            self.scene.flush()
            self.assertIsInstance(self.successResultOf(answer), answered)

    def test_nobody_to_be_signaled(self) -> None:
        """A visit tells who the client is; signals, which are for visitors by name, it does not take."""
        nothing: Any = None
        who = ClientIdentity("run")
        visit = Visit(
            identity=who,
            asked=nothing,
            framing=nothing,
            leg=nothing,
            on_accepted=nothing,
            entropy=nothing,
            origin=Origin(),
        )
        verifyObject(IVisit, visit)
        self.assertEqual((visit.identity, ISignalPeer.providedBy(visit)), (who, False))

    def test_lane(self) -> None:
        """A visit that is a lane is transcoded exactly where the two clients have different formats."""
        asked = NewVisitorConn(run_id="", proxy_name="db", sign_key="", timestamp=0)
        for framing, extensions, differs in (
            (V1, (), True),
            (V2, (), False),
            (V2, EXTENSIONS, True),
        ):
            _, leg = self.scene.network.pair()
            visit = Visit(
                identity=ClientIdentity("run"),
                asked=asked,
                framing=framing,
                leg=leg,
                on_accepted=lambda: None,
                entropy=self.scene.entropy,
                origin=Origin(),
                extensions=extensions,
            )
            proxy: Any = _Proxy()
            self.assertEqual(visit.accept_lane(KEY, proxy) is not leg, differs)

    def test_users(self) -> None:
        """Only the own user, the users in the list, or with a star everybody, may visit."""
        for own, allowed, visiting, admitted in (
            ("a", (), "a", True),
            ("a", (), "b", False),
            ("a", ("b",), "b", True),
            ("a", ("b",), "a", False),
            ("a", ("*",), "c", True),
            ("", (), "c", False),
        ):
            self.scene = Scene()
            self.provider(user=own, allow_users=allowed)
            answer = self.successResultOf(self.visit(Client(self.scene, user=visiting).run_id)[1])
            if admitted:
                self.assertIsInstance(answer, VisitAccepted)
            else:
                self.assertEqual(answer.text, f"visitor connection of [db] user [{visiting}] not allowed")

    def test_summary(self) -> None:
        """A server that gives no details says only that the visit failed."""
        self.scene = Scene(detailed=False)
        self.provider()
        self.assertEqual(self.refused("nobody"), "register visitor conn error")

    def test_bound(self) -> None:
        """A visit of a bound session belongs to it by its proof; no other can be made in its name."""
        self.provider()
        login = Link(False, True, lambda: None, exporter=EXPORTER)
        proofs = ClientProofs(exporter=EXPORTER, bound=BoundLogin.REQUIRE)
        client = Client(self.scene, link=login, proofs=proofs)
        assert client.core.bound is not None
        other = bytes(range(1, 33))
        proof = client.core.bound.connection_proof(Purpose.VISIT, other, client.run_id)
        for binding, answered in ((proof, VisitAccepted), (b"", Refusal), (proof[:-1] + b"?", Refusal)):
            leg = self.scene.open(Link(False, True, lambda: None, exporter=other))
            leg.write(open_visit(V2, client.run_id, "db", KEY, 1_700_000_000.0, binding=binding))
            answer = leg.take(visit_answer(V2))
            self.scene.flush()
            self.assertIsInstance(self.successResultOf(answer), answered)
