"""The artifacts of a session: publishes those that passed, and verifies them later."""
