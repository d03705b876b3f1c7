"""Tests for :mod:`relaykit.ssh_gateway.client`: what whoever runs ssh sees, in frp's words."""

from __future__ import annotations

from twisted.conch.error import ConchError
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.texts import WRONG_TOKEN
from relaykit.ssh_gateway import texts
from relaykit.ssh_gateway.client import ASK_S, LEAVE_S, LOGIN_S
from relaykit.ssh_gateway.keep_alive import KEEP_ALIVE_S
from relaykit.ssh_gateway.screen import SHOW_S
from relaykit.values import Ended
from tests.server.scene import Client
from tests.ssh_gateway.scene import TOKEN, GatewayScene

COMMAND = "tcp -n web -r 6000 --token tok"

ANNOUNCED = "\nfrp (via SSH) (Ctrl+C to quit)\n\nUser: \nProxyName: web\nType: tcp\nRemoteAddress: :6000\n\n"


class TunnelTests(SynchronousTestCase):
    """There is a tunnel."""

    def setUp(self) -> None:
        self.scene = GatewayScene(self.mktemp())

    def test_announced(self) -> None:
        """Who runs ssh is told what is published and where, as by frp; without a terminal, nothing more."""
        ssh = self.scene.ssh(COMMAND)
        self.assertEqual((ssh.shown, ssh.status, ssh.is_lost), (ANNOUNCED, None, False))
        self.assertEqual(ssh.forwarded, [b""])
        self.scene.advance(10 * SHOW_S)
        self.assertEqual(ssh.shown, ANNOUNCED)

    def test_order(self) -> None:
        """The command may come before the port."""
        ssh = self.scene.ssh(COMMAND, forwards=0)
        self.assertEqual(ssh.shown, "")
        ssh.forward(80)
        self.scene.flush()
        self.assertEqual(ssh.shown, ANNOUNCED)

    def test_client_of_the_server(self) -> None:
        """For the server it is a client like any other, from where ssh runs, with what its flags say."""
        self.scene.ssh(f"{COMMAND} --user bob --client-id lap --metadatas a=b")
        (proxy,) = self.scene.registry
        self.assertEqual(
            (proxy.name, proxy.identity.user, proxy.identity.client_id), ("bob.web", "bob", "lap")
        )
        self.assertEqual(str(proxy.identity.address), "203.0.113.9:40000")
        self.assertEqual(proxy.common.metadatas, {"a": "b"})

    def test_users(self) -> None:
        """They reach the local service, which is told where they come from; each direction ends alone."""
        ssh = self.scene.ssh(COMMAND)
        user, got = self.scene.dial(6000)
        (service,) = ssh.services
        assert user.host is not None
        self.assertEqual(service.origin, (user.host.host, user.host.port))
        user.write(b"question")
        user.finish_writing()
        self.scene.flush()
        self.assertEqual((service.got, service.has_ended), (b"question", True))
        service.write(b"answer")
        service.loseConnection()
        self.scene.flush()
        self.assertEqual((got.data, got.lost, service.is_closed), (b"answer", Ended.FINISHED, True))

    def test_no_local_service(self) -> None:
        """A user whom the local service refuses is let go; the tunnel stays."""
        ssh = self.scene.ssh(COMMAND, serves=False)
        _, got = self.scene.dial(6000)
        self.assertTrue(got.ended)
        self.assertFalse(ssh.is_lost)
        self.flushLoggedErrors(ConchError)  # of the client's own library

    def test_gone(self) -> None:
        """When ssh is gone, the name and the port are free at once, and no call is left behind."""
        before = len(self.scene.clock.getDelayedCalls())
        for end in ("transport.transport.loseConnection", "leg.abort"):
            ssh = self.scene.ssh(COMMAND)
            self.assertEqual(ssh.shown, ANNOUNCED)
            call: object = ssh
            for name in end.split("."):
                call = getattr(call, name)
            call()  # type: ignore[operator]  # it is one
            self.scene.flush()
            self.assertEqual((len(self.scene.registry), len(self.scene.sessions)), (0, 0))
        self.scene.advance(60)
        self.assertEqual(len(self.scene.clock.getDelayedCalls()), before)

    def test_stopped_by_the_server(self) -> None:
        """When the server ends the session, ssh is told and ends with an error."""
        ssh = self.scene.ssh(COMMAND)
        (proxy,) = self.scene.registry
        session = self.scene.sessions.get(proxy.identity.run_id)
        assert session is not None
        session.end(Ended.OPERATOR)
        self.scene.flush()
        self.assertEqual((ssh.shown, ssh.status), (f"{ANNOUNCED}{texts.STOPPED}\n", 1))
        self.scene.advance(2 * LEAVE_S)
        self.assertTrue(ssh.is_lost)

    def test_several_forwards(self) -> None:
        """Of several ports the first one is used, and what is said of it is not on standard output."""
        ssh = self.scene.ssh(forwards=1)
        ssh.run(COMMAND)
        self.scene.flush()
        ssh.forward(81)
        self.scene.flush()
        assert ssh.session is not None
        self.assertEqual(ssh.shown, ANNOUNCED)
        self.assertEqual(ssh.session.err.decode(), f"{texts.ONE_FORWARD}\n")

    def test_any_port(self) -> None:
        """A client that leaves the port to the gateway is told one, as it must be."""
        ssh = self.scene.ssh()
        ssh.forward(0)
        self.scene.flush()
        self.assertEqual(ssh.forwarded[-1], b"\0\0\0\1")


