"""What relaykit's own API answers: the OpenAPI document is made of these classes."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "Checked",
    "ClientOverview",
    "ClientProxies",
    "ClientProxy",
    "ClientVisitor",
    "EndedUsers",
    "Failed",
    "Form",
    "FormField",
    "FormPlugin",
    "FormSection",
    "Forms",
    "FoundProblem",
    "History",
    "Refusal",
    "Refusals",
    "ServerOverview",
    "Shape",
    "User",
    "Users",
]


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What an answer consists of; times are seconds since 1970, and amounts are bytes."""


class ServerOverview(Shape, frozen=True, kw_only=True):
    """A server as a whole; bytes are those from its start on, and ``types`` has the open proxies of each."""

    version: str
    state: str
    since: float | None
    port: int
    fingerprint: str
    clients: int
    proxies: int
    users: int
    users_waiting: int
    connections: int
    bytes_in: int
    bytes_out: int
    refused: int
    types: dict[str, int]


class ClientOverview(Shape, frozen=True, kw_only=True):
    """A client as a whole, likewise; ``path`` is how the server is reached, empty where its file says how."""

    version: str
    server: str
    connected: bool
    since: float | None
    round_trip_s: float | None
    path: str
    proxies: int
    proxies_up: int
    visitors: int
    visitors_up: int
    users: int
    connections: int
    bytes_in: int
    bytes_out: int
    is_stored: bool


class Probe(Shape, frozen=True, kw_only=True):
    """What came of looking whether users of a proxy are served, over the way that they take.

    ``online`` says that bytes were carried through, and that nothing is wrong which could be seen.
    ``reached`` is how far they were: nobody, client, service (which has accepted) or answer (of the service).
    ``error`` says why no further; ``problem`` is an id of the page on troubleshooting, empty for none.
    """

    online: bool
    at: float
    seconds: float
    reached: str
    error: str
    problem: str


class ServerProxy(Shape, frozen=True, kw_only=True):
    """A proxy at a server; ``client`` is the key of the one that has it, or had it last.

    ``state`` is open or closed, ``since`` from when on.  ``lastError`` is why a user was not served the last
    time that this happened, with its ``problem``.  ``probe`` is null where nobody has looked since it was
    opened.
    """

    name: str
    type: str
    client: str
    state: str
    since: float | None
    address: str
    users: int
    connections: int
    bytes_in: int
    bytes_out: int
    last_user: str
    last_user_at: float | None
    last_error: str
    last_error_at: float | None
    problem: str
    probe: Probe | None


class ServerProxies(Shape, frozen=True, kw_only=True):
    """One page of proxies; ``total`` is how many there are on all pages."""

    total: int
    page: int
    page_size: int
    items: list[ServerProxy]


class ServerClient(Shape, frozen=True, kw_only=True):
    """A client of a server.

    ``since`` is from when on it is connected, or not; ``carrier`` is what it came by, empty when it is gone.
    ``roundTripS`` is null where it is not measured, as
    without mux.  ``lastEnd`` says why its last session ended, empty before the first has.
    """

    key: str
    run_id: str = msgspec.field(name="runID")
    connected: bool
    since: float
    address: str
    hostname: str
    version: str
    wire: int
    bound: bool
    carrier: str
    round_trip_s: float | None
    last_end: str


class ServerClients(Shape, frozen=True, kw_only=True):
    """One page of clients; ``total`` is how many there are on all pages."""

    total: int
    page: int
    page_size: int
    items: list[ServerClient]


class LogLine(Shape, frozen=True, kw_only=True):
    """A line of the log; ``number`` is one more than that of the line before.

    ``level`` is debug, info, warn, error or critical; ``problem`` an id of the page on troubleshooting, empty
    for none.
    """

    number: int
    at: float
    level: str
    source: str
    text: str
    problem: str


class LogLines(Shape, frozen=True, kw_only=True):
    """Lines of the log, the oldest first; ``last`` is the number of the last line that there was."""

    last: int
    items: list[LogLine]


class KnownProblem(Shape, frozen=True, kw_only=True):
    """What is known of a kind of problem; ``isForClient``: the remedy is one for where a client runs."""

    id: str
    title: str
    cause: str
    remedy: str
    is_for_client: bool


class Failed(Shape, frozen=True, kw_only=True):
    """Why a call was refused or has failed."""

    error: str


class User(Shape, frozen=True, kw_only=True):
    """Somebody who uses a proxy or a visitor at the moment.

    ``in`` is from users to the client.  Rates are bytes a second from the beginning on.
    """

    proxy: str
    client: str
    address: str
    path: str
    is_waiting: bool
    since: float
    bytes_in: int
    bytes_out: int
    rate_in: float
    rate_out: float


