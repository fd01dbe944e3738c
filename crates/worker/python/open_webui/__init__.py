"""What functions import of Open WebUI, in the part that makes sense inside a gateway.

Names keep the real product's spelling and meaning. What is not here is a stand-in that does nothing and says so when
it is used; a part or name the real product does not have is an `ImportError`, to which the loader adds what there is.
"""

from sluicegate_worker.compat import finder

finder.install()
