//! [`StableKey`]: keys as bytes that mean the same in every process.

use std::borrow::Cow;
use std::sync::Arc;

use crate::remote::KeyBytes;

/// A key that has the same bytes in every process, on every platform and in every version of your program.
///
/// Processes agree on a key only by these bytes. A hash is not enough: `Hash` may give other results in another version of
/// a compiler, and two keys may share one. So two equal keys must write equal bytes, and two different keys of the type
/// must write different bytes. If two different ones write equal bytes, they are one key for other processes, and a process
/// that holds one is refused the other: [`BadKey`](crate::provider::LockError::BadKey).
///
/// | type | bytes |
/// |---|---|
/// | `u8` … `u128`, `i8` … `i128` | all bytes of the number, the highest first |
/// | `bool`, `char` | as `u8`, as `u32` |
/// | `str`, `[u8]`, `[u8; N]` and their owned forms | the bytes themselves |
/// | `Option` | nothing for `None`; a byte 1 and the value for `Some` |
/// | tuples | for each part the length as `u32`, then the bytes |
/// | `&T`, `Box<T>`, `Arc<T>`, `Cow<T>` | as `T` |
///
/// `usize` and `isize` have no bytes, as their width depends on the platform: convert them to `u64` or `i64`. A single part
/// needs no length: its bytes alone tell it from other values of its type. Different types may share bytes: `7_u8` and
/// `[7_u8]` do. Give the locks of different types different namespaces.
///
/// # Examples
///
/// A type of your own writes its parts as a tuple:
///
/// ```
/// use latchwork::pg::StableKey;
///
/// struct Seat { hall: String, row: u16, number: u16 }
///
/// impl StableKey for Seat {
///     fn write_to(&self, bytes: &mut Vec<u8>) {
///         (&self.hall, self.row, self.number).write_to(bytes);
///     }
/// }
///
/// let mut bytes = Vec::new();
/// Seat { hall: "A".into(), row: 3, number: 258 }.write_to(&mut bytes);
/// assert_eq!(bytes, [0, 0, 0, 1, b'A', 0, 0, 0, 2, 0, 3, 0, 0, 0, 2, 1, 2]);
/// ```
pub trait StableKey {
    /// Appends the bytes of the key.
    fn write_to(&self, bytes: &mut Vec<u8>);
}

/// A key has more bytes than an index of the database takes.
///
/// Use a shorter key, such as an identifier instead of a text, or a cryptographic digest of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the key and its namespace have {length} bytes, and {} are allowed", Self::LIMIT)]
#[non_exhaustive]
pub struct KeyTooLong {
    /// The number of bytes of the key, its namespace included.
    pub length: usize,
}

impl KeyTooLong {
    /// The greatest number of bytes that a key and its namespace may have.
    ///
    /// An entry of a B-tree holds about 2700 bytes, and a payload of `NOTIFY`, which has two digits for each byte, 8000.
    pub const LIMIT: usize = 1024;
}

/// Returns the bytes of a key as the database knows it: the length of the namespace, the namespace, the key. So services
/// with different namespaces can share a table.
pub(super) fn encode<K: StableKey + ?Sized>(namespace: &str, key: &K) -> Result<KeyBytes, KeyTooLong> {
    let mut bytes = Vec::new();
    write_part(namespace, &mut bytes);
    key.write_to(&mut bytes);
    if bytes.len() > KeyTooLong::LIMIT {
        return Err(KeyTooLong { length: bytes.len() });
    }
    Ok(bytes.into())
}

/// Appends a part with its length in front, so that the bytes of two parts cannot be divided in another way.
fn write_part<K: StableKey + ?Sized>(part: &K, bytes: &mut Vec<u8>) {
    let length_at = bytes.len();
    bytes.extend([0; 4]);
    let start = bytes.len();
    part.write_to(bytes);
    // No key with a part that does not fit is used: it is over the limit.
    let length = u32::try_from(bytes.len() - start).unwrap_or(u32::MAX);
    bytes[length_at..start].copy_from_slice(&length.to_be_bytes());
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl StableKey for $number {
            fn write_to(&self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_be_bytes());
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 }

impl StableKey for bool {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        u8::from(*self).write_to(bytes);
    }
}

impl StableKey for char {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        u32::from(*self).write_to(bytes);
    }
}

impl StableKey for str {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.as_bytes());
    }
}

impl StableKey for String {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        self.as_str().write_to(bytes);
    }
}

impl StableKey for [u8] {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self);
    }
}

impl StableKey for Vec<u8> {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        self.as_slice().write_to(bytes);
    }
}

impl<const N: usize> StableKey for [u8; N] {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        self.as_slice().write_to(bytes);
    }
}

impl<K: StableKey> StableKey for Option<K> {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        if let Some(key) = self {
            bytes.push(1);
            key.write_to(bytes);
        }
    }
}

