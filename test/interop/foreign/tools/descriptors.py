"""What our proto/ declares, beside what somebody's official stubs do."""

import os

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet


def our_files() -> dict[str, FileDescriptorProto]:
    with open(os.environ["FOREIGN_DESCRIPTORS"], "rb") as file:
        return {found.name: found for found in FileDescriptorSet.FromString(file.read()).file}


def declared(file: FileDescriptorProto) -> dict[str, object]:
    """By full name: what of messages, enums and services goes over the wire."""
    found: dict[str, object] = {}

    def add_message(message: DescriptorProto, scope: str) -> None:
        name = f"{scope}.{message.name}"
        groups = [group.name for group in message.oneof_decl]
        for field in message.field:
            group = groups[field.oneof_index] if field.HasField("oneof_index") else ""
            found[f"{name}.{field.name}"] = (field.number, field.type, field.label, field.type_name, group)
        found[name] = "message"
        for nested in message.nested_type:
            add_message(nested, name)
        for enum in message.enum_type:
            add_enum(enum, name)

    def add_enum(enum, scope: str) -> None:
        found[f"{scope}.{enum.name}"] = {value.name: value.number for value in enum.value}

    scope = f".{file.package}"
    for message in file.message_type:
        add_message(message, scope)
    for enum in file.enum_type:
        add_enum(enum, scope)
    for service in file.service:
        found[f"{scope}.{service.name}"] = "service"
        for method in service.method:
            streams = (method.client_streaming, method.server_streaming)
            found[f"{scope}.{service.name}.{method.name}"] = (method.input_type, method.output_type, streams)
    return found


def of_module(module) -> dict[str, object]:
    """Of a module that protoc made."""
    file = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return declared(file)
