sudo python3 -m venv /opt/relaykit
sudo /opt/relaykit/bin/pip install .
sudo /opt/relaykit/bin/relaykit plugins
