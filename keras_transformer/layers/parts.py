"""Parts: sub-layers that can be exchanged for layers of one's own, and that are saved with them."""

import inspect
import weakref

import keras

from keras_transformer.keras_patches import update_tracked_layers

NOT_COMPARED = ("name", "trainable", "dtype")  # what does not tell a part from the standard one
_PLACES = weakref.WeakKeyDictionary()  # part: where it stands


class UnregisteredError(ValueError):
    """Error raised if a description names a class that is not registered with Keras."""


class TakesParts:
    """Mixin of layers and models some of whose sub-layers can be exchanged.

    A part is given to the constructor, or assigned to the attribute before the layer is built.
    Subclasses list the names of the attributes in `PARTS`, define `standard_part`, make the parts
    by `make_part` and build them by `build_part`.
    """

    PARTS = ()

    def standard_part(self, name):
        """Returns the class and the arguments of the part that the layer makes itself.

        `None` if it makes none in this place.
        """
        raise NotImplementedError

    def make_part(self, name, given=None):
        """Returns the part that was given, or else the standard one."""
        if given is not None:
            return given
        part_class, arguments = self.standard_part(name)
        return part_class(**arguments, dtype=self.dtype_policy)

    def build_part(self, name, *shapes):
        """Builds a part, unless it arrived built.

        Raises:
            ValueError: The part also stands in another place, or has another dtype policy.
        """
        build_in_place(getattr(self, name), self, name, *shapes)

    def get_config(self):
        parts = {
            name: None if self.is_standard(name) else serialize_part(getattr(self, name))
            for name in self.PARTS
        }
        return {**super().get_config(), **parts}

    @classmethod
    def from_config(cls, config):
        parts = {name: deserialize_part(config[name]) for name in cls.PARTS if name in config}
        return super().from_config({**config, **parts})

    def is_standard(self, name):
        """Returns whether a part is as the layer itself would make it."""
        part, standard = getattr(self, name), self.standard_part(name)
        if part is None or standard is None:
            return part is standard
        part_class, arguments = standard
        if type(part) is not part_class:
            return False
        defaults = {
            parameter.name: parameter.default
            for parameter in inspect.signature(part_class).parameters.values()
            if parameter.default is not parameter.empty
        }
        functions = {k: keras.activations.serialize(v) for k, v in arguments.items() if callable(v)}
        return _compared(part) == {**defaults, **arguments, **functions}

    def __setattr__(self, name, value):
        if name in type(self).PARTS:
            if getattr(self, "built", False):
                raise ValueError(
                    f"`{name}` of the {type(self).__name__} {self.name!r} can be replaced only "
                    "before the layer is built, that is, before the first call. Assign the part "
                    f"to a new {type(self).__name__}. Received: {type(value).__name__}"
                )
            old = getattr(self, name, None)
            super().__setattr__(name, value)
            replaced = old if isinstance(old, list) else [old]
            update_tracked_layers(self, [layer for layer in replaced if layer is not None])
            return
        super().__setattr__(name, value)


def _compared(layer):
    return {key: value for key, value in layer.get_config().items() if key not in NOT_COMPARED}


def build_in_place(part, owner, name, *shapes):
    """Builds a part of `owner`, unless it arrived built, and notes where it stands.

    Raises:
        ValueError: The part also stands in another place, or has another dtype policy.
    """
    place = (weakref.ref(owner), name)
    other, other_name = _PLACES.setdefault(part, place)
    if other() is not None and (other() is not owner or other_name != name):
        raise ValueError(
            f"A part can stand in one place only: give each place a layer of its own. Received: "
            f"the {type(part).__name__} {part.name!r} as `{other_name}` of {other().name!r} and "
            f"as `{name}` of {owner.name!r}"
        )
    _PLACES[part] = place
    if part.dtype_policy.name != owner.dtype_policy.name:
        raise ValueError(
            f"A part must have the dtype policy of the layer that it is in: create the "
            f"{type(part).__name__} with dtype={owner.dtype_policy.name!r}. Received: `{name}` of "
            f"{owner.name!r} with the policy {part.dtype_policy.name!r}"
        )
    if not part.built:
        part.build(*shapes)


def serialize_part(part):
    """Returns the class and the config of a part, or a list of them; `None` for `None`.

    Raises:
        ValueError: The class is not registered with Keras, so that it could not be found again.
    """
    if part is None:
        return None
    if isinstance(part, list | tuple):
        return [serialize_part(one) for one in part]
    check_registered(type(part))
    description = keras.saving.serialize_keras_object(part)
    return {key: description[key] for key in ("module", "class_name", "config", "registered_name")}


def check_registered(part_class):
    """Raises a ValueError if a class is neither Keras' own nor registered with Keras."""
    name = keras.saving.get_registered_name(part_class)
    is_registered = keras.saving.get_registered_object(name) is part_class
    if not is_registered and part_class.__module__.partition(".")[0] != "keras":
        raise ValueError(
            f"The class {part_class.__name__} is not registered with Keras, so a model with it "
            "cannot be copied or saved as a whole. Decorate the class with "
            '`@keras.saving.register_keras_serializable(package="my_project")`, or save the '
            "weights alone with `save_weights`."
        )


def deserialize_part(description):
    """Returns the part, or the list of parts, that `serialize_part` described.

    Anything but such a description, such as `None` or a layer, is returned as it is.

    Raises:
        UnregisteredError: A class is not registered with Keras. No module is imported to find it.
    """
    if isinstance(description, list | tuple):
        return [deserialize_part(one) for one in description]
    if not isinstance(description, dict):
        return description
    for name in class_names(description):
        if keras.saving.get_registered_object(name) is None:
            raise UnregisteredError(
                f"The class {name!r} is not registered with Keras. Import the module that defines "
                "it first (on the command line: --import MODULE)."
            )
    return keras.saving.deserialize_keras_object(description)


def class_names(description):
    """Returns the registered names of all classes in a serialized object but those of Keras."""
    if isinstance(description, list | tuple):
        return [name for one in description for name in class_names(one)]
    if not isinstance(description, dict):
        return []
    names = [name for one in description.values() for name in class_names(one)]
    module = str(description.get("module"))
    is_class = "class_name" in description and "config" in description
    if is_class and module != "builtins" and module.partition(".")[0] != "keras":
        names.append(str(description.get("registered_name") or description["class_name"]))
    return names
