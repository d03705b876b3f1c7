"""The policy ``http``: a plugin over HTTP decides, in frp's words."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.config.schema import HttpPlugin
from relaykit.dataplane.poller import ReactorPoller
from relaykit.errors import NoPluginAnswer, RefusedByPolicy
from relaykit.escaping import told
from relaykit.interfaces import IJudge, IPolicy
from relaykit.policies.http.asking import Asking, legs_to
from relaykit.policies.http.words import operations
from relaykit.policy_requests import ProxyClosed
from relaykit.sansio.http_plugins import Place, question, read_answer
from relaykit.sansio.wire.gojson import MalformedMessage
from relaykit.values import host_of

__all__ = ["UNANSWERED", "HttpJudge", "policy"]

UNANSWERED = (
    "a plugin of the server gave no answer that counts: its operator finds the reason in the server's log"
)
"""What whoever asked is told then."""


@implementer(IJudge)
class HttpJudge:
    """Has one plugin decide.  What it does not answer, or not so that it can be understood, is refused."""

    log = Logger()

    def __init__(self, name: str, ops: Collection[str], asking: Asking) -> None:
        self._name = name
        self._asking = asking
        self._operations = operations(ops)
        self.decides = frozenset(self._operations)
        self._failure = ""

    def judge(self, request: Any) -> Deferred[Any] | None:
        if isinstance(request, ProxyClosed) and not request.was_open:
            # As with frp, whose plugins are told of proxies that were open.
            return None
        return Deferred.fromCoroutine(self._judge(request))

    async def _judge(self, request: Any) -> Any:
        operation = self._operations[type(request)]
        try:
            asked = question(operation.name, operation.content(request))
            answer = read_answer(*await self._asking.ask(operation.name, asked))
            is_changed = not answer.reject and not answer.unchange
            decided = operation.changed(request, answer.content or {}) if is_changed else None
        except (NoPluginAnswer, MalformedMessage) as error:
            self._note(str(error), operation.name, request)
            raise RefusedByPolicy(UNANSWERED) from error
        self._note("", operation.name, request)
        if answer.reject:
            raise RefusedByPolicy(told(answer.reject_reason))
        return decided

    def _note(self, failure: str, operation: str, request: Any) -> None:
        """Says in the log when it begins to fail, or does for another reason, and when it is well again.

        That may depend on what a client says.
        """
        if failure == self._failure:
            return
        client = host_of(request.client.address)
        if failure:
            self.log.error(
                "plugin {plugin} was asked about {operation}: {reason}; what it is asked about is refused "
                "until it answers",
                plugin=self._name,
                operation=operation,
                reason=failure,
                problem="http-plugin",
                by_client=client,
            )
        else:
            self.log.info("plugin {plugin} answers again", plugin=self._name, by_client=client)
        self._failure = failure


@implementer(IPolicy)
class _HttpPolicy:
    name = "http"
    options = HttpPlugin

    def make_judge(self, options: HttpPlugin, reactor: Any) -> HttpJudge:
        poller, place = ReactorPoller(reactor), Place.of(options.addr.reveal(), options.path.reveal())
        connect = legs_to(poller, place, verifies=options.tls_verify)
        return HttpJudge(options.shown_name, options.ops, Asking(reactor, poller, connect, place))


policy = _HttpPolicy()
