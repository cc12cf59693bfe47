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
    /// MySQL's is the SQLSTATE, which can't tell a lock's timeout from a general error. But the `Debug` texts begin with the
    /// type and its code, which no user's text can change. So no code of today's drivers costs an allocation.
    pub(super) fn of(error: &dyn DatabaseError) -> Self {
        let text = Beginning::of(error);
        let number =
            |before: &str| text.as_str().split_once(before).and_then(|(_, rest)| leading_number(rest));
        if text.as_str().starts_with("SqliteError {")
            && let Some(code) = number("{ code: ")
        {
            return Self::Sqlite(code);
        }
        if text.as_str().starts_with("MySqlDatabaseError {")
            && let Some(own) = number(", number: ")
        {
            return Self::MySql(own);
        }
        let Some(code) = error.code() else { return Self::Unknown };
        match <[u8; 5]>::try_from(code.as_bytes()) {
            Ok(state) => Self::SqlState(state),
            Err(_) => code.parse().map_or(Self::Unknown, Self::Sqlite),
        }
    }

    /// Returns `true` if the server ends the session, or the connection is lost: a shutdown, a crash, an administrator's
    /// command, a transaction that was idle or open for too long.
    pub(super) fn ends_session(self) -> bool {
        const STATES: [&[u8; 5]; 11] = [
            b"08000", b"08001", b"08003", b"08004", b"08006", b"08007", b"57P01", b"57P02", b"57P03",
            b"57P05", b"25P03",
        ];
        match self {
            Self::SqlState(state) => STATES.contains(&&state) || &state == b"25P04",
            // Shutdown in progress; connection killed (MariaDB, MySQL); disconnected for inactivity.
            Self::MySql(number) => matches!(number, 1053 | 1927 | 3169 | 4031),
            Self::Sqlite(_) | Self::Unknown => false,
        }
    }

    /// Returns `true` if a check before a commit has found no transaction. Each statement was stored by itself then.
    pub(super) fn has_no_transaction(self) -> bool {
        match self {
            Self::SqlState(state) => &state == b"25P01",
            // The savepoint of its beginning is not there.
            Self::MySql(number) => number == 1305,
            // Nor here. SQLite has no finer code for it.
            Self::Sqlite(code) => code == 1,
            Self::Unknown => false,
        }
    }

    /// Returns `true` if a commit that is answered so has stored nothing. Each other answer leaves the outcome open.
    pub(super) fn refuses_commit(self) -> bool {
        match self {
            // A constraint, the state of the transaction, a conflict, a cancelled statement, a function of the user.
            Self::SqlState(state) => {
                !self.has_no_transaction()
                    && matches!(&state[..2], b"22" | b"23" | b"25" | b"42" | b"44" | b"P0")
                    || [b"40001", b"40002", b"40P01", b"55P03", b"57014"].contains(&&state)
            }
            // Busy, locked, or a constraint.
            Self::Sqlite(code) => matches!(code & 0xff, 5 | 6 | 19),
            // Conflicts, timeouts of locks, and constraints.
            Self::MySql(number) => matches!(number, 1020 | 1062 | 1205 | 1213 | 1451 | 1452 | 3101 | 3819),
            Self::Unknown => false,
        }
    }
}

/// Returns the number at the beginning of a text.
fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    text[..end].parse().ok()
}

/// The first bytes of an error's `Debug` text.
struct Beginning {
    bytes: [u8; 64],
    length: usize,
}

impl Beginning {
    fn of(error: &dyn DatabaseError) -> Self {
        let mut beginning = Self { bytes: [0; 64], length: 0 };
        // It fails when it is full, and that is all that is wanted.
        let _ = write!(beginning, "{error:?}");
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

    /// An error with the `Debug` text and the code of a driver.
    struct Said(&'static str, Option<&'static str>);

    impl fmt::Debug for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("(code: 6) 1213 (40001): what a user may write")
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
    fn a_commit_is_refused_only_by_codes_that_say_that_nothing_is_stored() {
        let state = |state: &[u8; 5]| Code::SqlState(*state);
        let refused = [
            state(b"23505"),
            state(b"23001"),
            state(b"25P02"),
            state(b"25006"),
            state(b"40001"),
            state(b"P0001"),
            Code::Sqlite(5),
            Code::Sqlite(787),
            Code::MySql(1213),
        ];
        // There was no transaction; an unknown outcome; the connection or the session has ended; a full disk.
        let open = [
            state(b"25P01"),
            state(b"40003"),
            state(b"08006"),
            state(b"57P01"),
            state(b"53100"),
            Code::Sqlite(13),
            Code::MySql(1053),
            Code::Unknown,
        ];
        for code in refused {
            assert!(code.refuses_commit(), "{code:?}");
        }
        for code in open {
            assert!(!code.refuses_commit(), "{code:?}");
        }
    }

    #[test]
    fn codes_of_all_drivers_are_told_apart() {
        let mysql = r#"MySqlDatabaseError { code: Some("HY000"), number: 1205, message: "Lock wait timeout"#;
        let early = r#"MySqlDatabaseError { code: None, number: 1040, message: "Too many connections" }"#;
        let postgres =
            r#"PgDatabaseError { severity: Error, code: "P0001", message: "SqliteError { code: 6,"#;
        let cases = [
            (Said(r#"SqliteError { code: 517, message: "database is locked" }"#, None), Code::Sqlite(517)),
            (Said("Another { code: 1, message: 2", Some("2067")), Code::Sqlite(2067)),
            (Said(mysql, Some("HY000")), Code::MySql(1205)),
            (Said(early, None), Code::MySql(1040)),
            (Said(postgres, Some("P0001")), Code::SqlState(*b"P0001")),
            (Said("nothing", None), Code::Unknown),
            (
                Said(
                    "a text that is cut inside of a letter, which has more bytes than one: \u{df}",
                    Some("no code"),
                ),
                Code::Unknown,
            ),
            (Said("", Some("")), Code::Unknown),
        ];
        for (error, code) in cases {
            assert_eq!(Code::of(&error), code, "{error:?}");
        }
    }
}
