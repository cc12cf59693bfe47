//! Which constraint a change violated, on every database.

use sqlx::Error;
use sqlx::error::{DatabaseError, ErrorKind};

use super::code::Code;

/// Returns the name of the constraint that a change violated. It tells a taken user name from a taken address.
///
/// PostgreSQL's driver has the name. SQLite names the columns instead, as in `users.name`, or an index as in
/// `index 'users_name'`: then the columns, or the index, are returned. MySQL names the index, as in `users.name` or
/// `name`.
///
/// Returns `None` if the error is another one, or does not name the constraint. Compare the name; do not send it to clients.
///
/// # Examples
///
/// ```
/// use latchwork::sql::violated_constraint;
///
/// fn is_name_taken(error: &sqlx::Error) -> bool {
///     matches!(violated_constraint(error), Some("users_name_key" | "users.name"))
/// }
/// assert!(!is_name_taken(&sqlx::Error::RowNotFound));
/// ```
#[must_use]
pub fn violated_constraint(error: &Error) -> Option<&str> {
    let Error::Database(error) = error else { return None };
    // The message of another error may be any text, also a user's.
    if matches!(error.kind(), ErrorKind::Other) && !is_restrict(&**error) {
        return None;
    }
    error.constraint().or_else(|| in_message(error.message()))
}

/// Returns `true` if stored data does not allow the change: a row is referred to or missing, a check fails, or an
/// exclusion.
#[cfg(feature = "tower")]
pub(crate) fn is_constraint_violation(error: &dyn DatabaseError) -> bool {
    use ErrorKind::{CheckViolation, ExclusionViolation, ForeignKeyViolation};

    matches!(error.kind(), ForeignKeyViolation | CheckViolation | ExclusionViolation) || is_restrict(error)
}

/// Returns `true` if a foreign key with `RESTRICT` does not allow the change. To sqlx that is no foreign key violation.
fn is_restrict(error: &dyn DatabaseError) -> bool {
    match Code::of(error) {
        // PostgreSQL has a code of its own for it since version 18.
        Code::SqlState(state) => &state == b"23001",
        // SQLite makes a trigger of it. A trigger of a user has the same code, and its own text.
        Code::Sqlite(1811) => error.message() == "FOREIGN KEY constraint failed",
        _ => false,
    }
}

/// Finds the name in the messages of SQLite and of MySQL.
fn in_message(message: &str) -> Option<&str> {
    // SQLite: `UNIQUE constraint failed: users.name`, `CHECK constraint failed: stock_not_negative`.
    if let Some((kind, name)) = message.split_once(" constraint failed: ")
        && matches!(kind, "UNIQUE" | "CHECK" | "NOT NULL")
    {
        let name = name.strip_prefix("index '").and_then(|name| name.strip_suffix('\'')).unwrap_or(name);
        return Some(name);
    }
    // MySQL: `Duplicate entry 'ada' for key 'users.name'`. The entry may hold anything, the key comes last.
    if message.starts_with("Duplicate entry ") {
        let (_, name) = message.rsplit_once(" for key '")?;
        return name.strip_suffix('\'');
    }
    // MySQL: `Check constraint 'stock_not_negative' is violated.`
    // MariaDB: "CONSTRAINT `stock_not_negative` failed for `shop`.`sweets`"
    let quoted = |before: &str, quote: char, after: &str| {
        let (name, rest) = message.strip_prefix(before)?.split_once(quote)?;
        rest.starts_with(after).then_some(name)
    };
    quoted("Check constraint '", '\'', " is violated").or_else(|| quoted("CONSTRAINT `", '`', " failed for"))
}

#[cfg(test)]
mod tests {
    use super::in_message;

    #[test]
    fn names_are_found_in_the_messages_of_drivers_that_have_none() {
        let cases = [
            ("UNIQUE constraint failed: users.name", Some("users.name")),
            ("UNIQUE constraint failed: users.tenant, users.name", Some("users.tenant, users.name")),
            ("UNIQUE constraint failed: index 'users_lower_name'", Some("users_lower_name")),
            ("CHECK constraint failed: stock_not_negative", Some("stock_not_negative")),
            ("NOT NULL constraint failed: users.name", Some("users.name")),
            ("FOREIGN KEY constraint failed", None),
            ("Duplicate entry 'ada' for key 'users.name'", Some("users.name")),
            ("Duplicate entry 'x' for key 'PRIMARY' for key 'name'", Some("name")),
            ("Check constraint 'stock_not_negative' is violated.", Some("stock_not_negative")),
            ("CONSTRAINT `stock_not_negative` failed for `shop`.`sweets`", Some("stock_not_negative")),
            ("a user wrote: UNIQUE constraint failed: x", None),
            ("", None),
        ];
        for (message, name) in cases {
            assert_eq!(in_message(message), name, "{message}");
        }
    }
}
