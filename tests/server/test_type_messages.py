"""Tests for :mod:`relaykit.server.type_messages`."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.errors import ProxyRefusedError, RefusalCode, RemoteProtocolError
from relaykit.interfaces import IIngress, IMessagePeer, IMessageReceiver, IMessagingProxyType
from relaykit.options import Options
from relaykit.plugins import ProxyTypeReference, ProxyTypes
from relaykit.sansio.wire.messages import Message
from relaykit.server.type_messages import IngressMessages
from relaykit.values import ClientIdentity


class Wave(Message, frozen=True, kw_only=True):
    """A message of a proxy type."""

    type_byte = None
    number = 0x9001

    text: str = ""


@implementer(IIngress, IMessageReceiver)
class Ingress(Service):
    """Notes what it gets; some of it makes no sense to it, or finds a defect."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def expose(self, proxy: Any) -> Any:
        raise NotImplementedError

    def message_received(self, peer: Any, message: Any) -> bool:
        self.got.append((peer.identity.run_id, message))
        if message.text == "nonsense":
            raise RemoteProtocolError("it is nonsense")
        if message.text == "defect":
            raise RuntimeError("a defect")
        return True


@implementer(IMessagingProxyType)
class Waving:
    """A proxy type with a message."""

    name = "waving"
    summary = "waves"
    proxy_options = ingress_options = Options
    messages = (Wave,)
    handed = ()

    def make_ingress(self, options: Any, host: Any) -> Any:
        """Not here."""

    def make_backend(self, options: Any, host: Any) -> Any:
        """Not here."""


class Twin(Waving):
    """Another one, with the same message."""

    name = "twin"


proxy_type = Waving()
"""What a reference to this module finds."""


@implementer(IMessagePeer)
@define
class Peer:
    """A client."""

    identity: ClientIdentity = field(factory=lambda: ClientIdentity("run"))
    sent: list[Message] = field(factory=list)

    def send_message(self, message: Message) -> None:
        self.sent.append(message)


def reference(name: str, module: str = __name__) -> ProxyTypeReference:
    """What a dropin has."""
    return ProxyTypeReference(name, module, has_messages=True)


class IngressMessagesTests(SynchronousTestCase):
    """Tests for handing messages to ingresses."""

    def setUp(self) -> None:
        self.ingress: Any = Ingress()
        self.failure: Exception | None = None
        self.asked: list[str] = []

    async def ingress_of(self, name: str) -> Any:
        """The running ingress."""
        self.asked.append(name)
        if self.failure is not None:
            raise self.failure
        return self.ingress

    def messages(self, *references: ProxyTypeReference) -> IngressMessages:
        """Those of some types."""
        return IngressMessages(ProxyTypes.from_references(references), self.ingress_of)

    def take(self, text: str, messages: IngressMessages | None = None) -> None:
        """A client sends a message."""
        messages = messages or self.messages(reference("waving"))
        messages.classes()
        self.assertIsNone(
            self.successResultOf(Deferred.fromCoroutine(messages.take(Peer(), Wave(text=text))))
        )

    def test_taken(self) -> None:
        """A message goes to the ingress of the type that brought it, with whoever sent it."""
        self.take("hello")
        self.assertEqual((self.asked, self.ingress.got), (["waving"], [("run", Wave(text="hello"))]))

    def test_classes(self) -> None:
        """Only types whose dropin says that they have messages are loaded."""
        quiet = ProxyTypeReference("quiet", "no.such.module")
        self.assertEqual(self.messages(reference("waving"), quiet).classes(), (Wave,))

    def test_broken_types(self) -> None:
        """A type that cannot be loaded has none, and the log says so once."""
        messages = self.messages(reference("waving"), reference("broken", "no.such.module"))
        with capturedLogs() as logged:
            self.assertEqual([messages.classes() for _ in range(3)], [(Wave,)] * 3)
        self.assertEqual([each["problem"] for each in logged], ["broken-type"])

    def test_makes_no_sense(self) -> None:
        """The log says which message makes no sense, of whom."""
        with capturedLogs() as logged:
            self.take("nonsense")
        self.assertEqual([each["problem"] for each in logged], ["broke-the-rules"])
        self.assertEqual((logged[0]["run"], logged[0]["reason"]), ("run", "it is nonsense"))
        self.assertIn("by_client", logged[0])

    def test_defect(self) -> None:
        """A defect of a type is logged and costs nobody anything."""
        self.take("defect")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_cannot_start(self) -> None:
        """Where the ingress cannot start, which has been logged, the message is dropped."""
        self.failure = ProxyRefusedError(RefusalCode.NOT_AVAILABLE, "it cannot")
        with capturedLogs() as logged:
            self.take("hello")
        self.assertEqual((logged, self.ingress.got), ([], []))

    def test_deaf(self) -> None:
        """An ingress that takes no messages gets none."""
        self.ingress = Service()
        self.take("hello")
