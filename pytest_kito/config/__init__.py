"""kito.yaml: read, validated, and turned into typed specs."""
