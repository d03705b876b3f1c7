relaykit server --quick
