//! Random values from a fixed seed, as JSON documents and as Python expressions.

/// A generator of numbers that look random: SplitMix64.
pub struct Random(u64);

const STRINGS: &[&str] = &[
    "",
    "a",
    "key",
    "Grüße",
    "日本語",
    "😀",
    "\u{7f}",
    "\u{2028}",
    "\"",
    "\\",
    "/",
    "\n",
    "\t",
    "\0",
    "\u{1f}",
    "\u{ffff}",
    "\u{10ffff}",
    "a\"b\\c",
    "x y",
];
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "0.1",
    "-0.0",
    "1.0",
    "1e22",
    "1e16",
    "123456789012345678901234567890",
    "1.5e-7",
    "1E5",
    "9007199254740993",
    "3.141592653589793",
    "1e-5",
    "0.0001",
    "123456.789",
    "1e300",
    "2.5",
];
const EXPRESSIONS: &[&str] = &[
    "None",
    "True",
    "False",
    "0",
    "-1",
    "10**30",
    "-(2**63)",
    "2**64",
    "0.1",
    "-0.0",
    "1e22",
    "1e16",
    "1e-5",
    "float('nan')",
    "float('inf')",
    "-float('inf')",
    "D('1.10')",
    "D('1E+3')",
    "D('NaN')",
    "D('-0')",
    "D('Infinity')",
    "Size.BIG",
    "Text.A",
    "Point(1, 'x')",
    "b'bytes'",
    "Named('n')",
    "Color.RED",
    "b'\\xff'",
    "'\\ud800'",
    "datetime.date(2020, 1, 2)",
    "{1, 2}",
    "frozenset()",
    "bytearray(b'x')",
    "object",
    "Str('s')",
    "Int(7)",
    "Float(1.5)",
    "List([1])",
    "Dict(a=1)",
    "OrderedDict(a=1)",
    "defaultdict(list)",
    "Counter('a')",
    "range(3)",
    "(i for i in 'ab')",
    "deque([1])",
    "fractions.Fraction(1, 3)",
    "complex(1, 2)",
    "UUID(int=1)",
    "Path('x')",
    "MappingProxyType({})",
    "Data(1)",
    "Broken()",
    "NotImplemented",
    "...",
    "Loud(3)",
];

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    pub fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn space(&mut self) -> &'static str {
        self.of(&["", "", "", " ", "\n", "\t ", "\r\n"])
    }

    /// A JSON string, some of its characters escaped.
    fn string(&mut self) -> String {
        let mut text = String::from("\"");
        for _ in 0..1 + self.below(3) {
            for character in self.of(STRINGS).chars() {
                if matches!(character, '"' | '\\') || character < ' ' || self.below(4) == 0 {
                    let mut units = [0; 2];
                    for unit in character.encode_utf16(&mut units) {
                        text.push_str(&if self.below(2) == 0 {
                            format!("\\u{unit:04x}")
                        } else {
                            format!("\\u{unit:04X}")
                        });
                    }
                } else {
                    text.push(character);
                }
            }
        }
        if self.below(12) == 0 {
            text.push_str(self.of(&["\\ud800", "\\udc00", "\\/", "\\n", "\\b"]));
        }
        text + "\""
    }

    /// A valid JSON document.
    pub fn document(&mut self, depth: usize) -> String {
        let (before, behind) = (self.space(), self.space());
        let value = match self.below(if depth == 0 { 5 } else { 9 }) {
            0 => self.of(&["null", "true", "false"]).to_owned(),
            1 | 2 => self.of(NUMBERS).to_owned(),
            3 | 4 => self.string(),
            5 | 6 => {
                let items: Vec<String> = (0..self.below(4))
                    .map(|_| self.document(depth - 1))
                    .collect();
                format!("[{}]", items.join(","))
            }
            _ => {
                let items: Vec<String> = (0..self.below(4))
                    .map(|_| {
                        format!(
                            "{}{}{}:{}",
                            self.space(),
                            self.string(),
                            self.space(),
                            self.document(depth - 1)
                        )
                    })
                    .collect();
                format!("{{{}}}", items.join(","))
            }
        };
        format!("{before}{value}{behind}")
    }

    /// Changes, removes or inserts a byte.
    pub fn damage(&mut self, document: &mut Vec<u8>) {
        let at = self.below(document.len().max(1));
        let byte = self
            .of(&[
                "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "x", "u", " ", "\n", "-", ".",
            ])
            .as_bytes()[0];
        match self.below(3) {
            0 if !document.is_empty() => document[at] = byte,
            1 if !document.is_empty() => drop(document.remove(at)),
            _ => document.insert(at.min(document.len()), byte),
        }
    }

    /// A Python expression for a value that a handler may return, possibly one that JSON cannot hold.
    pub fn expression(&mut self, depth: usize) -> String {
        let list = |random: &mut Self| -> String {
            let items: Vec<String> = (0..random.below(4))
                .map(|_| random.expression(depth - 1))
                .collect();
            items.join(", ")
        };
        match self.below(if depth == 0 { 3 } else { 7 }) {
            0 => self.of(&EXPRESSIONS[..26]).to_owned(),
            1 if self.below(3) == 0 => self.of(EXPRESSIONS).to_owned(),
            1 | 2 => self.string_expression(),
            3 => format!("[{}]", list(self)),
            4 => format!("tuple([{}])", list(self)),
            _ => {
                let items: Vec<String> = (0..self.below(4))
                    .map(|_| format!("{}: {}", self.key(), self.expression(depth - 1)))
                    .collect();
                format!("{{{}}}", items.join(", "))
            }
        }
    }

    fn key(&mut self) -> String {
        match self.below(8) {
            0 => self
                .of(&[
                    "None",
                    "True",
                    "1",
                    "-5",
                    "2.5",
                    "1e22",
                    "float('inf')",
                    "b'k'",
                    "Size.BIG",
                    "Str('s')",
                    "10**30",
                ])
                .to_owned(),
            1 if self.below(6) == 0 => self
                .of(&[
                    "(1,)",
                    "D(1)",
                    "Color.RED",
                    "b'\\xff'",
                    "frozenset()",
                    "object",
                ])
                .to_owned(),
            _ => self.string_expression(),
        }
    }

    fn string_expression(&mut self) -> String {
        let text: String = (0..1 + self.below(2)).map(|_| self.of(STRINGS)).collect();
        let mut literal = String::from("'");
        for character in text.chars() {
            match character as u32 {
                code if code > 0xffff => literal.push_str(&format!("\\U{code:08x}")),
                code if !(0x20..0x7f).contains(&code) || matches!(character, '\'' | '\\') => {
                    literal.push_str(&format!("\\u{code:04x}"))
                }
                _ => literal.push(character),
            }
        }
        literal + "'"
    }
}
