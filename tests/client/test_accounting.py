"""Tests for :mod:`relaykit.client.accounting`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.accounting import Accounting
from relaykit.values import Amount, Ended, Traffic


class _Flow:
    """A flow that has moved something."""

    def __init__(self, to_service: int, to_user: int) -> None:
        self._moved = to_service, to_user

    def moved(self) -> tuple[int, int]:
        """What it has moved."""
        return self._moved


class AccountingTests(SynchronousTestCase):
    """Tests for what the proxies of a client have moved."""

    def setUp(self) -> None:
        self.accounting = Accounting()

    def usage(self) -> dict[str, Amount]:
        """What each was used for."""
        return {each.proxy: each.amount for each in self.accounting.usage()}

    def test_users(self) -> None:
        """Users count while they are there, and with all that they moved once they are gone."""
        flow: Any = _Flow(5, 7)
        self.accounting.began("web", flow)
        self.assertEqual(self.usage(), {"web": Amount(5, 7, 1)})
        self.accounting.ended("web", flow, Traffic(6, 8, 1.0, Ended.FINISHED))
        self.assertEqual(self.usage(), {"web": Amount(6, 8, 1)})
        defect: Any = _Flow(1, 1)
        self.accounting.began("web", defect)
        self.accounting.ended("web", defect, None)
        self.assertEqual(self.usage(), {"web": Amount(6, 8, 2)})

    def test_forgotten(self) -> None:
        """A proxy that is configured no more is forgotten once it has no users."""
        flow: Any = _Flow(5, 7)
        self.accounting.began("web", flow)
        self.accounting.keep(["ssh"])
        self.assertEqual(list(self.usage()), ["web"])
        self.accounting.ended("web", flow, Traffic(6, 8, 1.0, Ended.FINISHED))
        self.accounting.keep(["ssh"])
        self.assertEqual(self.usage(), {})
