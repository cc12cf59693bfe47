//! [`Code`]: what the database said, in its own numbers.

use std::fmt::{self, Write};

use sqlx::error::DatabaseError;

/// The code of a database's error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Code {
    /// Five characters of the SQL standard, as PostgreSQL sends them.
    SqlState([u8; 5]),
    /// SQLite's extended result code.
    Sqlite(u32),
    /// MySQL's own number, finer than the SQLSTATE beside it.
    MySql(u32),
    /// None, or one of another kind.
    Unknown,
}

impl Code {
    /// Reads the code.
    ///
    /// Only the drivers' own types have the numbers, and this crate knows no driver. SQLite's `code()` makes a string.
    /// MySQL's is the SQLSTATE, which can't tell a lock's timeout from a general error. But their texts begin with the
    /// number: `(code: 517) …` and `1205 (HY000): …`. So no code of today's drivers costs an allocation.
    pub(super) fn of(error: &dyn DatabaseError) -> Self {
        let text = Beginning::of(error);
        if let Some((number, _)) = text.as_str().strip_prefix("(code: ").and_then(leading_number) {
            return Self::Sqlite(number);
        }
        let Some(code) = error.code() else { return Self::Unknown };
        let Ok(state) = <[u8; 5]>::try_from(code.as_bytes()) else {
            return code.parse().map_or(Self::Unknown, Self::Sqlite);
        };
        // A message of PostgreSQL may begin with any number, but hardly with its own SQLSTATE behind it.
        let own = leading_number(text.as_str()).filter(|(_, rest)| {
            rest.strip_prefix(" (")
                .and_then(|rest| rest.strip_prefix(&*code))
                .is_some_and(|rest| rest.starts_with("):"))
        });
        own.map_or(Self::SqlState(state), |(number, _)| Self::MySql(number))
    }

    /// Returns `true` if the server ends the session: a shutdown, a crash, or an administrator's command.
    pub(super) fn ends_session(self) -> bool {
        match self {
            Self::SqlState(state) => {
                matches!(&state, b"57P01" | b"57P02" | b"57P03" | b"57P05") || state.starts_with(b"08")
            }
            // Shutdown in progress; connection killed (MariaDB, MySQL).
            Self::MySql(number) => matches!(number, 1053 | 1927 | 3169),
            Self::Sqlite(_) | Self::Unknown => false,
        }
    }
}

/// Returns the number at the beginning of a text, and the rest.
fn leading_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// The first bytes of an error's text.
struct Beginning {
    bytes: [u8; 24],
    length: usize,
}

impl Beginning {
    fn of(error: &dyn DatabaseError) -> Self {
        let mut beginning = Self { bytes: [0; 24], length: 0 };
        // It fails when it is full, and that is all that is wanted.
        let _ = write!(beginning, "{error}");
        beginning
    }

    fn as_str(&self) -> &str {
        let bytes = &self.bytes[..self.length];
        std::str::from_utf8(bytes).unwrap_or_else(|cut| {
            std::str::from_utf8(&bytes[..cut.valid_up_to()]).expect("it is valid up to there")
        })
    }
}

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let taken = room.len().min(text.len());
        room[..taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        if taken < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error;

    use sqlx::error::ErrorKind;

    use super::*;

    /// An error with the text and the code of a driver.
    #[derive(Debug)]
    struct Said(&'static str, Option<&'static str>);

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            self.1.map(Cow::Borrowed)
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn codes_of_all_drivers_are_told_apart() {
        let cases = [
            (Said("(code: 517) database is locked", None), Code::Sqlite(517)),
            (Said("another text", Some("2067")), Code::Sqlite(2067)),
            (Said("1205 (HY000): Lock wait timeout exceeded", Some("HY000")), Code::MySql(1205)),
            (Said("1213 (40001): Deadlock", Some("40001")), Code::MySql(1213)),
            (Said("could not serialize access", Some("40001")), Code::SqlState(*b"40001")),
            // Messages that a user of PostgreSQL raises.
            (Said("1213 (40002): not MySQL", Some("P0001")), Code::SqlState(*b"P0001")),
            (Said("1213", Some("P0001")), Code::SqlState(*b"P0001")),
            (Said("no seats are left, not one of them at all – ß", Some("P0001")), Code::SqlState(*b"P0001")),
            (Said("23 seats are le\u{df}t, which is ß", Some("P0001")), Code::SqlState(*b"P0001")),
            (Said("nothing", None), Code::Unknown),
            (Said("nothing", Some("no code")), Code::Unknown),
            (Said("", Some("")), Code::Unknown),
        ];
        for (error, code) in cases {
            assert_eq!(Code::of(&error), code, "{error}");
        }
    }
}
