"""A line with quoted fields."""


def fields(line, separator=",", quote='"'):
    """The fields of a line; quotes inside are doubled."""
    result, field, quoted, at = [], "", False, 0
    while at < len(line):
        char = line[at]
        if quoted:
            if char == quote:
                if line[at + 1 : at + 2] == quote:
                    field += quote
                    at += 1
                else:
                    quoted = False
            else:
                field += char
        elif char == quote and not field:
            quoted = True
        elif char == separator:
            result.append(field)
            field = ""
        else:
            field += char
        at += 1
    if quoted:
        raise ValueError("the quote does not end")
    result.append(field)
    return result
