"""frp's command lines: ``relaykit frps`` and ``relaykit frpc`` take what frp's programs take."""
