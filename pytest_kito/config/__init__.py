"""kito.yaml: reads and validates it, and turns it into typed specs."""
