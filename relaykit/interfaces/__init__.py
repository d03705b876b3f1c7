"""Every interface, by who it is for: legs, forwarding, authors of proxy types, their hosts, direct paths.

Each may be imported from here.
"""

from relaykit.interfaces.forwarding import IDataPlane, IFlow, IForwarder
from relaykit.interfaces.hosts import (
    ICaller,
    IClientHost,
    IHost,
    IPorts,
    IRegisteredProxy,
    IServerHost,
    ISignalPeer,
    IVisit,
    IVisitorHost,
)
from relaykit.interfaces.legs import (
    IKernelLeg,
    ILegAcceptor,
    ILegReceiver,
    IListeningPort,
    IMeasuredPath,
    IMuxedLeg,
    IPiecesReceiver,
    ISecureLeg,
    IStreamLeg,
    IStreamPath,
    ITurns,
)
from relaykit.interfaces.proxy_types import (
    IBackend,
    IExposure,
    IIngress,
    IOneLineProxyType,
    IProxyType,
    IProxyTypeReference,
    ISessionFollower,
    ISignalReceiver,
    IVisitable,
    IVisitableProxyType,
    IVisitor,
)
from relaykit.interfaces.rendezvous import IMeetingPoint, IMeetings, IRendezvous

__all__ = [
    "IBackend",
    "ICaller",
    "IClientHost",
    "IDataPlane",
    "IExposure",
    "IFlow",
    "IForwarder",
    "IHost",
    "IIngress",
    "IKernelLeg",
    "ILegAcceptor",
    "ILegReceiver",
    "IListeningPort",
    "IMeasuredPath",
    "IMeetingPoint",
    "IMeetings",
    "IMuxedLeg",
    "IOneLineProxyType",
    "IPiecesReceiver",
    "IPorts",
    "IProxyType",
    "IProxyTypeReference",
    "IRegisteredProxy",
    "IRendezvous",
    "ISecureLeg",
    "IServerHost",
    "ISessionFollower",
    "ISignalPeer",
    "ISignalReceiver",
    "IStreamLeg",
    "IStreamPath",
    "ITurns",
    "IVisit",
    "IVisitable",
    "IVisitableProxyType",
    "IVisitor",
    "IVisitorHost",
]
