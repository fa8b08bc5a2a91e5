"""An old cipher."""


def vigenere(text, key):
    """Shifts each small letter by the key's next letter; other signs stay and use no letter of the key."""
    result = []
    used = 0
    for sign in text:
        if "a" <= sign <= "z":
            shift = ord(key[used % len(key)]) - ord("a")
            code = (ord(sign) - ord("a") + shift) % 26
            result.append(chr(code + ord("a")))
            used += 1
        else:
            result.append(sign)
    return "".join(result)
