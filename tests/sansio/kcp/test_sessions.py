"""Tests of the table of sessions: who gets one, and who does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.kcp.fec import FecSender
from relaykit.sansio.kcp.options import FRP_SERVER
from relaykit.sansio.kcp.segments import PUSH, pack_header
from relaykit.sansio.kcp.sessions import MOST_EARLY_BYTES, REPLACED_AFTER_S, KcpSessions
from tests import recorded
from tests.sansio.kcp.test_segments import ACK_OF_IT, CONVERSATION, HELLO


class KcpSessionsTests(SynchronousTestCase):
    """Sources of a port."""

    def setUp(self) -> None:
        self.sessions = KcpSessions(FRP_SERVER, most=2)

    def test_opened(self) -> None:
        """The first push opens a session, with or without a prefix; all that follows is for it."""
        for source, datagram in enumerate((HELLO, *FecSender().wrap([HELLO], True, 0.0))):
            session = self.sessions.find(source, datagram, 0.0)
            assert session is not None
            self.assertEqual(session.conversation, CONVERSATION)
            for other in (HELLO, ACK_OF_IT, b"junk", bytes.fromhex("0a000000f200") + bytes(20)):
                self.assertIs(self.sessions.find(source, other, 100.0), session)

    def test_no_ghosts(self) -> None:
        """What comes for a session that is over opens none: not frp's last datagrams, and nothing else."""
        (_, connection, *_) = recorded.load("v1-kcp").connections
        datagrams = [each.data for each in connection.chunks if each.direction == "c2s"]
        opened = self.sessions.find("user", datagrams[0], 0.0)
        self.assertIsNotNone(opened)
        self.sessions.forget("user")
        for late in datagrams[1:]:
            self.assertIsNone(self.sessions.find("user", late, 1.0))
        self.assertEqual(len(self.sessions), 0)

    @given(st.binary(max_size=100))
    def test_junk(self, junk: bytes) -> None:
        """Nothing that makes no sense opens one."""
        self.assertIsNone(KcpSessions(FRP_SERVER).find("user", junk, 0.0))

    def test_replaced(self) -> None:
        """Who begins anew takes the place of a session that is silent, and not of one that is busy."""
        old = self.sessions.find("user", HELLO, 0.0)
        assert old is not None
        anew = pack_header(CONVERSATION + 1, PUSH, 0, 32, 0, 0, 0, 0)
        old.receive(HELLO, 1.0)
        self.assertIs(self.sessions.find("user", anew, REPLACED_AFTER_S + 0.9), old)
        new = self.sessions.find("user", anew, REPLACED_AFTER_S + 1.0)
        assert new is not None
        self.assertEqual(new.conversation, CONVERSATION + 1)
        self.assertEqual(len(self.sessions), 1)

    def test_room(self) -> None:
        """All sessions share the room for what is out of order, and give it back when they are over."""
        room = self.sessions._room
        for again in range(2):
            session = self.sessions.find("user", HELLO, 0.0)
            assert session is not None
            session.receive(pack_header(CONVERSATION, PUSH, 0, 32, 0, 5, 0, 5) + b"early", 0.0)
            self.assertLess(room.left_bytes, MOST_EARLY_BYTES - 5)
            if not again:
                anew = pack_header(CONVERSATION + 1, PUSH, 0, 32, 0, 0, 0, 0)
                self.sessions.find("user", anew, 100.0)
                self.assertEqual(room.left_bytes, MOST_EARLY_BYTES)
            self.sessions.forget("user")
            self.assertEqual((room.left_bytes, session.to_send(0.0)), (MOST_EARLY_BYTES, ()))

    def test_full(self) -> None:
        """When there are as many as may be, another source gets none until one is over."""
        for source in (1, 2):
            self.assertIsNotNone(self.sessions.find(source, HELLO, 0.0))
        self.assertIsNone(self.sessions.find(3, HELLO, 0.0))
        self.sessions.forget(1)
        self.sessions.forget(1)
        self.assertIsNotNone(self.sessions.find(3, HELLO, 0.0))
