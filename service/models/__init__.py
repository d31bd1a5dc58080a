"""The models a process answers with: where they come from, how they are kept, and how a newer one takes over."""

from service.models.keeper import Keeper, load
from service.models.served import Models, ServedModel

__all__ = ["Keeper", "Models", "ServedModel", "load"]
