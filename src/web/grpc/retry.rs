//! When to call again, as gRPC's richer error model says it: a `google.rpc.Status` with a `google.rpc.RetryInfo`, in
//! protobuf and base64.
//!
//! Written by hand: the messages have six fields, and none of them will change.

use super::code::GrpcCode;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// Returns the value of `grpc-status-details-bin`.
pub(super) fn details(code: GrpcCode, message: &str, seconds: u64) -> String {
    // `Duration`s of protobuf end after 10 000 years.
    let seconds = seconds.min(315_576_000_000);
    let mut delay = Message::default();
    delay.number(1, seconds);
    let mut info = Message::default();
    info.bytes(1, &delay.0);
    let mut any = Message::default();
    any.bytes(1, RETRY_INFO.as_bytes());
    any.bytes(2, &info.0);
    let mut status = Message::default();
    status.number(1, u64::from(code.get().unsigned_abs()));
    status.bytes(2, message.as_bytes());
    status.bytes(3, &any.0);
    base64(&status.0)
}

/// A message of protobuf.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Writes a field that is a number.
    fn number(&mut self, field: u8, value: u64) {
        self.0.push(field << 3);
        self.varint(value);
    }

    /// Writes a field that is a text, bytes, or another message.
    fn bytes(&mut self, field: u8, value: &[u8]) {
        self.0.push(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// Writes a number in groups of seven bits, the lowest first. The top bit of a byte says that another one follows.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Returns the bytes in base64 (RFC 4648, section 4), without padding, as gRPC wants it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        // n bytes have n + 1 digits.
        let digits = (0..=group.len()).map(|at| bits >> (18 - 6 * at) & 63);
        text.extend(digits.map(|digit| char::from(DIGITS[digit as usize])));
    }
    text
}
