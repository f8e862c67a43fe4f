"""Stacks of blocks, and the models composed of them."""

from keras_transformer.models import catalog as catalog  # registers its architectures
from keras_transformer.models import decoder_catalog as decoder_catalog
from keras_transformer.models import recurrent as recurrent  # registers it
from keras_transformer.models.architectures import (
    complete_architecture_options,
    create_model,
    register_architecture,
)
from keras_transformer.models.decoder import Decoder
from keras_transformer.models.decoder_only import DecoderOnly
from keras_transformer.models.decoder_stack import DecoderStack
from keras_transformer.models.description import describe_model, model_from_description
from keras_transformer.models.encoder import Encoder
from keras_transformer.models.encoder_decoder import EncoderDecoder
from keras_transformer.models.encoder_stack import EncoderStack
from keras_transformer.models.image_model import create_enlarging_model, create_image_model
from keras_transformer.models.language_model import LanguageModel
from keras_transformer.models.latent_catalog import latent as latent  # registers it
from keras_transformer.models.latent_transformer import LatentTransformer
from keras_transformer.models.multi_model import MultiModel
from keras_transformer.models.multi_model_catalog import multimodel as multimodel  # registers it
from keras_transformer.models.presets import PRESETS
from keras_transformer.models.slicenet import slicenet as slicenet  # registers it
from keras_transformer.models.transformer import Transformer

__all__ = [
    "PRESETS",
    "Decoder",
    "DecoderOnly",
    "DecoderStack",
    "Encoder",
    "EncoderDecoder",
    "EncoderStack",
    "LanguageModel",
    "LatentTransformer",
    "MultiModel",
    "Transformer",
    "complete_architecture_options",
    "create_enlarging_model",
    "create_image_model",
    "create_model",
    "describe_model",
    "model_from_description",
    "register_architecture",
]
