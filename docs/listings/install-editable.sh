pip install -e . --config-settings editable_mode=compat
