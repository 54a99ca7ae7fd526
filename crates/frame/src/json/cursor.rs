//! Reads one JSON value after another from a text, checking its syntax on the way.
//!
//! Names and texts are lent from the line for as long as it lives, numbers are lent as written, and every value says where
//! it stands. The parsers of the field build a tree, or lend a name only until its value is read, which costs a copy of
//! each member's name in each row.

use std::borrow::Cow;

/// Levels of nesting beyond which a text is refused, so that a hostile one cannot overflow the stack.
const MAX_DEPTH: usize = 128;

/// Why a text is not JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Byte of the text where it goes wrong.
    pub(super) at: usize,
    pub(super) problem: &'static str,
}

/// What a value begins with. The elements of a list and the members of an object are yet to be read.
#[derive(Debug, PartialEq)]
pub(super) enum Token<'a> {
    Null,
    Bool(bool),
    /// As written.
    Number(&'a str),
    Text(Cow<'a, str>),
    List,
    Object,
}

/// A place in a text.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Whether a list or object has just begun, so that no comma comes before what is in it.
    fresh: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            fresh: false,
        }
    }

    /// Reads a value, or the beginning of a list or an object.
    pub(super) fn value(&mut self) -> Result<Token<'a>, SyntaxError> {
        match self.peek() {
            Some(b'{') => self.enter().map(|()| Token::Object),
            Some(b'[') => self.enter().map(|()| Token::List),
            Some(b'"') => self.text().map(Token::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Token::Number),
            Some(b't') => self.word("true", Token::Bool(true)),
            Some(b'f') => self.word("false", Token::Bool(false)),
            Some(b'n') => self.word("null", Token::Null),
            // Not JSON, but what Python writes for a missing number.
            Some(b'N') => self.word("NaN", Token::Null),
            Some(_) => Err(self.wrong("expected a value")),
            None => Err(self.wrong("ends before its value does: each object must be on one line")),
        }
    }

    /// Within a list: whether another element follows. Leaves the list if not.
    pub(super) fn next_element(&mut self) -> Result<bool, SyntaxError> {
        self.next_in(b']', "expected ',' or ']'")
    }

    /// Within an object: the name of the next member, whose value follows. Leaves the object if there is none.
    pub(super) fn next_member(&mut self) -> Result<Option<Cow<'a, str>>, SyntaxError> {
        if !self.next_in(b'}', "expected ',' or '}'")? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.wrong("expected the name of a member"));
        }
        let name = self.text()?;
        if self.peek() != Some(b':') {
            return Err(self.wrong("expected ':'"));
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// Passes a value, and gives it as written.
    pub(super) fn skip(&mut self) -> Result<&'a str, SyntaxError> {
        self.peek();
        let start = self.at;
        let token = self.value()?;
        self.skip_rest(&token)?;
        Ok(&self.text[start..self.at])
    }

    /// Passes what is left of the value that began with `token`.
    pub(super) fn skip_rest(&mut self, token: &Token<'_>) -> Result<(), SyntaxError> {
        match token {
            Token::List => {
                while self.next_element()? {
                    self.skip()?;
                }
            }
            Token::Object => {
                while self.next_member()?.is_some() {
                    self.skip()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Fails if anything but blanks is left.
    pub(super) fn end(&mut self) -> Result<(), SyntaxError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("there is more after the object: each must be on a line of its own")),
        }
    }

    /// The next byte that is not blank.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        self.at += blank.count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn enter(&mut self) -> Result<(), SyntaxError> {
        if self.depth == MAX_DEPTH {
            return Err(self.wrong("nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        self.fresh = true;
        Ok(())
    }

    fn next_in(&mut self, close: u8, expected: &'static str) -> Result<bool, SyntaxError> {
        let fresh = std::mem::take(&mut self.fresh);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) if fresh => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Err(self.wrong(expected)),
            None => Err(self.wrong("ends before its object does: each object must be on one line")),
        }
    }

    fn word(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, SyntaxError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong("expected a value"));
        }
        self.at += word.len();
        Ok(token)
    }

    fn number(&mut self) -> Result<&'a str, SyntaxError> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.byte() == Some(b'0');
        if self.digits()? > 1 && leading_zero {
            return Err(self.wrong("a number must not begin with 0"));
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<usize, SyntaxError> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 {
            return Err(self.wrong("expected a digit"));
        }
        Ok(count)
    }

    fn text(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        self.at += 1;
        let start = self.at;
        self.pass_plain()?;
        let plain = &self.text[start..self.at];
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        while self.byte() == Some(b'\\') {
            self.at += 1;
            text.push(self.escape()?);
            let start = self.at;
            self.pass_plain()?;
            text.push_str(&self.text[start..self.at]);
        }
        self.at += 1;
        Ok(Cow::Owned(text))
    }

    /// Passes characters up to a quote or an escape.
    fn pass_plain(&mut self) -> Result<(), SyntaxError> {
        let rest = &self.text.as_bytes()[self.at..];
        let special = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
        self.at += special.unwrap_or(rest.len());
        match self.byte() {
            Some(b'"' | b'\\') => Ok(()),
            Some(_) => Err(self.wrong("a control character must be escaped")),
            None => Err(self.wrong("ends within a text")),
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let byte = self.byte();
        self.at += 1;
        Ok(match byte {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte.into(),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode()?,
            _ => {
                self.at -= 1;
                return Err(self.wrong("unknown escape"));
            }
        })
    }

    /// A character by its UTF-16 code, of which one beyond 16 bits has two. Half of such a pair stands for nothing.
    fn unicode(&mut self) -> Result<char, SyntaxError> {
        let first = self.code()?;
        let mut codes = vec![first];
        if (0xD800..0xDC00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.code()?;
            if (0xDC00..0xE000).contains(&second) {
                codes.push(second);
            } else {
                self.at = before;
            }
        }
        let character = char::decode_utf16(codes).next();
        Ok(character
            .and_then(Result::ok)
            .unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn code(&mut self) -> Result<u16, SyntaxError> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.wrong("expected four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn wrong(&self, problem: &'static str) -> SyntaxError {
        SyntaxError { at: self.at, problem }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    /// What the scanner reads, as a value of another JSON library.
    fn read(cursor: &mut Cursor<'_>) -> Result<serde_json::Value, SyntaxError> {
        Ok(match cursor.value()? {
            Token::Null => serde_json::Value::Null,
            Token::Bool(value) => value.into(),
            Token::Number(text) => serde_json::from_str(text).unwrap(),
            Token::Text(text) => text.into_owned().into(),
            Token::List => {
                let mut list = Vec::new();
                while cursor.next_element()? {
                    list.push(read(cursor)?);
                }
                list.into()
            }
            Token::Object => {
                let mut object = serde_json::Map::new();
                while let Some(name) = cursor.next_member()? {
                    object.insert(name.into_owned(), read(cursor)?);
                }
                object.into()
            }
        })
    }

    #[test]
    fn texts_mean_what_another_library_reads_in_them() {
        for text in [
            "{}",
            "[]",
            " [ 1 , -0.5e+3, 1E5, 0, -0 ] ",
            r#"{"a":{"b":[{"c":null},true,false]},"":""}"#,
            r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é 東京""#,
            r#"[[],[[]],{"x":[]}]"#,
        ] {
            let mut cursor = Cursor::new(text);
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(&mut cursor).unwrap(), expected, "{text}");
            assert_eq!(cursor.end(), Ok(()), "{text}");
            assert_eq!(Cursor::new(text).skip(), Ok(text.trim()));
        }
    }

    #[test]
    fn what_another_library_refuses_is_refused() {
        for text in [
            "",
            "{",
            "[1",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "tru",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a",
            "\"a\nb\"",
            "[1 2]",
            "'a'",
            "{} {}",
        ] {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
            let mut cursor = Cursor::new(text);
            assert!(read(&mut cursor).and_then(|_| cursor.end()).is_err(), "{text}");
            let mut cursor = Cursor::new(text);
            assert!(cursor.skip().and_then(|_| cursor.end()).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_say_where_and_depth_is_bounded() {
        let mut cursor = Cursor::new(r#"{"a": 1, "b": x}"#);
        assert_eq!(cursor.skip().unwrap_err().at, 14);
        let deep = "[".repeat(100_000);
        assert_eq!(
            Cursor::new(&deep).skip().unwrap_err().problem,
            "nested too deeply"
        );
    }
}
