#!/bin/sh
systemctl try-restart relaykit-server
