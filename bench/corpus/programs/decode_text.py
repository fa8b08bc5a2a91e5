"""Texts with counts, such as 3[ab]."""


def decode_text(text):
    """The text with each count carried out."""
    stack = []
    current = ""
    count = 0
    for sign in text:
        if sign.isdigit():
            count = count * 10 + int(sign)
        elif sign == "[":
            stack.append((current, count))
            current, count = "", 0
        elif sign == "]":
            before, times = stack.pop()
            current = before + current * times
        else:
            current += sign
    return current
