"""An echo server in a process of its own: ``python -m benchmarks.echo PORT DATAGRAM_PORT``."""

from __future__ import annotations

import select
import socket
import sys

__all__ = ["serve"]


_BUFFER_BYTES = 4 * 1024 * 1024
"""Asked for as the kernel's buffer of datagrams: thousands of users may send at the same time."""


def serve(port: int, datagram_port: int) -> None:
    """Echoes on two ports of the loopback for ever.  One epoll loop; a full send buffer blocks it."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    datagrams.bind(("127.0.0.1", datagram_port))
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    poller.register(datagrams, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == listener.fileno():
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                poller.register(connection, select.EPOLLIN)
                continue
            if descriptor == datagrams.fileno():
                datagrams.sendto(*datagrams.recvfrom(65536))
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
    serve(int(sys.argv[1]), int(sys.argv[2]))
