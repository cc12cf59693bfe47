//! Dates in headers (RFC 9110, section 5.6.7).

use std::str;

/// The days from the first of January of the year 1 to that of 1970.
const DAYS_TO_1970: u64 = 719_162;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// The days of a common year before each month.
const DAYS_BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// Reads a date such as `Sun, 06 Nov 1994 08:49:37 GMT`, in seconds since 1970. Returns `None` for all else, also for
/// the two obsolete forms and for dates before 1970.
pub(super) fn seconds_since_1970(date: &[u8]) -> Option<u64> {
    let date = str::from_utf8(date).ok()?;
    let (_, date) = date.split_once(", ")?;
    let mut parts = date.split(' ');
    let day = number(parts.next()?, 2)?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let year = number(parts.next()?, 4)?;
    let mut time = parts.next()?.split(':');
    let (hour, minute) = (number(time.next()?, 2)?, number(time.next()?, 2)?);
    let second = number(time.next()?, 2)?;
    let is_whole = parts.next() == Some("GMT") && parts.next().is_none() && time.next().is_none();
    if !is_whole || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = year - 1;
    let years = before * 365 + before / 4 - before / 100 + before / 400 - DAYS_TO_1970;
    let days = years + DAYS_BEFORE[month] + u64::from(is_leap && month > 1) + day - 1;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn number(digits: &str, length: usize) -> Option<u64> {
    let is_number = digits.len() == length && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::seconds_since_1970;

    #[test]
    fn dates_are_counted_from_1970() {
        let dates = [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Tue, 29 Feb 2000 12:00:00 GMT", Some(951_825_600)),
            ("Wed, 01 Mar 2000 00:00:00 GMT", Some(951_868_800)),
            ("Thu, 26 Nov 2026 07:55:36 GMT", Some(1_795_679_736)),
            ("Mon, 01 Mar 2100 00:00:00 GMT", Some(4_107_542_400)),
        ];
        for (date, seconds) in dates {
            assert_eq!(seconds_since_1970(date.as_bytes()), seconds, "{date}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let dates = [
            "",
            "0",
            "-1",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:+9:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
        ];
        for date in dates {
            assert_eq!(seconds_since_1970(date.as_bytes()), None, "{date}");
        }
        assert_eq!(seconds_since_1970(b"Sun, 06 \xff 1994 08:49:37 GMT"), None);
    }
}
