"""Tests for :mod:`relaykit.testing.conformance`: broken types fail; ``tests.proxies`` has types that pass."""

from __future__ import annotations

import unittest
from typing import Annotated, Any

from attrs import evolve, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.interfaces import IBackend, IProxyType, IRegisteredProxy, IStreamLeg, IVisitableProxyType
from relaykit.options import Options, extension
from relaykit.proxies import stcp, tcp
from relaykit.testing.conformance import ProxyTypeTests, VisitableProxyTypeTests
from relaykit.values import Origin, Secret


class _Undescribed(Options, frozen=True, kw_only=True):
    name: str = ""
    phrase: Annotated[str, extension("phrase")] = ""
    word: Annotated[str, extension("phrase")] = ""


@implementer(IBackend)
class _Forgetful(Service):
    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        """Keeps the leg open although nobody will ever use it."""
        await Deferred()


class _Sticky(Service):
    """An ingress that never lets a port go, and schedules before it is started."""

    def __init__(self, host: Any) -> None:
        self._host = host
        host.reactor.callLater(1, lambda: None)

    async def expose(self, proxy: IRegisteredProxy) -> Any:
        exposure = tcp._OpenPort(proxy)
        exposure.opened(await self._host.ports.listen_stream(6000, exposure, proxy))
        exposure._port = None
        return exposure


@implementer(IProxyType)
@frozen
class _Broken:
    name: str = "a name with spaces"
    summary: str = "one line\nand another"
    proxy_options: type[Options] = _Undescribed
    ingress_options: type[Options] = tcp.NoIngressOptions

    def make_ingress(self, options: Any, host: Any) -> Any:
        return _Sticky(host)

    def make_backend(self, options: Any, host: Any) -> Any:
        return _Forgetful()


@implementer(IVisitableProxyType)
@frozen
class _BrokenSecret:
    """Lets everybody in."""

    name = "open"
    summary = "a secret type that forgets to ask"
    proxy_options = stcp.StcpOptions
    visitor_options = stcp.StcpVisitorOptions
    ingress_options = tcp.NoIngressOptions

    def make_ingress(self, options: Any, host: Any) -> Any:
        return _OpenIngress()

    def make_backend(self, options: Any, host: Any) -> Any:
        return tcp.LocalServiceBackend(host)

    def make_visitor(self, options: Any, host: Any) -> Any:
        return stcp.StcpVisitor(options.secret_key, host)


class _OpenIngress(stcp.StcpIngress):
    async def expose(self, proxy: IRegisteredProxy) -> Any:
        return _OpenExposure(proxy)


class _OpenExposure(stcp._SecretExposure):
    async def visited(self, visit: Any) -> None:
        self._proxy.serve(visit.accept(Secret("")), visit.origin)


class BrokenTypesTests(SynchronousTestCase):
    """The mixins find out what is wrong with a type."""

    def failed(self, mixin: type, proxy_type: Any, **attributes: Any) -> set[str]:
        """Runs the mixin on a type; answers which of its tests did not pass."""
        case = type("Case", (mixin, SynchronousTestCase), {"proxy_type": proxy_type, **attributes})
        result = unittest.TestResult()
        unittest.TestSuite(case(name) for name in dir(case) if name.startswith("test_")).run(result)
        self.flushLoggedErrors()
        return {test.id().rpartition(".")[2] for test, _ in (*result.failures, *result.errors)}

    def test_everything_wrong(self) -> None:
        """A type with a bad name, hidden keys, double wire fields, effects and leaks fails each test."""
        self.assertEqual(
            self.failed(ProxyTypeTests, _Broken()),
            {
                "test_described",
                "test_ended_by_the_server",
                "test_keys",
                "test_local_service_refuses",
                "test_making_has_no_effects",
                "test_protocol",
                "test_session_lost",
                "test_stopped_with_a_user",
                "test_user_leaves_at_once",
                "test_wire_fields",
                "test_withdrawing_leaves_no_timers",
                "test_withdrawn_and_again",
            },
        )

    def test_one_thing_wrong(self) -> None:
        """One fault fails one test."""
        sound = evolve(_Broken(), name="sound", proxy_options=tcp.NoIngressOptions, summary="one line")
        self.assertNotIn("test_described", self.failed(ProxyTypeTests, sound))
        self.assertNotIn("test_keys", self.failed(ProxyTypeTests, sound))

    def test_no_secret_asked(self) -> None:
        """A secret type that lets everybody in is found out."""
        failed = self.failed(
            VisitableProxyTypeTests,
            _BrokenSecret(),
            options=lambda self: stcp.StcpOptions(secret_key=self.visitor_secret),
        )
        self.assertEqual(failed, {"test_wrong_secret"})
