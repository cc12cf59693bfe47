//! Rooms of documentation.
pub mod internals {
    //! How it works.
}
