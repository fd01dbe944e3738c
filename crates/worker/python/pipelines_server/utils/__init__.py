"""What the Pipelines server has under this name, for files that were written for it."""
