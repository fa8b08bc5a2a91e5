"""Units of measurement and currencies, with the factor to the base unit of their dimension."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Dimension, factor to the base unit, names ("_" for a blank), and the offset of a temperature.
_ROWS: tuple[tuple[str, float, str, float], ...] = (
    ("length", 1e-9, "nm nanometre nanometres nanometer nanometers", 0.0),
    ("length", 1e-6, "µm um micrometre micrometres micrometer micrometers", 0.0),
    ("length", 1e-3, "mm millimetre millimetres millimeter millimeters", 0.0),
    ("length", 1e-2, "cm centimetre centimetres centimeter centimeters", 0.0),
    ("length", 1.0, "m metre metres meter meters", 0.0),
    ("length", 1e3, "km kilometre kilometres kilometer kilometers", 0.0),
    ("length", 0.0254, "inch inches", 0.0),
    ("length", 0.3048, "ft foot feet", 0.0),
    ("length", 0.9144, "yd yard yards", 0.0),
    ("length", 1609.344, "mi mile miles", 0.0),
    ("length", 1852.0, "nmi nautical_mile nautical_miles", 0.0),
    ("length", 1.8288, "fathom fathoms", 0.0),
    ("area", 1.0, "m² m2 sqm square_metre square_metres square_meter square_meters", 0.0),
    ("area", 1e6, "km² km2 square_kilometre square_kilometres square_kilometer square_kilometers", 0.0),
    ("area", 1e4, "ha hectare hectares", 0.0),
    ("area", 4046.86, "acre acres", 0.0),
    ("volume", 1e-6, "ml millilitre millilitres milliliter milliliters", 0.0),
    ("volume", 1e-3, "l litre litres liter liters", 0.0),
    ("volume", 1.0, "m³ m3 cubic_metre cubic_metres cubic_meter cubic_meters", 0.0),
    ("mass", 1e-9, "µg ug microgram micrograms", 0.0),
    ("mass", 1e-6, "mg milligram milligrams", 0.0),
    ("mass", 1e-3, "g gram grams gramme grammes", 0.0),
    ("mass", 1.0, "kg kilo kilos kilogram kilograms", 0.0),
    ("mass", 1e3, "t tonne tonnes", 0.0),
    ("mass", 0.45359237, "lb lbs pound_weight", 0.0),
    ("time", 1e-3, "ms millisecond milliseconds", 0.0),
    ("time", 1.0, "s sec second seconds", 0.0),
    ("time", 60.0, "min minute minutes mins", 0.0),
    ("time", 3600.0, "h hr hrs hour hours", 0.0),
    ("time", 86_400.0, "day days night nights", 0.0),
    ("time", 604_800.0, "week weeks", 0.0),
    ("months", 1.0, "month months", 0.0),
    ("months", 12.0, "year years yr yrs", 0.0),
    ("months", 120.0, "decade decades", 0.0),
    ("temperature", 1.0, "°C ℃ degrees_Celsius degrees_celsius", 273.15),
    ("temperature", 5 / 9, "°F ℉ degrees_Fahrenheit degrees_fahrenheit", 459.67 * 5 / 9),
    ("temperature", 1.0, "kelvin", 0.0),
    ("share", 0.01, "% percent per_cent", 0.0),
    ("share", 0.001, "‰ permille", 0.0),
    ("percentage points", 1.0, "percentage_points percentage_point", 0.0),
    ("bytes", 1.0, "bytes byte B", 0.0),
    ("bytes", 1e3, "kB KB kilobyte kilobytes", 0.0),
    ("bytes", 1e6, "MB megabyte megabytes", 0.0),
    ("bytes", 1e9, "GB gigabyte gigabytes", 0.0),
    ("bytes", 1e12, "TB terabyte terabytes", 0.0),
    ("bytes", 1024.0, "KiB", 0.0),
    ("bytes", 1024.0**2, "MiB", 0.0),
    ("bytes", 1024.0**3, "GiB", 0.0),
    ("power", 1.0, "W watt watts", 0.0),
    ("power", 1e3, "kW kilowatt kilowatts", 0.0),
    ("power", 1e6, "MW megawatt megawatts", 0.0),
    ("power", 1e9, "GW gigawatt gigawatts", 0.0),
    ("energy", 1.0, "kWh kilowatt_hour kilowatt_hours", 0.0),
    ("energy", 1e3, "MWh", 0.0),
    ("voltage", 1.0, "V volt volts", 0.0),
    ("voltage", 1e3, "kV kilovolt kilovolts", 0.0),
    ("frequency", 1.0, "Hz hertz", 0.0),
    ("frequency", 1e3, "kHz", 0.0),
    ("frequency", 1e6, "MHz", 0.0),
    ("frequency", 1e9, "GHz", 0.0),
    ("pressure", 1.0, "bar bars", 0.0),
    ("speed", 1 / 3.6, "km/h kph kmh", 0.0),
    ("speed", 0.44704, "mph", 0.0),
    ("speed", 1.0, "m/s", 0.0),
    ("speed", 1852 / 3600, "knot knots", 0.0),
)
_TABLE = {
    name.replace("_", " "): (dimension, factor, offset)
    for dimension, factor, names, offset in _ROWS
    for name in names.split()
}
_PLAIN = {
    name.replace("_", " "): names.split(maxsplit=1)[0] for _, _, names, _ in _ROWS for name in names.split()
}

_CURRENCIES = {
    "$": "USD",
    "us$": "USD",
    "usd": "USD",
    "dollar": "USD",
    "dollars": "USD",
    "€": "EUR",
    "eur": "EUR",
    "euro": "EUR",
    "euros": "EUR",
    "£": "GBP",
    "gbp": "GBP",
    "pound": "GBP",
    "pounds": "GBP",
    "chf": "CHF",
    "franc": "CHF",
    "francs": "CHF",
    "¥": "JPY",
    "yen": "JPY",
    "crown": "crown",
    "crowns": "crown",
    "sek": "SEK",
    "nok": "NOK",
    "dkk": "DKK",
    "rupees": "INR",
    "₹": "INR",
    "cent": "cent",
    "cents": "cent",
}
_CURRENCY_BEFORE = re.compile(r"(?P<name>US\$|USD|EUR|GBP|CHF|SEK|NOK|DKK|[$€£¥₹])\s?\Z")
_WORDS = sorted(_TABLE, key=len, reverse=True)
_UNIT = re.compile(
    r"(?:\s|-)?(?P<name>"
    + "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in _WORDS)
    + r")(?![^\W_])"
)
_CURRENCY_BEHIND = re.compile(
    r"\s?(?P<name>"
    + "|".join(re.escape(name) for name in sorted(_CURRENCIES, key=len, reverse=True))
    + r")(?![^\W_])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Unit:
    """A unit behind a number. end: where it ends. A value v is v * factor + offset in the base unit."""

    name: str
    dimension: str
    factor: float
    offset: float
    end: int


@dataclass(frozen=True)
class Currency:
    """A currency before a number."""

    name: str
    start: int


def match(text: str, position: int) -> Unit | None:
    """The unit that stands at a position."""
    if found := _UNIT.match(text, position):
        name = " ".join(found["name"].split())
        dimension, factor, offset = _TABLE[name]
        return Unit(_PLAIN[name], dimension, factor, offset, found.end())
    if found := _CURRENCY_BEHIND.match(text, position):
        name = _CURRENCIES[found["name"].lower()]
        return Unit(name, f"money {name}", 1.0, 0.0, found.end())
    return None


def currency_before(text: str, position: int) -> Currency | None:
    """The currency that stands before a position."""
    found = _CURRENCY_BEFORE.search(text, max(0, position - 5), position)
    return None if found is None else Currency(_CURRENCIES[found["name"].lower()], found.start())


def plain(name: str) -> str:
    """The first name of a unit, under which all of its names go."""
    return _PLAIN.get(name, name)
