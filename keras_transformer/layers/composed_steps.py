"""Layers composed of convolution steps, which remember a window for each of them."""

from keras_transformer.layers.layer import Layer
from keras_transformer.layers.masks import key_positions


class Pass:
    """A pass through a composition: over whole rows, over prompts, or by a single position.

    Calling it with a `ConvolutionStep` and its inputs returns the outputs.

    Attributes:
        positions: Integer tensor of shape `(B or 1, T)`, or `None`, which means 0 to T - 1.
        memory: Encoder output to attend to, `(B, S, d_model)`.
        memory_mask: Its mask, as in `DecoderBlock`.
        scores: Scores of the last attention, `(B, 1, T, S)`; `None` before.
        kept: What each step keeps for later positions, in the order of their use.
    """

    def __init__(self, convolve, positions=None, memory=None, memory_mask=None):
        self._convolve = convolve
        self.positions = positions
        self.memory = memory
        self.memory_mask = memory_mask
        self.scores = None
        self.kept = []

    def __call__(self, step, inputs):
        outputs, kept = self._convolve(step, inputs)
        self.kept.append(kept)
        return outputs


class ComposedSteps(Layer):
    """Base class of layers composed of `ConvolutionStep`s.

    Subclasses define `steps` and `compose`. The memory of a decoding step is a list with the
    window of each convolution.
    """

    def steps(self):
        """Returns the convolution steps in the order in which `compose` uses them."""
        raise NotImplementedError

    def compose(self, inputs, run):
        """Returns the outputs for inputs `(B, T, d_model)`, given a `Pass`."""
        raise NotImplementedError

    def call(self, inputs, attention_mask=None, positions=None, return_attention_scores=False):
        run = Pass(_over_rows(attention_mask, positions), positions)
        outputs = self.compose(inputs, run)
        return (outputs, None) if return_attention_scores else outputs

    def init_cache(self, batch_size, num_beams, length):
        """Returns the windows of the convolutions before the first position."""
        return [step.init_cache(batch_size, num_beams, length) for step in self.steps()]

    def prefill(self, inputs, attention_mask=None, positions=None, memory=None, memory_mask=None):
        """Reads prompts in one pass, as `DecoderBlock.prefill` does.

        Returns:
            A tuple of the outputs, `(B, P, d_model)`, and a list of the windows at the end of each
            prompt, for `step`.
        """
        self.build_if_needed(inputs.shape)
        run = Pass(
            lambda step, x: step.prefill(x, attention_mask, positions),
            positions,
            memory,
            memory_mask,
        )
        return self.compose(inputs, run), run.kept

    def step(
        self,
        inputs,
        cache,
        at,
        memory=None,
        memory_mask=None,
        return_attention_scores=False,
        prompt=None,
    ):
        """Processes one new position of each beam, as `DecoderBlock.step` does."""
        self.build_if_needed(inputs.shape)
        windows = iter(cache)
        prompts = iter([None] * len(cache) if prompt is None else prompt)

        def convolve(step, x):
            outputs, _, window = step.step(x, next(windows), at, prompt=next(prompts))
            return outputs, window

        run = Pass(convolve, at.beam_positions(), memory, memory_mask)
        outputs = self.compose(inputs, run)
        return outputs, self.scores_of(run) if return_attention_scores else None, run.kept

    def scores_of(self, run):
        """Returns the attention scores of a pass."""
        return None


class AttendingSteps(ComposedSteps):
    """Base class of those that attend to the output of an encoder, as decoder blocks do."""

    def build(self, inputs_shape, encoder_output_shape=None):
        raise NotImplementedError

    def call(
        self,
        inputs,
        encoder_output=None,
        attention_mask=None,
        memory_mask=None,
        positions=None,
        return_attention_scores=False,
    ):
        memory = self.project_memory(encoder_output, key_positions(memory_mask))
        run = Pass(_over_rows(attention_mask, positions), positions, memory, memory_mask)
        outputs = self.compose(inputs, run)
        return (outputs, self.scores_of(run)) if return_attention_scores else outputs

    def project_memory(self, encoder_output=None, positions=None):
        """Returns the encoder output, to which the layer attends as it is.

        Raises:
            ValueError: It is missing.
        """
        if encoder_output is None:
            raise ValueError(
                f"This {type(self).__name__} attends to an encoder: call it with `encoder_output`. "
                "Received: encoder_output=None"
            )
        return encoder_output

    def scores_of(self, run):
        """Returns the attention scores of a pass, as those of a `DecoderBlock`."""
        return {"self": None, "cross": run.scores}


def _over_rows(attention_mask, positions):
    """Returns how a step convolves whole rows, which leave nothing to keep."""
    arguments = {"attention_mask": attention_mask, "positions": positions}
    return lambda step, x: (step(x, **arguments), None)
