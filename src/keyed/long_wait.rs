//! What is known of a request's wait, so that it is reported while it lasts: see [`LongWait`].

#[cfg(feature = "tracing")]
pub(super) use self::traced::{LongWait, Waited};
#[cfg(not(feature = "tracing"))]
pub(super) use self::untraced::{LongWait, Waited};

#[cfg(feature = "tracing")]
mod traced {
    use std::fmt::Write as _;
    use std::mem;
    use std::panic::{RefUnwindSafe, UnwindSafe};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use tracing::dispatcher::{Dispatch, get_default, with_default};

    use crate::fence::Fence;
    use crate::keyed::entry::{EntryPtr, Followed};
    use crate::keyed::events;
    use crate::keyed::table::Table;
    use crate::provider::Shown;
    use crate::sync::Mutex;
    use crate::throttle::Throttle;
    use crate::user_code::in_destructor;
    use crate::wait::overdue::{self, Overdue};
    use crate::wait::{End, Line};

    /// The wait of one request. It is on the list of [`overdue`] waits from the moment in which the request is enlisted
    /// until it is granted, given up or dropped.
    ///
    /// Nothing of it points into the table, which may be gone when a wait was forgotten. So the key is written down when
    /// the wait begins, and the rest is read where the table leaves it for the reports.
    pub(in crate::keyed) struct LongWait(Option<Arc<Record>>);

    /// A wait that is over.
    ///
    /// It keeps what is known of the wait. To drop that is user code: the caller's span may end with it, and a subscriber
    /// sees that. So a granted key must have its guard before.
    #[derive(Default)]
    pub(in crate::keyed) struct Waited {
        /// `None` if it did not wait, or nobody wanted to know.
        record: Option<Arc<Record>>,
        /// A warning was emitted while it waited.
        pub(in crate::keyed) was_reported: bool,
    }

    impl Waited {
        /// Returns how long it has waited until now.
        pub(in crate::keyed) fn elapsed(&self) -> Option<Duration> {
            self.record.as_ref().map(|record| record.began.elapsed())
        }

        /// Forgets the wait, now that a panic does no harm.
        #[inline]
        pub(in crate::keyed) fn retire(self) {}
    }

    impl Drop for Waited {
        #[inline]
        fn drop(&mut self) {
            if let Some(record) = self.record.take() {
                retire(record);
            }
        }
    }

    /// Drops what may be the last use of a record, and so the caller's span and subscriber.
    #[cold]
    fn retire(record: Arc<Record>) {
        in_destructor(|| drop(record));
    }

    /// What the reports of one wait need.
    struct Record {
        lock: Option<&'static str>,
        /// Shared by all waits of the table.
        warnings: Arc<Throttle>,
        began: Instant,
        /// Where the waiting caller's events go, ...
        dispatch: Dispatch,
        /// ... and the span that it is in.
        span: tracing::Span,
        /// Never locked while the line is, or a shard.
        state: Mutex<State>,
    }

    struct State {
        /// As it is shown, if it may be.
        key: Option<String>,
        line: Arc<Mutex<Line>>,
        fence: Arc<AtomicU64>,
        report: Report,
        /// When it is reported next. `None` if it is not, or if that time is beyond the clock's range.
        due: Option<Instant>,
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Report {
        /// There was none yet.
        Due,
        /// It was a debug event, since there was a warning a moment before. It is tried again, so that a wait that never
        /// ends becomes a warning.
        Quiet,
        /// It was a warning.
        Warning,
        /// There will be none: the wait is over.
        Over,
    }

    impl LongWait {
        #[inline]
        pub(in crate::keyed) const fn new() -> Self {
            Self(None)
        }

        /// The request is enlisted at `entry`: its wait begins, or it goes on at another key.
        #[allow(unsafe_code)]
        pub(in crate::keyed) fn waits_at<K, S>(&mut self, table: &Table<K, S>, entry: EntryPtr<K>) {
            let options = table.options();
            if self.0.is_none() && !events::are_wanted() {
                return;
            }
            let began = Instant::now();
            let due = began.checked_add(options.long_wait);
            if self.0.is_none() && due.is_none() && !events::are_ends_wanted() {
                return;
            }
            // SAFETY: the request's place in the line keeps the entry in use.
            let key = unsafe { entry.key() };
            let key = Shown::new(options.show_key, key).map(|shown| {
                let mut text = String::new();
                // What can't be written is left out.
                let _ = write!(text, "{shown}");
                text
            });
            let Followed { line, fence } = table.follow(entry);
            if let Some(record) = &self.0 {
                let mut state = record.state.lock();
                (state.key, state.line, state.fence) = (key, line, fence);
                return;
            }
            let record = Arc::new(Record {
                lock: options.name,
                warnings: options.warnings.clone(),
                began,
                dispatch: get_default(Dispatch::clone),
                span: tracing::Span::current(),
                state: Mutex::new(State { key, line, fence, report: Report::Due, due }),
            });
            self.0 = Some(record.clone());
            if let Some(due) = due {
                overdue::enlist(due, record);
            }
        }

