"""Reads a pprof profile as Python's protobuf does by the published schema, and prints what is in it: read.py SCHEMA FOLDER FILE, where
FOLDER takes what the schema is compiled to."""

import gzip
import json
import os
import sys

from grpc_tools import protoc

schema, folder, file = sys.argv[1:]
arguments = ["protoc", "-I", os.path.dirname(schema), "--python_out", folder, schema]
assert protoc.main(arguments) == 0, schema
sys.path.insert(0, folder)
import profile_pb2  # noqa: E402

with gzip.open(file) as packed:
    profile = profile_pb2.Profile.FromString(packed.read())
whole = profile.SerializeToString()
profile.DiscardUnknownFields()
text = profile.string_table
functions = {function.id: function for function in profile.function}
locations = {location.id: location for location in profile.location}


def named(location):
    line = locations[location].line[0]
    function = functions[line.function_id]
    return f"{text[function.filename]}:{line.line} ({text[function.name]})"


largest = max(profile.sample, key=lambda sample: sample.value[1])
found = {
    "problem": None if profile.SerializeToString() == whole else "a field that the schema does not know",
    "types": [[text[kind.type], text[kind.unit]] for kind in profile.sample_type],
    "sums": [sum(values) for values in zip(*(sample.value for sample in profile.sample))],
    "foremost": text[profile.default_sample_type],
    "largest": [named(location) for location in largest.location_id],
}
print(json.dumps(found))
