python -c "from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))"
