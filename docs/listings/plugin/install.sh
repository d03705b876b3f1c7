pip install ./relaykit-knock
relaykit plugins
relaykit server -c server.toml
relaykit client -c erin.toml
