"""Tests for :mod:`relaykit.sansio.control.type_messages`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import BrokenProxyType
from relaykit.sansio.control.type_messages import TypeMessages
from relaykit.sansio.nathole.messages import NAT_HOLE_MESSAGES, NatHoleSid
from relaykit.sansio.wire.extension_messages import Signal
from relaykit.sansio.wire.messages import FREE_NUMBERS, Message, Ping


class Wave(Message, frozen=True):
    """A message of a foreign type."""

    type_byte = None
    number = FREE_NUMBERS.start


class Nod(Message, frozen=True):
    """Another one, with the same number."""

    type_byte = None
    number = FREE_NUMBERS.start


class Taken(Message, frozen=True):
    """One whose number no package may take."""

    type_byte = None
    number = 0x5210


class TypeMessagesTests(SynchronousTestCase):
    """Tests for which messages are whose."""

    def setUp(self) -> None:
        self.messages = TypeMessages()

    def test_types(self) -> None:
        """Each message belongs to the type that brought it, and may be brought again."""
        for _ in range(2):
            self.messages.add("xtcp", NAT_HOLE_MESSAGES)
            self.messages.add("hand", [Wave])
        self.assertEqual(set(self.messages), {*NAT_HOLE_MESSAGES, Wave})
        self.assertEqual(self.messages.type_of(NatHoleSid()), "xtcp")
        self.assertEqual(self.messages.type_of(Wave()), "hand")

    def test_clashes(self) -> None:
        """A message of the core, a number that another one has or that is not free: the type is broken."""
        self.messages.add("hand", [Wave])
        for message, reason in (
            (Nod, "Wave and Nod have the same type 0x8000"),
            (Wave, "Wave belongs to hand"),
            (Signal, "Signal has the number 0x5201; free are 0x8000 to 0xffff, "),
            (Ping, "Ping has the number 0xb; free are 0x8000 to 0xffff, "),
            (Taken, "Taken has the number 0x5210; free are 0x8000 to 0xffff, "),
        ):
            error = self.assertRaises(BrokenProxyType, self.messages.add, "head", [message])
            self.assertIn(f'the messages of proxy type "head" cannot be used: {reason}', str(error))
            self.assertEqual(list(self.messages), [Wave])
