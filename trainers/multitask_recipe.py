"""Schema of the options that train one model of several tasks."""

import dataclasses
from typing import ClassVar

from trainers.architecture import parse_architecture_options
from trainers.recipe import Recipe, as_tuple
from trainers.tasks import DIGITS_SIZES, Task, image_task, options_of_texts, parse_tasks

DEFAULTS = {field.name: field.default for field in dataclasses.fields(Recipe)}


@dataclasses.dataclass(frozen=True)
class MultitaskRecipe(Recipe):
    """Options of a run that trains one model of several tasks.

    Those of `Recipe`, but for the texts, which the tasks have.

    Args:
        output: As in `Recipe`, like all that follow but the last two.
        tasks: List of tasks, each a mapping: name, corpus (phrasebook, files, digits or images),
            command, weight, and files; see trainers/tasks.py.
        images_per_batch: Number of images beside each batch of texts.

    Raises:
        ValueError: As in `Recipe`; a task has no data, or the tasks do not fit each other.
    """

    PRODUCT: ClassVar[str] = "model of several tasks"

    architecture: str = "multimodel"
    tasks: list[dict] = ()  # kept as tuples
    images_per_batch: int = 64

    def __post_init__(self):
        tasks = parse_tasks(self.tasks)
        object.__setattr__(self, "tasks", tasks)
        if tasks:
            self._take_options(tasks)
        super().__post_init__()
        if self.images_per_batch < 1:
            raise ValueError(
                f"images_per_batch must be at least 1. Received: {self.images_per_batch}"
            )

    def _take_options(self, tasks: tuple[Task, ...]) -> None:
        """Takes over what the tasks say of texts and of the architecture."""
        for name, value in options_of_texts(tasks, bool(self.sampling_temperature)).items():
            self._take(name, value)
        images = image_task(tasks)
        if self.architecture != "multimodel":
            if images:
                raise ValueError(
                    f"The task {images.name} has images, which the architecture multimodel alone "
                    f"has a net for. Received: architecture {self.architecture}"
                )
            return
        from keras_transformer.models import complete_architecture_options

        options = {"num_commands": len({task.command for task in tasks if task.command})}
        if images:
            options |= {name: getattr(images, name) for name in DIGITS_SIZES}
            options["image_weight"] = float(images.weight)
        defaults = complete_architecture_options(self.architecture)
        given = parse_architecture_options(self.architecture, self.architecture_options)
        for name, value in options.items():
            if given[name] not in (defaults[name], value):
                raise ValueError(
                    f"The tasks say {name}={value}: leave it out of architecture_options. "
                    f"Received: {name}={given[name]}"
                )
        object.__setattr__(self, "architecture_options", {**given, **options})

    def _take(self, name: str, value) -> None:
        """Sets an option to what the tasks say."""
        received, default = getattr(self, name), DEFAULTS[name]
        if isinstance(value, tuple):
            received = as_tuple(received)
        if received not in (default, value):
            raise ValueError(f"The tasks say {name}: leave it out. Received: {name}={received}")
        object.__setattr__(self, name, value)

    @property
    def image_task(self):
        """The task of images, or `None`."""
        return image_task(self.tasks)
