"""A model made to run: its source, weights and inputs, the backend and the device."""
