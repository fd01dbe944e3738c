"""What functions import of Open WebUI, in the part that makes sense inside a gateway.

Names keep the real product's spelling and meaning. A module or name that is not here is an `ImportError`, to
which the loader adds the list of what is.
"""
