"""Capability flags of models, losses and metrics."""


class DeclaresCapabilities:
    """Mixin that clears a capability in subclasses that override a method it relies on.

    A capability is a Boolean class attribute that allows the training step to take a faster path.
    It relies on certain methods. A subclass that overrides one of them may compute something else,
    so the capability is set to `False` there, unless the subclass declares it again.

    Attributes:
        rests_on: Dict that maps the name of each capability to the names of the methods that it
            relies on.

    Example:

    >>> class Loss(DeclaresCapabilities):
    ...     rests_on = {"provides_sums": ["__call__"]}
    ...     provides_sums = True
    >>> class Other(Loss):
    ...     def __call__(self, labels, logits): ...
    >>> Loss.provides_sums, Other.provides_sums
    (True, False)
    """

    rests_on = {}  # noqa: RUF012

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for capability, methods in cls.rests_on.items():
            if capability not in vars(cls) and any(method in vars(cls) for method in methods):
                setattr(cls, capability, False)
