"""What was moved between two looks at totals that only grow: of each proxy, each client, and the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import define, field

from relaykit.history.subjects import WHOLE, Subject, SubjectKind
from relaykit.values import NOTHING, Amount

if TYPE_CHECKING:
    from relaykit.values import ClientIdentity, Usage

__all__ = ["Tally"]


@define(eq=False)
class Tally:
    """Takes the usage of all proxies, look by look.

    :param client_key: the name of a client over its logins.
    """

    _client_key: Callable[[ClientIdentity], str]
    _before: dict[str, Amount] = field(factory=dict, init=False)
    _present: dict[str, Amount] = field(factory=dict, init=False)
    _moved: dict[Subject, Amount] = field(factory=dict, init=False)

    def take(self, usage: Usage) -> None:
        """One proxy, as it stands in this look."""
        before, now = self._before.get(usage.proxy), usage.amount
        self._present[usage.proxy] = now
        moved = now if before is None else now.since(before)
        if not moved:
            return
        owner = ""
        if usage.client is not None:
            owner = self._client_key(usage.client)
            self._add(Subject(SubjectKind.CLIENT, owner, usage.client.user), moved)
        self._add(Subject(SubjectKind.PROXY, usage.proxy, owner), moved)
        self._add(WHOLE, moved)

    def finish(self) -> Mapping[Subject, Amount]:
        """The look is over: what each has moved since the one before; those that moved nothing are left out.

        A proxy that was not in it is forgotten.
        """
        moved, self._moved = self._moved, {}
        self._before, self._present = self._present, {}
        return moved

    def _add(self, subject: Subject, amount: Amount) -> None:
        self._moved[subject] = self._moved.get(subject, NOTHING) + amount
