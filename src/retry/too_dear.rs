//! [`TooDear`]: the prices that a budget can never pay, and the panic that names one.

use crate::verdict::RetryKind;

/// The prices that a budget can never pay, by `RetryKind::index`.
#[derive(Clone, Copy)]
pub(super) struct TooDear {
    pub(super) prices: [Option<u32>; RetryKind::ALL.len()],
    pub(super) capacity: u32,
}

impl TooDear {
    /// Those of no budget.
    pub(super) const NONE: Self = Self { prices: [None; RetryKind::ALL.len()], capacity: 0 };

    /// Panics if a kind that is retried is one of them.
    pub(super) const fn refuse(&self, retried: &[bool; RetryKind::ALL.len()]) {
        let mut kind = 0;
        while kind < self.prices.len() {
            if let (Some(price), true) = (self.prices[kind], retried[kind]) {
                let text = Text::new()
                    .add("a retry of the kind ")
                    .add(RetryKind::ALL[kind].name())
                    .add(" costs ")
                    .add_number(price)
                    .add(" tokens, more than the budget's capacity of ")
                    .add_number(self.capacity)
                    .add(": raise it, lower the price, or set the policy not to retry the kind before it gets the budget");
                panic!("{}", text.as_str());
            }
            kind += 1;
        }
    }
}

/// A text that the compiler can put together: a policy in a `static` is checked by it.
struct Text {
    bytes: [u8; 256],
    len: usize,
}

impl Text {
    const fn new() -> Self {
        Self { bytes: [0; 256], len: 0 }
    }

    const fn add(mut self, text: &str) -> Self {
        let mut at = 0;
        while at < text.len() {
            self.bytes[self.len] = text.as_bytes()[at];
            self.len += 1;
            at += 1;
        }
        self
    }

    const fn add_number(self, number: u32) -> Self {
        let shorter = if number < 10 { self } else { self.add_number(number / 10) };
        let digit = (number % 10) as usize;
        shorter.add("0123456789".split_at(digit).1.split_at(1).0)
    }

    const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => "the budget has fewer tokens than one of its prices",
        }
    }
}