class Users(Shape, frozen=True, kw_only=True):
    """One page of users; ``total`` is how many there are on all pages."""

    total: int
    page: int
    page_size: int
    items: list[User]


class EndedUsers(Shape, frozen=True, kw_only=True):
    """How many connections of users, or sessions of clients, were ended."""

    ended: int


class History(Shape, frozen=True, kw_only=True):
    """What was moved in each of some minutes, hours or days.

    The lists are equally long.  ``times`` are their beginnings, without gaps, the earliest first; days are
    those of the calendar where the program runs.  ``bytesIn`` is from users to the client; ``connections``
    are those that began.  ``proxy`` and ``client`` are as they were asked for: both are empty for all of it.
    """

    proxy: str
    client: str
    grain: str
    times: list[int]
    bytes_in: list[int]
    bytes_out: list[int]
    connections: list[int]


class Refusal(Shape, frozen=True, kw_only=True):
    """A proxy that a client asked for, and that is not up because the server said no."""

    proxy: str
    type: str
    client: str
    reason: str
    code: str
    problem: str
    at: float


class Refusals(Shape, frozen=True, kw_only=True):
    """The proxies that are not up, the latest refusal last."""

    items: list[Refusal]


class ClientProxy(Shape, frozen=True, kw_only=True):
    """A proxy of a client; ``problem`` is an id of the page on troubleshooting, empty for none.

    ``nextTryS`` are the seconds until the server is asked again, null if it is not; ``source`` is file or
    store.  ``since`` is from when on the state is as it is; ``lastError`` is why a user was not served the
    last time that this happened.  ``connections`` and bytes are those since the start.
    """

    name: str
    type: str
    state: str
    health: str
    reason: str
    problem: str
    address: str
    path: str
    users: int
    next_try_s: float | None
    source: str
    since: float | None
    last_user: str
    last_user_at: float | None
    last_error: str
    last_error_at: float | None
    connections: int
    bytes_in: int
    bytes_out: int


class ClientVisitor(Shape, frozen=True, kw_only=True):
    """A visitor of a client, likewise; ``listening`` is empty while it has no port.

    ``local`` is the local service that it connects to the proxy, which is its one user; empty for none.
    """

    name: str
    listening: str
    local: str
    reason: str
    problem: str
    path: str
    users: int
    next_try_s: float | None
    type: str
    source: str
    since: float | None
    last_user: str
    last_user_at: float | None
    last_error: str
    last_error_at: float | None


class ClientProxies(Shape, frozen=True, kw_only=True):
    """All proxies and visitors of a client, and whether it is connected to its server."""

    connected: bool
    proxies: list[ClientProxy]
    visitors: list[ClientVisitor]


class FormField(Shape, frozen=True, kw_only=True):
    """One key of a definition.

    ``key`` is dotted from the block of the definition; ``kind`` is text, number, port, boolean, choice,
    texts, map, secret, duration (seconds), bandwidth, or tables, whose ``fields`` have keys from each table
    on.  A ``default`` of null is none, or a secret.
    """

    key: str
    label: str
    doc: str
    kind: str
    choices: list[str]
    default: Any
    required: bool
    least: float | None
    greatest: float | None
    advanced: bool
    fields: list[FormField]


class FormSection(Shape, frozen=True, kw_only=True):
    """Keys that belong together: those that all have (no name), those of the type, or those of a table."""

    name: str
    label: str
    doc: str
    advanced: bool
    fields: list[FormField]


class FormPlugin(Shape, frozen=True, kw_only=True):
    """What may be there in place of a local service, by ``plugin.type``, and its further keys."""

    type: str
    doc: str
    fields: list[FormField]


class Form(Shape, frozen=True, kw_only=True):
    """All that a proxy, or a visitor, of one type can be told."""

    type: str
    doc: str
    sections: list[FormSection]
    plugins: list[FormPlugin]


class Forms(Shape, frozen=True, kw_only=True):
    """A form for each type of proxy, and for each that can be visited."""

    proxies: list[Form]
    visitors: list[Form]


class FoundProblem(Shape, frozen=True, kw_only=True):
    """One thing that is wrong, or worth a warning.

    ``key`` is where: of a definition from its block on, of a text from its top on; ``text`` is all of it in
    one line, with what to do.
    """

    key: str
    what: str
    hint: str
    subject: str
    file: str
    line: int | None
    column: int | None
    text: str


class Checked(Shape, frozen=True, kw_only=True):
    """What was found; without problems it can be used.  ``more`` are those that are left out."""

    problems: list[FoundProblem]
    warnings: list[FoundProblem]
    more: int
