"""Tests for the proxy type ``greet``."""

from __future__ import annotations

from relaykit.testing.conformance import ProxyTypeTests
from relaykit.testing.memory import RecordingReceiver
from relaykit.testing.relay import MemoryRelay, echoing
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock import greet
from relaykit_knock.greet import MOST_GREETING, GreetIngressOptions, GreetOptions


class GreetConformanceTests(ProxyTypeTests, SynchronousTestCase):
    """What every proxy type must do."""

    proxy_type = greet.proxy_type

    def options(self) -> GreetOptions:
        """A port of the server."""
        return GreetOptions(remote_port=6000)


class GreetTests(SynchronousTestCase):
    """Tests for the greeting."""

    def test_greeted_first(self) -> None:
        """A user is greeted, and has the service then."""
        relay = MemoryRelay()
        relay.publish(greet.proxy_type, GreetOptions(remote_port=6000), local=echoing)
        leg = relay.dial(6000)
        user = RecordingReceiver(leg)
        leg.write(b"and you?")
        relay.settle()
        self.assertEqual(user.data, b"welcome\r\nand you?")

    def test_long_greeting(self) -> None:
        """A server is not started with a greeting that is none."""
        self.assertEqual(list(GreetIngressOptions(greeting="x" * MOST_GREETING).problems()), [])
        problems = GreetIngressOptions(greeting="x" * (MOST_GREETING + 1)).problems()
        self.assertEqual([each.key for each in problems], ["greeting"])
