"""Evaluates arithmetic by the shunting yard."""

LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2}


def apply(operator, numbers):
    """Replaces the last two numbers by the operator's result."""
    right = numbers.pop()
    left = numbers.pop()
    if operator == "+":
        numbers.append(left + right)
    elif operator == "-":
        numbers.append(left - right)
    elif operator == "*":
        numbers.append(left * right)
    else:
        numbers.append(left // right)


def calculator(text):
    """The value of an expression of whole numbers with + - * / and parentheses."""
    numbers = []
    operators = []
    for token in text.split():
        if token.isdigit():
            numbers.append(int(token))
        elif token == "(":
            operators.append(token)
        elif token == ")":
            while operators[-1] != "(":
                apply(operators.pop(), numbers)
            operators.pop()
        else:
            while operators and operators[-1] != "(" and LEVELS[operators[-1]] >= LEVELS[token]:
                apply(operators.pop(), numbers)
            operators.append(token)
    while operators:
        apply(operators.pop(), numbers)
    return numbers[0]
