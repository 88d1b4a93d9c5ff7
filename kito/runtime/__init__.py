"""What running a model takes: its source, weights and inputs, the backend and the device."""
