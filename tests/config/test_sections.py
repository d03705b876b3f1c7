from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.sections import (
    LogConfig,
    QuicConfig,
    WebServerConfig,
    WebServerTls,
    choice_problems,
    port_problems,
)
from relaykit.options import Problem


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

    def test_ports(self) -> None:
        """Ports have 16 bits."""
        for port in (0, 1, 65535):
            self.assertEqual(list(port_problems("port", port)), [])
        for port in (-1, 65536):
            expected = [Problem("port", f"port number {port} must be in the range 0..65535")]
            self.assertEqual(list(port_problems("port", port)), expected)
            self.assertEqual(list(WebServerConfig(port=port).problems()), expected)

    def test_choices(self) -> None:
        """What is not there must be given, what is wrong is repeated."""
        self.assertEqual(list(choice_problems("k", "a", ("a", "b"))), [])
        (problem,) = choice_problems("k", "c", ("a", "b"))
        self.assertEqual(problem.reason, '"c" is not one of a, b')
        (problem,) = choice_problems("k", "", ("a", "b"))
        self.assertEqual(problem.reason, "must be given, and be one of a, b")
