"""Tests for :mod:`docs._ext.option_keys`."""

from __future__ import annotations

from typing import Annotated

from twisted.trial.unittest import SynchronousTestCase

from docs._ext.option_keys import KeyRow, key_rows
from relaykit.config.schema import ClientConfig, ServerConfig
from relaykit.options import Options, ProxyCommon, VisitorCommon, doc
from relaykit.values import Secret


class _Inner(Options, frozen=True, kw_only=True):
    max_users: Annotated[int, doc("Most users.")] = 5


class _Outer(Options, frozen=True, kw_only=True):
    name: Annotated[str, doc("A name.")]
    secret_key: Annotated[Secret, doc("A secret.")] = Secret("")
    limits: _Inner = _Inner()
    more: Annotated[tuple[_Inner, ...], doc("More of them.")] = ()
    ports: Annotated[tuple[int, ...], doc("Ports.")] = (80, 443)
    level: Annotated[str | int, doc("A level.")] = "info"


class KeyRowsTests(SynchronousTestCase):
    """Tests for :func:`key_rows`."""

    def test_rows(self) -> None:
        """Tables are followed, lists of tables too, and defaults are as they would be written."""
        self.assertEqual(
            list(key_rows(_Outer)),
            [
                KeyRow("name", "text", "", "A name."),
                KeyRow("secretKey", "text, secret", "", "A secret."),
                KeyRow("limits.maxUsers", "whole number", "5", "Most users."),
                KeyRow("more", "list of tables", "", "More of them."),
                KeyRow("more[].maxUsers", "whole number", "5", "Most users."),
                KeyRow("ports", "list of whole number", "[80,443]", "Ports."),
                KeyRow("level", "text or whole number", '"info"', "A level."),
            ],
        )

    def test_everything_is_described(self) -> None:
        """Every key that a file may have says what it means."""
        for cls in (ServerConfig, ClientConfig, ProxyCommon, VisitorCommon):
            silent = [row.key for row in key_rows(cls) if not row.meaning]
            self.assertEqual(silent, [], cls.__name__)
