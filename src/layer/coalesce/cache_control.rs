//! [`CacheControl`]: the directives of a message (RFC 9111, section 5.2).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What `Cache-Control` and `Pragma` say, of the directives that matter here.
#[derive(Default)]
pub(super) struct CacheControl {
    pub(super) no_cache: bool,
    pub(super) no_store: bool,
    pub(super) is_private: bool,
    pub(super) is_public: bool,
    pub(super) must_understand: bool,
    /// In seconds. Of several values, the smallest.
    pub(super) max_age: Option<u64>,
    /// The same for shared caches.
    pub(super) s_maxage: Option<u64>,
}

/// A header that does not follow its grammar.
pub(super) struct Unreadable;

impl CacheControl {
    /// Reads all lines of both headers.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Unreadable> {
        let mut read = Self::default();
        for directive in directives(headers, &header::CACHE_CONTROL) {
            read.add(&directive?)?;
        }
        // Stricter than section 5.4, where `Pragma` counts only without `Cache-Control`.
        for directive in directives(headers, &header::PRAGMA) {
            read.no_cache |= directive?.is("no-cache");
        }
        Ok(read)
    }

    fn add(&mut self, directive: &Directive<'_>) -> Result<(), Unreadable> {
        self.no_cache |= directive.is("no-cache");
        self.no_store |= directive.is("no-store");
        self.is_private |= directive.is("private");
        self.is_public |= directive.is("public");
        self.must_understand |= directive.is("must-understand");
        for (name, least) in [("max-age", &mut self.max_age), ("s-maxage", &mut self.s_maxage)] {
            if directive.is(name) {
                let seconds = seconds(directive.value.ok_or(Unreadable)?)?;
                *least = Some(least.map_or(seconds, |least| least.min(seconds)));
            }
        }
        Ok(())
    }
}

/// A name, and what follows its `=`, without quotes.
struct Directive<'h> {
    name: &'h [u8],
    value: Option<&'h [u8]>,
}

impl Directive<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

fn directives<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Result<Directive<'h>, Unreadable>> {
    headers.get_all(name).into_iter().map(HeaderValue::as_bytes).flat_map(|rest| Line { rest })
}

/// What is left of one line. Nothing is left of it after an error.
struct Line<'h> {
    rest: &'h [u8],
}

impl<'h> Iterator for Line<'h> {
    type Item = Result<Directive<'h>, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        // A list may have empty members.
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
        if self.rest.is_empty() {
            return None;
        }
        let directive = self.directive();
        if directive.is_err() {
            self.rest = &[];
        }
        Some(directive)
    }
}

impl<'h> Line<'h> {
    fn directive(&mut self) -> Result<Directive<'h>, Unreadable> {
        let name = self.token()?;
        let value = match self.rest {
            [b'=', b'"', rest @ ..] => {
                self.rest = rest;
                Some(self.quoted()?)
            }
            [b'=', rest @ ..] => {
                self.rest = rest;
                Some(self.token()?)
            }
            _ => None,
        };
        self.skip(|byte| matches!(byte, b' ' | b'\t'));
        match self.rest {
            [] | [b',', ..] => Ok(Directive { name, value }),
            _ => Err(Unreadable),
        }
    }

    fn token(&mut self) -> Result<&'h [u8], Unreadable> {
        let token = self.skip(is_of_token);
        if token.is_empty() { Err(Unreadable) } else { Ok(token) }
    }

    /// Returns what stands in the quotes, as it stands there: with the backslash of an escaped byte.
    fn quoted(&mut self) -> Result<&'h [u8], Unreadable> {
        let text = self.rest;
        loop {
            self.skip(|byte| !matches!(byte, b'"' | b'\\'));
            match self.rest {
                [b'"', rest @ ..] => {
                    let length = text.len() - self.rest.len();
                    self.rest = rest;
                    return Ok(&text[..length]);
                }
                [b'\\', _, rest @ ..] => self.rest = rest,
                _ => return Err(Unreadable),
            }
        }
    }

    /// Returns the bytes that were skipped.
    fn skip(&mut self, skips: impl Fn(u8) -> bool) -> &'h [u8] {
        let length = self.rest.iter().position(|byte| !skips(*byte)).unwrap_or(self.rest.len());
        let (skipped, rest) = self.rest.split_at(length);
        self.rest = rest;
        skipped
    }
}

/// RFC 9110, section 5.6.2.
fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Reads a number of seconds. One that is too large is as good as for ever (RFC 9111, section 1.2.2).
pub(super) fn seconds(digits: &[u8]) -> Result<u64, Unreadable> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Unreadable);
    }
    Ok(digits
        .iter()
        .fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}
