"""Requests whose answers the scripted target must copy from a real Triton, letter for letter.

Each case: name, method, path, headers, body. Used by honest_test.py against both servers. The models
are those of tests/e2e/triton_models and examples/model_repository.
"""

import json
import struct

ECHO = "/v2/models/echo_fp32/infer"


def infer(data=(1.0, 2.5), shape=None, name="INPUT0", datatype="FP32", **more):
    """A JSON inference request for echo_fp32, with parts bent out of shape."""
    tensor = {"name": name, "shape": shape or [1, len(data)], "datatype": datatype, "data": list(data)}
    return json.dumps({"inputs": [tensor], **more})


def binary(values=(1.0, 2.5), shape=None, size=None, datatype="FP32", **more):
    """(headers, body) of the same request in the binary tensor extension."""
    raw = b"".join(struct.pack("<f", value) for value in values)
    head = {
        "inputs": [{
            "name": "INPUT0",
            "shape": shape or [1, len(values)],
            "datatype": datatype,
            "parameters": {"binary_data_size": len(raw) if size is None else size},
        }],
        **more,
    }
    text = json.dumps(head).encode()
    return {"Inference-Header-Content-Length": str(len(text))}, text + raw


def cases():
    """All of them, as (name, method, path, headers, body)."""
    result = []

    def add(name, body, path=ECHO, headers=None, method="POST"):
        body = body.encode() if isinstance(body, str) else body
        result.append((name, method, path, headers or {}, body))

    add("ok", infer())
    add("ok with id", infer(id="r1"))
    add("ok with version", infer(), "/v2/models/echo_fp32/versions/1/infer")
    add("ok nested data", '{"inputs":[{"name":"INPUT0","shape":[2,2],"datatype":"FP32",'
        '"data":[[1,2],[3,4.5]]}]}')
    add("ok named output", infer(outputs=[{"name": "OUTPUT0"}]))
    add("ok floats", infer(data=(0.1, -1e10, 1e-7, 16777216.0)))
    add("unknown model", infer(), "/v2/models/nope/infer")
    add("unknown version", infer(), "/v2/models/echo_fp32/versions/7/infer")
    add("version is a word", infer(), "/v2/models/echo_fp32/versions/x/infer")
    add("shape product is not the data's length", infer(shape=[1, 3]))
    add("too little data", infer(shape=[1, 1]))
    add("wrong rank", infer(shape=[2]))
    add("batch above the maximum", infer(data=[1.0] * 9, shape=[9, 1]))
    add("wrong datatype", infer(data=(1, 2), datatype="INT32"))
    add("unknown datatype", infer(datatype="FLOAT"))
    add("a string as a number", infer(data=("x", "y")))
    add("no inputs", '{"inputs":[]}')
    add("empty object", "{}")
    add("wrong input name", infer(name="WRONG"))
    add("wrong output name", infer(outputs=[{"name": "NOPE"}]))
    add("trailing comma", '{"inputs":[{"name":"INPUT0",}]}')
    add("not JSON", "hello")
    add("cut JSON", infer()[:-5])
    add("empty body", "")
    add("inputs is no array", '{"inputs":1}')
    add("input without a name", '{"inputs":[{"shape":[1,1],"datatype":"FP32","data":[1]}]}')
    add("input without a shape", '{"inputs":[{"name":"INPUT0","datatype":"FP32","data":[1]}]}')
    add("input without a datatype", '{"inputs":[{"name":"INPUT0","shape":[1,1],"data":[1]}]}')
    add("input without data", '{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"FP32"}]}')
    add("GET on infer", "", method="GET")
    add("PUT on infer", infer(), method="PUT")
    add("zero elements", infer(data=(), shape=[1, 0]))
    add("batch of zero", infer(data=(), shape=[0, 2]))
    add("negative shape", infer(shape=[1, -2]))
    add("input twice", '{"inputs":[' + ",".join(
        ['{"name":"INPUT0","shape":[1,1],"datatype":"FP32","data":[1]}'] * 2) + "]}")
    add("wrong dims of resnet50", json.dumps({"inputs": [
        {"name": "input", "shape": [1, 3, 2, 2], "datatype": "FP32", "data": [0] * 12}]}),
        "/v2/models/resnet50/infer")
    add("one input of two", json.dumps({"inputs": [
        {"name": "input_ids", "shape": [1, 2], "datatype": "INT64", "data": [1, 2]}]}),
        "/v2/models/bert-base/infer")
    add("INT64 from a fraction", json.dumps({"inputs": [
        {"name": "input_ids", "shape": [1, 1], "datatype": "INT64", "data": [1.5]}]}),
        "/v2/models/bert-base/infer")

    headers, body = binary()
    add("binary in, JSON out", body, headers=headers)
    headers, body = binary(parameters={"binary_data_output": True})
    add("binary in and out", body, headers=headers)
    headers, body = binary(outputs=[{"name": "OUTPUT0", "parameters": {"binary_data": True}}])
    add("binary output by name", body, headers=headers)
    add("JSON in, binary out", infer(parameters={"binary_data_output": True}))
    add("raw tensor", struct.pack("<2f", 1, 2), headers={"Inference-Header-Content-Length": "0"})
    add("raw tensor without the header", struct.pack("<2f", 1, 2))
    headers, body = binary(size=4)
    add("binary size too small for the shape", body, headers=headers)
    headers, body = binary(size=400)
    add("binary size above the body", body, headers=headers)
    headers, body = binary()
    add("binary body cut", body[:-4], headers=headers)
    add("header length above the body", body, headers={"Inference-Header-Content-Length": "9999"})
    add("header length is a word", body, headers={"Inference-Header-Content-Length": "many"})

    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/echo_fp32",
                 "/v2/models/echo_fp32/versions/1", "/v2/models/resnet50", "/v2/models/bert-base",
                 "/v2/models/ensemble_model", "/v2/models/echo_fp32/ready", "/v2/models/nope",
                 "/v2/models/nope/ready", "/v2/models/nope/config", "/v2/nope"):
        add("GET " + path, "", path, method="GET")
    return result