class RefusedTests(SynchronousTestCase):
    """There is none."""

    def setUp(self) -> None:
        self.scene = GatewayScene(self.mktemp())

    def assert_refused(self, command: str | None, text: str, status: int = 1, **given: object) -> None:
        """Who runs ssh so is shown this text, and ssh ends; nothing stays."""
        before = len(self.scene.sessions)
        ssh = self.scene.ssh(command, **given)  # type: ignore[arg-type]  # whatever is given
        self.scene.advance(ASK_S + 1)
        self.assertEqual((ssh.shown, ssh.status), (f"{text}\n", status))
        self.scene.advance(2 * LEAVE_S)
        self.assertTrue(ssh.is_lost)
        self.assertEqual(len(self.scene.sessions), before)

    def test_wrong_token(self) -> None:
        """A wrong token, or none."""
        text = texts.LOGIN_FAILED.format(reason=WRONG_TOKEN)
        self.assert_refused("tcp -n web --token no", text)
        self.assert_refused("tcp -n web", text)

    def test_nonsense(self) -> None:
        """What is no command is answered at once."""
        self.assert_refused("udp", "invalid proxy type: udp, support types: [tcp http https tcpmux stcp]")
        self.assert_refused("tcp --nope", "unknown flag: --nope")

    def test_help(self) -> None:
        """Help is no error."""
        ssh = self.scene.ssh("tcp --help")
        self.assertIn("Usage:\n  ssh v0@{address} [command] [flags]\n", ssh.shown)
        self.assertEqual(ssh.status, 0)

    def test_taken(self) -> None:
        """A name or a port that another client has, in the server's words."""
        Client(self.scene, token=TOKEN, alive=True).register("web", remote_port=6000)
        self.assert_refused(COMMAND, "proxy [web] already exists")
        self.assert_refused("tcp -n w2 -r 6000 -t tok", "port already used")

    def test_shell(self) -> None:
        """A shell is answered with what to do."""
        self.assert_refused("", texts.NO_COMMAND)

    def test_no_port(self) -> None:
        """A command without ``-R``."""
        self.assert_refused(COMMAND, texts.NO_FORWARD, forwards=0)

    def test_no_command(self) -> None:
        """Neither command nor terminal, as with ``ssh -N``: ssh prints why the connection was ended."""
        ssh = self.scene.ssh()
        self.scene.advance(ASK_S + 1)
        self.assertEqual((ssh.reason, ssh.is_lost), (texts.NO_COMMAND, True))

    def test_silent(self) -> None:
        """Who does not log in is dropped, whatever it has said by then."""
        for said in (b"", b"SSH-2.0-x", b"SSH-2.0-x\r\n"):
            leg = self.scene.come()
            leg.write(said)
            self.scene.advance(LOGIN_S + 1)
            self.assertTrue(leg.settled, said)


class LifeTests(SynchronousTestCase):
    """Whether the client lives."""

    def setUp(self) -> None:
        self.scene = GatewayScene(self.mktemp())

    def test_lives(self) -> None:
        """Who answers stays, for as long as it does."""
        ssh = self.scene.ssh(COMMAND)
        self.scene.advance(10 * KEEP_ALIVE_S)
        self.assertFalse(ssh.is_lost)
        self.assertEqual(len(self.scene.registry), 1)

    def test_busy(self) -> None:
        """Who sends much is alive, though the answer comes late, behind all that."""
        ssh = self.scene.ssh(COMMAND)
        self.scene.dial(6000)
        (service,) = ssh.services
        self.patch(type(service.conn), "ssh_GLOBAL_REQUEST", lambda connection, packet: None)
        for _ in range(20):
            self.scene.advance(KEEP_ALIVE_S / 2)
            service.write(b"busy")
        self.assertFalse(ssh.is_lost)
        self.scene.advance(3 * KEEP_ALIVE_S)
        self.assertTrue(ssh.is_lost)

    def test_silent(self) -> None:
        """Who does not answer any more is dropped, and what it had is free."""
        ssh = self.scene.ssh(COMMAND)
        ssh.leg.stall()
        self.scene.advance(3 * KEEP_ALIVE_S)
        self.assertEqual(len(self.scene.registry), 0)

    def test_preempted(self) -> None:
        """Another client gets the name of one that is dead, and not that of one that lives."""
        dead = self.scene.ssh(COMMAND)
        other = Client(self.scene, token=TOKEN)
        other.register("web", remote_port=6001)
        self.assertFalse(dead.is_lost)
        dead.leg.stall()
        other.register("web", remote_port=6001)
        self.scene.advance(5)
        (proxy,) = self.scene.registry
        self.assertEqual(proxy.identity.run_id, other.run_id)
