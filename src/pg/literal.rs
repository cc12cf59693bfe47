//! Bytes, names and texts inside SQL. A message of several statements is plain text: only a single statement can have
//! parameters beside it.

use std::fmt;

/// Shows bytes as an expression of the type `bytea`.
///
/// Only hexadecimal digits come between the quotes. A literal such as `'\x00'` is shorter, but its backslash means
/// something else to a role with `standard_conforming_strings = off`.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("decode('")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("', 'hex')")
    }
}

/// Returns the bytes of a text that the server's `encode(…, 'hex')` made.
pub(super) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |&[high, low]: &[u8; 2]| u8::try_from(digit(high)? * 16 + digit(low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// Returns a name in double quotes.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a literal of the type `text`. The letter in front gives backslashes one meaning under all settings.
pub(super) fn text(value: &str) -> String {
    format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::{Bytes, from_hex, identifier, text};

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(Bytes(b"\0a'\xff").to_string(), "decode('006127ff', 'hex')");
        assert_eq!(identifier(r#"a"b\c'd"#), r#""a""b\c'd""#);
        assert_eq!(text(r#"a"b\c'd"#), r#"E'a"b\\c''d'"#);
    }

    #[test]
    fn only_pairs_of_digits_are_bytes() {
        assert_eq!(from_hex("006127fF"), Some(b"\0a'\xff".to_vec()));
        assert_eq!(from_hex(""), Some(Vec::new()));
        for text in ["0", "0g", "+1", "é"] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
