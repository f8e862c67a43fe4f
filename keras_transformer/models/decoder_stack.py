"""A stack of any decoder blocks."""

import keras

from keras_transformer.layers.layer import read_prompt, with_scores
from keras_transformer.models.stack import Stack, attends_to_encoder


@keras.saving.register_keras_serializable(package="keras_transformer")
class DecoderStack(Stack):
    """A stack of decoder blocks, which may differ from each other.

    A block is any layer with the methods of `DecoderBlock`: `call`, `init_cache` and `step`, and
    `project_memory` if it attends to the output of an encoder, as its attribute `cross_attention`
    says.

    Args:
        blocks: List of layers, bottom block first.
        final_normalization: Layer to apply to the output of the last block, as pre-normalized
            blocks need it. `None` means none.

    Call arguments:
        inputs: Embedded target, shape `(B, T, d_model)`.
        encoder_output: Tensor of shape `(B, S, d_model)`, for the blocks with cross-attention.
        attention_mask: `AttentionMask`, or boolean tensor of shape `(B, T, T)` or `(1, T, T)`,
            `True` = may be attended to. Mask of the self-attention. `None` means a causal mask.
        memory_mask: `AttentionMask`, or boolean tensor of shape `(B, S)` or `(B, T, S)`. Mask of
            the cross-attention.
        positions: Integer tensor of shape `(B or 1, T)`: position of each token in its sentence.
            `None` means 0 to T - 1.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and a list with the scores of each block, bottom block first: dicts with `"self"`
        and `"cross"` (see `DecoderBlock`).

    Raises:
        ValueError: When called, if `encoder_output` is missing or not expected.

    Example: A language model's stack.

    >>> from keras_transformer import DecoderBlock
    >>> stack = DecoderStack([DecoderBlock(8, 2, 16, cross_attention=False) for _ in range(2)])
    >>> tuple(stack(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    def build(self, inputs_shape, encoder_output_shape=None):
        self.build_blocks(inputs_shape, encoder_output_shape)

    def call(
        self,
        inputs,
        encoder_output=None,
        attention_mask=None,
        memory_mask=None,
        positions=None,
        return_attention_scores=False,
    ):
        self._check_encoder_output(encoder_output)
        memory = {"encoder_output": encoder_output, "memory_mask": memory_mask}
        x, scores = inputs, []
        for block in self.blocks:
            x, block_scores = with_scores(
                block,
                x,
                attention_mask=attention_mask,
                positions=positions,
                return_attention_scores=return_attention_scores,
                **(memory if attends_to_encoder(block) else {}),
            )
            scores.append(block_scores)
        x = self.normalize_output(x)
        return (x, scores) if return_attention_scores else x

    def project_memory(self, encoder_output=None):
        """Returns what each block keeps of the encoder output for all steps: a list.

        It holds the keys and values of each `DecoderBlock`, and an empty tuple for a block without
        cross-attention.
        """
        self._check_encoder_output(encoder_output)
        return [
            block.project_memory(encoder_output) if attends_to_encoder(block) else ()
            for block in self.blocks
        ]

    def init_cache(self, batch_size, num_beams, length):
        """Returns the memory of each block for `length` places of `num_beams` beams each."""
        return [block.init_cache(batch_size, num_beams, length) for block in self.blocks]

    def prefill(self, inputs, attention_mask=None, positions=None, memory=None, memory_mask=None):
        """Reads prompts, which stand before the first step, in one pass.

        The arguments are those of `DecoderBlock.prefill`; `memory` is a list with an element per
        block.

        Returns:
            A tuple of the output, `(B, P, d_model)`, and a list of what `step` needs to know of the
            prompts, with an element per block.

        Raises:
            ValueError: If a block cannot read prompts.
        """
        x, prompts = inputs, []
        for number, block in enumerate(self.blocks):
            source = self._source_of(number, memory, memory_mask)
            x, prompt = read_prompt(block, x, attention_mask, positions, **source)
            prompts.append(prompt)
        return self.normalize_output(x), prompts

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
        """Processes one new position of each beam, given the memory of the preceding ones.

        The arguments are those of `DecoderBlock.step`; `cache`, `memory` and `prompt` are lists
        with an element per block.

        Returns:
            A tuple of the output, shape `(B, W, d_model)`; a list of the attention scores of each
            block, or `None`; and a list of the updated caches.
        """
        x, scores, new_cache = inputs, [], []
        options = {"return_attention_scores": True} if return_attention_scores else {}
        for number, (block, block_cache) in enumerate(zip(self.blocks, cache, strict=True)):
            source = self._source_of(number, memory, memory_mask)
            before = {} if prompt is None else {"prompt": prompt[number]}
            x, block_scores, block_cache = block.step(
                x, block_cache, at, **source, **options, **before
            )
            scores.append(block_scores)
            new_cache.append(block_cache)
        return self.normalize_output(x), scores if return_attention_scores else None, new_cache

    def _source_of(self, number, memory, memory_mask):
        """Returns what a block knows of the source, as arguments: none without cross-attention."""
        if not attends_to_encoder(self.blocks[number]):
            return {}
        return {"memory": memory[number], "memory_mask": memory_mask}

    def _check_encoder_output(self, encoder_output):
        """Raises a ValueError if the encoder output is missing, or no block attends to it."""
        expected = any(map(attends_to_encoder, self.blocks))
        if expected and encoder_output is None:
            raise ValueError(
                f"Blocks of {self.name!r} attend to an encoder: call it with `encoder_output`. "
                "Received: encoder_output=None"
            )
        if encoder_output is not None and not expected:
            raise ValueError(
                f"No block of {self.name!r} attends to an encoder: call it without "
                f"`encoder_output`. Received: encoder_output of shape {tuple(encoder_output.shape)}"
            )
