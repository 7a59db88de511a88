"""Words and operators of a shell command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

#: Operators, the longest first.
_OPERATORS: Final = (
    "<<<", "<<-", "&&", "||", ";;", "|&", ">>", ">&", ">|", "<<", "<&", "<>",
    ";", "&", "|", "(", ")", ">", "<", "\n",
)  # fmt: skip
#: Operators whose next word is a file or a descriptor.
REDIRECTIONS: Final = frozenset({">", ">>", "<", ">&", "<&", ">|", "<>"})
#: Operators that end a pipeline.
SEPARATORS: Final = frozenset({"&&", "||", ";", "&", "\n", "(", ")", ";;"})
PIPES: Final = frozenset({"|", "|&"})

_PLAIN = re.compile(r"[^ \t\r\n'\"\\`$;&|<>()]+")
_EXPANSION = re.compile(r"[$`]")


@dataclass(frozen=True, slots=True)
class Token:
    """A word or an operator."""

    #: The text without quotes and backslashes; expansions stay as written.
    value: str
    is_operator: bool = False
    #: True if the word has a variable or a command substitution.
    expands: bool = False
    is_quoted: bool = False


class UnbalancedError(ValueError):
    """A quote or a parenthesis is not closed."""


def tokens(text: str) -> list[Token]:
    """Return the words and operators of *text*, without comments.

    Raises UnbalancedError.
    """
    return list(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        character = text[position]
        if character in " \t\r":
            position += 1
        elif character == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        elif operator := next(
            (one for one in _OPERATORS if text.startswith(one, position)), ""
        ):
            yield Token(operator, is_operator=True)
            position += len(operator)
        else:
            token, position = _word(text, position)
            yield token


def _word(text: str, position: int) -> tuple[Token, int]:
    """Return the word at *position*, and the position after it."""
    value, expands, is_quoted = "", False, False
    while position < len(text):
        character = text[position]
        if match := _PLAIN.match(text, position):
            value += match[0]
            position = match.end()
        elif character == "\\":
            value += text[position + 1 : position + 2]
            is_quoted = True
            position += 2
        elif character in "'\"":
            end = _quote_end(text, position)
            inner = text[position + 1 : end]
            expands |= character == '"' and _EXPANSION.search(inner) is not None
            value += inner
            is_quoted = True
            position = end + 1
        elif character in "$`":
            end = _expansion_end(text, position)
            value += text[position:end]
            expands = True
            position = end
        else:
            break
    return Token(value, expands=expands, is_quoted=is_quoted), position


def _quote_end(text: str, start: int) -> int:
    """Return the position of the quote that closes the one at *start*."""
    quote, position = text[start], start + 1
    while position < len(text):
        character = text[position]
        if character == quote:
            return position
        if quote != "'" and character == "\\":
            position += 2
        elif quote == '"' and character in "$`":
            position = _expansion_end(text, position)
        else:
            position += 1
    raise UnbalancedError(f"a {quote} is not closed")


def _expansion_end(text: str, start: int) -> int:
    """Return the position after the variable or substitution at *start*."""
    if text[start] == "`":
        return _quote_end(text, start) + 1
    opening = text[start + 1 : start + 2]
    if opening not in {"(", "{"}:
        return start + 1
    closing = ")" if opening == "(" else "}"
    depth, position = 0, start + 1
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character in "'\"`":
            position = _quote_end(text, position)
        elif character == opening:
            depth += 1
        elif character == closing:
            depth -= 1
            if not depth:
                return position + 1
        position += 1
    raise UnbalancedError(f"a ${opening} is not closed")


def commands(line: list[Token]) -> list[list[Token]]:
    """Return the simple commands of *line*, without redirections."""
    result: list[list[Token]] = [[]]
    skip = False
    for token in line:
        if token.is_operator:
            skip = token.value in REDIRECTIONS or token.value.startswith("<<")
            if not skip:
                result.append([])
            elif result[-1] and result[-1][-1].value.isdigit():
                result[-1].pop()  # the descriptor, as in 2>
        elif skip:
            skip = False
        else:
            result[-1].append(token)
    return [words for words in result if words]
