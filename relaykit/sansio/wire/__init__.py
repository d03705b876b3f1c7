"""The wire that relaykit and frp share: messages, framing, encryption, compression, versions 1 and 2."""
