"""The same work by the actors of a Ray cluster (extra `ray`): searches by dialogues, evaluations by turns."""

from cso.cluster.crew import Crew
from cso.cluster.searching import RaySearch

__all__ = ["Crew", "RaySearch"]
