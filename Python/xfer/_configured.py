"""Objects that are nothing but a class name and a config: initializers, regularizers, constraints, schedules."""

import re


class Described:
    """Keeps its config as given; the library reads it when a layer or an optimizer is made with the object."""

    def __init__(self, **config):
        self._config = config

    def get_config(self):
        """The config as Keras writes it; `from_config` takes it back."""
        return dict(self._config)

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __getattr__(self, name):
        config = self.__dict__.get("_config", {})
        if name in config:
            return config[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name, value):
        if name in self.__dict__.get("_config", {}):
            raise AttributeError(f"{type(self).__name__}.{name} is fixed when the object is made: make another one")
        object.__setattr__(self, name, value)

    def __eq__(self, other):
        return type(other) is type(self) and other.get_config() == self.get_config()

    __hash__ = object.__hash__

    def __repr__(self):
        return f"<{type(self).__name__} {self.get_config()}>"


def snake_case(name):
    """Keras' identifiers: "L1L2" is "l1l2", "MaxNorm" "max_norm"."""
    text = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()


def find(identifier, base, scope, what, aliases=()):
    """An object from an object, a class, a string or {"class_name", "config"}; None stays None."""
    if identifier is None or isinstance(identifier, base):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    known = {}
    for name, value in scope.items():
        if isinstance(value, type) and issubclass(value, base) and value is not base:
            known[name] = known[snake_case(name)] = value
    known.update(aliases)
    if isinstance(identifier, str) and identifier in known:
        return known[identifier]()
    if isinstance(identifier, dict) and identifier.get("class_name") in known:
        return known[identifier["class_name"]].from_config(identifier.get("config") or {})
    raise ValueError(f"Could not interpret {what} identifier: {identifier!r}")


def serialize(value, module):
    """{"module", "class_name", "config", "registered_name"} as Keras writes it."""
    if value is None:
        return None
    return {"module": module, "class_name": type(value).__name__, "config": value.get_config(), "registered_name": None}
