"""Knows the tokens of JavaScript: names, strings with their escapes undone, punctuation. Comments and numbers' values are left out.

What hides words is undone on the way: `'a' + 'b'` is one string, one that is turned around is what it comes to, `a['b']` is `a.b`, a template is its strings and expressions.
Source: ECMA-262, lexical grammar. A slash begins a regular expression where no operand stands before it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""(?P<blank>[\s\ufeff]++)|(?P<comment>//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)|<!--[^\n]*+)"""
    r"""|(?P<name>[A-Za-z_$#\x80-\U0010ffff\\][\w$\u200c\u200d\x80-\U0010ffff\\]*+)"""
    r"""|(?P<number>\.?\d[\w.]*+)"""
    r"""|(?P<string>"(?:[^"\\\n]++|\\(?:\r\n|[\s\S]))*+(?:"|\Z|(?=\n))|'(?:[^'\\\n]++|\\(?:\r\n|[\s\S]))*+(?:'|\Z|(?=\n)))"""
    r"""|(?P<tick>`)|(?P<mark>=>|\.\.\.|\?\.(?!\d)|[=!]==?|&&=?|\|\|=?|\?\?=?|\*\*=?|\+\+|--|[-+*%&|^<>]=?|[\s\S])"""
)
_REGEX: Final = re.compile(r"/(?:[^/\\\[\n]++|\\.|\[(?:[^\]\\\n]++|\\.)*+\])++/\w*+")
_TEMPLATE: Final = re.compile(r"(?:[^`\\$]++|\\[\s\S]|\$(?!\{))*+")
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|([0-7]{1,3})|(\r\n|[\s\S]))"
)
_PLAIN: Final = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "\n": "",
    "\r\n": "",
    "\u2028": "",
    "\u2029": "",
}
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][\w$]*\Z")
# Behind these a slash divides nothing.
_OPERATORS: Final = frozenset(
    {
        "return",
        "typeof",
        "case",
        "in",
        "of",
        "delete",
        "void",
        "throw",
        "new",
        "else",
        "do",
        "instanceof",
        "yield",
        "await",
    }
)
MOST: Final = 1_000_000
_DEPTH: Final = 200

NAME, STRING, NUMBER, MARK = "name", "string", "number", "mark"


class Token(NamedTuple):
    """One token: its kind, its text (of a string, what it means), where it begins, and whether it begins a line."""

    kind: str
    text: str
    at: int
    first: bool


def tokens(text: str) -> list[Token]:
    """The tokens of a script, at most a million. What is no JavaScript gives tokens all the same."""
    found: list[Token] = []
    open_templates: list[int] = []
    braces = 0
    at, size, first = 0, len(text), True
    while at < size and len(found) < MOST:
        if text[at] == "/" and _begins(found) and (match := _REGEX.match(text, at)):
            found.append(Token(STRING, "", at, first))
            at, first = match.end(), False
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            break
        kind, here = match.lastgroup or "mark", match[0]
        began, at = at, match.end()
        if kind in {"blank", "comment"}:
            first = first or "\n" in here
            continue
        if kind == "string":
            _add(found, Token(STRING, _meant(here[1:].removesuffix(here[0])), began, first))
        elif kind == "name":
            found.append(Token(NAME, _meant(here) if "\\" in here else here, began, first))
        elif kind == "number":
            found.append(Token(NUMBER, here, began, first))
        elif kind == "tick" or (here == "}" and open_templates and open_templates[-1] == braces):
            if kind == "mark":
                open_templates.pop()
                found += [Token(MARK, ")", began, False), Token(MARK, "+", began, False)]
            part = _TEMPLATE.match(text, at)
            at = part.end() if part else at
            _add(found, Token(STRING, _meant(part[0] if part else ""), began, first))
            if text.startswith("${", at) and len(open_templates) < _DEPTH:
                open_templates.append(braces)
                found += [Token(MARK, "+", at, False), Token(MARK, "(", at, False)]
                at += 2
            else:
                at += 1
        else:
            braces += (here == "{") - (here == "}")
            _mark(found, Token(MARK, "." if here == "?." else here, began, first))
        first = False
    return found


def _begins(found: list[Token]) -> bool:
    """Whether an operand may begin here."""
    if not found:
        return True
    last = found[-1]
    if last.kind == NAME:
        return last.text in _OPERATORS
    return last.kind == MARK and last.text not in {")", "]", "}"}


def _add(found: list[Token], token: Token) -> None:
    """A string; joined with the one before where they are added."""
    if len(found) > 1 and found[-1].text == "+" and found[-1].kind == MARK and found[-2].kind == STRING:
        found.pop()
        before = found.pop()
        token = Token(STRING, before.text + token.text, before.at, before.first)
    found.append(token)


def _mark(found: list[Token], token: Token) -> None:
    """Punctuation; a string in brackets behind a value is the name of one of its attributes."""
    if (
        token.text == "]"
        and len(found) > 2
        and found[-1].kind == STRING
        and found[-2].text == "["
        and _IDENTIFIER.match(found[-1].text)
        and ((found[-3].kind == NAME and found[-3].text not in _OPERATORS) or found[-3].text in {")", "]", "}"})
    ):
        name = found.pop()
        found[-1] = Token(MARK, ".", name.at, False)
        found.append(Token(NAME, name.text, name.at, False))
        return
    if token.text == ")" and (_joins(found) or _turns_around(found)):
        return
    found.append(token)


def _joins(found: list[Token]) -> bool:
    """`['a', 'b'].join('c'` becomes one string."""
    if len(found) < 7 or found[-1].kind != STRING or [one.text for one in found[-5:-1]] != ["]", ".", "join", "("]:
        return False
    at = len(found) - 6
    parts: list[str] = []
    while at > 0 and found[at].kind == STRING and len(parts) < 256:
        parts.append(found[at].text)
        if found[at - 1].text == "[":
            joined = Token(STRING, found[-1].text.join(reversed(parts)), found[at - 1].at, found[at - 1].first)
            del found[at - 1 :]
            found.append(joined)
            return True
        at -= 2
    return False


_TURNED: Final = [".", "split", "(", "", ")", ".", "reverse", "(", ")", ".", "join", "("]


def _turns_around(found: list[Token]) -> bool:
    """`'cba'.split('').reverse().join(''` becomes one string."""
    if len(found) < 14 or found[-14].kind != STRING or found[-1].text or [one.text for one in found[-13:-1]] != _TURNED:
        return False
    first = found[-14]
    del found[-14:]
    found.append(Token(STRING, first.text[::-1], first.at, first.first))
    return True


def _meant(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code or match[4]:
        number = int(code, 16) if code else int(match[4], 8)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    return _PLAIN.get(match[5], match[5])
