"""The suite of forwarders finds forwarders that are wrong."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.reporter import TestResult
from twisted.trial.unittest import SynchronousTestCase, TestCase

from relaykit.dataplane.copying import CopyForwarder
from relaykit.interfaces import IFlow, IForwarder, IStreamLeg
from relaykit.testing.forwarders import ForwarderTests
from relaykit.testing.legs import MemoryWaiting


class BrokenForwarderTests(SynchronousTestCase):
    """Forwarders with one defect each."""

    def failing(self, test: str, forward: Callable[..., IFlow] | None = None) -> int:
        """How many problems a test of the suite has with a forwarder that forwards like this."""

        class Suite(MemoryWaiting, ForwarderTests, TestCase):
            def make_forwarder(self) -> IForwarder:
                forwarder = CopyForwarder()
                if forward is not None:
                    vars(forwarder)["forward"] = forward
                return forwarder

            async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
                return self.network.pair()

        result = TestResult()
        Suite(test).run(result)
        return len(result.failures) + len(result.errors)

    def test_sound(self) -> None:
        """A forwarder without defect passes."""
        self.assertEqual(self.failing("test_small"), 0)

    def test_half_close_ignored(self) -> None:
        """A forwarder that ends both directions at the first end is found."""

        def forward(near: IStreamLeg, far: IStreamLeg, half_close: bool) -> IFlow:
            return CopyForwarder().forward(near, far, False)

        self.assertEqual(self.failing("test_half_close", forward), 1)

    def test_unread_bytes_lost(self) -> None:
        """A forwarder that drops what was read before is found."""

        def forward(near: IStreamLeg, far: IStreamLeg, half_close: bool) -> IFlow:
            near._held.clear()  # type: ignore[attr-defined]  # a leg of the data plane
            return CopyForwarder().forward(near, far, half_close)

        self.assertEqual(self.failing("test_unread_bytes_go_first", forward), 1)
