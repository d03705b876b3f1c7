"""A conversation with a proxy whose answers are known."""

from __future__ import annotations

from relaykit.sansio.forward_proxies.conversation import Conversation
from relaykit.testing.cuts import recognize

__all__ = ["sent_in"]


def sent_in(conversation: Conversation, *answers: bytes) -> list[bytes]:
    """What is sent where the proxy answers so, each answer cut in every way, and ``open`` at the end."""
    sent, answer = [], None
    for each in answers:
        step = conversation.send(answer)
        sent.append(step.request)
        answer = recognize(step.answer, each)
    try:
        sent.append(conversation.send(answer).request)
    except StopIteration:
        sent.append(b"open")
    return sent
