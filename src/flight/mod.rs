//! One call for all who ask for the same at the same time.
