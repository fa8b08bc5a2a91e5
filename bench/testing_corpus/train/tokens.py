"""Arithmetic as tokens."""


def tokenize(source):
    """Numbers, names and signs of an expression, with their kinds."""
    tokens = []
    at = 0
    while at < len(source):
        char = source[at]
        if char.isspace():
            at += 1
        elif char.isdigit() or (char == "." and at + 1 < len(source) and source[at + 1].isdigit()):
            start = at
            dots = 0
            while at < len(source) and (source[at].isdigit() or source[at] == "."):
                dots += source[at] == "."
                at += 1
            if dots > 1:
                raise SyntaxError(f"bad number at {start}")
            text = source[start:at]
            tokens.append(("number", float(text) if dots else int(text)))
        elif char.isalpha() or char == "_":
            start = at
            while at < len(source) and (source[at].isalnum() or source[at] == "_"):
                at += 1
            tokens.append(("name", source[start:at]))
        elif char in "+-*/()":
            tokens.append(("sign", char))
            at += 1
        else:
            raise SyntaxError(f"unexpected {char!r} at {at}")
    return tokens
