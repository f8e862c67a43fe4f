"""Private names of Keras that the package cannot do without, gathered in one place.

Each patch names the behaviour of Keras that makes it necessary. `tests/test_keras_patches.py` fails
as soon as Keras no longer needs one of them, or no longer has the name.
"""

import contextlib

import keras


class BuildsFromExample(keras.Model):
    """A model whose `fit` builds weights and metrics from an example instead of from the data.

    `keras.Model.fit` takes a batch out of the data set to learn its shapes, and with several
    workers sums that batch over all of them
    ([keras#20585](https://github.com/keras-team/keras/issues/20585)). Nothing public replaces that.
    """

    def example_batch(self):
        """Returns `(inputs, labels)` of any size, or `None` to let Keras take a batch."""
        return None

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        strategy = self._distribute_strategy
        with contextlib.nullcontext() if strategy is None else strategy.scope():
            self._symbolic_build(iterator, data_batch)

    def _symbolic_build(self, iterator=None, data_batch=None):
        example = self.example_batch()
        if example is None:
            return super()._symbolic_build(iterator, data_batch)
        return super()._symbolic_build(data_batch=example)


def is_distributed(model):
    """Returns whether a model was made in the scope of a `tf.distribute` strategy."""
    return getattr(model, "_distribute_strategy", None) is not None


def layers_of(model):
    """Returns a model and all layers inside it, in a fixed order.

    `layers` of a model returns those that it holds itself. Keras quantizes by this private method.
    """
    return list(model._flatten_layers())


def variable_index(optimizer, variable):
    """Returns the index of a variable among those that an optimizer was built with.

    Keras' own optimizers find their slots by this private method; there is no public one.
    """
    return optimizer._get_variable_index(variable)


def base_kernel(layer):
    """Returns the kernel variable of a dense layer without what LoRA adds to it.

    `layer.kernel` is the sum of both, and no variable, once `enable_lora` was called.
    """
    return layer._kernel


def remove_variable(layer, variable):
    """Removes a variable from a built layer. Keras itself does so as it quantizes."""
    layer._untrack_variable(variable)


def skip_gradient_all_reduce(optimizer):
    """Tells a Keras optimizer that its gradients are already summed over all replicas.

    Otherwise `apply` sums them once more, after clipping each replica's own gradient: clipping
    before the sum is not clipping the gradient of the batch. Keras offers no argument for it.
    """
    optimizer._all_reduce_sum_gradients = list


def patch_log_reduction():
    """Disables Keras' cross-worker averaging of step logs, which fails on scalars.

    With several workers, `fit` averages each step's logs by a collective that fails on tensors
    without axes ([keras#20585](https://github.com/keras-team/keras/issues/20585)). The logs at the
    end of an epoch come from the metrics, which are summed over all workers anyway.
    """
    from keras.src.backend.tensorflow import trainer

    trainer._collective_all_reduce_multi_worker = lambda strategy: False


def update_tracked_layers(owner, replaced):
    """Updates the sub-layers of a layer after those in one attribute were replaced.

    Keras goes on counting the old ones among the layers of `owner`, where `quantize` and `summary`
    would find them, and appends the new ones, so that the order of the weights would depend on when
    an attribute was assigned. Here it is the order of the attributes.

    Args:
        owner: The layer.
        replaced: List of the layers that stood in the attribute before.
    """
    attributes = [value for name, value in vars(owner).items() if not name.startswith("_")]
    order = {id(layer): n for n, layer in enumerate(keras.tree.flatten(attributes))}
    for layer in replaced:
        if id(layer) not in order:
            owner._tracker.untrack(layer)
    owner._layers.sort(key=lambda layer: order.get(id(layer), len(order)))


def sizes_are_arbitrary():
    """Returns whether sizes are stand-ins for open ones, so that nothing follows from them.

    So it is where Keras infers shapes by tracing on JAX, which knows no open sizes. Keras exports
    the scope, but no function that returns whether one is inside.
    """
    from keras.src.backend.common.symbolic_scope import in_symbolic_scope

    return keras.backend.backend() == "jax" and in_symbolic_scope()
