"""What one half of an ``xtcp`` proxy asks the server, until each question is answered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred

from relaykit.errors import HolePunchingError

if TYPE_CHECKING:
    from relaykit.interfaces import IForwardingHost
    from relaykit.sansio.nathole.messages import NatHoleClient, NatHoleResp, NatHoleVisitor

__all__ = ["ANSWER_S", "PRE_CHECK_S", "Transactions"]

PRE_CHECK_S = 5.0
"""Seconds for an answer that the server can give at once; frp's figure."""

ANSWER_S = 13.0
"""Seconds for one that waits for the other end: frp's server gives that ten, and holds some answers for one
more.  frp's clients wait for five, which one slow STUN server uses up."""

_ID_BYTES = 13

RequestT = TypeVar("RequestT", "NatHoleVisitor", "NatHoleClient")


class Transactions:
    """The questions of one half, and who waits for the answers.  Who asks bounds how many there are."""

    def __init__(self, host: IForwardingHost) -> None:
        self._host = host
        self._waiting: dict[str, Deferred[NatHoleResp]] = {}

    def ask(
        self, request: type[RequestT], within_s: float = ANSWER_S, **fields: Any
    ) -> Deferred[NatHoleResp]:
        """Sends a request with these fields for the half's proxy; the answer, whatever it says.

        Fails with :class:`relaykit.errors.HolePunchingError` if there is none in time.
        """
        transaction = os.urandom(_ID_BYTES).hex()
        answer: Deferred[NatHoleResp] = Deferred()
        self._waiting[transaction] = answer
        answer.addTimeout(within_s, self._host.reactor, _not_answered)
        answer.addBoth(self._over, transaction)
        self._host.send_message(
            request(transaction_id=transaction, proxy_name=self._host.proxy_name, **fields)
        )
        return answer

    def answered(self, response: NatHoleResp) -> bool:
        """A response came; whether this half waits for it."""
        waiting = self._waiting.pop(response.transaction_id, None)
        if waiting is not None:
            waiting.callback(response)
        return waiting is not None

    def _over(self, result: Any, transaction: str) -> Any:
        self._waiting.pop(transaction, None)
        return result


def _not_answered(_: object, seconds: float) -> Any:
    raise HolePunchingError(f"the server did not answer within {seconds:g} s")
