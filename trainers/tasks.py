"""The tasks of a recipe for several: texts with a command, and images with classes."""

import dataclasses
import math

IMAGES = "images"
DIGITS = "digits"
TEXTS = ("phrasebook", "files")
DIGITS_SIZES = {"num_classes": 10, "image_size": 8, "image_channels": 1}
FILES = ("train_source", "train_target", "validation_source", "validation_target")
OPTIONS = {  # of a corpus: those that it needs, and those that it may have
    "files": (FILES[:2], FILES),
    IMAGES: (("file", "num_classes", "image_size"), ("file",)),
}


@dataclasses.dataclass(frozen=True)
class Task:
    """One task of a recipe.

    Args:
        name: Its name, for messages.
        corpus: phrasebook, or files, which are named below; digits, the handwritten digits of
            scikit-learn; or images, a file of NumPy.
        command: Of texts: what their sources start with, such as fr, which stands for >>fr<<.
        weight: Of texts: the share of the task in an epoch, relative to other texts. Of images: how
            many tokens an image counts as much as.
        train_source: Of files: the source side of the training text.
        train_target: Of files: its target side.
        validation_source: Of files: the source side of the validation text.
        validation_target: Of files: its target side.
        file: Of images: file of NumPy, .npz, with the arrays images, (N, size, size, channels),
            from 0 to 1, and classes, (N,), from 0. A fifth of the images, chosen by the seed, is
            held out.
        num_classes: Of images: the number of classes; digits have 10.
        image_size: Of images: height and width; digits have 8.
        image_channels: Of images: the number of channels; digits have 1.

    Raises:
        ValueError: The task has no data, another's options, or no weight.
    """

    name: str
    corpus: str
    command: str = ""
    weight: float = 1.0
    train_source: str = ""
    train_target: str = ""
    validation_source: str = ""
    validation_target: str = ""
    file: str = ""
    num_classes: int = 0
    image_size: int = 0
    image_channels: int = 1

    def __post_init__(self):
        if self.command:
            from keras_transformer.text import tag_of

            object.__setattr__(self, "command", tag_of(self.command))
        if self.corpus == DIGITS:
            for option, value in DIGITS_SIZES.items():
                object.__setattr__(self, option, value)
        if self.corpus not in (*TEXTS, DIGITS, IMAGES):
            raise ValueError(
                f"corpus of the task {self.name} must be one of "
                f"{', '.join((*TEXTS, DIGITS, IMAGES))}. Received: {self.corpus}"
            )
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(
                f"weight of the task {self.name} must be greater than 0. Received: "
                f"{self.weight:g}. To train without a task, leave it out."
            )
        needed, allowed = OPTIONS.get(self.corpus, ((), ()))
        for option in needed:
            if not getattr(self, option):
                raise ValueError(f"The task {self.name} has no data: give it {option}.")
        for option in (*FILES, "file"):
            if getattr(self, option) and option not in allowed:
                raise ValueError(
                    f"The task {self.name}, of the corpus {self.corpus}, has no {option}. "
                    f"Received: {getattr(self, option)}"
                )
        if bool(self.validation_source) != bool(self.validation_target):
            missing = "validation_target" if self.validation_source else "validation_source"
            raise ValueError(
                f"The task {self.name} has one side of a validation text alone: give it {missing}."
            )
        if self.command and not self.is_text:
            raise ValueError(
                f"A command stands at the start of a text, and the task {self.name} has images. "
                f"Received: command {self.command}"
            )

    @property
    def is_text(self) -> bool:
        """Boolean: `True` for a task of texts."""
        return self.corpus in TEXTS


def parse_tasks(given) -> tuple[Task, ...]:
    """Returns the tasks of a list of mappings, as a recipe has it.

    Raises:
        ValueError: An entry is no mapping, has unknown options or lacks one, or a value is of the
            wrong type.
    """
    names = [field.name for field in dataclasses.fields(Task)]
    tasks = []
    for entry in [given] if isinstance(given, dict) else given or ():
        if isinstance(entry, Task):
            tasks.append(entry)
            continue
        if not isinstance(entry, dict) or not entry.keys() <= set(names):
            raise ValueError(
                f"A task is a mapping with the options {', '.join(names)}. Received: {entry!r:.80}"
            )
        for option in ("name", "corpus"):
            if not entry.get(option):
                raise ValueError(f"A task needs a {option}. Received: {entry!r:.80}")
        for option, value in entry.items():
            kinds = {"weight": (int, float), **dict.fromkeys(DIGITS_SIZES, (int,))}
            if type(value) not in (expected := kinds.get(option, (str,))):
                kind = {str: "a text", int: "a number"}[expected[0]]
                raise ValueError(
                    f"{option} of the task {entry['name']} must be {kind}. Received: {value!r:.80}"
                )
        tasks.append(Task(**entry))
    return tuple(tasks)


def options_of_texts(tasks: tuple[Task, ...], by_temperature: bool = False) -> dict:
    """Returns the options of a `Recipe` that describe the texts of all tasks.

    Args:
        tasks: The tasks.
        by_temperature: Whether a temperature chooses the shares of the texts, not their weights.

    Raises:
        ValueError: There are no texts, they are of different corpora, some have a command and
            others none, or weights beside a temperature.
    """
    texts = [task for task in tasks if task.is_text]
    if not texts:
        raise ValueError("tasks must have a text among them, such as corpus: phrasebook.")
    corpora = sorted({task.corpus for task in texts})
    if len(corpora) > 1:
        raise ValueError(
            f"Texts of all tasks must be of the same corpus, phrasebook or files. Received: "
            f"{' and '.join(corpora)}"
        )
    if by_temperature and (weighted := [task.name for task in texts if task.weight != 1]):
        raise ValueError(
            "sampling_temperature chooses the weights of texts: leave out the weight of the task "
            f"{weighted[0]}"
        )
    commands = [task.command for task in texts if task.command]
    if len(commands) not in (0, len(texts)) or (len(texts) > 1 and not commands):
        without = next(task.name for task in texts if not task.command)
        raise ValueError(
            f"Each task of texts needs a command, which tells it from the others. Received: none "
            f"of the task {without}"
        )
    weights = tuple(float(task.weight) for task in texts)
    options = {
        "corpus": corpora[0],
        "train_weight": weights if len(texts) > 1 and not by_temperature else (),
        "train_tag": tuple(commands),
    }
    if corpora == ["files"]:
        validated = [task for task in texts if task.validation_source or task.validation_target]
        for option in FILES[:2]:
            options[option] = tuple(getattr(task, option) for task in texts)
        for option in FILES[2:]:
            options[option] = tuple(getattr(task, option) for task in validated)
        options["validation_tag"] = tuple(task.command for task in validated if task.command)
    return options


def image_task(tasks: tuple[Task, ...]) -> Task | None:
    """Returns the task of images; `None` if there is none.

    Raises:
        ValueError: There are several.
    """
    images = [task for task in tasks if not task.is_text]
    if len(images) > 1:
        raise ValueError(
            "A model has one net of images: give one task of images at most. Received: "
            f"{' and '.join(task.name for task in images)}"
        )
    return images[0] if images else None
