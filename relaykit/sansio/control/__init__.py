"""The control protocol above the wire, in relaykit's words.

A server runs :class:`~relaykit.sansio.control.server_opening.ServerOpening` on each logical connection.  Its
first message is a login, with which a
:class:`~relaykit.sansio.control.server_control.ServerControl` goes on, or a work connection or a visit,
which are answered with the functions beside it.  A client runs a
:class:`~relaykit.sansio.control.client_control.ClientControl`, and opens work connections and visits
with :mod:`relaykit.sansio.control.client_opening`.

What decides without bytes stands apart: which user gets which work connection
(:mod:`~relaykit.sansio.control.pool`), what a client registers when
(:mod:`~relaykit.sansio.control.registration`), when it dials again
(:mod:`~relaykit.sansio.control.backoff`) and in which version of the wire
(:mod:`~relaykit.sansio.control.negotiation`), whether a peer is alive
(:mod:`~relaykit.sansio.control.liveness`).
"""
