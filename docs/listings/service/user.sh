mkdir -p ~/.config/systemd/user
relaykit systemd user > ~/.config/systemd/user/relaykit-client.service
systemctl --user enable --now relaykit-client
