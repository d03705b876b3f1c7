from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.sections import (
    LogConfig,
    QuicConfig,
    WebServerConfig,
    WebServerTls,
    choice_problems,
)
from relaykit.values import Secret


class SectionTests(SynchronousTestCase):
    """Tests for tables that both programs have."""

    def test_defaults(self) -> None:
        """Defaults are right by themselves."""
        for section in (LogConfig(), WebServerConfig(), QuicConfig()):
            self.assertEqual(list(section.problems()), [])

    def test_log(self) -> None:
        """Levels and formats are spelled exactly so."""
        found = [problem.key for problem in LogConfig(level="INFO", format="xml").problems()]
        self.assertEqual(found, ["level", "format"])

    def test_web_server_tls(self) -> None:
        """The table asks for both files."""
        self.assertEqual([each.key for each in WebServerTls().problems()], ["certFile", "keyFile"])
        self.assertEqual([each.key for each in WebServerTls(cert_file="c").problems()], ["keyFile"])
        self.assertEqual(list(WebServerTls(cert_file="c", key_file="k").problems()), [])

    def test_web_server_password(self) -> None:
        """Where others than this machine reach it, there must be a password."""
        password = Secret("pw")
        for config, keys in (
            (WebServerConfig(port=7500), []),
            (WebServerConfig(port=7500, addr="::1"), []),
            (WebServerConfig(addr="0.0.0.0"), []),
            (WebServerConfig(port=7500, addr="0.0.0.0", password=password), []),
            (WebServerConfig(port=7500, addr="0.0.0.0"), ["password"]),
            (WebServerConfig(port=7500, addr="192.0.2.1", user="admin"), ["password"]),
        ):
            self.assertEqual([each.key for each in config.problems()], keys)

    def test_choices(self) -> None:
        """What is not there must be given, what is wrong is repeated."""
        self.assertEqual(list(choice_problems("k", "a", ("a", "b"))), [])
        (problem,) = choice_problems("k", "c", ("a", "b"))
        self.assertEqual(problem.reason, '"c" is not one of a, b')
        (problem,) = choice_problems("k", "", ("a", "b"))
        self.assertEqual(problem.reason, "must be given, and be one of a, b")
