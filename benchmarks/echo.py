"""An echo server in a process of its own: ``python -m benchmarks.echo PORT``."""

from __future__ import annotations

import select
import socket
import sys

__all__ = ["serve"]


def serve(port: int) -> None:
    """Echoes on a port of the loopback for ever.  One epoll loop; a full send buffer blocks it."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == listener.fileno():
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                poller.register(connection, select.EPOLLIN)
                continue
            connection = connections[descriptor]
            try:
                data = connection.recv(65536)
                if data:
                    connection.sendall(data)
            except OSError:
                data = b""
            if not data:
                poller.unregister(connection)
                connections.pop(descriptor).close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
