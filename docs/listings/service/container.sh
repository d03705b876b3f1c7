podman build --tag relaykit .
podman run --detach --name relay --publish 7000:7000 --publish 7000-7001:7000-7001/udp --publish 6000-6010:6000-6010 --volume relaykit:/var/lib/relaykit relaykit server --quick --host relay.example
podman logs relay
podman exec relay cat /var/lib/relaykit/token
