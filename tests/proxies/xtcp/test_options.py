"""Tests for :mod:`relaykit.proxies.xtcp.options`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import Options, named_visitors, option_fields
from relaykit.proxies.xtcp.options import XtcpIngressOptions, XtcpOptions, XtcpVisitorOptions


def keys(options: type[Options]) -> list[str]:
    """The keys of a class, as in a file."""
    return [each.file_key or each.key for each in option_fields(options)]


class XtcpOptionsTests(SynchronousTestCase):
    """Tests for the keys."""

    def test_keys(self) -> None:
        """They are frp's, and one that says whose programs the other end may be."""
        self.assertEqual(keys(XtcpIngressOptions), ["natholeAnalysisDataReserveHours"])
        self.assertEqual(keys(XtcpOptions), ["secretKey", "allowUsers", "natTraversal", "peers"])
        self.assertEqual(
            set(keys(XtcpVisitorOptions)),
            {
                "secretKey",
                "protocol",
                "keepTunnelOpen",
                "maxRetriesAnHour",
                "minRetryInterval",
                "fallbackTo",
                "fallbackTimeoutMs",
                "natTraversal",
                "peers",
            },
        )

    def test_protocols(self) -> None:
        """A path is made of QUIC or KCP; an empty text is the default."""
        for protocol, problems in (("", 0), ("quic", 0), ("kcp", 0), ("tcp", 1)):
            self.assertEqual(len(list(XtcpVisitorOptions(protocol=protocol).problems())), problems, protocol)

    def test_other_visitor(self) -> None:
        """``fallbackTo`` names a visitor, so that a file is checked for it."""
        self.assertEqual(named_visitors(XtcpVisitorOptions(fallback_to="other")), {"fallbackTo": "other"})
