"""HTTP/2 towards users: frames, streams and windows around what is said in :mod:`relaykit.sansio.http`."""
