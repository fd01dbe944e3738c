"""Helpers of the Pipelines server, under the name that the import rewrite gives them."""
