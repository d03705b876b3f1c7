sudo relaykit-venv/bin/relaykit demo --nat
