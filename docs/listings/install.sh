python3 -m venv relaykit-venv
relaykit-venv/bin/pip install .
relaykit-venv/bin/relaykit --version
