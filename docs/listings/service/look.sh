systemctl status relaykit-server
journalctl -u relaykit-server -f
