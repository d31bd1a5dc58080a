"""The Arrow IPC stream format, a message at a time, from callers who may mean harm.

The stream is taken apart here, so that nothing is decoded before it was looked at: a message's length is checked
before it is read, dictionaries and compressed buffers (bombs) are refused by the message's head, and each record
batch is validated in full before a value of it is used.

https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format
"""

import struct
from collections.abc import AsyncIterator

import pyarrow as pa

from service.limits import LIMITS
from service.problems import ProblemError, ProblemItem

CONTINUES = b"\xff\xff\xff\xff"
HEAD_BYTES = 2**20  # of a message's metadata: names and types of columns, or places of buffers
SCHEMA, RECORD_BATCH = 1, 3
HINT = "send an Arrow IPC stream without dictionaries and without compression: pyarrow.ipc.new_stream(...)"


class Frames:
    """Turns the bytes of a stream into record batches.

    Attributes:
        schema: Of the batches; None until it has come.
    """

    def __init__(self) -> None:
        self.schema: pa.Schema | None = None
        self._bytes = bytearray()
        self._ended = False

    def feed(self, data: bytes) -> list[pa.RecordBatch]:
        """Take some bytes.

        Returns:
            The batches that are now complete.

        Raises:
            ProblemError: The bytes are no stream, or one that is not taken ("invalid-arrow").
        """
        self._bytes += data
        batches = []
        while (size := self._message_size()) is not None and len(self._bytes) >= size:
            message = pa.py_buffer(bytes(self._bytes[:size]))
            del self._bytes[:size]
            if (batch := self._decode(message)) is not None:
                batches.append(batch)
        return batches

    def end(self) -> None:
        """The body is over.

        Raises:
            ProblemError: The stream is not.
        """
        if self._bytes or self.schema is None:
            raise _refusal("the stream ends within a message" if self._bytes else "the body is empty")

    def _message_size(self) -> int | None:
        """Bytes of the message at the beginning; None where that cannot be told yet, or there is none."""
        if self._ended and self._bytes:
            raise _refusal("the stream goes on after its end")
        if len(self._bytes) < 8:
            return None
        (head,) = struct.unpack_from("<i", self._bytes, 4)
        if self._bytes[:4] != CONTINUES or not 0 <= head <= HEAD_BYTES:
            raise _refusal("a message of the stream does not begin as one")
        if head == 0:
            self._ended = True
            del self._bytes[:8]
            return self._message_size()
        if len(self._bytes) < 8 + head:
            return None
        try:
            body = _body_size(memoryview(bytes(self._bytes[8 : 8 + head])), self.schema is None)
        except (struct.error, IndexError) as error:
            raise _refusal("a message's head cannot be read") from error
        if not 0 <= body <= LIMITS.bulk_batch_bytes:
            detail = f"a record batch holds {body} bytes, {LIMITS.bulk_batch_bytes} are taken"
            raise _refusal(detail, "send smaller record batches")
        return 8 + int(head) + body

    def _decode(self, message: pa.Buffer) -> pa.RecordBatch | None:
        try:
            if self.schema is None:
                # Without its metadata: pandas would take from there, and believe, what the columns are.
                schema = pa.ipc.read_schema(message).remove_metadata()
                self.schema = pa.schema(list(zip(schema.names, schema.types, strict=True)))  # names are text
                return None
            batch = pa.ipc.read_record_batch(message, self.schema)
            batch.validate(full=True)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise _refusal(f"the stream cannot be read: {str(error).splitlines()[0][:200]}") from error
        return batch


async def read_frames(body: AsyncIterator[bytes], frames: Frames) -> AsyncIterator[pa.RecordBatch]:
    """The record batches of a body, each with at least one row.

    Raises:
        ProblemError: It is no stream, or one that is not taken.
    """
    async for chunk in body:
        for batch in frames.feed(chunk):
            if batch.num_rows:
                yield batch
    frames.end()


def _body_size(head: memoryview, want_schema: bool) -> int:
    """The size of a message's body, from its head: a flatbuffer, of which only four fields matter.

    https://github.com/apache/arrow/blob/main/format/Message.fbs
    """
    (root,) = struct.unpack_from("<I", head, 0)
    kind_at, header_at, size_at = (_field(head, root, number) for number in (1, 2, 3))
    kind = head[kind_at] if kind_at else 0
    if kind not in (SCHEMA, RECORD_BATCH) or (kind == SCHEMA) != want_schema:
        raise _refusal("the stream holds dictionaries, or its messages are out of order")
    if kind == RECORD_BATCH:
        (offset,) = struct.unpack_from("<I", head, header_at)
        if _field(head, header_at + offset, 3):
            raise _refusal("the stream's buffers are compressed")
    return int(struct.unpack_from("<q", head, size_at)[0]) if size_at else 0


def _field(head: memoryview, table: int, number: int) -> int:
    """Where a table's field lies; 0 where it has none."""
    (back,) = struct.unpack_from("<i", head, table)
    vtable = table - back
    if vtable < 0:
        raise IndexError
    (size,) = struct.unpack_from("<H", head, vtable)
    place = 4 + 2 * number
    if place >= size:
        return 0
    (offset,) = struct.unpack_from("<H", head, vtable + place)
    return table + offset if offset else 0


def _refusal(detail: str, hint: str = HINT) -> ProblemError:
    return ProblemError("invalid-arrow", [ProblemItem(detail=detail, hint=hint)])
