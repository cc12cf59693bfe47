//! A subscriber that keeps what it sees.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use latchwork::KeyedLock;
use latchwork::keyed::KeyedBuilder;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// One event: its level, its message, its other fields, and the span that it is in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) span: Option<&'static str>,
}

impl Seen {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The field, which is a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.field(name).map(|text| text.parse().expect("a number"))
    }
}

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

pub(super) type Book = Arc<Mutex<Vec<Seen>>>;

/// Keeps what it sees, and then does something.
pub(super) struct Capture<A> {
    pub(super) seen: Book,
    pub(super) least: Level,
    pub(super) act: A,
}

impl<S, A> Layer<S> for Capture<A>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    A: Fn() + Send + Sync + 'static,
{
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.least
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        let message = fields.remove("message").unwrap_or_default();
        let span = context.lookup_current().map(|span| span.name());
        let seen = Seen { level: *event.metadata().level(), message, fields, span };
        self.seen.lock().expect("it is not poisoned").push(seen);
        (self.act)();
    }
}

/// What is emitted for this thread while `f` runs.
pub(super) fn captured(least: Level, act: impl Fn() + Send + Sync + 'static, f: impl FnOnce()) -> Vec<Seen> {
    let seen = Book::default();
    captured_in(&seen, least, act, f);
    taken(&seen)
}

/// The same, in a book that others may read meanwhile.
pub(super) fn captured_in(
    seen: &Book,
    least: Level,
    act: impl Fn() + Send + Sync + 'static,
    f: impl FnOnce(),
) {
    let capture = Capture { seen: seen.clone(), least, act };
    let guard = tracing_subscriber::registry().with(capture).set_default();
    f();
    drop(guard);
}

/// What is in the book, which is empty then.
pub(super) fn taken(seen: &Book) -> Vec<Seen> {
    seen.lock().expect("it is not poisoned").split_off(0)
}

/// The levels and the messages.
pub(super) fn shapes(seen: &[Seen]) -> Vec<(Level, &str)> {
    seen.iter().map(|event| (event.level, event.message.as_str())).collect()
}

pub(super) fn builder() -> KeyedBuilder<String> {
    KeyedLock::builder()
}

pub(super) fn shown() -> KeyedBuilder<String> {
    builder().show_keys(|key, f| write!(f, "<{key}>"))
}
