relaykit-venv/bin/pip install '.[quic]'
