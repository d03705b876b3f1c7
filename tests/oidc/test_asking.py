from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import CredentialError
from relaykit.oidc.asking import ProviderPath
from relaykit.values import Secret

ENVIRON = {"https_proxy": "http://env.example:3128"}


class PathTests(SynchronousTestCase):
    """Tests for how a provider is reached; requests are those of the integration tests."""

    def test_proxy(self) -> None:
        """The file names the proxy, else the environment, which says nothing once the file says something."""
        for path, found in (
            (ProviderPath(proxy=Secret("socks5h://me:sesame@p.example:1080")), "socks5://p.example:1080"),
            (ProviderPath(environ=ENVIRON), "http://env.example:3128"),
            (ProviderPath(environ=ENVIRON, insecure=True), "None"),
            (ProviderPath(environ=ENVIRON, authorities="ca.pem"), "None"),
            (ProviderPath(), "None"),
        ):
            self.assertEqual(str(path.proxy_to("id.example", 443)), found)
            self.assertNotIn("sesame", repr(path))

    def test_bad_proxy(self) -> None:
        """What is no proxy is told of, without the URL."""
        path = ProviderPath(proxy=Secret("ftp://me:sesame@p.example"))
        error = self.assertRaises(CredentialError, path.proxy_to, "id.example", 443)
        self.assertIn("auth.oidc.proxyURL names no proxy", str(error))
        self.assertNotIn("sesame", str(error))

    def test_verified(self) -> None:
        """The certificate is verified by the system's authorities unless the file says otherwise."""
        self.assertTrue(ProviderPath().context("id.example").verifies)
        self.assertFalse(ProviderPath(insecure=True).context("id.example").verifies)
        path = ProviderPath(authorities="/nowhere/ca.pem")
        error = self.assertRaises(CredentialError, path.context, "id.example")
        self.assertIn("auth.oidc.trustedCaFile: /nowhere/ca.pem cannot be read", str(error))
