from __future__ import annotations

import typing

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control import events
from relaykit.sansio.control.events import RegistrationRequested, SessionEvent, SignalReceived


class EventsTests(SynchronousTestCase):
    """Events are values, and safe to log."""

    def test_all_are_events(self) -> None:
        """Every class of the module is among what a session may tell."""
        listed = {event.__name__ for event in typing.get_args(SessionEvent)}
        self.assertEqual(listed | {"SessionEvent"}, set(events.__all__))

    def test_values(self) -> None:
        """Two events that say the same are equal."""
        self.assertEqual(
            RegistrationRequested("web", "tcp", {"a": 1}), RegistrationRequested("web", "tcp", {"a": 1})
        )

    def test_secrets_do_not_show(self) -> None:
        """Neither options, which hold secret keys, nor the bodies of signals show in logs."""
        self.assertNotIn("open sesame", repr(RegistrationRequested("web", "stcp", {"sk": "open sesame"})))
        self.assertNotIn("open sesame", repr(SignalReceived("web", "", {"phrase": "open sesame"})))
