"""Units of measurement and currencies, with the factor to the base unit of their dimension."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TABLE: dict[str, tuple[str, float, float]] = {}
_PLAIN: dict[str, str] = {}


def _put(dimension: str, factor: float, names: str, offset: float = 0.0) -> None:
    first = names.split(maxsplit=1)[0]
    for name in names.split():
        _TABLE[name.replace("_", " ")] = (dimension, factor, offset)
        _PLAIN[name.replace("_", " ")] = first


_put("length", 1e-9, "nm nanometre nanometres nanometer nanometers")
_put("length", 1e-6, "µm um micrometre micrometres micrometer micrometers")
_put("length", 1e-3, "mm millimetre millimetres millimeter millimeters")
_put("length", 1e-2, "cm centimetre centimetres centimeter centimeters")
_put("length", 1.0, "m metre metres meter meters")
_put("length", 1e3, "km kilometre kilometres kilometer kilometers")
_put("length", 0.0254, "inch inches")
_put("length", 0.3048, "ft foot feet")
_put("length", 0.9144, "yd yard yards")
_put("length", 1609.344, "mi mile miles")
_put("length", 1852.0, "nmi nautical_mile nautical_miles")
_put("length", 1.8288, "fathom fathoms")
_put("area", 1.0, "m² m2 sqm square_metre square_metres square_meter square_meters")
_put("area", 1e6, "km² km2 square_kilometre square_kilometres square_kilometer square_kilometers")
_put("area", 1e4, "ha hectare hectares")
_put("area", 4046.86, "acre acres")
_put("volume", 1e-6, "ml millilitre millilitres milliliter milliliters")
_put("volume", 1e-3, "l litre litres liter liters")
_put("volume", 1.0, "m³ m3 cubic_metre cubic_metres cubic_meter cubic_meters")
_put("mass", 1e-9, "µg ug microgram micrograms")
_put("mass", 1e-6, "mg milligram milligrams")
_put("mass", 1e-3, "g gram grams gramme grammes")
_put("mass", 1.0, "kg kilo kilos kilogram kilograms")
_put("mass", 1e3, "t tonne tonnes")
_put("mass", 0.45359237, "lb lbs pound_weight")
_put("time", 1e-3, "ms millisecond milliseconds")
_put("time", 1.0, "s sec second seconds")
_put("time", 60.0, "min minute minutes mins")
_put("time", 3600.0, "h hr hrs hour hours")
_put("time", 86_400.0, "day days night nights")
_put("time", 604_800.0, "week weeks")
_put("months", 1.0, "month months")
_put("months", 12.0, "year years yr yrs")
_put("months", 120.0, "decade decades")
_put("temperature", 1.0, "°C ℃ degrees_Celsius degrees_celsius", 273.15)
_put("temperature", 5 / 9, "°F ℉ degrees_Fahrenheit degrees_fahrenheit", 459.67 * 5 / 9)
_put("temperature", 1.0, "kelvin")
_put("share", 0.01, "% percent per_cent")
_put("share", 0.001, "‰ permille")
_put("percentage points", 1.0, "percentage_points percentage_point")
_put("bytes", 1.0, "bytes byte B")
_put("bytes", 1e3, "kB KB kilobyte kilobytes")
_put("bytes", 1e6, "MB megabyte megabytes")
_put("bytes", 1e9, "GB gigabyte gigabytes")
_put("bytes", 1e12, "TB terabyte terabytes")
_put("bytes", 1024.0, "KiB")
_put("bytes", 1024.0**2, "MiB")
_put("bytes", 1024.0**3, "GiB")
_put("power", 1.0, "W watt watts")
_put("power", 1e3, "kW kilowatt kilowatts")
_put("power", 1e6, "MW megawatt megawatts")
_put("power", 1e9, "GW gigawatt gigawatts")
_put("energy", 1.0, "kWh kilowatt_hour kilowatt_hours")
_put("energy", 1e3, "MWh")
_put("voltage", 1.0, "V volt volts")
_put("voltage", 1e3, "kV kilovolt kilovolts")
_put("frequency", 1.0, "Hz hertz")
_put("frequency", 1e3, "kHz")
_put("frequency", 1e6, "MHz")
_put("frequency", 1e9, "GHz")
_put("pressure", 1.0, "bar bars")
_put("speed", 1 / 3.6, "km/h kph kmh")
_put("speed", 0.44704, "mph")
_put("speed", 1.0, "m/s")
_put("speed", 1852 / 3600, "knot knots")

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
