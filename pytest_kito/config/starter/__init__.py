"""``kito init``: the first kito.yaml, workflow and test of a repository that holds models."""
