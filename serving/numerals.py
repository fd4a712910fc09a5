"""Numbers as English words, as far as sane speech needs: cardinals, ordinals, decimals.

Small and exact rather than clever: a number we have no words for is read digit by digit, which is never wrong.
"""

ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (10**3, "thousand"), (100, "hundred"))
CARDINAL_MAX = 10**15 - 1
"""Beyond the trillions digits are read one by one."""
ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """`1984` → `one thousand nine hundred eighty four`; `number` is in 0..`CARDINAL_MAX`."""
    for scale, name in SCALES:
        if number >= scale:
            head, rest = divmod(number, scale)
            return f"{cardinal(head)} {name}" + (f" {cardinal(rest)}" if rest else "")
    if number < len(ONES):
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens] + (f" {ONES[ones]}" if ones else "")


def ordinal(number: int) -> str:
    """`21` → `twenty first`."""
    head, _, last = cardinal(number).rpartition(" ")
    if last in ORDINALS:
        last = ORDINALS[last]
    elif last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last += "th"
    return f"{head} {last}".strip()


def digits(text: str) -> str:
    """`007` → `zero zero seven`."""
    return " ".join(ONES[int(character)] for character in text)


def spoken(text: str) -> str:
    """`1,234.50` → words; leading zeros and numbers without a name are read digit by digit."""
    whole, _, fraction = text.replace(",", "").partition(".")
    reads_as_number = whole and int(whole) <= CARDINAL_MAX and (whole == "0" or not whole.startswith("0"))
    words = cardinal(int(whole)) if reads_as_number else digits(whole or "0")
    return f"{words} point {digits(fraction)}" if fraction else words
