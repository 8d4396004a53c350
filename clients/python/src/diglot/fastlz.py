"""FastLZ, which php-memcached compresses with unless it is told otherwise. Only the way back: what is written is compressed with zlib.

The top three bits of the first byte say which of two formats it is. Both are runs: a byte below 32 begins that many literal bytes
and one; any other holds a length in its top three bits and the high part of a distance in the others, and copies what stands so
far back. Long lengths, and in the second format far distances, go on in the bytes behind."""

_FAR = 8191  # the largest distance of 13 bits; what is farther has 16 bits of its own


class _Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def take(self, size):
        taken = self.data[self.at:self.at + size]
        if len(taken) < size:
            raise IndexError
        self.at += size
        return taken


def _length(reader, high, goes_on):
    length = high
    if high == 6:
        while True:
            more = reader.byte()
            length += more
            if not goes_on or more != 255:
                break
    return length + 3


def _copy(output, distance, length):
    if distance > len(output):
        raise IndexError
    for _ in range(length):  # it may reach into what it is writing
        output.append(output[-distance])


def decompress(data):
    """The bytes that were compressed. ValueError when these are none of FastLZ's."""
    reader, output = _Reader(data), bytearray()
    try:
        control = reader.byte()
        is_second, control = control >> 5 == 1, control & 31
        while True:
            if control < 32:
                output += reader.take(control + 1)
            else:
                length, high = _length(reader, (control >> 5) - 1, is_second), (control & 31) << 8
                low = reader.byte()
                distance = high + low
                if is_second and distance == _FAR:
                    distance = _FAR + (reader.byte() << 8) + reader.byte()
                _copy(output, distance + 1, length)
            if reader.at == len(data):
                return bytes(output)
            control = reader.byte()
    except IndexError:
        raise ValueError("damaged FastLZ data") from None