        pub(in crate::keyed) fn has_begun(&self) -> bool {
            self.0.is_some()
        }

        /// The request has its permits, or waits no more.
        #[inline]
        pub(in crate::keyed) fn over(&mut self) -> Waited {
            self.0.take().map_or_else(Waited::default, |record| Waited {
                was_reported: record.end() == Report::Warning,
                record: Some(record),
            })
        }

        /// The request leaves the line without its permits, by `leave`.
        pub(in crate::keyed) fn give_up(&mut self, end: End, leave: impl FnOnce()) {
            // Read before: another key may use the entry at once.
            let seen = self.0.as_ref().map(|record| record.state.lock().seen());
            leave();
            let over = self.over();
            let Waited { record: Some(record), was_reported } = &over else { return };
            let Some(mut seen) = seen else { return };
            // The others: this one has left.
            seen.waiters = seen.waiters.saturating_sub(1);
            let waited = record.began.elapsed();
            in_destructor(|| {
                record.emit(|| events::given_up(record.lock, &seen, waited, end, *was_reported));
            });
        }
    }

    impl Drop for LongWait {
        #[inline]
        fn drop(&mut self) {
            if let Some(record) = self.0.take() {
                record.end();
                retire(record);
            }
        }
    }

    // A panic of a subscriber, or of the way to show a key, leaves the record consistent.
    impl UnwindSafe for LongWait {}
    impl RefUnwindSafe for LongWait {}

    impl Record {
        /// Ends the wait, and returns how it was reported.
        fn end(self: &Arc<Self>) -> Report {
            let mut state = self.state.lock();
            let (report, due) = (mem::replace(&mut state.report, Report::Over), state.due.take());
            drop(state);
            if let Some(due) = due {
                overdue::withdraw(due, self);
            }
            report
        }

        /// Emits where the wait began: for that subscriber and in that span. A server drops what waits for a client that
        /// hung up outside its span, and a report comes from another thread.
        fn emit(&self, event: impl FnOnce()) {
            with_default(&self.dispatch, || self.span.in_scope(event));
        }
    }

    impl State {
        fn seen(&self) -> events::Seen {
            let holder = Fence::new(self.fence.load(Ordering::Relaxed));
            events::Seen { key: self.key.clone(), waiters: self.line.lock().len(), holder }
        }
    }

    impl Overdue for Record {
        fn began(&self) -> Instant {
            self.began
        }

        fn report(self: Arc<Self>, now: Instant) {
            let mut state = self.state.lock();
            if let Report::Warning | Report::Over = state.report {
                return;
            }
            let is_first = state.report == Report::Due;
            let passed = self.warnings.try_pass(now, is_first);
            (state.report, state.due) = match passed {
                Ok(_) => (Report::Warning, None),
                Err(open) => (Report::Quiet, Some(open)),
            };
            if let Some(due) = state.due {
                // Under the lock, so that the end of the wait finds it on the list.
                overdue::enlist(due, self.clone());
            }
            let others = passed.ok();
            if others.is_none() && !is_first {
                return;
            }
            let seen = state.seen();
            // A subscriber is user code, which may end this very wait.
            drop(state);
            let waited = now.saturating_duration_since(self.began);
            self.emit(|| events::still_waiting(self.lock, &seen, waited, others));
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod untraced {
    use crate::keyed::entry::EntryPtr;
    use crate::keyed::table::Table;
    use crate::wait::End;

    /// Without the feature `tracing` nothing is known.
    pub(in crate::keyed) struct LongWait;

    #[derive(Default)]
    pub(in crate::keyed) struct Waited;

    impl Waited {
        #[inline]
        pub(in crate::keyed) fn retire(self) {}
    }

    impl LongWait {
        #[inline]
        pub(in crate::keyed) const fn new() -> Self {
            Self
        }

        #[inline]
        pub(in crate::keyed) fn waits_at<K, S>(&mut self, _: &Table<K, S>, _: EntryPtr<K>) {}

        #[inline]
        pub(in crate::keyed) fn has_begun(&self) -> bool {
            true
        }

        #[inline]
        pub(in crate::keyed) fn over(&mut self) -> Waited {
            Waited
        }

        #[inline]
        pub(in crate::keyed) fn give_up(&mut self, _: End, leave: impl FnOnce()) {
            leave();
        }
    }
}
