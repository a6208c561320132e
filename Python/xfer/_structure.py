"""Nests of arrays as Keras takes them: one, a list, a dict by name; and the flat lists the library wants."""


def is_nest(value):
    return isinstance(value, (dict, list, tuple))


def leaves(value):
    """The leaves of a nest; those of a dict by sorted keys, as Keras flattens."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])]
    if isinstance(value, (list, tuple)):
        return [leaf for element in value for leaf in leaves(element)]
    return [value]


def by_name(value, names, what, partial=False):
    """The values of a dict in the order of `names`; partial: None for names that are missing."""
    strangers = [key for key in value if key not in names]
    if strangers:
        raise ValueError(f"{what}: unknown name {strangers[0]!r}; the model has {names}")
    missing = [name for name in names if name not in value]
    if missing and not partial:
        raise ValueError(f"{what}: nothing was given for {missing}; the model has {names}")
    return [value.get(name) for name in names]


def named(value, names, what, partial=False):
    """A nest of arrays as a flat list for ends with these alternative lists of names ([keys], [layer names])."""
    count = len(names[-1])
    if isinstance(value, dict):
        for candidates in names:
            if set(value) <= set(candidates):
                return by_name(value, candidates, what, partial)
        if any(is_nest(element) for element in value.values()):
            return leaves(value)
        return by_name(value, names[0], what, partial)
    if isinstance(value, (list, tuple)) and count > 1:
        return [leaf for element in value for leaf in (leaves(element) if is_nest(element) else [element])]
    if isinstance(value, (list, tuple)) and len(value) == 1 and hasattr(value[0], "shape"):
        return list(value)
    return [value]