impl<K: StableKey + ?Sized> StableKey for &K {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        (**self).write_to(bytes);
    }
}

impl<K: StableKey + ?Sized> StableKey for Box<K> {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        (**self).write_to(bytes);
    }
}

impl<K: StableKey + ?Sized> StableKey for Arc<K> {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        (**self).write_to(bytes);
    }
}

impl<K: StableKey + ToOwned + ?Sized> StableKey for Cow<'_, K> {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        (**self).write_to(bytes);
    }
}

macro_rules! tuples {
    ($(($($part:ident $at:tt),*))*) => {$(
        impl<$($part: StableKey),*> StableKey for ($($part,)*) {
            fn write_to(&self, bytes: &mut Vec<u8>) {
                $(write_part(&self.$at, bytes);)*
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    fn bytes<K: StableKey + ?Sized>(key: &K) -> Vec<u8> {
        let mut bytes = Vec::new();
        key.write_to(&mut bytes);
        bytes
    }

    #[test]
    fn bytes_of_keys_never_change() {
        assert_eq!(bytes(&0x0102_0304_u32), [1, 2, 3, 4]);
        assert_eq!(bytes(&-2_i16), [0xff, 0xfe]);
        assert_eq!(bytes(&1_u128).len(), 16);
        assert_eq!(bytes(&(true, 'é')), [0, 0, 0, 1, 1, 0, 0, 0, 4, 0, 0, 0, 0xe9]);
        assert_eq!(bytes(&(Some("a"), None::<u8>)), [0, 0, 0, 2, 1, b'a', 0, 0, 0, 0]);
        assert_eq!(bytes(&((1_u8,), *b"xy")), [0, 0, 0, 5, 0, 0, 0, 1, 1, 0, 0, 0, 2, b'x', b'y']);
        assert_eq!(*encode("ns", &7_u8).expect("it is short"), [0, 0, 0, 2, b'n', b's', 7]);
    }

    #[test]
    fn every_form_of_a_text_has_the_same_bytes() {
        let forms: [&dyn StableKey; 7] = [
            &"ada",
            &"ada".to_owned(),
            &Box::<str>::from("ada"),
            &Arc::<str>::from("ada"),
            &Cow::Borrowed("ada"),
            &b"ada".to_vec(),
            b"ada",
        ];
        assert!(forms.iter().all(|form| bytes(*form) == b"ada"));
    }

    #[test]
    fn a_key_over_the_limit_is_refused_and_its_length_is_named() {
        let longest = "k".repeat(KeyTooLong::LIMIT - "....ns".len());
        assert_eq!(encode("ns", &longest).map(|bytes| bytes.len()), Ok(1024));
        let error = encode("ns", &(longest + "k")).expect_err("it is too long");
        assert_eq!(error.to_string(), "the key and its namespace have 1025 bytes, and 1024 are allowed");
    }

    #[track_caller]
    fn same_bytes_only_if_equal<K: StableKey + PartialEq + Debug>(a: &K, b: &K) {
        assert_eq!(bytes(a) == bytes(b), a == b, "{a:?} and {b:?}");
    }

    // Few letters and short texts, so that parts can be confused with each other.
    const TEXT: &str = "[\0\u{1}a]{0,3}";

    type Nested = (Option<Option<String>>, (String, u8), Vec<u8>);

    fn nested() -> impl Strategy<Value = Nested> {
        let optional = proptest::option::of(proptest::option::of(TEXT));
        (optional, (TEXT, 0..2_u8), proptest::collection::vec(0..2_u8, 0..6))
    }

    proptest! {
        #[test]
        fn different_keys_have_different_bytes(
            numbers in any::<(i64, i64)>(),
            small in (-2..2_i8, -2..2_i8),
            texts in (TEXT, TEXT),
            pairs in ((TEXT, TEXT), (TEXT, TEXT)),
            triples in ((TEXT, TEXT, TEXT), (TEXT, TEXT, TEXT)),
            nested in (nested(), nested()),
        ) {
            same_bytes_only_if_equal(&numbers.0, &numbers.1);
            same_bytes_only_if_equal(&small.0, &small.1);
            same_bytes_only_if_equal(&texts.0, &texts.1);
            same_bytes_only_if_equal(&pairs.0, &pairs.1);
            same_bytes_only_if_equal(&triples.0, &triples.1);
            same_bytes_only_if_equal(&nested.0, &nested.1);
        }

        #[test]
        fn keys_of_different_namespaces_have_different_bytes(a in (TEXT, TEXT), b in (TEXT, TEXT)) {
            let is_same = encode(&a.0, &a.1) == encode(&b.0, &b.1);
            prop_assert_eq!(is_same, a == b);
        }
    }
}
