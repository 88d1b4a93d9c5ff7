"""The pytest plugin of kito: the checks of kito.yaml as test items, and fixtures."""
