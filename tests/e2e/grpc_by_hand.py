"""A gRPC client by hand: HTTP/2 frames and protobuf fields written byte by byte.

It can send what no library would, and waits for nothing but what it is asked for.

    call = Call(port, "Fleet/Attach")
    call.send(frame(hello))
    status, message = call.end()
"""

import socket
import struct
from urllib.parse import unquote

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
LARGEST = 16384  # of a frame's payload, until both agree on more


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """A protobuf field: an int is a varint, text and bytes are length-delimited."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed64(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def frame(message, size=None):
    """gRPC's length-prefixed message; `size` is a lie about its length."""
    return struct.pack(">BI", 0, len(message) if size is None else size) + message


def fields(message):
    """{number: value} of a protobuf message with varints and length-delimited fields only."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        value = number()
        if key & 7 == 2:
            value, at = message[at:at + value], at + value
        found[key >> 3] = value
    return found


class Call:
    """One call on a connection of its own."""

    def __init__(self, port, method, seconds=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._write(SETTINGS, 0, 0, b"")
        headers = ((":method", "POST"), (":scheme", "http"), (":path", f"/broadside.v1.{method}"),
                   (":authority", "controller"), ("te", "trailers"),
                   ("content-type", "application/grpc"))
        # Literals without an index and without Huffman coding: nothing to keep in step.
        block = b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)])
                         + value.encode() for name, value in headers)
        self._write(HEADERS, END_HEADERS, 1, block)
        self.data = b""

    def _write(self, kind, flags, stream, payload):
        self.socket.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
                            + struct.pack(">I", stream) + payload)

    def send(self, content, last=False):
        """Bytes of the request's body, at most 64 KB in all: the windows are never widened."""
        pieces = [content[i:i + LARGEST] for i in range(0, len(content), LARGEST)] or [b""]
        for piece in pieces:
            end = END_STREAM if last and piece is pieces[-1] else 0
            self._write(DATA, end, 1, piece)

    def _exactly(self, size):
        out = b""
        while len(out) < size:
            piece = self.socket.recv(size - len(out))
            if not piece:
                raise AssertionError("the connection was closed without an answer")
            out += piece
        return out

    def _read(self):
        """One frame of the call: (kind, flags, payload)."""
        while True:
            head = self._exactly(9)
            kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
            payload = self._exactly(int.from_bytes(head[:3], "big"))
            if kind == SETTINGS and not flags & ACK:
                self._write(SETTINGS, ACK, 0, b"")
            elif kind == PING and not flags & ACK:
                self._write(PING, ACK, 0, payload)
            elif kind == GOAWAY:
                raise AssertionError(f"the connection was given up: {payload[8:].decode()}")
            elif stream == 1:
                return kind, flags, payload

    def message(self):
        """The next message of the reply."""
        while True:
            if len(self.data) >= 5:
                size = struct.unpack(">I", self.data[1:5])[0]
                if len(self.data) >= 5 + size:
                    out, self.data = self.data[5:5 + size], self.data[5 + size:]
                    return out
            kind, flags, payload = self._read()
            if kind == DATA:
                self.data += payload
            elif flags & END_STREAM or kind == RESET:
                raise AssertionError(f"the call ended before a message: {payload}")

    def end(self):
        """(grpc-status, grpc-message) of the call's trailers."""
        while True:
            kind, flags, payload = self._read()
            if kind == RESET:
                raise AssertionError(f"the call was reset: {payload}")
            if kind == HEADERS and flags & END_STREAM:
                return int(self._trailer(payload, b"grpc-status") or 0), self._trailer(
                    payload, b"grpc-message")

    @staticmethod
    def _trailer(block, name):
        """A trailer's value. gRPC writes these two as literals, and without Huffman coding."""
        at = block.find(name)
        if at < 0:
            return ""
        at += len(name)
        size, at = block[at], at + 1
        if size >= 128:
            raise AssertionError("a trailer in Huffman coding")
        if size == 127:  # more bytes follow, seven bits each
            shift = 0
            while True:
                byte = block[at]
                at += 1
                size += (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        return unquote(block[at:at + size].decode())

    def close(self):
        self.socket.close()
