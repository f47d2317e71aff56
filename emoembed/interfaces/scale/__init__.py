"""Work on many machines: `predict`, `extract` and `prepare` in the actors of a Ray cluster."""

from emoembed.interfaces.scale.ray_engine import Ray

__all__ = ["Ray"]
