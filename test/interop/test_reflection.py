"""A client that has none of our stubs finds out by reflection what it may call, and calls it."""

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from support.examples import EXAMPLE_MODELS

SERVICES = {"scorewire.v1.ScoringService", "scorewire.v1.ModelService", "grpc.health.v1.Health"}
VERSIONS = ["v1", "v1alpha"]


def reflect(channel, version: str, *requests: ServerReflectionRequest) -> list[ServerReflectionResponse]:
    """The two versions have the same messages."""
    method = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )
    return list(method(iter(requests), timeout=10))


@pytest.fixture
def pool(channel):
    return DescriptorPool(ProtoReflectionDescriptorDatabase(channel))


def test_the_stock_client_lists_the_services(channel):
    assert SERVICES <= set(ProtoReflectionDescriptorDatabase(channel).get_services())


@pytest.mark.parametrize("version", VERSIONS)
def test_services_are_listed(channel, version):
    [answer] = reflect(channel, version, ServerReflectionRequest(list_services="*"))
    assert SERVICES <= {service.name for service in answer.list_services_response.service}


@pytest.mark.parametrize("version", VERSIONS)
def test_many_questions_on_one_stream(channel, version):
    symbols = [
        "scorewire.v1.ScoreRequest",
        "scorewire.v1.ScoringService.Score",
        "google.rpc.BadRequest",
        "grpc.health.v1.Health",
    ]
    requests = [ServerReflectionRequest(file_containing_symbol=symbol) for symbol in symbols]
    answers = reflect(channel, version, *requests, ServerReflectionRequest(file_by_filename="scorewire/v1/model.proto"))
    files = [
        [FileDescriptorProto.FromString(file) for file in answer.file_descriptor_response.file_descriptor_proto]
        for answer in answers
    ]
    assert [found[0].name for found in files] == [
        "scorewire/v1/scoring.proto",
        "scorewire/v1/scoring.proto",
        "google/rpc/error_details.proto",
        "grpc/health/v1/health.proto",
        "scorewire/v1/model.proto",
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["scorewire.v1.Nothing", "constructor", "__proto__", ""])
def test_what_is_not_there(channel, still_right, version, name):
    requests = [
        ServerReflectionRequest(file_containing_symbol=name),
        ServerReflectionRequest(file_by_filename=name),
        ServerReflectionRequest(all_extension_numbers_of_type=name),
        ServerReflectionRequest(file_containing_extension={"containing_type": name, "extension_number": 1}),
    ]
    answers = reflect(channel, version, *requests)
    assert [answer.error_response.error_code for answer in answers] == [grpc.StatusCode.NOT_FOUND.value[0]] * 4


def test_every_message_resolves(pool):
    """All that our files declare is there under the same numbers."""
    for service in SERVICES:
        for method in pool.FindServiceByName(service).methods:
            assert GetMessageClass(method.input_type) and GetMessageClass(method.output_type)
    from scorewire.v1 import model_pb2, scoring_pb2, tensor_pb2

    for module in (model_pb2, scoring_pb2, tensor_pb2):
        for message in module.DESCRIPTOR.message_types_by_name.values():
            found = pool.FindMessageTypeByName(message.full_name)
            assert [(f.name, f.number, f.type) for f in found.fields] == [
                (f.name, f.number, f.type) for f in message.fields
            ]


def test_a_call_with_nothing_but_reflection(channel, pool):
    method = pool.FindServiceByName("scorewire.v1.ScoringService").FindMethodByName("Score")
    example = EXAMPLE_MODELS["churn"]
    request = GetMessageClass(method.input_type)()
    json_format.Parse(json_format.MessageToJson(example.request()), request)
    score = channel.unary_unary(
        "/scorewire.v1.ScoringService/Score",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    assert example.difference(example.golden[0], score(request, timeout=10)) == ""
