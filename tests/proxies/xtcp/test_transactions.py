"""Tests of questions to the server and their answers."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import HolePunchingError
from relaykit.proxies.xtcp.transactions import ANSWER_S, PRE_CHECK_S, Transactions
from relaykit.sansio.nathole.messages import NatHoleClient, NatHoleResp, NatHoleVisitor


@define
class _Host:
    reactor: Clock = field(factory=Clock)
    sent: list[Any] = field(factory=list)
    proxy_name = "alice.x"

    def send_message(self, message: Any) -> None:
        self.sent.append(message)


class TransactionsTests(SynchronousTestCase):
    """Who waits for what."""

    def setUp(self) -> None:
        self.host = _Host()
        host: Any = self.host
        self.transactions = Transactions(host)

    def test_answered(self) -> None:
        """Each answer goes to who asked, once; unknown ones are nobody's."""
        one = self.transactions.ask(NatHoleVisitor, pre_check=True)
        other = self.transactions.ask(NatHoleClient, sid="s1")
        first, second = self.host.sent
        self.assertEqual((first.proxy_name, first.pre_check), ("alice.x", True))
        self.assertEqual((second.proxy_name, second.sid), ("alice.x", "s1"))
        answer = NatHoleResp(transaction_id=second.transaction_id)
        self.assertTrue(self.transactions.answered(answer))
        self.assertIs(self.successResultOf(other), answer)
        self.assertNoResult(one)
        self.assertFalse(self.transactions.answered(answer))
        self.assertFalse(self.transactions.answered(NatHoleResp(transaction_id="nobody's")))
        self.assertNotEqual(first.transaction_id, second.transaction_id)

    def test_not_in_time(self) -> None:
        """An answer is waited for for so long; a later one is nobody's."""
        one = self.transactions.ask(NatHoleVisitor, PRE_CHECK_S)
        other = self.transactions.ask(NatHoleVisitor)
        self.host.reactor.advance(PRE_CHECK_S)
        self.failureResultOf(one, HolePunchingError)
        self.host.reactor.advance(ANSWER_S - PRE_CHECK_S)
        self.failureResultOf(other, HolePunchingError)
        for request in self.host.sent:
            self.assertFalse(self.transactions.answered(NatHoleResp(transaction_id=request.transaction_id)))
        self.assertEqual(self.host.reactor.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Who waits no longer leaves nothing behind."""
        asked = self.transactions.ask(NatHoleVisitor)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        (request,) = self.host.sent
        self.assertFalse(self.transactions.answered(NatHoleResp(transaction_id=request.transaction_id)))
        self.assertEqual(self.host.reactor.getDelayedCalls(), [])
