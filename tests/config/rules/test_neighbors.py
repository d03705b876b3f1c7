"""Tests for :mod:`relaykit.config.rules.neighbors`; those of loading have them told with their places."""

from __future__ import annotations

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.rules.neighbors import PortsWanted, visitor_problems
from relaykit.options import LoadBalancer, Options, ProxyCommon
from relaykit.proxies.stcp import StcpVisitorOptions
from relaykit.proxies.tcp import TcpOptions
from relaykit.proxies.xtcp.options import XtcpVisitorOptions


@frozen
class _Proxy:
    """One of a test."""

    subject: str
    common: ProxyCommon
    options: Options
    is_groupable: bool = True


def proxy(name: str, port: int, group: str = "", type_name: str = "tcp") -> _Proxy:
    """A proxy that wants a port."""
    common = ProxyCommon(name=name, type=type_name, load_balancer=LoadBalancer(group=group))
    return _Proxy(f'proxy "{name}"', common, TcpOptions(remote_port=port))


class NeighborTests(SynchronousTestCase):
    """Tests for what neighbors are worth a warning for."""

    def test_ports(self) -> None:
        """Two of one type cannot have one port, unless they share it in a group; 0 is no port."""
        wanted = PortsWanted()
        for each in (proxy("a", 1), proxy("b", 0), proxy("c", 0), proxy("d", 1, type_name="udp")):
            self.assertEqual(list(wanted.add(each)), [])
        (problem,) = wanted.add(proxy("e", 1))
        self.assertEqual(
            (problem.key, 'proxy "a" wants the port 1 too' in problem.reason), ("remotePort", True)
        )
        self.assertEqual(list(wanted.add(proxy("f", 2, "g"))), [])
        self.assertEqual(list(wanted.add(proxy("h", 2, "g"))), [])
        self.assertEqual(len(list(wanted.add(proxy("i", 2, "other")))), 1)

    def test_visitors(self) -> None:
        """A visitor that is named must be there, and not lead back."""
        falls_back = XtcpVisitorOptions(fallback_to="b")
        (problem,) = visitor_problems("a", falls_back, {"a": falls_back})
        self.assertEqual((problem.key, 'no visitor "b"' in problem.reason), ("fallbackTo", True))
        started = {"a": falls_back, "b": StcpVisitorOptions()}
        self.assertEqual(list(visitor_problems("a", falls_back, started)), [])
        started["b"] = XtcpVisitorOptions(fallback_to="a")
        (problem,) = visitor_problems("a", falls_back, started)
        self.assertIn("leads back", problem.reason)
