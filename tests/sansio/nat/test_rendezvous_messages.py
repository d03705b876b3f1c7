"""Tests of what is said about rendezvous: it survives JSON, and what is none is refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.nat.rendezvous_messages import (
    FAILURE_MAX,
    ID_MAX,
    KEY,
    CandidatesPassed,
    EndReason,
    RendezvousEnd,
    RendezvousGrant,
    RendezvousInvitation,
    RendezvousMessage,
    RendezvousRefusal,
    RendezvousRequest,
    from_body,
    proof_of,
    to_body,
)
from relaykit.values import Address
from tests.sansio.nat.test_exchange import json_values

ALL: tuple[RendezvousMessage, ...] = (
    RendezvousRequest("c", b"\x00\xff" * 16),
    RendezvousGrant("c", bytes(32), Address("198.51.100.7", 5000), (7000, 7001)),
    RendezvousRefusal("c", "too-many", "later"),
    RendezvousInvitation("c", bytes(range(32))),
    CandidatesPassed("c", {"any": ["JSON", 1, None]}, "2001:db8::5"),
    RendezvousEnd("c", EndReason.FAILED, "silence"),
)


def through_json(body: dict[str, Any]) -> Any:
    """What the other end gets."""
    return json.loads(json.dumps(body))


class MessageTests(SynchronousTestCase):
    """Messages and their JSON form."""

    def test_round_trip(self) -> None:
        """Each message is read as it was written, through JSON."""
        for message in ALL:
            self.assertEqual(from_body(through_json(to_body(message))), message)

    def test_golden(self) -> None:
        """The form does not change by accident: other versions read it."""
        self.assertEqual(to_body(ALL[0])[KEY], {"do": "request", "id": "c", "proof": "AP8A/wD/" * 5 + "AP8="})
        self.assertEqual(
            to_body(ALL[5]), {KEY: {"do": "end", "id": "c", "why": "failed", "failure": "silence"}}
        )

    def test_hidden(self) -> None:
        """The representation of a message shows no key and no proof."""
        self.assertEqual(repr(ALL[1]), "RendezvousGrant(id='c')")
        self.assertNotIn("xff", repr(ALL))

    def test_about_something_else(self) -> None:
        """A signal of the type's own is none of a rendezvous's."""
        self.assertIsNone(from_body({}))
        self.assertIsNone(from_body({"mine": 1}))

    def test_impossible(self) -> None:
        """Names, keys, ports and failures have their bounds."""
        for message in (
            RendezvousRequest(""),
            RendezvousRequest("c" * (ID_MAX + 1)),
            RendezvousGrant("c", bytes(31)),
            RendezvousInvitation("c", bytes(33)),
            RendezvousGrant("c", bytes(32), None, (0,)),
            RendezvousGrant("c", bytes(32), None, (65536,)),
            RendezvousGrant("c", bytes(32), None, (1, 2, 3, 4, 5)),
            RendezvousEnd("c", EndReason.FAILED, "x" * (FAILURE_MAX + 1)),
        ):
            self.assertRaises(RemoteProtocolError, from_body, to_body(message))

    @given(json_values)
    def test_junk(self, junk: object) -> None:
        """Whatever a peer says is a message or its error."""
        with contextlib.suppress(RemoteProtocolError):
            from_body({KEY: junk})

    @given(st.sampled_from(ALL), st.data())
    def test_damaged(self, message: RendezvousMessage, data: st.DataObject) -> None:
        """A message with one field replaced is a message or its peer's error."""
        body = to_body(message)
        body[KEY][data.draw(st.sampled_from(sorted(body[KEY])))] = data.draw(json_values)
        with contextlib.suppress(RemoteProtocolError):
            from_body(body)


class ProofTests(SynchronousTestCase):
    """Proofs of a secret."""

    def test_good_for_one_rendezvous(self) -> None:
        """A proof is another one for another secret, client or id."""
        proofs = [
            proof_of(secret, client, id_)
            for secret in (b"s", b"t")
            for client in ("a", "ab")
            for id_ in ("c", "bc")
        ]
        self.assertEqual(len(set(proofs)), len(proofs))
        self.assertEqual(proofs[0], proof_of(b"s", "a", "c"))
