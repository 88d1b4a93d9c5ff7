"""The artifacts of a session: published once proved, and verified later."""
