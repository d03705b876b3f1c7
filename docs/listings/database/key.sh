(umask 077; relaykit token > db-key)
