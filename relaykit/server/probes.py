"""Probes: finding out how far a user of a proxy would get, over the way that users take.

A probe waits for a work connection like a user and is not counted as one.  A client of relaykit answers what
it has found; what any other client does with a user who says nothing tells as much as that can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredSemaphore, fail
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import RefusalCode, RefusedError, RemoteProtocolError
from relaykit.interfaces import IDatagramProxyType, ILegReceiver, IMessagingProxyType
from relaykit.sansio.control.extensions import PROBE
from relaykit.sansio.control.probing import ProbeReport, ReportParser
from relaykit.timer import Timer
from relaykit.values import Ended, Origin, Reach

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IProxyType, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.server.registry import RegisteredProxy

__all__ = [
    "ANSWER_S",
    "AT_ONCE_IN_ROUNDS",
    "LOOK_S",
    "MOST_AT_ONCE",
    "MOST_S",
    "MOST_WAITING",
    "ProbeResult",
    "Probes",
]

ANSWER_S = 10.0
"""Seconds that a client has to answer once it has the work connection; it gives its local service fewer."""

MOST_S = 15.0
"""Seconds of a probe in all, also where users are let wait longer for a work connection: a client that is
alive opens one within a round trip."""

LOOK_S = 1.0
"""Seconds that a client without probes is watched.  Where there is no local service it ends the connection as
soon as that has refused, which a round trip and a machine that has to do take far less time for."""

MOST_AT_ONCE = 16
"""Probes of all proxies at once: each has a work connection, and may have one of the local service."""

MOST_WAITING = 1024
"""Probes that wait for their turn; more are refused."""

AT_ONCE_IN_ROUNDS = 4
"""Those of rounds, so that who asks for one does not wait behind all of a round."""


@frozen(kw_only=True)
class ProbeResult:
    """What came of a probe.

    :ivar at: when it was over, in seconds since 1970.
    :ivar seconds: how long it took, until the answer or until it was given up.
    :ivar error: why it got no further, in words; empty if a user would be served, as far as can be told.
    """

    at: float
    seconds: float
    reached: Reach
    error: str = ""

    @property
    def is_online(self) -> bool:
        """Whether bytes were carried through, and nothing is wrong that could be seen."""
        return not self.error

    @property
    def problem(self) -> str:
        """The id of the known problem; empty for none."""
        if not self.error:
            return ""
        return "no-work-connection" if self.reached is Reach.NOBODY else "local-service"


@define(eq=False)
class _Seeker:
    """Waits for a work connection, and looks what comes of it.

    :ivar answer: fires with a :class:`ProbeReport`.
    """

    proxy: RegisteredProxy
    is_probe: bool
    answer: Deferred[ProbeReport] = field(init=False)
    _leg: IStreamLeg | None = field(default=None, init=False)
    origin = Origin()
    message = None
    has_alternative = False

    @answer.default
    def _make_answer(self) -> Deferred[ProbeReport]:
        return Deferred(lambda _answer: self._give_up())

    def start(self) -> Deferred[ProbeReport]:
        """Asks for a work connection."""
        self.proxy.session.want_work(self)
        return self.answer

    @property
    def is_waiting(self) -> bool:
        return self._leg is None and not self.answer.called

    def on_work_leg(self, leg: IStreamLeg) -> None:
        self._leg = leg
        watch = _Hearing if self.is_probe else _Watch
        leg.attach(watch(leg, self.proxy.clock, self._told))

    def on_unserved(self, error: Exception) -> None:
        self._told(ProbeReport(reached=Reach.NOBODY, error=str(error)))

    def _told(self, report: ProbeReport) -> None:
        if not self.answer.called:
            self.answer.callback(report)

    def _give_up(self) -> None:
        if self._leg is None:
            self.proxy.session.cancel_work(self)
        else:
            self._leg.abort()


@implementer(ILegReceiver)
class _Watching:
    """Watches the work connection of a probe for some seconds, and tells once what came of it."""

    wait_s: float

    def __init__(self, leg: IStreamLeg, clock: IReactorTime, tell: Callable[[ProbeReport], None]) -> None:
        self._leg = leg
        self._tell: Callable[[ProbeReport], None] | None = tell
        self._timer = Timer(clock, self._in_vain)
        self._timer.set(clock.seconds() + self.wait_s)

    def data_received(self, data: Buffer) -> None:
        raise NotImplementedError

    def end_received(self) -> None:
        self.leg_lost(Ended.FINISHED)

    def leg_lost(self, reason: Ended) -> None:
        raise NotImplementedError

    def _in_vain(self) -> None:
        """Nothing that tells anything has come in this time."""
        raise NotImplementedError

    def _over(self, reached: Reach, error: str = "") -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            self._timer.stop()
            self._leg.abort()
            tell(ProbeReport(reached=reached, error=error))


class _Hearing(_Watching):
    """Hears what a client answers that knows of probes."""

    wait_s = ANSWER_S

    def __init__(self, *what: Any) -> None:
        super().__init__(*what)
        self._parser = ReportParser()
        self._said = b""

    def data_received(self, data: Buffer) -> None:
        self._said += data
        try:
            found = self._parser.feed(self._said)
        except RemoteProtocolError as error:
            self._over(Reach.NOBODY, str(error))
            return
        if found is not None:
            self._over(found[0].reached, found[0].error)
        elif len(self._said) >= self._parser.limit:
            self._over(Reach.NOBODY, "the client answers a probe without end")

    def leg_lost(self, reason: Ended) -> None:
        self._over(Reach.NOBODY, "the client ended the connection of a probe without an answer")

    def _in_vain(self) -> None:
        self._over(Reach.NOBODY, f"the client has not answered within {ANSWER_S:g} s")


class _Watch(_Watching):
    """Looks whether a client that knows of no probes keeps a user who says nothing."""

    wait_s = LOOK_S

    def data_received(self, data: Buffer) -> None:
        self._over(Reach.ANSWER)

    def leg_lost(self, reason: Ended) -> None:
        self._over(
            Reach.CLIENT,
            "the client ended the connection at once, as it does where its local service does not take users",
        )

    def _in_vain(self) -> None:
        self._over(Reach.SERVICE)


async def _report_of(proxy: RegisteredProxy) -> ProbeReport:
    session = proxy.session
    if PROBE in session.extensions:
        return await _Seeker(proxy, is_probe=True).start()
    # A work connection that waits for a user is kept by the client's machine, also while the client stands.
    if not await session.is_alive():
        return ProbeReport(reached=Reach.NOBODY, error="the client gives no sign of life")
    return await _Seeker(proxy, is_probe=False).start()


def _in_vain(_failure: object, seconds: float) -> ProbeReport:
    return ProbeReport(reached=Reach.NOBODY, error=f"the client has not answered within {seconds:g} s")


@frozen(eq=False)
class _Asked:
    """A probe that is under way, and who wants to know."""

    probing: Deferred[ProbeResult]
    answers: list[Deferred[ProbeResult]] = field(factory=list)


class Probes(Service):
    """The probes of one server: those that somebody asks for, and those of rounds.

    :param type_of: the proxy type of a proxy.
    :param proxies: all that are open.
    :param interval_s: seconds between two rounds, in which every proxy is probed; 0 for none.
    """

    log = Logger()

    def __init__(
        self,
        type_of: Callable[[RegisteredProxy], IProxyType],
        proxies: Callable[[], Iterator[RegisteredProxy]],
        clock: Any,
        wall_clock: Callable[[], float],
        interval_s: float,
    ) -> None:
        self._type_of = type_of
        self._proxies = proxies
        self._clock = clock
        self._wall_clock = wall_clock
        self._interval_s = interval_s
        self._turns = DeferredSemaphore(MOST_AT_ONCE)
        self._asked: dict[RegisteredProxy, _Asked] = {}
        self._round: Deferred[Any] | None = None
        self._timer = Timer(clock, self._begin_round)

    def startService(self) -> None:
        super().startService()
        self._set()

    def stopService(self) -> None:
        super().stopService()
        self._timer.set(None)
        for each in list(self._asked.values()):
            each.probing.cancel()

    @property
    def waiting(self) -> int:
        """How many proxies are being probed, or wait for that."""
        return len(self._asked)

    def change(self, interval_s: float) -> None:
        """Begins rounds so many seconds apart from now on."""
        if interval_s != self._interval_s:
            self._interval_s = interval_s
            if self.running and self._round is None:
                self._set()

    def probe(self, proxy: RegisteredProxy) -> Deferred[ProbeResult]:
        """Probes a proxy; who asks while it is being probed gets the same answer.

        Fails with :class:`relaykit.errors.RefusedError`: too many are being probed, or its client takes no
        probes for its type.
        """
        asked = self._asked.get(proxy)
        if asked is None:
            if len(self._asked) >= MOST_WAITING:
                text = f"{MOST_WAITING} proxies are being probed: ask again later"
                return fail(RefusedError(RefusalCode.TOO_MANY, text))
            if not self._can_be_probed(proxy):
                text = (
                    f"the client of [{proxy.name}] answers no probes, and what it does with a user of a "
                    f"{proxy.type} proxy who says nothing tells nothing: it needs a relaykit that has probes"
                )
                return fail(RefusedError(RefusalCode.NOT_AVAILABLE, text))
            probing: Deferred[ProbeResult] = self._turns.run(self._look, proxy)
            asked = self._asked[proxy] = _Asked(probing)
            probing.addBoth(self._over, proxy)
        answer: Deferred[ProbeResult] = Deferred()
        asked.answers.append(answer)
        return answer

    # --- inside ---------------------------------------------------------------------------------------

    def _can_be_probed(self, proxy: RegisteredProxy) -> bool:
        if PROBE in proxy.session.extensions:
            return True
        kind = self._type_of(proxy)
        handed = IMessagingProxyType.providedBy(kind) and kind.handed
        return not handed and not IDatagramProxyType.providedBy(kind)

    def _look(self, proxy: RegisteredProxy) -> Deferred[ProbeResult]:
        began = self._clock.seconds()

        def made(report: ProbeReport) -> ProbeResult:
            result = ProbeResult(
                at=self._wall_clock(),
                seconds=self._clock.seconds() - began,
                reached=report.reached,
                error=report.error,
            )
            proxy.probed(result)
            return result

        looking: Deferred[ProbeReport] = Deferred.fromCoroutine(_report_of(proxy))
        return looking.addTimeout(MOST_S, self._clock, _in_vain).addCallback(made)

    def _over(self, result: Any, proxy: RegisteredProxy) -> None:
        for each in self._asked.pop(proxy).answers:
            if not each.called:
                each.callback(result)

    def _set(self) -> None:
        self._timer.set(self._clock.seconds() + self._interval_s if self._interval_s > 0 else None)

    def _begin_round(self) -> None:
        names = self._proxies()
        workers = [Deferred.fromCoroutine(self._probe_each(names)) for _ in range(AT_ONCE_IN_ROUNDS)]
        self._round = DeferredList(workers, consumeErrors=True)
        self._round.addBoth(self._end_round)

    def _end_round(self, _: object) -> None:
        self._round = None
        if self.running:
            self._set()

    async def _probe_each(self, proxies: Iterator[RegisteredProxy]) -> None:
        for proxy in proxies:
            if not self.running:
                return
            if not proxy.is_open:
                continue
            try:
                await self.probe(proxy)
            except RefusedError:
                continue
            except CancelledError:
                return
            except Exception:
                self.log.failure("[{proxy}] a defect while it was probed", proxy=proxy.name)
