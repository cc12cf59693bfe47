//! [`BoxedError`]: a boxed error that is an [`Error`] itself.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

use super::error::RetryError;

/// A boxed error of any type that implements [`Error`] itself: see [`RetryError::boxed`].
///
/// It reads as the error in the box, with its text and its sources. It dereferences to that error. The
/// [source](Error::source) of its `RetryError` is the error in the box itself, so a search for its type finds it.
pub struct BoxedError(Box<dyn Error + Send + Sync>);

impl BoxedError {
    /// Returns the box.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> RetryError<E> {
    /// Boxes the error of the last attempt, so that `?` converts the whole. The reason and the counts stay.
    ///
    /// A `RetryError` implements [`Error`] if its own error does. `Box<dyn Error + Send + Sync>` and `anyhow::Error` do not.
    /// Rust can't tell errors and these boxes apart in implementations, as `std` may implement [`Error`] for the boxes one
    /// day. So this step is explicit.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{error::Error, io};
    /// use latchwork::{RetryPolicy, retry::{BoxedError, RetryError}, verdict::Verdict};
    ///
    /// type AnyError = Box<dyn Error + Send + Sync>;
    ///
    /// fn save() -> Result<(), AnyError> {
    ///     let policy = RetryPolicy::new().classify_with(|_: &AnyError| Verdict::Stop);
    ///     policy.run_blocking(|_| Err::<(), AnyError>(io::Error::other("disk full").into())).map_err(RetryError::boxed)?;
    ///     Ok(())
    /// }
    ///
    /// let error = save().unwrap_err();
    /// let error = error.downcast_ref::<RetryError<BoxedError>>().expect("it is the call's");
    /// assert!(error.source().is_some_and(|source| source.is::<io::Error>()));
    /// assert_eq!((error.attempts, error.error.to_string()), (1, "disk full".to_owned()));
    /// ```
    #[must_use]
    pub fn boxed(self) -> RetryError<BoxedError> {
        self.map(|error| BoxedError(error.into()))
    }
}

impl Deref for BoxedError {
    type Target = dyn Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Error for BoxedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl fmt::Display for BoxedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for BoxedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
