from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.not_implemented.types import NOT_IMPLEMENTED_TYPES, XtcpVisitorOptions
from relaykit.options import Options, option_fields
from tests.config.cases import builtin_types


def keys(options: Options) -> list[str]:
    """The keys that something is wrong with."""
    return [problem.key for problem in options.problems()]


class NotImplementedTypeTests(SynchronousTestCase):
    """Tests for the types of frp that have no module yet."""

    def test_all_types(self) -> None:
        """Together with those that are tried here, there are frp's eight types, none of them twice."""
        names = [*NOT_IMPLEMENTED_TYPES, *(reference.name for reference in builtin_types())]
        self.assertEqual(sorted(names), ["http", "https", "stcp", "sudp", "tcp", "tcpmux", "udp", "xtcp"])

    def test_xtcp_visitor(self) -> None:
        """The direct path speaks QUIC or KCP; an empty text is the default."""
        for protocol, found in (("quic", []), ("kcp", []), ("", []), ("tcp", ["protocol"])):
            self.assertEqual(keys(XtcpVisitorOptions(protocol=protocol)), found)

    def test_keys(self) -> None:
        """The types have the keys that frp's have."""
        self.assertEqual(
            [each.key for each in option_fields(NOT_IMPLEMENTED_TYPES["xtcp"].proxy_options)],
            ["secretKey", "allowUsers", "natTraversal"],
        )
