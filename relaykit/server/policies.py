"""Asking the policies of a server: one after the other, for so long and no longer, so many at a time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relaykit.errors import RefusedByPolicy, RefusedError
from relaykit.interfaces import IJudge
from relaykit.options import Options
from relaykit.policy_requests import LoginRequest, ProxyClosed, ProxyRequest, Request, UserRequest
from relaykit.values import host_of

__all__ = [
    "DECIDE_TIMEOUT_S",
    "MAX_UNTOLD",
    "MAX_WAITING",
    "MAX_WAITING_OF_CLIENT",
    "NO_POLICIES",
    "NamedJudge",
    "ServerPolicies",
]

DECIDE_TIMEOUT_S = 5.0
"""Seconds for all policies together to decide about one request: a client waits ten for the answer to its
login, and what it preempts must show within that time, too, that it is alive."""

MAX_WAITING = 4096
"""Requests of all clients that wait for a policy; one more is refused.  Each costs a connection."""

MAX_WAITING_OF_CLIENT = 1024
"""The same of one client, so that the users of one cannot keep out those of all others: as many users as it
has work connections on the way (:data:`relaykit.sansio.control.pool.MOST_ASKED`), and those."""

TELL_AT_ONCE = 32
"""Closed proxies that policies are being told of at a time: thousands close with their client."""

MAX_UNTOLD = 65_536
"""Closed proxies that wait until policies are told of them: as many as a server has.  Of more, which come
only where a client opens and closes without end, the log has a line each."""

TOO_MANY = "too many requests wait for the server's policies: try again later"
NO_ANSWER = "a policy of the server did not answer in time: try again later, or ask its operator"
DEFECTIVE = "a policy of the server failed: its operator finds the reason in the server's log"

RequestT = TypeVar("RequestT", bound=Request)


@frozen
class NamedJudge:
    """A policy at work, how the file calls it, and the options that it was made with."""

    name: str
    judge: IJudge
    options: Options | None = field(default=None, repr=False)


class ServerPolicies:
    """The policies of a server, in the order in which they are asked.

    Each is asked about what those before have made of a request, until one refuses.
    """

    log = Logger()

    def __init__(self, judges: Sequence[NamedJudge], clock: IReactorTime | None) -> None:
        self.judges = tuple(judges)
        """Those that are asked about the next request."""
        self._clock: Any = clock
        self._waiting: Counter[str] = Counter()
        self._count = 0
        self._untold: deque[tuple[ProxyClosed, Sequence[NamedJudge]]] = deque()
        self._telling = 0

    def decides(self, kind: type[Any]) -> bool:
        """Whether any of them is asked about requests of this class."""
        return any(kind in each.judge.decides for each in self.judges)

    async def ask(self, request: RequestT) -> RequestT:
        """What is to be done in place of what was asked for.

        :raises RefusedByPolicy: it must not be done.
        """
        if not self.decides(type(request)):
            return request
        # Before its first login a client has no run id.
        key = request.client.run_id or str(request.client.address and request.client.address.host)
        if self._count >= MAX_WAITING or self._waiting[key] >= MAX_WAITING_OF_CLIENT:
            raise RefusedByPolicy(TOO_MANY)
        self._count += 1
        self._waiting[key] += 1
        try:
            return await self._ask_each(request)
        finally:
            self._count -= 1
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    def tell(self, closed: ProxyClosed) -> None:
        """Tells each policy, whatever the others do; nobody waits for that."""
        self._tell(closed, self.judges)

    def _tell(self, closed: ProxyClosed, judges: Sequence[NamedJudge]) -> None:
        judges = [each for each in judges if ProxyClosed in each.judge.decides]
        if len(self._untold) >= MAX_UNTOLD:
            self.log.error(
                "policies are not told that proxy {proxy} was closed: too many wait",
                proxy=closed.name,
                problem="policy-slow",
            )
        elif judges:
            self._untold.append((closed, judges))
            self._tell_more(None)

    def _tell_more(self, _: object) -> None:
        while self._untold and self._telling < TELL_AT_ONCE:
            self._telling += 1
            Deferred.fromCoroutine(self._tell_each(*self._untold.popleft())).addBoth(self._told)

    def _told(self, _: object) -> None:
        self._telling -= 1
        self._tell_more(None)

    async def _tell_each(self, closed: ProxyClosed, judges: Sequence[NamedJudge]) -> None:
        for each in judges:
            try:
                await self._ask_one(each, closed, self._clock.seconds() + DECIDE_TIMEOUT_S)
            except RefusedError:
                # It is closed all the same; the log has it.
                continue

    async def _ask_each(self, request: RequestT) -> RequestT:
        deadline = self._clock.seconds() + DECIDE_TIMEOUT_S
        allowed: list[NamedJudge] = []
        try:
            for each in self.judges:
                if type(request) in each.judge.decides:
                    request = await self._ask_one(each, request, deadline)
                    allowed.append(each)
        except Exception:
            if isinstance(request, ProxyRequest):
                # Those that allowed it may have counted it.
                self._tell(request.closed(was_open=False), allowed)
            raise
        return request

    async def _ask_one(self, named: NamedJudge, request: RequestT, deadline: float) -> RequestT:
        what: dict[str, Any] = {
            "policy": named.name,
            "request": type(request).__name__,
            "run": request.client.run_id,
            **_doer(request),
        }
        judge: Callable[[Any], Any] = named.judge.judge
        answer: Deferred[Any] = maybeDeferred(judge, request)
        if not answer.called:
            answer.addTimeout(max(0.0, deadline - self._clock.seconds()), self._clock)
        try:
            decided = await answer
        except CancelledError:
            raise
        except RefusedError as refusal:
            refused = RefusedByPolicy(refusal.text)
            self.log.info(
                "[{run}] policy {policy} refuses {request} of {who}: {reason}", reason=refused.text, **what
            )
            raise refused from refusal
        except TimeoutError as error:
            self.log.error(
                "[{run}] policy {policy} did not decide about {request} of {who} within {seconds:g} s, which "
                "refuses it: see what it waits for, or take its table out of the file",
                seconds=DECIDE_TIMEOUT_S,
                problem="policy-slow",
                **what,
            )
            raise RefusedByPolicy(NO_ANSWER) from error
        except Exception as error:
            self.log.failure(
                "[{run}] policy {policy} failed with {request} of {who}, which refuses it",
                problem="policy-failed",
                **what,
            )
            raise RefusedByPolicy(DEFECTIVE) from error
        if decided is None:
            return request
        if type(decided) is not type(request):
            self.log.error(
                "[{run}] policy {policy} answered {request} of {who} with a {answer}, which refuses it: an "
                "answer is None or a request of the same class",
                answer=type(decided).__name__,
                problem="policy-failed",
                **what,
            )
            raise RefusedByPolicy(DEFECTIVE)
        changed: RequestT = decided
        return changed


def _doer(request: Request) -> dict[str, Any]:
    """Who does what is asked about, and the host that the log counts it for."""
    if isinstance(request, LoginRequest | UserRequest):
        return {"who": request.origin, "stranger": host_of(request.origin.source)}
    return {"who": request.client.name, "by_client": host_of(request.client.address)}


NO_POLICIES = ServerPolicies((), None)
"""Of a server that has none."""
