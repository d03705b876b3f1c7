"""What a running role lets itself be asked and told over HTTP; imported only where that is on."""
