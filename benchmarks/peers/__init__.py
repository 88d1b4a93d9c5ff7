"""Other tools that fold BatchNormalization, run in environments of their own."""
