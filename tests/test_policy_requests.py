"""Tests for what policies are asked."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.policy_requests import ProxyClosed, ProxyRequest
from relaykit.values import ClientIdentity


class ProxyRequestTests(SynchronousTestCase):
    """A proxy that is asked for."""

    request = ProxyRequest(
        client=ClientIdentity("run", "ann"),
        metas={"token": "apple"},
        name="ann.web",
        type="http",
        fields={"http_pwd": "pear"},
    )

    def test_closed(self) -> None:
        """What tells of its end names the same proxy of the same client."""
        closed = self.request.closed(was_open=True)
        self.assertEqual(
            closed,
            ProxyClosed(
                client=self.request.client,
                metas=self.request.metas,
                name="ann.web",
                type="http",
                was_open=True,
            ),
        )

    def test_repr(self) -> None:
        """What may be secret is in no representation."""
        for each in (self.request, self.request.closed(was_open=False)):
            self.assertNotIn("apple", repr(each))
            self.assertNotIn("pear", repr(each))
