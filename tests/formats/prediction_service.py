"""A stand-in for TensorFlow Serving: its gRPC service, over a model loaded in this process.

It knows only the messages of the package `tensorflow-serving-api`, and refuses what the real server
refuses: another model, another signature, other inputs.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

DEFAULT_SIGNATURE = "serving_default"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`tensorflow.serving.PredictionService` for one version of one model."""

    def __init__(self, name, folder):
        self.name, self.version = name, int(folder.name)
        self.signatures = tf.saved_model.load(str(folder)).signatures

    def Predict(self, request, context):  # noqa: N802 (the name of the method called)
        asked = request.model_spec
        if asked.name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found: {asked.name}")
        name = asked.signature_name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"No signature {name}")
        signature = self.signatures[name]
        inputs = {key: tf.constant(tf.make_ndarray(x)) for key, x in request.inputs.items()}
        wanted = signature.structured_input_signature[1]
        if {k: x.dtype for k, x in inputs.items()} != {k: x.dtype for k, x in wanted.items()}:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Inputs must be {sorted(wanted)}")
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name, answer.model_spec.signature_name = self.name, name
        answer.model_spec.version.value = self.version
        for key, value in signature(**inputs).items():
            answer.outputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return answer


@contextlib.contextmanager
def serving(name, folder):
    """The port of a service on this machine."""
    server = grpc.server(ThreadPoolExecutor(2))
    service = PredictionService(name, folder)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(grace=None).wait()
