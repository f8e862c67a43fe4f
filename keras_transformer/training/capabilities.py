"""Declared capabilities: what a model, a loss or a metric says that it can do."""


class DeclaresCapabilities:
    """Mixin of classes whose capabilities a subclass withdraws by overriding a method.

    A capability is a class attribute that is `True`. It rests on certain methods. A subclass that
    overrides one of them may compute something else, so the capability becomes `False` there,
    unless the subclass declares it again.

    Attributes:
        rests_on: Dict from the name of a capability to the names of those methods.

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
