"""More than a thousand captions that a tokenizer may stumble over."""
# ruff: noqa: RUF001 - look-alikes are the point

import html
import random

HAND_MADE = [
    "",
    " ",
    "a caterpillar smoking a hookah while sitting on a mushroom",
    "Red  Heart\n\tand\r\nmore ",
    "&nbsp;heart&nbsp;&amp;amp; arrow &lt;3 &#128512; &#x1F600; &notanentity; &amp;lt;b&amp;gt;",
    "&amp;amp;amp;amp;",
    "it's we're they've I'm you'll he'd don't IT'S WE'RE",
    "it'ſ 'ſ ſ K Å İstanbul ı ẞ ß ﬆ ﬃ ǅ",
    "<|startoftext|> and <|endoftext|> and <|EndOfText|>!!<|startoftext|><|ſtartoftext|>",
    "1234567890 3.14159 1,000,000 ½ ² Ⅷ ४२ 〇 ¹²³ 10th 4k 8K",
    "!!! ??? ... --- ___ @#$%^&*() {}[]|\\ ~` «» “quotes” ‘single’ … — –",
    "😀 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ❤️ ☃ ♻︎ 1️⃣",
    "日本語のキャプション 中文标题 한국어 ภาษาไทย العربية עברית Ελληνικά Русский",
    "e\u0301 vs é, \u1fb3 \u0345 a\u0300\u0301\u0302",
    "\x1c\x1d\x1e\x1fcontrol\x1c \x00 \x07 \x85 \xa0 \u2028 \u2029 \u3000 \u200b \ufeff end\x1f",
    "a\u200bb\u200cc\u200dd\u2060e",
    "𝔣𝔯𝔞𝔨𝔱𝔲𝔯 𓀀 \U0002f800 \U0003134f \U000323b0 \U0010fffd \ue000",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "https://example.org/a?b=c&d=e#f user@example.org C++ C# .NET a/b\\c",
    "x" * 500,
    "word " * 200,
    "😀" * 100,
    "a photo of " * 30 + "the end",
]

_NOUNS = [
    "heart",
    "cat",
    "dog",
    "purple-car",
    "pizza",
    "rocket",
    "naïve",
    "café",
    "snowman",
    "T-shirt",
    "3D-printer",
    "O'Neill's",
]
_TEMPLATES = (
    "{}",
    "A {} on a {}",
    "show me a {}, please!",
    "{}?? {}; {}... (trending)",
    "the {} & the {} &amp; 50% of {}",
    "{}_{}-{} #{}",
)
_RANGES = (
    (0x20, 0x7F),
    (0xA0, 0x250),
    (0x300, 0x600),
    (0x900, 0xE80),
    (0x1E00, 0x2400),
    (0x2600, 0x27C0),
    (0x3040, 0x3200),
    (0x4E00, 0x5200),
    (0xAC00, 0xAD00),
    (0xFB00, 0xFF00),
    (0x1F300, 0x1FB00),
    (0x10000, 0x32400),
)


def captions() -> list[str]:
    """Hand-made edge cases, templates, and random runs of every kind of character with HTML among them."""
    chance = random.Random(2)  # noqa: S311 - the same captions every time
    written = [
        template.format(*(chance.choice(_NOUNS).replace("-", " ") for _ in range(4)))
        for template in _TEMPLATES
        for _ in range(60)
    ]
    return [*dict.fromkeys(HAND_MADE + written + [_scramble(chance) for _ in range(900)])]


def _scramble(chance: random.Random) -> str:
    parts = []
    for _ in range(chance.randint(1, 8)):
        low, high = chance.choice(_RANGES)
        run = "".join(chr(chance.randrange(low, high)) for _ in range(chance.randint(1, 12)))
        parts.append(chance.choice([run, run.upper(), html.escape(run), "".join(f"&#{ord(c)};" for c in run)]))
    return chance.choice([" ", "", "  ", "\n", "'s "]).join(parts)
