"""Training by phases: what of a pretrained base is frozen, unfrozen and trained when, as data.

>>> model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
>>> history = model.fit_phases(x, y, phases="head-then-all", checkpoint="run.checkpoint", resume=True)
>>> history["fine-tune"].history["loss"]
"""

import dataclasses
import json
from typing import Any, List, Optional

from ._c import lib
from ._handle import encode, text
from .callbacks import History

__all__ = ["Phase", "PhaseHistory", "PhasePlan", "gradual_unfreeze", "head_then_all", "layer_decay", "linear_probe", "preset"]


@dataclasses.dataclass
class Phase:
    """One stage of training.

    unfreeze: which layers of the base are trained along with those outside it: "none" (the default), "all", "last:N", "last:P%", "from:LAYER".
    learning_rate: a float or a schedule; None leaves the optimizer's own. optimizer: a class name, an object, or {"class_name", "config"}; each
    phase makes a new one of it. learning_rate_groups: [{"layers": "block14", "multiplier": 0.1}, {"first": 100, "multiplier": 0.01}],
    or "last": the first one that a layer belongs to counts. layer_decay: the rate of each layer with weights as a part of that of the next
    one towards the output. early_stopping: arguments of callbacks.EarlyStopping. lora: a rank, or the arguments of `enable_lora` as a dict: the
    layers that unfreeze names ("all" if it is left out) are adapted in place of being trained, and everything else of the base stays frozen.
    """

    name: str
    unfreeze: Optional[str] = None
    epochs: int = 1
    learning_rate: Any = None
    optimizer: Any = "Adam"
    learning_rate_groups: Optional[List[dict]] = None
    layer_decay: Optional[float] = None
    early_stopping: Optional[dict] = None
    lora: Any = None

    def get_config(self):
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {name: value for name, value in fields if value is not None}


@dataclasses.dataclass
class PhasePlan:
    """Phases in order. base: the name of the nested model that is the pretrained base, None for the only one; head: the name of the
    first new layer, where the base's layers are the model's own."""

    phases: List[Phase]
    base: Optional[str] = None
    head: Optional[str] = None

    def get_config(self):
        """The plan as JSON has it, complete: what is wrong with it is an XferError."""
        members = {"phases": [_config(phase) for phase in self.phases], "base": self.base, "head": self.head}
        return _complete({name: value for name, value in members.items() if value is not None})

    @classmethod
    def from_config(cls, config):
        """From what a plan's file has: {"phases": [...]}, a list of phases, a preset's name, or {"preset": name, ...}."""
        found = _complete(config)
        return cls([Phase(**phase) for phase in found["phases"]], found.get("base"), found.get("head"))

    @classmethod
    def load(cls, path):
        """From a JSON file."""
        with open(path, encoding="utf-8") as file:
            return cls.from_config(json.load(file))

    def save(self, path):
        """To a JSON file, which `xfer train --plan` reads."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.get_config(), file, indent=2)
            file.write("\n")


def _config(phase):
    return phase.get_config() if isinstance(phase, Phase) else phase


def _complete(plan):
    return json.loads(text(lib.xfer_phases_json, encode(plan)))


def encoded(plan):
    """A plan in any of its forms as the library takes it."""
    if isinstance(plan, PhasePlan):
        plan = plan.get_config()
    elif isinstance(plan, (list, tuple)):
        plan = {"phases": [_config(phase) for phase in plan]}
    return encode(plan)


def preset(name, **settings):
    """A plan by name; the settings are those of the functions below."""
    return PhasePlan.from_config({"preset": name, **settings})


def linear_probe(**settings):
    """The head alone, on a frozen base. Settings: epochs=20, learning_rate=1e-3, optimizer, early_stopping, base, head."""
    return preset("linear-probe", **settings)


def head_then_all(**settings):
    """The head, then all layers gently, as Keras' guide to transfer learning has it. Further settings: fine_tune_epochs=10,
    fine_tune_rate=1e-5, unfreeze="all", lora=None (a rank)."""
    return preset("head-then-all", **settings)


def gradual_unfreeze(**settings):
    """The head, then from the output on more and more of the base, in stages=3 (Howard & Ruder 2018); fine_tune_epochs is for all of them."""
    return preset("gradual-unfreeze", **settings)


def layer_decay(**settings):
    """The head, then all layers, each with layer_decay=0.8 times the rate of the next one towards the output."""
    return preset("layer-decay", **settings)


class PhaseHistory:
    """What `fit_phases` returns: `names` of the phases, `history[name]` a History, `history.history` the figures of all epochs in a row."""

    def __init__(self, model, phases):
        self.names = [phase["name"] for phase in phases]
        self.seconds = {phase["name"]: [epoch["seconds"] for epoch in phase["epochs"]] for phase in phases}
        self._phases = {}
        self.history = {}
        for phase in phases:
            own = self._phases[phase["name"]] = History()
            for number, epoch in enumerate(phase["epochs"]):
                own.on_epoch_end(number, model.ordered({name: value for name, value in epoch.items() if name != "seconds"}))
            for name, values in own.history.items():
                self.history.setdefault(name, []).extend(values)

    def __getitem__(self, name):
        return self._phases[name]

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.names)
