"""Splits a line of CSV."""


def csv_fields(line):
    """Fields of a line; commas in quotes do not divide, two quotes in quotes are one."""
    fields = []
    field = ""
    quoted = False
    index = 0
    while index < len(line):
        sign = line[index]
        if sign == '"':
            if quoted and line[index + 1 : index + 2] == '"':
                field += '"'
                index += 1
            else:
                quoted = not quoted
        elif sign == "," and not quoted:
            fields.append(field)
            field = ""
        else:
            field += sign
        index += 1
    fields.append(field)
    return fields
