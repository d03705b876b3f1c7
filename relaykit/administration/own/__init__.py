"""The API that relaykit has beside frp's: users, reasons and events, under a version."""
