(umask 077; relaykit token > token)
