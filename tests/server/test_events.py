"""Tests of the events of a server."""

from __future__ import annotations

import typing

import attrs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.server import events


class EventsTests(SynchronousTestCase):
    """What all events have in common."""

    def test_frozen(self) -> None:
        """An event is a value: an observer may keep it, and cannot change it for the next one."""
        kinds = typing.get_args(events.ServerEvent)
        self.assertEqual({each.__name__ for each in kinds} | {"ServerEvent"}, set(events.__all__))
        for kind in kinds:
            fields = {each.name: None for each in attrs.fields(kind)}
            event = kind(**fields)
            self.assertEqual(event, kind(**fields))
            name = next(iter(fields))
            self.assertRaises(attrs.exceptions.FrozenInstanceError, setattr, event, name, 1)
