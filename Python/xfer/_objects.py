"""What optimizers, losses and metrics share: made by class name and config, or by a string."""

import json

from ._c import lib
from ._handle import encode, make, text


class Configured:
    """An object of the library of this kind ("optimizer", "loss", "metric") with Keras' config."""

    kind = None

    def _create(self, class_name, config):
        create = getattr(lib, f"xfer_{self.kind}_create")
        self._handle = make(self.kind, create, class_name.encode(), encode({k: v for k, v in config.items() if v is not None}))

    def _serialized(self):
        return json.loads(text(getattr(lib, f"xfer_{self.kind}_config"), self._handle))

    def get_config(self):
        """The config as Keras writes it."""
        found = self._serialized()
        return found["config"] if isinstance(found.get("config"), dict) else found

    @property
    def name(self):
        return self.get_config()["name"]

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} {self.get_config()}>"


def resolve(identifier, base, aliases, what):
    """An object from an object, a string as compile() takes it ("adam"), or {"class_name", "config"}."""
    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, str):
        if identifier in aliases:
            return aliases[identifier]()
        # The library knows more names than this module, or refuses with the nearest one.
        made = base.__new__(base)
        made._create(identifier, {})
        return made
    if isinstance(identifier, dict) and "class_name" in identifier:
        made = base.__new__(base)
        made._create(identifier["class_name"], identifier.get("config", {}))
        return made
    raise ValueError(f"{what} is to be a string or an object of xfer.{what}s, {identifier!r} was given")


def adopted(handle, class_name, base, classes):
    """An object of its Python class, or of `base`, for one the library made."""
    cls = classes.get(class_name)
    cls = cls if isinstance(cls, type) and issubclass(cls, base) else base
    made = cls.__new__(cls)
    made._handle = handle
    return made
