"""The flows of this client: the log tells how each one ended, whoever forwarded it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from twisted.logger import Logger
from zope.interface import implementer

from relaykit.interfaces import IDataPlane
from relaykit.values import Origin

if TYPE_CHECKING:
    from relaykit.client.hosts import CurrentSession
    from relaykit.interfaces import IFlow, IStreamLeg
    from relaykit.values import Traffic

__all__ = ["ToldFlows"]


@implementer(IDataPlane)
class ToldFlows:
    """The data plane, as the backend of one proxy or one visitor has it.

    :param name: the proxy's or the visitor's, as configured.
    """

    log = Logger()

    def __init__(self, data_plane: IDataPlane, session: CurrentSession, name: str) -> None:
        self._data_plane = data_plane
        self._session = session
        self._name = name
        self._origins: dict[IStreamLeg, Origin] = {}

    @property
    def flows(self) -> Collection[IFlow]:
        flows: Collection[IFlow] = self._data_plane.flows
        return flows

    def began(self, near: IStreamLeg, origin: Origin) -> None:
        """Names where the user of a leg came from; where nobody does, it is the leg's peer."""
        self._origins[near] = origin

    def over(self, near: IStreamLeg) -> None:
        """Nothing will happen to this leg any more."""
        self._origins.pop(near, None)

    def forward(self, near: IStreamLeg, far: IStreamLeg, half_close: bool) -> IFlow:
        origin = self._origins.get(near) or Origin(near.peer)
        flow: IFlow = self._data_plane.forward(near, far, half_close)
        flow.when_ended().addCallback(self._ended, origin)
        return flow

    def _ended(self, traffic: Traffic, origin: Origin) -> None:
        self.log.debug(
            "[{run}] [{proxy}] flow from {origin} ended: {ended}",
            run=self._session.identity.run_id,
            proxy=self._name,
            origin=origin,
            ended=traffic.ended.value,
            sent=traffic.near_to_far,
            received=traffic.far_to_near,
            seconds=traffic.seconds,
        )
