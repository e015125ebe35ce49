"""What every test of the plugin may ask for."""

pytest_plugins = ["pytester"]
