"""Tests for :mod:`relaykit.client.type_messages`."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.client.type_messages import HalfMessages
from relaykit.errors import BrokenProxyType, RemoteProtocolError
from relaykit.interfaces import IMessageReceiver
from relaykit.proxies.tcp import proxy_type as tcp
from relaykit.sansio.wire.messages import Message
from tests.server.test_type_messages import Twin, Wave, Waving


@implementer(IMessageReceiver)
@define(eq=False)
class Half:
    """A backend or a visitor: some messages are for it, and some it cannot bear."""

    meant: str
    got: list[Any] = field(factory=list)

    def message_received(self, peer: Any, message: Any) -> bool:
        self.got.append((peer, message.text))
        if self.meant == "nonsense":
            raise RemoteProtocolError("it is nonsense")
        if self.meant == "defect":
            raise RuntimeError("a defect")
        return bool(message.text == self.meant)


class HalfMessagesTests(SynchronousTestCase):
    """Tests for offering messages."""

    def setUp(self) -> None:
        self.halves: list[Any] = []
        self.messages = HalfMessages(self.of_type, lambda: "run")
        self.messages.use(Waving())

    def of_type(self, name: str) -> Any:
        """The halves, each of which is its own host here."""
        self.assertEqual(name, "waving")
        return [(half, f"host of {position}") for position, half in enumerate(self.halves)]

    def offer(self, text: str) -> list[int]:
        """Which halves get a message."""
        message: Message = Wave(text=text)
        self.messages.offer(message)
        return [position for position, half in enumerate(self.halves) if getattr(half, "got", None)]

    def test_in_turn(self) -> None:
        """A message is offered to one half after the other until it was meant, with its host as the peer."""
        self.halves = [object(), Half("a"), Half("b"), Half("c")]
        self.assertEqual(self.offer("b"), [1, 2])
        self.assertEqual(self.halves[2].got, [("host of 2", "b")])
        self.assertEqual(self.offer("nobody"), [1, 2, 3])

    def test_classes(self) -> None:
        """Only the messages of types in use are understood; a type without messages has none."""
        self.messages.use(tcp)
        self.assertEqual(self.messages.classes(), (Wave,))

    def test_clash(self) -> None:
        """A type whose messages clash with those of another one cannot be used."""
        self.assertRaises(BrokenProxyType, self.messages.use, Twin())

    def test_broken(self) -> None:
        """What makes no sense to a half, or finds a defect, is logged, and offered to nobody else."""
        for meant, problem in (("nonsense", "broke-the-rules"), ("defect", None)):
            self.halves = [Half(meant), Half("x")]
            with capturedLogs() as logged:
                self.assertEqual(self.offer("x"), [0])
            said = [(each["run"], each["by_server"], each.get("problem")) for each in logged]
            self.assertEqual(said, [("run", "run", problem)])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
