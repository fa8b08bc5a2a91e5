"""A bank account."""


class InsufficientFunds(Exception):
    def __init__(self, missing):
        super().__init__(f"{missing} missing")
        self.missing = missing


class Account:
    """Money of somebody, with a line of credit."""

    def __init__(self, owner, balance=0, credit=0):
        if not owner:
            raise ValueError("an account has an owner")
        self.owner = owner
        self._balance = balance
        self._credit = credit
        self.history = []

    @property
    def balance(self):
        return self._balance

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("amount must be positive")
        self._balance += amount
        self.history.append(("deposit", amount))
        return self._balance

    def withdraw(self, amount):
        if amount <= 0:
            raise ValueError("amount must be positive")
        missing = amount - (self._balance + self._credit)
        if missing > 0:
            raise InsufficientFunds(missing)
        self._balance -= amount
        self.history.append(("withdraw", amount))
        return self._balance

    def __repr__(self):
        return f"Account({self.owner!r}, {self._balance})"
