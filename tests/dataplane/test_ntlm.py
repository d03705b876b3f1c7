"""Proofs by NTLM, checked by the library's own other half."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.ntlm import ntlm_maker
from relaykit.errors import ForwardProxyError
from relaykit.sansio.forward_proxies.urls import parse_proxy_url

USERS = "NTLM_USER_FILE"
"""The variable by which the library finds the users that there are."""


def _put_back(module: ModuleType) -> None:
    sys.modules["spnego"] = module


class NtlmTests(SynchronousTestCase):
    """Tests for :func:`ntlm_maker`."""

    if find_spec("spnego") is None:
        skip = "pyspnego is not installed: the extra ntlm"

    def prove(self, url: str) -> bool:
        """Whether the other end takes the proof for that of ``user`` in ``REALM``."""
        from spnego import NegotiateOptions, server
        from spnego.exceptions import SpnegoError

        users = Path(self.mktemp())
        users.write_text("REALM:user:p@ss\n")
        os.environ[USERS] = str(users.absolute())
        self.addCleanup(os.environ.pop, USERS, None)
        other: Any = server(protocol="ntlm", options=NegotiateOptions.use_ntlm)
        proof = ntlm_maker(parse_proxy_url(url))()
        try:
            other.step(proof.step(other.step(proof.step(None))))
        except SpnegoError:
            return False
        return bool(other.complete)

    def test_proved(self) -> None:
        """User, domain and password count."""
        self.assertTrue(self.prove("ntlm://REALM%5Cuser:p%40ss@p.example:80"))
        self.assertFalse(self.prove("ntlm://REALM%5Cuser:pass@p.example:80"))
        self.assertFalse(self.prove("ntlm://REALM%5Cother:p%40ss@p.example:80"))

    def test_no_challenge(self) -> None:
        """What is no challenge is told so."""
        for challenge in (b"", b"junk", b"NTLMSSP\x00\x02\x00\x00\x00", b"NTLMSSP\x00\x01" + bytes(60)):
            proof = ntlm_maker(parse_proxy_url("ntlm://u:hush@p.example:80"))()
            proof.step(None)
            error = self.assertRaises(ForwardProxyError, proof.step, challenge)
            self.assertIn("the proxy ntlm://p.example:80 sent what is no challenge of NTLM", str(error))
            self.assertNotIn("hush", repr(proof))

    def test_secrets(self) -> None:
        """A maker shows nothing of whom it proves."""
        self.assertNotIn("hush", repr(ntlm_maker(parse_proxy_url("ntlm://u:hush@p.example:80"))))


class WithoutLibraryTests(SynchronousTestCase):
    """What happens where the library is not installed."""

    def test_missing(self) -> None:
        """The error names the extra that brings it."""
        missing: Any = None
        before = sys.modules.get("spnego")
        self.addCleanup(lambda: sys.modules.pop("spnego") if before is None else _put_back(before))
        sys.modules["spnego"] = missing
        error = self.assertRaises(ForwardProxyError, ntlm_maker, parse_proxy_url("ntlm://u:p@p.example:80"))
        self.assertIn("pip install 'relaykit[ntlm]'", str(error))
        self.assertEqual(error.problem, "no-ntlm")
