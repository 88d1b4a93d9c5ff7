"""The code of this model repository: data, networks, a layer of its own, and metrics."""
