"""Tests for :mod:`relaykit.server.probes`, with a server and its clients in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RefusalCode, RefusedError
from relaykit.options import ProxyTransport
from relaykit.proxies import http, stcp, tcp, udp, xtcp
from relaykit.proxies.http.options import HttpKeys, HttpOptions
from relaykit.proxies.xtcp.options import XtcpOptions
from relaykit.sansio.control.probing import MOST_REPORT_BYTES
from relaykit.server import probes
from relaykit.server.events import ProxyProbed
from relaykit.server.probes import ANSWER_S, LOOK_S, ProbeResult
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, Published, collecting, echoing
from relaykit.values import Ended, Reach, Secret
from tests.server.scene import Client, Scene
from tests.server.test_observers import Noting

NAME = "under-test"


class ProbesTestCase(SynchronousTestCase):
    """Has a server."""

    wire = "auto"
    keys: dict[str, Any] = {}  # it is only read

    def setUp(self) -> None:
        self.relay = MemoryRelay(**self.keys)
        self.relay.wire_protocol = self.wire
        self.noting = Noting()
        self.relay.server.observe(self.noting)
        self.served: list[MemoryLeg] = []

    def publish(self, local: Any = echoing, **given: Any) -> Published:
        """A proxy of type tcp."""
        return self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), local=local, **given)

    def begin(self, name: str = NAME) -> Deferred[ProbeResult | None]:
        """A probe that has begun."""
        probing = Deferred.fromCoroutine(self.relay.server.probe(name))
        self.relay.settle()
        return probing

    def probe(self, name: str = NAME) -> ProbeResult:
        """What comes of a probe that nothing has to be waited for."""
        result = self.successResultOf(self.begin(name))
        assert result is not None
        return result

    def status(self) -> Any:
        """How the proxy stands."""
        return self.relay.server.proxy_status(NAME)


class OwnClientTests(ProbesTestCase):
    """Clients that answer probes."""

    def test_served(self) -> None:
        """A probe gets to the service, which sees a connection that ends; nobody has come."""
        self.publish(collecting(self.served))
        result = self.probe()
        self.assertEqual((result.reached, result.error, result.is_online), (Reach.SERVICE, "", True))
        (leg,) = self.served
        received = RecordingReceiver(leg)
        self.relay.settle()
        self.assertEqual((received.data, received.ended), (b"", True))
        status = self.status()
        self.assertEqual((status.connections, status.current, status.probe), (0, 0, result))
        self.assertIsNone(status.last.user_at)

    def test_no_service(self) -> None:
        """Where there is no local service, the client says what it heard."""
        self.publish(None)
        result = self.probe()
        self.assertEqual((result.reached, result.is_online), (Reach.CLIENT, False))
        self.assertEqual(result.problem, "local-service")
        self.assertTrue(result.error)

    def test_transforms(self) -> None:
        """The answer takes the way of payload, encrypted and compressed where that is."""
        self.publish(transport=ProxyTransport(use_encryption=True, use_compression=True))
        self.assertIs(self.probe().reached, Reach.SERVICE)

    def test_told(self) -> None:
        """Observers are told of each result, and which are news."""
        self.publish()
        self.probe()
        self.probe()
        told = [each for each in self.noting.told if isinstance(each, ProxyProbed)]
        self.assertEqual([each.is_news for each in told], [True, False])
        self.assertEqual([each.proxy for each in told], [NAME, NAME])

    def test_types(self) -> None:
        """Every type can be probed; of those for datagrams, only the client can be seen."""
        relay = self.relay
        key = Secret("k")
        relay.publish(udp.proxy_type, udp.UdpOptions(remote_port=6001), name="u")
        relay.publish(stcp.proxy_type, stcp.StcpOptions(secret_key=key), name="s", local=echoing)
        relay.publish(xtcp.proxy_type, XtcpOptions(secret_key=key), name="x", local=echoing)
        self.assertEqual([self.probe(name).reached.value for name in "usx"], ["client", "service", "service"])

    def test_site(self) -> None:
        """A site is asked for something, and must answer."""
        self.relay.publish(
            http.proxy_type,
            HttpOptions(custom_domains=("a.example",)),
            local=collecting(self.served),
            ingress_options=HttpKeys(vhost_http_port=8080),
        )
        for answer, reached, wrong in (
            (b"HTTP/1.1 404 Not Found\r\n\r\n", Reach.ANSWER, ""),
            (b"SSH-2.0-x\r\n", Reach.CLIENT, "not what HTTP allows"),
        ):
            self.served.clear()
            probing = self.begin()
            self.assertNoResult(probing)
            (leg,) = self.served
            asked = RecordingReceiver(leg)
            leg.write(answer)
            self.relay.settle()
            self.assertTrue(asked.data.startswith(b"HEAD / HTTP/1.1\r\nHost: a.example\r\n"), asked.data)
            result = self.successResultOf(probing)
            assert result is not None
            self.assertIs(result.reached, reached)
            self.assertIn(wrong, result.error)

    def test_silent_site(self) -> None:
        """A site that takes the request and says nothing is not online."""
        self.relay.publish(
            http.proxy_type,
            HttpOptions(custom_domains=("a.example",)),
            local=collecting(self.served),
            ingress_options=HttpKeys(vhost_http_port=8080),
        )
        probing = self.begin()
        self.relay.advance(ANSWER_S)
        result = self.successResultOf(probing)
        assert result is not None
        self.assertEqual((result.reached, result.is_online), (Reach.CLIENT, False))
        self.assertIn("has not answered within 5 seconds", result.error)

    def test_together(self) -> None:
        """Who asks while it is being looked gets the same answer; who asks no more takes it from nobody."""
        self.relay.publish(
            http.proxy_type,
            HttpOptions(custom_domains=("a.example",)),
            local=collecting(self.served),
            ingress_options=HttpKeys(vhost_http_port=8080),
        )
        first, second, third = self.begin(), self.begin(), self.begin()
        third.addErrback(lambda failure: None)
        third.cancel()
        (leg,) = self.served
        leg.write(b"HTTP/1.1 200 OK\r\n\r\n")
        self.relay.settle()
        self.assertIs(self.successResultOf(first), self.successResultOf(second))

    def test_unknown(self) -> None:
        """Of a proxy that is not there, nothing comes."""
        self.assertIsNone(self.successResultOf(self.begin("other")))

    def test_too_many(self) -> None:
        """More than may wait are refused."""
        self.publish()
        self.patch(probes, "MOST_WAITING", 0)
        error = self.failureResultOf(self.begin(), RefusedError).value
        self.assertIs(error.code, RefusalCode.TOO_MANY)

    def test_closed(self) -> None:
        """The session ends meanwhile: it gets to nobody, and what was found is not kept of a closed proxy."""
        published = self.publish()
        self.assertTrue(self.probe().is_online)
        published.client.stopService()
        self.relay.advance(10.0)
        self.assertIsNone(self.status().probe)


class FrpClientTests(ProbesTestCase):
    """Clients that know of no probes, as those of frp."""

    wire = "v1"

    def test_kept(self) -> None:
        """A service keeps a user who says nothing."""
        self.publish(collecting(self.served))
        probing = self.begin()
        self.assertNoResult(probing)
        self.relay.advance(LOOK_S)
        result = self.successResultOf(probing)
        assert result is not None
        self.assertEqual((result.reached, result.is_online), (Reach.SERVICE, True))
        self.assertEqual(self.status().connections, 0)

    def test_stands(self) -> None:
        """A client that stands keeps what it has, and nobody is served there."""
        self.publish(collecting(self.served))
        for each in self.relay.network.connections:
            each.stall()
        probing = self.begin()
        self.relay.advance(5.0)
        result = self.successResultOf(probing)
        assert result is not None
        self.assertEqual((result.reached, result.problem), (Reach.NOBODY, "no-work-connection"))

    def test_answers(self) -> None:
        """A service that speaks first is there."""
        self.publish(lambda leg: leg.write(b"SSH-2.0-x\r\n"))
        self.assertIs(self.probe().reached, Reach.ANSWER)

    def test_ended(self) -> None:
        """A client without a local service ends the connection."""
        self.publish(None)
        result = self.probe()
        self.assertEqual((result.reached, result.problem), (Reach.CLIENT, "local-service"))

    def test_cannot(self) -> None:
        """Where a user who says nothing would do harm, or tell nothing, nobody is sent."""
        relay = self.relay
        relay.publish(udp.proxy_type, udp.UdpOptions(remote_port=6001), name="u")
        relay.publish(xtcp.proxy_type, XtcpOptions(secret_key=Secret("k")), name="x")
        for name in "ux":
            error = self.failureResultOf(self.begin(name), RefusedError).value
            self.assertIs(error.code, RefusalCode.NOT_AVAILABLE)
            self.assertIn("answers no probes", error.text)


class RoundsTests(ProbesTestCase):
    """Looking at all proxies again and again."""

    keys = {"probe_interval": 60}

    def test_rounds(self) -> None:
        """Each is looked at once in an interval; those that cannot be are passed over."""
        self.publish()
        self.relay.wire_protocol = "v1"
        self.relay.publish(udp.proxy_type, udp.UdpOptions(remote_port=6001), name="u")
        self.relay.advance(59.0)
        self.assertIsNone(self.status().probe)
        self.relay.advance(2.0)
        first = self.status().probe
        self.assertIs(first.reached, Reach.SERVICE)
        self.relay.advance(60.0)
        self.assertIsNot(self.status().probe, first)

    def test_changed(self) -> None:
        """An interval counts from when it is changed, also to none."""
        self.publish()
        made = self.relay.server._parts.probes  # type: ignore[union-attr]  # it runs
        made.change(0)
        self.relay.advance(100.0)
        self.assertIsNone(self.status().probe)
        made.change(10)
        self.relay.advance(11.0)
        self.assertIsNotNone(self.status().probe)

    def test_stopped(self) -> None:
        """A server that stops looks no more."""
        self.publish()
        self.relay.stop()
        self.relay.advance(100.0)
        self.assertEqual([each for each in self.noting.told if isinstance(each, ProxyProbed)], [])


class SilentClientTests(SynchronousTestCase):
    """Clients that take the work connection of a probe, and do not do what was agreed on."""

    def probing(self) -> tuple[Scene, MemoryLeg, Deferred[Any]]:
        """A probe that has a work connection."""
        scene = Scene()
        client = Client(scene)
        client.register("web", remote_port=6000)
        proxy = scene.registry.get("web")
        assert proxy is not None
        answer = probes._Seeker(proxy, is_probe=True).start()
        leg, assigned = client.offer_work()
        self.assertEqual(self.successResultOf(assigned).proxy_name, "web")
        scene.flush()
        return scene, leg, answer

    def test_silent(self) -> None:
        """Who never answers is waited for so long, and no longer."""
        scene, leg, answer = self.probing()
        received = RecordingReceiver(leg)
        scene.advance(ANSWER_S)
        report = self.successResultOf(answer)
        self.assertIs(report.reached, Reach.NOBODY)
        self.assertEqual(report.error, "the client has not answered within 10 s")
        self.assertIsNotNone(received.lost)

    def test_no_work_connection(self) -> None:
        """Who opens no work connection is waited for so long, however long users wait."""
        self.patch(probes, "MOST_S", 5.0)
        scene = Scene()
        Client(scene).register("web", remote_port=6000)
        made = probes.Probes(lambda _: tcp.proxy_type, iter, scene.clock, scene.clock.seconds, 0)  # type: ignore[arg-type]  # no rounds
        proxy = scene.registry.get("web")
        assert proxy is not None
        probing = made.probe(proxy)
        scene.advance(5.0)
        result = self.successResultOf(probing)
        self.assertEqual((result.reached, result.seconds), (Reach.NOBODY, 5.0))
        self.assertEqual(result.problem, "no-work-connection")

    def test_ends(self) -> None:
        """Who ends the connection has not answered."""
        scene, leg, answer = self.probing()
        leg.cut(Ended.RESET)
        scene.flush()
        self.assertIs(self.successResultOf(answer).reached, Reach.NOBODY)

    def test_nonsense(self) -> None:
        """Who answers nonsense, or without end, has not answered."""
        for said in (b"nonsense\n", b"x" * (MOST_REPORT_BYTES + 1)):
            scene, leg, answer = self.probing()
            leg.write(said)
            scene.flush()
            self.assertIs(self.successResultOf(answer).reached, Reach.NOBODY)

    def test_cancelled(self) -> None:
        """Who is not waited for any more loses the connection, or gets none."""
        scene, leg, answer = self.probing()
        received = RecordingReceiver(leg)
        answer.addErrback(lambda failure: None)
        answer.cancel()
        scene.flush()
        self.assertIsNotNone(received.lost)
