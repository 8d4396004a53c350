"""Reply streams of meta commands, made comparable between servers. What is not compared, and why:

  - tokens, by their value: each is replaced by how manieth different one of its key it is, where the line names the key;
  - seconds left, to the second: what t and exp tell is cut to hundreds (the generator's times lie in their middle);
  - h, l, la and fetch: they are told where they are known, which Diglot bounds;
  - the spaces behind a number that has become shorter (lib/differential.py), and the size of such a value.
"""
import base64
import re
from dataclasses import dataclass

from lib.differential import PADDED_NUMBER, Conversation, Step

_VALUE = re.compile(rb"VALUE ([^ \n]+) (\d+) (\d+)(?: (\d+))?\r\n")
_FOUND = re.compile(rb"VA (\d+)(?: [^\n]*)?\r\n")
_DEBUG = re.compile(rb"ME ([^ \n]+) exp=(-?\d+)(?: la=\d+)? cas=(\d+)(?: fetch=\w+)? cls=\d+ size=(\d+)\r\n")


@dataclass(frozen=True)
class WithToken(Step):
    """A line with a token of the key in it. `token`: "last", "stale" (the first one seen), or a number."""
    key: bytes
    token: object
    before: bytes
    behind: bytes

    def render(self, tokens):
        seen = tokens.get(self.key, [])
        token = self.token
        if token == "last":
            token = seen[-1] if seen else 1
        elif token == "stale":
            token = seen[0] if len(seen) > 1 else 1
        return b"%s%d%s" % (self.before, token, self.behind)


def split_replies(stream):
    """Cuts a stream into (line, value or None). The last part may be a torn one."""
    position = 0
    while position < len(stream):
        end = stream.find(b"\r\n", position)
        end = len(stream) if end < 0 else end + 2
        line = stream[position:end]
        position = end
        match = _FOUND.fullmatch(line) or _VALUE.fullmatch(line)
        if match:
            position += int(match[1] if line.startswith(b"VA ") else match[3]) + 2
        yield line, stream[end:position] if match else None


def key_in(words):
    """The key among the words of a meta reply, decoded; None when it is not told."""
    for index, word in enumerate(words):
        if word.startswith(b"k"):
            is_encoded = words[index + 1:index + 2] == [b"b"]
            return base64.b64decode(word[1:]) if is_encoded else word[1:]
    return None


class MetaReader:
    """Reads a stream from its beginning: which tokens each key has had, and the lines without what may differ.
    `encoded` are the keys that are told in base64, with what they mean."""

    def __init__(self, encoded):
        self.encoded = encoded
        self.first_seen = {}  # key: its tokens in the order of their first sight
        self.last_seen = {}   # key: the same, the last one told at the end

    def token(self, key, text):
        token = int(text)
        if key is None or token == 0:
            return b"token" if token else b"0"
        first, last = self.first_seen.setdefault(key, []), self.last_seen.setdefault(key, [])
        if token not in first:
            first.append(token)
        else:
            last.remove(token)
        last.append(token)
        return b"token%d" % first.index(token)

    @staticmethod
    def seconds(text):
        return text if int(text) < 0 else b"~%d00" % (int(text) // 100)

    def word(self, key, word):
        """One word behind the status; None for one that is not compared."""
        letter, rest = word[:1], word[1:]
        if letter == b"c":
            return b"c" + self.token(key, rest)
        if letter == b"t":
            return b"t" + self.seconds(rest)
        return None if letter in (b"h", b"l") else word

    def line(self, line, value):
        classic, debug = _VALUE.fullmatch(line), _DEBUG.fullmatch(line)
        if classic:
            words = [b"VALUE", classic[1], classic[2], b"%d" % (len(value) - 2)]
            words += [self.token(classic[1], classic[4])] if classic[4] else []
        elif debug:
            key = self.encoded.get(debug[1], debug[1])
            words = [b"ME", debug[1], self.seconds(debug[2]), self.token(key, debug[3]), debug[4]]
        elif line[:2] in (b"HD", b"VA", b"EN", b"NF", b"NS", b"EX") and line[2:3] in (b" ", b"\r") and line.endswith(b"\r\n"):
            words = line[:-2].split(b" ")
            head = [b"VA", b"%d" % (len(value) - 2)] if value is not None else words[:1]
            rest = words[len(head):]
            key = key_in(rest)
            words = head + [told for told in (self.word(key, word) for word in rest) if told is not None]
        else:
            return line
        return b" ".join(words) + b"\r\n"

    def read(self, stream):
        result = []
        for line, value in split_replies(stream):
            padded = PADDED_NUMBER.fullmatch(value) if value else None
            value = padded[1] + b"\r\n" if padded else value
            result.append(self.line(line, value))
            if value is not None:
                result.append(value)
        return result


class MetaConversation(Conversation):
    """A conversation that knows where meta commands tell tokens."""

    encoded = {}
    begun_line = b""  # the sequences leave no line unfinished

    def tokens(self):
        reader = MetaReader(self.encoded)
        reader.read(self.reply)
        return reader.last_seen

    def normalise(self):
        return MetaReader(self.encoded).read(self.reply)
